"""Every box over the epochs of a run: sums of a step, running statistics, the file, joining it."""

import csv

import numpy as np
import pytest

import boxloss
from boxloss import coders, evaluation
from boxloss.evaluation.box_statistics import COLUMNS, BoxHistory
from boxloss.tensors import ops
from boxloss.training import Criterion, TrainingModel, box_loss
from boxloss.training.box_errors import BoxErrors

POINTS, STRIDES = coders.grid(64, 64, (8, 16, 32))


def head_and_truth():
    """A head's outputs over two images; box 4 of the data set is in both, box 5 is ignored."""
    rng = np.random.default_rng(0)
    reach = rng.uniform(5, 25, (2, len(POINTS), 4)).astype("float32")
    boxes = np.concatenate([POINTS - reach[..., :2], POINTS + reach[..., 2:]], axis=-1)
    logits = rng.normal(-2, 1, (2, len(POINTS), 3)).astype("float32")
    truth = {
        "boxes": np.full((2, 4, 4), -1, "float32"),
        "labels": np.full((2, 4), -1, "int32"),
        "ignore": np.zeros((2, 4), bool),
        "number": np.full((2, 4), -1, "int32"),
        "index": np.array([1, 0], "int32"),
    }
    truth["boxes"][0, :2] = [[4, 6, 40, 30], [30, 20, 60, 63]]
    truth["boxes"][1, :3] = [[10, 10, 34, 50], [34, 2, 60, 30], [40, 40, 62, 62]]
    truth["labels"][0, :2], truth["labels"][1, :3] = [2, 0], [1, 0, 2]
    truth["number"][0, :2], truth["number"][1, :3] = [2, 4], [1, 4, 5]
    truth["ignore"][1, 2] = True
    return {"boxes": boxes, "logits": logits}, truth


def iou(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    overlap = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return overlap / (sum(areas) - overlap)


def sums_by_loops(costs, outputs, truth, count):
    """The table, location by location."""
    table = np.zeros((count, 6))
    assigned = costs.assignment
    for b in range(2):
        for j, number in enumerate(truth["number"][b]):
            if number >= 0 and not truth["ignore"][b, j]:
                table[number, 0] += 1
        for a, j in enumerate(np.array(assigned.index)[b]):
            if j < 0:
                continue
            label, logits = truth["labels"][b, j], outputs["logits"][b, a]
            table[truth["number"][b, j], 1:] += np.array(assigned.quality)[b, a] * np.array(
                [
                    1.0,
                    np.array(costs.errors["box"])[b, a],
                    1 / (1 + np.exp(-logits[label])),
                    iou(truth["boxes"][b, j], outputs["boxes"][b, a]),
                    logits.argmax() == label,
                ]
            )
    return table


def test_a_step_adds_up_what_the_locations_of_each_box_were_off():
    outputs, truth = head_and_truth()
    costs = Criterion(box_loss("giou"))(truth, outputs, POINTS, STRIDES)
    errors = BoxErrors(6)
    for _ in range(2):  # a second batch adds to the first
        given = {name: ops.convert_to_tensor(value) for name, value in truth.items()}
        errors.update_state(given["number"], given["ignore"], costs, outputs)
    expected = 2 * sums_by_loops(costs, outputs, truth, 6)
    assert expected[[0, 3, 5]].max() == 0  # not in the batch, or ignored
    assert (expected[[1, 2, 4], 1] > 0).all() and expected[4, 0] == 4
    np.testing.assert_allclose(errors.table(), expected, rtol=1e-4, atol=1e-6)
    errors.reset_state()
    assert not errors.table().any()


def test_the_training_model_keeps_them_if_given_how_many_boxes_there_are():
    outputs, truth = head_and_truth()
    detector = boxloss.detector.Detector(["a", "b", "c"], image_size=64)
    images = np.zeros((2, 64, 64, 3), "float32")
    truth, outputs = (
        {name: ops.convert_to_tensor(value) for name, value in given.items()}
        for given in (truth, outputs)
    )
    losses = []
    for count in (0, 6):
        model = TrainingModel(detector, Criterion(box_loss("ciou")), 2, box_count=count)
        losses.append(float(model.compute_loss(images, truth, outputs)))
        assert set(model.get_metrics_result()) <= {"loss", "box_loss", "class_loss"}
    assert losses[0] == losses[1]
    assert model.box_errors.table()[:, 0].tolist() == [0, 1, 1, 0, 2, 0]
    model.compute_loss(images, truth, outputs, training=False)
    assert model.box_errors.table()[:, 0].tolist() == [0, 1, 1, 0, 2, 0]


def epoch_table(views, weight, error, score, iou, right):
    """(n, 6) from means over the locations: what `BoxErrors` would have added up."""
    weight = np.array(weight, "float32")
    means = np.array([np.ones_like(weight), error, score, iou, right])
    return np.column_stack([views, (weight * means).T]).astype("float32")


EPOCHS = [
    # Box 0 is found and lost twice, 1 not seen in two epochs, 2 without a location in the first.
    epoch_table([1, 0, 2], [2, 0, 0], [0.5, 0, 0], [0.6, 0, 0], [0.7, 0, 0], [1, 0, 0]),
    epoch_table([1, 1, 1], [1, 1, 3], [0.9, 0.2, 0.8], [0.2, 0.9, 0.3], [0.4, 0.9, 0.6], [1, 1, 0]),
    epoch_table([0, 1, 1], [0, 1, 1], [0, 0.4, 0.6], [0, 0.8, 0.4], [0, 0.8, 0.5], [0, 1, 0.5]),
    epoch_table([1, 0, 1], [1, 0, 1], [0.4, 0, 0.7], [0.7, 0, 0.5], [0.8, 0, 0.6], [1, 0, 1]),
    epoch_table(
        [1, 1, 1], [1, 1, 1], [0.6, 0.3, 0.5], [0.5, 0.7, 0.6], [0.6, 0.7, 0.7], [0.4, 1, 1]
    ),
]


class Boxes:
    """What `BoxHistory.rows` reads of a data set: one image of three boxes."""

    class Record:
        image_id, file_name = 7, "a, b.jpg"
        annotation_ids, labels = [31, "x", 33], np.array([1, 0, 1])

        def __len__(self):
            return 3

    records, class_names = [Record()], ["cat", "dog"]


def test_means_spread_and_forgetting_by_hand():
    history = BoxHistory(3)
    for epoch, table in enumerate(EPOCHS):
        history.update(epoch, table)
    rows = list(history.rows(Boxes))
    errors = [[0.5, 0.9, 0.4, 0.6], [0.2, 0.4, 0.3], [0.8, 0.6, 0.7, 0.5]]
    for row, values in zip(rows, errors, strict=True):
        assert row["mean_error"] == pytest.approx(np.mean(values))
        assert row["std_error"] == pytest.approx(np.std(values))
    assert [row["annotation_id"] for row in rows] == [31, "x", 33]
    assert [row["class"] for row in rows] == ["dog", "cat", "dog"]
    assert [row["epochs"] for row in rows] == [4, 3, 5]
    # An epoch without a location is one in which the box was not found. An IoU of 0.5 is enough.
    assert [row["found"] for row in rows] == pytest.approx([2 / 4, 1.0, 3 / 5])
    assert [row["first_found"] for row in rows] == [0, 1, 2]
    # Box 0 is lost twice. An epoch that does not see box 1 forgets nothing.
    assert [row["forgotten"] for row in rows] == [2, 0, 0]
    assert rows[0]["mean_score"] == pytest.approx((0.6 + 0.2 + 0.7 + 0.5) / 4)
    assert rows[2]["mean_iou"] == pytest.approx((0.6 + 0.5 + 0.6 + 0.7) / 4)


def test_a_box_that_nothing_answered_for_has_no_error_and_one_never_seen_no_row():
    history = BoxHistory(3)
    history.update(0, epoch_table([1, 0, 1], [0, 0, 1], *np.zeros((4, 3))))
    first, second = history.rows(Boxes)
    assert (first["annotation_id"], second["annotation_id"]) == (31, 33)
    empty = ("mean_error", "std_error", "mean_score", "mean_iou", "first_found")
    assert [first[name] for name in empty] == [None] * 5
    assert (first["epochs"], first["found"], first["forgotten"]) == (1, 0, 0)
    assert second["mean_error"] == 0


def test_a_restored_history_goes_on_as_if_nothing_had_happened():
    straight, first, second = BoxHistory(3), BoxHistory(3), BoxHistory(3)
    for epoch, table in enumerate(EPOCHS):
        straight.update(epoch, table)
    for epoch in (0, 1):
        first.update(epoch, EPOCHS[epoch])
    second.restore(first.table())
    for epoch in (2, 3, 4):
        second.update(epoch, EPOCHS[epoch])
    np.testing.assert_array_equal(straight.table(), second.table())


def test_the_file_names_boxes_by_image_and_annotation_and_is_read_back(tmp_path):
    history = BoxHistory(3)
    for epoch, table in enumerate(EPOCHS[:1]):
        history.update(epoch, table)
    history.write(Boxes, tmp_path / "box_history.csv")
    with open(tmp_path / "box_history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file_name"] for row in rows] == ["a, b.jpg"] * 2
    assert rows[0]["mean_error"] == "0.5" and rows[1]["mean_error"] == ""
    for place in (tmp_path, tmp_path / "box_history.csv"):
        found = evaluation.read_box_history(place)
        assert set(found) == {("7", "31"), ("7", "33")}
        assert found["7", "31"]["history_mean_error"] == 0.5
        assert found["7", "33"]["history_mean_error"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["box_history.csv"]


def test_rows_of_true_boxes_get_the_numbers_and_others_none():
    history = {("7", "31"): {"history_epochs": 4.0, "history_forgotten": 2.0}}
    rows = [
        {"row": "truth", "image_id": 7, "annotation_id": 31},
        {"row": "truth", "image_id": 8, "annotation_id": 31},
        {"row": "prediction", "image_id": 7, "annotation_id": 31},
    ]
    assert evaluation.add_history(rows, history) == 1
    assert [row["history_forgotten"] for row in rows] == [2.0, None, None]


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "`history` must be a box_history.csv or a run folder with one. Received: history="),
        ("a,b\n1,2\n", "file must have the columns of a box history. Received: a file without "),
        (
            ",".join(evaluation.HISTORY_COLUMNS) + "\n1,a,2,cat,x" + "," * 7 + "\n",
            "line 2 must have a number as epochs. Received: x",
        ),
    ],
    ids=["none", "another table", "a word"],
)
def test_a_file_that_is_no_history_is_named(content, message, tmp_path):
    path = tmp_path / "box_history.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError) as error:
        evaluation.read_box_history(tmp_path if content else path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_the_columns_of_a_step_are_those_of_the_tests():
    assert COLUMNS == ("views", "weight", "error", "score", "iou", "right")
