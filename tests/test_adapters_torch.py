"""Any box loss in the detectors of Ultralytics, torchvision and Transformers, from random weights.

For each detector: its built-in loss by our formula gives its numbers, other losses train, and the
library is restored. torchvision is used by its Python parts where its operators do not fit torch.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import json
import math

import numpy as np
import pytest
from detector_libraries import HERE, MARKS

import boxloss
from boxloss import evaluation

pytestmark = MARKS
if HERE:
    import foreign_detectors as foreign
    import torch

    from boxloss.adapters import transformers, ultralytics
    from boxloss.adapters.record import Record

SMOOTH = ("smooth_l1", {"beta": 1 / 9})
# detector: its library, its built-in loss
DETECTORS = {
    "yolo11n": ("ultralytics", ("ciou", {})),
    "yolo26n": ("ultralytics", ("ciou", {})),
    "yolo11n-obb": ("ultralytics", ("probiou", {})),
    "retinanet": ("torchvision", ("giou", {})),
    "retinanet_l1": ("torchvision", ("l1", {})),
    "fcos": ("torchvision", ("giou", {})),
    "faster_rcnn": ("torchvision", SMOOTH),
    "detr": ("transformers", ("giou", {})),
    "deformable_detr": ("transformers", ("giou", {})),
    "rt_detr": ("transformers", ("giou", {})),
    "d_fine": ("transformers", ("giou", {})),
}
# Not WIoU: its value follows a running mean, and may rise while boxes get better.
OTHERS = ("iou", "siou", "eiou", "diou", "piou", "focaler_iou")
ROTATED = ("gwd", "kld", "kfiou", "rotated_iou", "rotated_giou", "probiou")


# The same seams as others.
TRAINED = [name for name in DETECTORS if name not in ("yolo26n", "retinanet_l1")]


def adapter(detector):
    return importlib.import_module(f"boxloss.adapters.{DETECTORS[detector][0]}")


@functools.cache
def detectors(name):
    """Each detector is made once; `measured` leaves its weights as they are."""
    return foreign.make(name)


def far(gradient, from_):
    return float((gradient - from_).norm() / from_.norm())


# The gradient of a whole DETR is rounding noise in places: batch normalisation over nine numbers.
def part(detector):
    return "bbox" if DETECTORS[detector][0] == "transformers" else ""


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_built_in_loss_by_our_formula_gives_its_value_and_gradient(detector):
    model, losses = detectors(detector)
    name, arguments = DETECTORS[detector][1]
    value, gradient = foreign.measured(model, losses, part(detector))
    with adapter(detector).use(boxloss.get(name, **arguments)) as used:
        ours, our_gradient = foreign.measured(model, losses, part(detector))
    assert used.measure.calls > 0
    assert ours == pytest.approx(value, rel=1e-4)
    assert far(our_gradient, gradient) < 1e-4
    # And the comparison sees another loss.
    with adapter(detector).use("gwd" if "obb" in detector else "eiou"):
        other, other_gradient = foreign.measured(model, losses, part(detector))
    assert abs(other - value) > 1e-3 * value
    assert far(other_gradient, gradient) > 1e-3
    assert foreign.measured(model, losses, part(detector))[0] == value


def trained(detector, steps=10):
    """The box loss over steps on one batch. Adam moves the head; matching may change meanwhile."""
    model, losses = foreign.make(detector)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    curve = []
    for _ in range(steps):
        optimizer.zero_grad()
        box, total = losses(model)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        curve.append(float(box))
    return curve


def few(detector):
    """Six losses other than the built-in one."""
    losses = ROTATED if "obb" in detector else OTHERS
    return [name for name in losses if name != DETECTORS[detector][1][0]]


@pytest.mark.parametrize(
    "detector, loss", [(detector, loss) for detector in TRAINED for loss in few(detector)]
)
def test_other_losses_train_ten_steps_and_the_box_loss_falls(detector, loss):
    with adapter(detector).use(loss):
        curve = trained(detector)
    assert all(map(math.isfinite, curve))
    assert min(curve[-3:]) < curve[0]


# In its place and out again -----------------------------------------------------------------------


def seams(module):
    found = [value for value in vars(module).values() if type(value).__name__ == "Seam"]
    return found + list(getattr(module, "SEAMS", ()))


def objects(places):
    """What stands at each seam of an adapter: the very objects."""
    return [vars(owner)[attribute] for owner, attribute in places]


@pytest.mark.parametrize("name", ["ultralytics", "torchvision", "transformers"])
def test_a_library_is_restored_after_an_exception(name, tmp_path):
    module = importlib.import_module(f"boxloss.adapters.{name}")
    places = [module.LIBRARY.find(seam) for seam in seams(module)]
    before = objects(places)
    with pytest.raises(KeyError), module.use("siou", record=Record(truth(tmp_path))):
        assert any(a is not b for a, b in zip(objects(places), before, strict=True))
        raise KeyError
    assert all(a is b for a, b in zip(objects(places), before, strict=True))
    assert len(before) == {"ultralytics": 5, "torchvision": 6, "transformers": 3}[name]


@pytest.mark.parametrize(
    "name, version",
    [("ultralytics", "8.3.9"), ("torchvision", "0.9.0"), ("transformers", "4.57.1")],
)
def test_another_version_is_refused(name, version, monkeypatch):
    module = importlib.import_module(f"boxloss.adapters.{name}")
    monkeypatch.setattr(importlib.metadata, "version", lambda package: version)
    with pytest.raises(ImportError, match=rf"^`{name}` must be .*Received: {name} {version}$"):
        module.use("siou")


def test_another_signature_is_refused(monkeypatch):
    from ultralytics.utils import loss

    monkeypatch.setattr(loss, "bbox_iou", lambda boxes, others: None)
    with pytest.raises(ImportError, match=r"Received: ultralytics.utils.loss.bbox_iou\(boxes, oth"):
        ultralytics.use("siou")


# Ultralytics --------------------------------------------------------------------------------------


def forward(strides, true, pred, imgsz=(96.0, 160.0)):
    """Ultralytics' box loss of anchors with these strides, boxes in strides, all in one image."""
    from ultralytics.utils.loss import BboxLoss

    n = len(strides)
    one = torch.ones((1, n))
    return BboxLoss(16)(
        torch.zeros((1, n, 64)),
        pred[None],
        torch.zeros((n, 2)),
        true[None],
        one[..., None],
        torch.tensor(1.0),
        one > 0,
        torch.tensor(imgsz),
        torch.tensor(strides)[:, None],
    )[0]


TRUE = [[2.0, 1, 6, 4], [1.0, 1, 2, 3], [0.5, 1, 4, 2]]
PRED = [[2.0, 2, 6, 5], [1.5, 1, 3, 3], [0.5, 0, 2, 2]]
STRIDES = [8.0, 16.0, 32.0]


@pytest.mark.parametrize("loss", ["l1", "nwd", "mpdiou", "eiou"])
def test_boxes_are_in_pixels_of_the_input_or_in_strides(loss):
    true, pred = torch.tensor(TRUE), torch.tensor(PRED)
    scale = torch.tensor(STRIDES)[:, None]
    shape = {"image_shape": (96.0, 160.0)} if loss == "mpdiou" else {}
    ours = boxloss.get(loss, **shape)
    for units, factor in (("pixels", scale), ("strides", 1.0)):
        with ultralytics.use(loss, units=units):
            value = forward(STRIDES, true, pred)
        expected = ours.tensors(true[None] * factor, pred[None] * factor).box_errors.sum()
        torch.testing.assert_close(value, expected)


def test_rotated_boxes_are_in_pixels_and_their_angle_in_radians():
    from ultralytics.utils.loss import RotatedBboxLoss

    angle = torch.tensor([[0.3], [1.2], [-0.4]])
    size = torch.tensor([[4.0, 6, 5, 2], [3.0, 3, 2, 5], [6.0, 5, 3, 3]])
    true, pred = torch.cat([size, angle], 1), torch.cat([size + 0.5, angle + 0.2], 1)
    scale = torch.tensor(STRIDES)[:, None]
    pixels = torch.cat([scale.expand(-1, 4), torch.ones_like(scale)], 1)
    one = torch.ones((1, 3))
    with ultralytics.use("gwd"):
        value, _ = RotatedBboxLoss(16)(
            *(torch.zeros((1, 3, 64)), pred[None], torch.zeros((3, 2)), true[None], one[..., None]),
            *(torch.tensor(1.0), one > 0, torch.tensor([96.0, 96.0]), scale),
        )
    expected = boxloss.get("gwd").tensors((true * pixels)[None], (pred * pixels)[None])
    torch.testing.assert_close(value, expected.box_errors.sum())


def test_validation_moves_no_running_mean_and_records_nothing(tmp_path):
    model, losses = detectors("yolo11n")
    record = Record(truth(tmp_path))
    with ultralytics.use("wiou", record=record) as used:
        foreign.measured(model, losses)
        moved, steps = float(used.measure.state.value), record.steps
        assert moved != 1.0 and steps == 1
        with torch.inference_mode():
            losses(model)
        assert (float(used.measure.state.value), record.steps) == (moved, steps)
        foreign.measured(model, losses)
        assert float(used.measure.state.value) != moved


def test_rotated_losses_and_records_do_not_go_together(tmp_path):
    with pytest.raises(ValueError, match="`record` must be None for a loss of rotated boxes"):
        ultralytics.use("gwd", record=Record(truth(tmp_path)))


# Records ------------------------------------------------------------------------------------------


def truth(folder):
    """The data set of the two images of `foreign_detectors`."""
    import cv2

    from boxloss import datasets

    images, annotations = [], []
    for i, name in enumerate("ab"):
        file = f"{name}.jpg"
        cv2.imwrite(str(folder / file), np.zeros((foreign.SIZE, foreign.SIZE, 3), "uint8"))
        images.append(
            {"id": i + 1, "file_name": file, "width": foreign.SIZE, "height": foreign.SIZE}
        )
        for center, label in zip(foreign.CENTERS[i], foreign.LABELS[i], strict=True):
            x1, y1, x2, y2 = foreign.corners(center)
            box = {"image_id": i + 1, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append({"id": len(annotations) + 1, **box})
    categories = [{"id": i + 1, "name": f"class{i}"} for i in range(3)]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(coco))
    return datasets.load(folder, folder / "truth.json")


UNIT = {"ultralytics": 1.0, "torchvision": 1.0, "transformers": foreign.SIZE if HERE else 1.0}


@pytest.mark.parametrize("detector", [name for name in DETECTORS if "obb" not in name])
def test_a_record_holds_the_true_boxes_and_their_errors(detector, tmp_path):
    model, losses = detectors(detector)
    data = truth(tmp_path)
    record = Record(data)
    with adapter(detector).use("siou", record=record):
        before, _ = foreign.measured(model, losses)
        foreign.measured(model, losses)
    assert (record.steps, record.epochs, record.views, record.unmatched) == (2, 1, 4, 0)
    pairs = record.newest()
    assert set(pairs["step"]) == {1, 2} and len(pairs)
    # The true side of each pair is the true box that it names, in the unit of the adapter.
    boxes = np.stack([data.records[p["image"]].boxes[p["box"]] for p in pairs])
    np.testing.assert_allclose(pairs["true"] * UNIT[DETECTORS[detector][0]], boxes, atol=2e-3)
    errors = boxloss.get("siou").tensors(pairs["true"][None], pairs["pred"][None]).numpy()
    np.testing.assert_allclose(pairs["error"], errors.box_errors[0], rtol=1e-3, atol=1e-5)
    rows = evaluation.read_box_history(record.write(tmp_path / "run"))
    assert len(rows) == 3 and all(row["history_epochs"] == 2 for row in rows.values())
    scores = [row["history_mean_score"] for row in rows.values()]
    assert all(score is None or 0 < score < 1 for score in scores)


def test_a_record_needs_to_know_the_image(tmp_path):
    with transformers.use("siou", record=Record(truth(tmp_path))):
        model, _ = foreign.make("detr")
        labels = [{k: v for k, v in x.items() if k != "image_id"} for x in foreign.detr_labels()]
        with pytest.raises(ValueError, match="`labels` must have an 'image_id' each"):
            model(pixel_values=foreign.images(), labels=labels)
