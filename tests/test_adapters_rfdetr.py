"""Any box loss in RF-DETR: its criterion, on made-up outputs of a decoder and an encoder.

Its models bring weights that are downloaded; the criterion is all that the adapter touches.
"""

import importlib.metadata
import importlib.util
import types

import numpy as np
import pytest

import boxloss
from boxloss import evaluation
from boxloss.tensors import ops

HERE = ops.backend() == "torch" and importlib.util.find_spec("rfdetr") is not None
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not HERE, reason="needs KERAS_BACKEND=torch and rfdetr"),
]
if HERE:
    import foreign_detectors as foreign
    import torch
    from rfdetr.models.criterion import SetCriterion
    from rfdetr.models.matcher import HungarianMatcher
    from test_adapters_torch import far, truth

    from boxloss.adapters import rfdetr
    from boxloss.adapters.record import Record

QUERIES, CLASSES = 12, 3


def criterion():
    weights = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}
    matcher = HungarianMatcher(cost_class=2, cost_bbox=5, cost_giou=2)
    losses = ["labels", "boxes", "cardinality"]
    return SetCriterion(CLASSES, matcher, weights, 0.25, losses, ia_bce_loss=True).train()


def targets():
    return [
        {
            "boxes": torch.tensor(foreign.CENTERS[i]),
            "labels": torch.tensor(foreign.LABELS[i]),
            "image_id": torch.tensor([i + 1]),
        }
        for i in range(2)
    ]


def parameters():
    """Logits of the boxes and classes of two decoder layers and the encoder."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn((3, 2, QUERIES, 4 + CLASSES), generator=generator).requires_grad_()


def losses(values, given=None):
    """{name: loss} of the criterion."""
    layers = [{"pred_boxes": x[..., :4].sigmoid(), "pred_logits": x[..., 4:]} for x in values]
    outputs = {**layers[0], "aux_outputs": layers[1:2], "enc_outputs": layers[2]}
    return criterion()(outputs, given or targets())


def measured(key="loss_giou"):
    """(value, gradient) of a box loss over all layers."""
    values = parameters()
    found = losses(values)
    total = found[key] + found[f"{key}_0"] + found[f"{key}_enc"]
    total.backward()
    return float(total), values.grad


@pytest.mark.parametrize("name, key", [("giou", "loss_giou"), ("l1", "loss_bbox")])
def test_the_built_in_loss_by_our_formula_gives_its_value_and_gradient(name, key):
    value, gradient = measured(key)
    with rfdetr.use(name):
        ours, our_gradient = measured(key)
    assert ours == pytest.approx(value, rel=1e-4) and far(our_gradient, gradient) < 1e-4
    with rfdetr.use("eiou" if name == "giou" else "smooth_l1"):
        other, other_gradient = measured(key)
    assert abs(other - value) > 1e-3 * value and far(other_gradient, gradient) > 1e-3
    assert measured(key)[0] == value


@pytest.mark.parametrize("loss", ["iou", "siou", "eiou", "diou", "piou", "focaler_iou"])
def test_other_losses_train_ten_steps_and_the_box_loss_falls(loss):
    values, curve = parameters(), []
    optimizer = torch.optim.Adam([values], 0.05)
    with rfdetr.use(loss):
        for _ in range(10):
            optimizer.zero_grad()
            found = losses(values)
            curve.append(found["loss_giou"].item())
            sum(found[key] for key in found if "loss" in key).backward()
            optimizer.step()
    assert np.isfinite(curve).all() and min(curve[-3:]) < curve[0]


def test_padded_targets_count_nothing():
    padded = targets()
    for target in padded:
        target["valid"] = torch.ones(len(target["boxes"]), dtype=torch.bool)
    padded[1]["boxes"] = torch.cat([padded[1]["boxes"], torch.full((1, 4), 0.5)])
    padded[1]["labels"] = torch.cat([padded[1]["labels"], torch.tensor([0])])
    padded[1]["valid"] = torch.tensor([True, False])
    values = parameters()
    built_in = losses(values, padded)["loss_giou"]
    with rfdetr.use("giou"):
        torch.testing.assert_close(losses(values, padded)["loss_giou"], built_in)


def test_a_record_holds_the_true_boxes_of_the_last_layer(tmp_path):
    data, given = truth(tmp_path), targets()
    record = Record(data)
    with rfdetr.use("siou", record=record):
        for _ in range(2):
            losses(parameters(), given)
    assert (record.steps, record.views, record.unmatched) == (2, 4, 0)
    pairs = record.newest()
    assert len(pairs) == 2 * 3
    boxes = np.stack([data.records[p["image"]].boxes[p["box"]] for p in pairs])
    np.testing.assert_allclose(pairs["true"] * foreign.SIZE, boxes, atol=2e-3)
    errors = boxloss.get("siou").tensors(pairs["true"][None], pairs["pred"][None]).numpy()
    np.testing.assert_allclose(pairs["error"], errors.box_errors[0], rtol=1e-3, atol=1e-5)
    rows = evaluation.read_box_history(record.write(tmp_path / "run"))
    assert len(rows) == 3


def test_all_layers_in_one_call_is_off_while_a_loss_is_in_place(monkeypatch):
    asked = types.SimpleNamespace(type="cuda")
    layer = {"pred_logits": torch.zeros(1), "pred_boxes": torch.zeros(1)}
    monkeypatch.setattr(torch.Tensor, "device", asked, raising=False)
    made = criterion()
    made._compile_batched_detection_losses = True
    matched = [types.SimpleNamespace(labels=torch.zeros(1))] * 2
    assert made._can_batch_detection_losses([layer] * 2, matched)
    with pytest.warns(UserWarning, match="never asked"), rfdetr.use("giou"):
        assert not made._can_batch_detection_losses([layer] * 2, matched)
    assert made._can_batch_detection_losses([layer] * 2, matched)


def test_it_is_restored_after_an_exception_and_other_versions_are_refused(monkeypatch):
    seams = (rfdetr.BOXES, rfdetr.BATCHED)
    places = [rfdetr.LIBRARY.find(seam) for seam in seams]
    before = [vars(owner)[name] for owner, name in places]
    with pytest.raises(KeyError), rfdetr.use("siou"):
        assert all(
            vars(owner)[name] is not old for (owner, name), old in zip(places, before, strict=True)
        )
        raise KeyError
    assert [vars(owner)[name] for owner, name in places] == before
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.10.0")
    with pytest.raises(ImportError, match=r"^`rfdetr` must be .*Received: rfdetr 1.10.0$"):
        rfdetr.use("siou")
