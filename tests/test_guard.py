"""Warnings about boxes that can hardly be what was meant: eager, once, and silent otherwise."""

import warnings

import numpy as np
import pytest
from gradients import as_tensor
from loss_table import box_examples, make

import boxloss
from boxloss import coders
from boxloss.tensors import ops


def batch():
    return box_examples(np.random.default_rng(0), 3, 5)


def warned(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in found if warning.category is UserWarning]


def deltas():
    return np.random.default_rng(1).normal(0, 0.7, (3, 5, 4)).astype("float32")


DELTAS = (
    "GIoULoss: `{}` looks like encoded deltas (small numbers of both signs), where boxes in "
    "bounding_box_format='xyxy' are expected: decode them first, as boxloss.DecodedBoxLoss does"
)


def test_ordinary_boxes_are_silent():
    for name in ("giou", "l1", "siou"):
        assert warned(lambda name=name: make(name)(*batch())) == []


def test_predicted_deltas_are_named():
    y_true, _ = batch()
    assert warned(lambda: make("giou")(y_true, deltas())) == [DELTAS.format("y_pred")]


def test_true_deltas_are_named_too():
    messages = warned(lambda: make("giou")(deltas(), deltas()))
    assert messages == [DELTAS.format("y_true"), DELTAS.format("y_pred")]


def test_mostly_inverted_boxes_are_named_with_their_share():
    y_true, y_pred = batch()
    y_pred[:2, :, [0, 2]] = y_pred[:2, :, [2, 0]]
    assert warned(lambda: make("diou")(y_true, y_pred)) == [
        "DIoULoss: `y_pred` is mostly inverted (x2 < x1 or y2 < y1 in 67% of the boxes): is "
        "bounding_box_format='xyxy' the format of the boxes?"
    ]


def test_xywh_taken_for_xyxy_is_named():
    y_true, y_pred = (boxloss.boxes.from_xyxy(as_tensor(100 + x), "xywh") for x in batch())
    (first, second) = warned(lambda: make("ciou")(y_true, y_pred))
    assert "`y_true` is mostly inverted" in first and "`y_pred` is mostly inverted" in second
    assert warned(lambda: make("ciou", bounding_box_format="xywh")(y_true, y_pred)) == []


def test_relative_boxes_under_an_absolute_format_are_named():
    y_true, y_pred = (x / 120 for x in batch())
    loss = make("l1", bounding_box_format="yxyx")
    assert warned(lambda: loss(y_true, y_pred)) == [
        "L1BoxLoss: `y_true` looks relative to the image (all numbers are in [0, 1]), but "
        "bounding_box_format='yxyx' is in pixels: if it is relative, give a format 'rel_...'"
    ]
    assert warned(lambda: make("l1", bounding_box_format="rel_yxyx")(y_true, y_pred)) == []


def test_a_matter_is_warned_of_once_a_loss():
    y_true, _ = batch()
    loss = make("giou")
    assert len(warned(lambda: [loss(y_true, deltas()) for _ in range(5)])) == 1
    assert warned(lambda: loss.tensors(y_true, deltas())) == []
    assert len(warned(lambda: make("giou").tensors(y_true, deltas()))) == 1


def test_padding_and_masked_boxes_are_not_looked_at():
    y_true, y_pred = batch()
    y_true[:2] = -1
    y_pred[:2] = deltas()[:2]
    assert warned(lambda: make("giou")(y_true, y_pred)) == []
    y_true, y_pred = (np.concatenate([x, x], axis=1) for x in batch())
    y_pred[:, 5:] = np.tile(deltas(), 1)
    mask = np.arange(10) < 5
    y_pred[:, 5:] -= 1000 * np.float32([0, 0, 1, 1])  # inverted
    assert warned(lambda: make("giou")(y_true, y_pred, mask=np.tile(mask, (3, 1)))) == []
    assert len(warned(lambda: make("giou")(y_true[:, 5:], y_pred[:, 5:]))) == 1


def test_encoded_coordinates_and_decoded_losses_are_silent():
    assert warned(lambda: make("l1", coordinate_format="encoded")(deltas(), deltas())) == []
    anchors = batch()[0][0]
    loss = boxloss.DecodedBoxLoss("giou", coders.DeltaCoder(anchors))
    assert warned(lambda: loss(batch()[0], 0.1 * deltas())) == []


def test_compiled_code_is_not_looked_at(monkeypatch):
    from boxloss.losses import guard

    def fail(*_):
        raise AssertionError("looked at in compiled code")

    monkeypatch.setattr(guard, "_flat", fail)
    y_true, y_pred = map(as_tensor, (batch()[0], deltas()))
    loss = make("giou")
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        tf.function(loss)(y_true, y_pred)
        tf.function(loss, jit_compile=True)(y_true, y_pred)
    elif ops.backend() == "jax":
        import jax

        jax.jit(loss)(y_true, y_pred)
    with pytest.raises(AssertionError):
        loss(y_true, y_pred)


@pytest.mark.parametrize(
    "name, background", [("softmax", 4), ("sigmoid_focal", 5), ("quality_focal", 5)]
)
def test_a_label_that_is_no_class_is_named(name, background):
    labels = np.float32([[0, 3, -1, background, 17]])
    y_true = np.stack([labels, 0 * labels], -1) if name == "quality_focal" else labels
    logits = np.random.default_rng(0).normal(size=(1, 5, 5)).astype("float32")
    (message,) = warned(lambda: make(name)(y_true, logits))
    assert message.endswith(
        f": `y_true` must hold labels from 0 to {background - 1}, {background} for background or "
        "-1 for padding: 17 is none of them, and its cost means nothing"
    )
    mask = np.array([[True, True, True, True, False]])
    assert warned(lambda: make(name)(y_true, logits, mask=mask)) == []
    assert warned(lambda: make(name)(y_true[:, :4], logits[:, :4])) == []


@pytest.mark.parametrize("box_format", ["xyxy", "rel_xywh"])
def test_rows_of_zeros_are_named(box_format):
    """The default of tf.data's padded_batch; from one row on, and for few boxes too."""
    y_true, y_pred = (x / 120 for x in batch())
    y_true[1, 3:] = 0
    loss = make("giou", bounding_box_format=box_format)
    messages = warned(lambda: loss(y_true, y_pred))
    assert (
        "GIoULoss: `y_true` has rows of zeros (2 of 15), which count as real boxes: pad with -1 "
        "(`padded_batch(..., padding_values=-1.0)` in tf.data), or give a mask"
    ) in messages
    loss = make("giou", bounding_box_format=box_format)
    mask = np.ones((3, 5), bool)
    mask[1, 3:] = False
    assert not [text for text in warned(lambda: loss(y_true, y_pred, mask=mask)) if "zeros" in text]
    few = make("giou", bounding_box_format=box_format)
    assert len(warned(lambda: few(y_true[1:2, 2:4], y_pred[1:2, 2:4]))) == 1
