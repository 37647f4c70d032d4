"""The callbacks in somebody else's fit: a plain Keras model that predicts two boxes per image."""

import csv

import keras
import numpy as np
import pytest

import boxloss
from boxloss import callbacks, datasets
from boxloss.datasets import synthetic
from boxloss.tensors import ops

X = np.random.default_rng(0).normal(0, 1, (6, 5)).astype("float32")
Y = np.array([[2, 3, 12, 9], [5, 1, 8, 16]], "float32") + X[:, :1, None]
Y[4, 1] = -1  # padding


def model_of_boxes(named=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    boxes = keras.layers.Reshape((2, 4))(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, {"boxes": boxes} if named else boxes)
    loss = boxloss.get("l1")
    model.compile("adam", loss={"boxes": loss} if named else loss)
    return model, loss


def l1_by_loops(model_boxes):
    """(6,) mean over the real boxes of summed absolute differences."""
    losses = []
    for true, found in zip(Y, model_boxes, strict=True):
        errors = [np.abs(a - b).sum() for a, b in zip(true, found, strict=True) if (a != -1).any()]
        losses.append(np.mean(errors))
    return np.array(losses)


@pytest.mark.parametrize("named", [False, True], ids=["one output", "dict of outputs"])
def test_the_loss_of_every_image_is_kept_after_every_epoch(tmp_path, named):
    model, loss = model_of_boxes(named)
    y, output = ({"boxes": Y}, "boxes") if named else (Y, None)
    path = tmp_path / "losses.csv"
    history = callbacks.ImageLossHistory(loss, X, y, output, path, names=list("abcdef"))
    model.fit(X, y, epochs=2, verbose=0, callbacks=[history])
    assert list(history.history) == [0, 1]
    found = keras.Model.predict(model, X, verbose=0)
    found = found["boxes"] if named else found
    np.testing.assert_allclose(history.history[1], l1_by_loops(found), rtol=1e-5)
    assert (history.history[0] != history.history[1]).all()
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["image"]) for row in rows[5:7]] == [("0", "f"), ("1", "a")]
    assert float(rows[6]["loss"]) == pytest.approx(history.history[1][0], rel=1e-6)


def test_names_of_images_may_be_an_array(tmp_path):
    model, loss = model_of_boxes()
    names = np.array(list("abcdef"))
    history = callbacks.ImageLossHistory(loss, X, Y, path=tmp_path / "losses.csv", names=names)
    worst = callbacks.WorstBoxes(loss, X, Y, count=1, names=names)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[history, worst])
    assert worst.boxes[0]["image"] in names
    with open(tmp_path / "losses.csv", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == list(names)


def test_worst_boxes_are_those_of_a_decoded_loss_too():
    anchors = np.float32([[0, 0, 10, 10], [4, 2, 10, 20]])
    coder = boxloss.coders.DeltaCoder(anchors)
    model, _ = model_of_boxes()
    worst = callbacks.WorstBoxes(boxloss.DecodedBoxLoss("l1", coder), X, Y, count=100)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[worst])
    assert len(worst.boxes) == 11
    found = ops.convert_to_numpy(coder.decode(model.predict(X, verbose=0)))
    errors = np.abs(found - Y).sum(axis=-1)[worst.boxes[0]["image"], worst.boxes[0]["box"]]
    np.testing.assert_allclose(worst.boxes[0]["error"], errors, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "gwd"])
def test_worst_boxes_need_four_sides(name):
    with pytest.raises(ValueError) as error:
        callbacks.WorstBoxes(boxloss.get(name), X, Y)
    kind = boxloss.get(name).kind
    assert str(error.value) == (
        "`loss.kind` must be one of 'box', 'distribution', 'uncertainty'. "
        f"Received: loss.kind={kind!r}"
    )


@pytest.mark.parametrize("cls", [callbacks.ImageLossHistory, callbacks.CocoEvaluation])
def test_epochs_between_looks_are_a_whole_number(cls):
    arguments = (None,) if cls is callbacks.CocoEvaluation else (boxloss.L1BoxLoss(), X, Y)
    with pytest.raises(ValueError) as error:
        cls(*arguments, every=0)
    assert str(error.value) == "`every` must be a whole number of at least 1. Received: every=0"


def test_the_worst_boxes_are_named_with_their_signed_errors(tmp_path):
    model, loss = model_of_boxes()
    worst = callbacks.WorstBoxes(loss, X, Y, count=3, path=tmp_path / "worst.csv")
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[worst])
    difference = model.predict(X, verbose=0) - Y
    errors = np.abs(difference).sum(axis=-1)
    errors[4, 1] = -1
    order = np.dstack(np.unravel_index(np.argsort(-errors, axis=None), errors.shape))[0][:3]
    assert [(row["image"], row["box"]) for row in worst.boxes] == [tuple(i) for i in order]
    sides = [worst.boxes[0][f"error_{side}"] for side in ("x1", "y1", "x2", "y2")]
    np.testing.assert_allclose(sides, difference[tuple(order[0])], rtol=1e-5)
    with open(tmp_path / "worst.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_no_more_worst_boxes_than_real_ones():
    model, loss = model_of_boxes()
    worst = callbacks.WorstBoxes(loss, X, Y, count=100)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[worst])
    assert len(worst.boxes) == 11
    assert (4, 1) not in [(row["image"], row["box"]) for row in worst.boxes]


def test_coco_metrics_stand_in_the_logs_of_any_fit(tmp_path):
    synthetic.write(tmp_path, 4, seed=0, image_size=64)
    dataset = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    sizes = []

    def perfect(model, images):
        sizes.append(len(images))
        records = dataset.records[sum(sizes[:-1]) % 4 :][: len(images)]
        return [
            {"boxes": r.boxes, "labels": r.labels, "scores": np.ones(len(r), "float32")}
            for r in records
        ]

    model, _ = model_of_boxes()
    coco = callbacks.CocoEvaluation(dataset, every=2, predict=perfect, chunk=3)
    fitted = model.fit(X, Y, epochs=3, verbose=0, callbacks=[coco])
    assert list(coco.history) == [1, 2]  # every second epoch, and the last
    assert sizes == [3, 1, 3, 1]
    assert coco.history[2]["AP"] == pytest.approx(1.0)
    assert fitted.history["val_AP50"] == pytest.approx([1.0, 1.0])


def test_results_are_corner_and_size_with_the_source_s_category():
    found = {
        "boxes": np.array([[1, 2, 11, 5]], "float32"),
        "labels": np.array([1]),
        "scores": np.array([0.5], "float32"),
    }
    (row,) = callbacks.as_results("a b.jpg", found, [4, 90])
    assert row == {
        "image_id": "a b.jpg",
        "category_id": 90,
        "bbox": [1.0, 2.0, 10.0, 3.0],
        "score": 0.5,
    }
