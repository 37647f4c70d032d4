"""What a training did to each true box, and the losses per box that adapters measure by."""

import copy
import json

import numpy as np
import pytest

import boxloss
from boxloss import datasets, evaluation
from boxloss.tensors import ops

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(ops.backend() != "torch", reason="needs KERAS_BACKEND=torch"),
]
if ops.backend() == "torch":
    import torch

    from boxloss.adapters.per_box import PerBoxErrors
    from boxloss.adapters.record import Record

cv2 = pytest.importorskip("cv2")
SIZES = {"a": 2, "b": 1, "c": 3}


def truth(tmp_path, sizes=SIZES):
    """A data set of images of 80 x 60 pixels, ids 11, 12, ...; annotation ids 101, 102, ..."""
    annotations, images = [], []
    for i, (name, size) in enumerate(sizes.items()):
        images.append({"id": 11 + i, "file_name": f"{name}.png", "width": 80, "height": 60})
        for j in range(size):
            box = {"image_id": 11 + i, "category_id": 1 + j % 2, "bbox": [5 * j, 4, 20, 10]}
            annotations.append({"id": 101 + len(annotations), **box})
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((60, 80, 3), "uint8"))
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(coco))
    return datasets.load(tmp_path, file)


def pairs(image, box, error, pred=None, scores=None, label=None, weight=None):
    n = len(image)
    true = torch.tensor([[0.0, 0, 8, 4]]).repeat(n, 1)
    return {
        "image": torch.tensor(image),
        "box": torch.tensor(box),
        "true": true,
        "pred": true if pred is None else torch.tensor(pred),
        "error": torch.tensor(error),
        "scores": torch.tensor(scores or [[0.25, 0.5]] * n),
        "label": torch.tensor(label or [0] * n),
        "weight": None if weight is None else torch.tensor(weight),
    }


def test_a_history_is_that_of_the_epochs_by_hand(tmp_path):
    record = Record(truth(tmp_path))
    # Epoch 0: box 1 of image a is answered for twice, with weights 3 and 1, at IoU 1 and 1/2.
    half = [[0.0, 0, 8, 4], [0.0, 0, 4, 4], [0.0, 0, 8, 4]]
    weights = {"weight": [3.0, 1.0, 1.0]}
    record.add(
        ["a.png", "b.png"], [2, 1], **pairs([0, 0, 1], [1, 1, 0], [0.2, 0.6, 0.9], half, **weights)
    )
    # Epoch 1 begins where image b comes again; its box is now of the right class.
    record.add([12], [1], **pairs([0], [0], [0.5], label=[1]))
    rows = evaluation.read_box_history(record.write(tmp_path / "run"))
    assert record.steps == 2 and record.epochs == 1 and record.views == 3
    assert sorted(rows) == [("11", "101"), ("11", "102"), ("12", "103")]
    unanswered, twice, later = (rows[key] for key in sorted(rows))
    assert unanswered["history_epochs"] == 1 and unanswered["history_mean_error"] is None
    np.testing.assert_allclose(twice["history_mean_error"], (3 * 0.2 + 0.6) / 4, rtol=1e-5)
    np.testing.assert_allclose(twice["history_mean_iou"], (3 * 1 + 0.5) / 4, rtol=1e-5)
    np.testing.assert_allclose(twice["history_mean_score"], 0.25, rtol=1e-5)
    assert twice["history_found"] == 0  # the other class has the higher score
    np.testing.assert_allclose(later["history_mean_error"], 0.7, rtol=1e-5)
    np.testing.assert_allclose(later["history_std_error"], 0.2, rtol=1e-5)
    assert later["history_found"] == 0.5 and later["history_first_found"] == 1


def test_further_pairs_of_a_step_are_of_the_same_epoch(tmp_path):
    record = Record(truth(tmp_path))
    for is_new in (True, False):
        record.add(["a.png"], [2], **pairs([0], [0], [0.4]), is_new_step=is_new)
    assert (record.steps, record.epochs, record.views) == (1, 0, 1)


def test_images_are_known_by_path_name_stem_and_id(tmp_path):
    data = truth(tmp_path)
    for name in (data.records[2].path, str(data.records[2].path), "other/c.png", "c.jpg", 13, "13"):
        record = Record(data)
        record.add([name], [3], **pairs([0], [2], [0.5]))
        assert record.unmatched == 0, name
        assert record.newest()["image"].tolist() == [2]
    record.add([torch.tensor([13])], [3], **pairs([0], [2], [0.5]))
    assert record.newest()["image"].tolist() == [2, 2]


def test_views_with_other_boxes_are_left_out_and_counted(tmp_path):
    record = Record(truth(tmp_path))
    record.add(
        ["a.png", "b.png", "x.png"], [3, 1, 2], **pairs([0, 1, 2], [0, 0, 1], [0.5, 0.6, 0.7])
    )
    assert (record.views, record.unmatched) == (3, 2)
    assert record.newest()["error"].tolist() == [np.float32(0.6)]
    only = Record(truth(tmp_path))
    only.add(["a.png"], [7], **pairs([0], [6], [0.5]))
    with pytest.warns(UserWarning, match="holds no box: of 1 views of images 1 have another name"):
        only.write(tmp_path / "empty.csv")


def test_memory_is_bounded_and_holds_the_newest_pairs(tmp_path):
    record = Record(truth(tmp_path), keep=5)
    held = record._pairs.nbytes + record._sums.nbytes
    for step in range(7):
        pred = [[0.0, 0, 8, 4 + step], [1.0, 0, 8, 4]]
        record.add(["a.png"], [2], **pairs([0, 0], [0, 1], [step / 10, step / 10 + 0.05], pred))
    newest = record.newest()
    assert record._pairs.nbytes + record._sums.nbytes == held
    assert newest["step"].tolist() == [5, 6, 6, 7, 7]
    assert newest["box"].tolist() == [1, 0, 1, 0, 1]
    np.testing.assert_allclose(newest["error"], [0.45, 0.5, 0.55, 0.6, 0.65], rtol=1e-6)
    np.testing.assert_allclose((newest["pred"] - newest["true"])[-2], [0, 0, 0, 6])
    # More pairs in one step than are kept.
    record.add(["c.png"], [3], **pairs([0] * 6, [0, 1, 2, 0, 1, 2], [0.1] * 6))
    assert record.newest()["box"].tolist() == [1, 2, 0, 1, 2]


def test_writing_does_not_disturb_the_training(tmp_path):
    record, other = (Record(truth(tmp_path)) for _ in range(2))
    for step in range(3):
        for each in (record, other):
            each.add(["a.png"], [2], **pairs([0], [0], [0.1 + step]))
        record.write(tmp_path / "between.csv")
    assert (
        record.write(tmp_path / "x.csv").read_text() == other.write(tmp_path / "y.csv").read_text()
    )


def test_reports_and_the_audit_read_a_record(tmp_path):
    data = truth(tmp_path)
    record = Record(data)
    record.add(["a.png", "c.png"], [2, 3], **pairs([0, 1], [1, 2], [0.9, 0.3]))
    folder = record.write(tmp_path / "run").parent
    detections = [{"image_id": 11, "category_id": 1, "bbox": [0, 4, 20, 10], "score": 0.9}]
    report = boxloss.BoxReport.from_coco(data, detections, tmp_path, loss=None)
    assert report.add_history(folder) == 5
    from boxloss.audit import LabelAudit

    audit = LabelAudit(data, detections, tmp_path, history=folder)
    assert len(audit.history) == 6


# Errors per box -----------------------------------------------------------------------------------


def boxes(n=5):
    rng = np.random.default_rng(0)
    corner = rng.uniform(5, 40, (n, 2))
    true = np.concatenate([corner, corner + rng.uniform(5, 30, (n, 2))], axis=1)
    pred = true + rng.normal(0, 2, true.shape)
    return (torch.tensor(x, dtype=torch.float32) for x in (true, pred))


@pytest.mark.parametrize("name", ["ciou", "l1", "siou", "nwd"])
def test_errors_are_those_of_the_loss(name):
    true, pred = boxes()
    expected = boxloss.get(name).tensors(true[None], pred[None]).box_errors[0]
    measure = PerBoxErrors(name, encoded=False)
    torch.testing.assert_close(measure(true, pred), expected)
    torch.testing.assert_close(measure(true, pred.requires_grad_()).detach(), expected)
    assert measure.calls == 2


def test_an_object_keeps_its_arguments_and_gives_up_its_reductions():
    true, pred = boxes()
    mining = boxloss.HardestBoxes(count=1)
    loss = boxloss.AlphaIoULoss(base="ciou", alpha=2.0, normalizer="none", mining=mining)
    expected = boxloss.AlphaIoULoss(base="ciou", alpha=2.0).tensors(true[None], pred[None])
    torch.testing.assert_close(PerBoxErrors(loss)(true, pred), expected.box_errors[0])
    assert loss.normalizer == "none"  # the object itself is left alone


def test_no_boxes_have_no_errors_and_a_gradient():
    pred = torch.zeros((0, 4), requires_grad=True)
    errors = PerBoxErrors("ciou")(torch.zeros((0, 4)), pred)
    assert errors.shape == (0,)
    errors.sum().backward()


@pytest.mark.parametrize(
    "loss", ["wiou", "object", "sum"], ids=["by name", "an object", "in a weighted sum"]
)
def test_a_running_mean_moves_in_training_only(loss):
    mean = boxloss.losses.RunningMean()
    if loss != "wiou":
        wiou = boxloss.WIoULoss(running_mean=mean)
        loss = boxloss.WeightedSum([(wiou, 1.0), ("l1", 2.0)]) if loss == "sum" else wiou
    measure = PerBoxErrors(loss)
    state = measure.state or mean
    true, pred = boxes()
    measure(true, pred)
    with torch.no_grad():
        measure(true, copy.copy(pred).requires_grad_())
    assert float(state.value) == 1.0
    measure(true, pred.requires_grad_())
    assert float(state.value) < 1.0


def test_a_loss_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="`loss` must be one of .*Did you mean 'giou'.*'gious'"):
        PerBoxErrors("gious")
    with pytest.raises(ValueError, match="`loss` must be a loss of kind 'box', or the name of one"):
        PerBoxErrors(boxloss.GWDLoss())
    with pytest.raises(ValueError, match="`image_shape` must be .*Received: loss='nwd'"):
        PerBoxErrors("nwd", box_format="rel_center_xywh")


def test_a_truth_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="`truth` must be a boxloss.datasets.DataSet.*a dict"):
        Record({"images": []})
