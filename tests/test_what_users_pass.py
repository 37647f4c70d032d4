"""What people pass to a loss by mistake: one line that names the argument and the remedy."""

import numpy as np
import pytest

import boxloss
from boxloss.tensors import ops

BOXES = np.array([[[0, 0, 8, 4]]], "float32")
UNEQUAL = [[[0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 2, 2]]]


def message(function, *arguments):
    with pytest.raises(ValueError) as error:
        function(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"boxes": BOXES}, "must be a tensor or an array ({}[KEY] of it). Received: a dict"),
        (None, "must be a tensor or an array. Received: None"),
        ("boxes", "must be a tensor or an array. Received: a str"),
        (
            UNEQUAL,
            "must have as many boxes in each image, padded with rows of -1. Received: lists of "
            "several lengths",
        ),
        (np.array([[["0", "0", "8", "4"]]]), "must hold numbers. Received: dtype <U1"),
        ([[["0", "0", "8", "4"]]], "must hold numbers. Received: dtype <U1"),
        (np.array([[[None, 0, 8, 4]]]), "must hold numbers. Received: dtype object"),
    ],
)
@pytest.mark.parametrize("name", ["giou", "l1"])
def test_it_is_named_with_the_remedy(name, given, expected):
    loss = boxloss.get(name)
    for call in (loss, loss.tensors):
        assert message(call, given, BOXES) == f"`y_true` {expected.format('y_true')}"
        assert message(call, BOXES, given) == f"`y_pred` {expected.format('y_pred')}"


@pytest.mark.parametrize("shape", [(3, 4), (4,), (2, 3, 5)])
def test_a_missing_batch_axis_has_a_remedy(shape):
    boxes = np.ones(shape, "float32")
    hint = " (one image is a batch of one: y_true[None])" if shape == (3, 4) else ""
    assert message(boxloss.GIoULoss(), boxes, boxes) == (
        f"`y_true` must have shape (B, N, 4){hint}. "
        f"Received: y_true.shape={shape}, y_pred.shape={shape}"
    )


@pytest.mark.skipif(ops.backend() != "tensorflow", reason="TensorFlow's own tensors")
def test_tensors_of_tensorflow_that_are_no_boxes():
    import tensorflow as tf

    ragged = tf.RaggedTensor.from_row_lengths(tf.zeros((3, 4)), [1, 2])
    expected = (
        "`y_true` must have as many boxes in each image, padded with rows of -1: "
        "y_true.to_tensor(-1.0). Received: a RaggedTensor"
    )
    assert message(boxloss.CIoULoss(), ragged, BOXES) == expected
    compiled = tf.function(lambda x: boxloss.CIoULoss()(x, BOXES))
    assert expected in message(compiled, ragged)
    texts = tf.constant([[["0", "0", "8", "4"]]])
    expected = "`y_pred` must hold numbers. Received: dtype <dtype: 'string'>"
    assert message(boxloss.CIoULoss(), BOXES, texts) == expected
    # What the remedy of the first gives is accepted.
    assert float(boxloss.CIoULoss()(ragged.to_tensor(-1.0), tf.zeros((2, 2, 4)))) == 0


@pytest.mark.parametrize("boxes", [BOXES.tolist(), (BOXES[0],), BOXES.astype("int64"), [BOXES[0]]])
def test_whatever_becomes_numbers_is_accepted(boxes):
    assert float(boxloss.GIoULoss()(boxes, BOXES)) == 0


@pytest.mark.parametrize(
    "name, expected",
    [
        ("complete_iou", "ciou"),
        ("CIoULoss", "ciou"),
        ("generalized_iou", "giou"),
        ("giou_loss", "giou"),
        ("Distance-IoU", "diou"),
        ("focal", "sigmoid_focal"),
        ("focal_loss", "sigmoid_focal"),
        ("dfl_loss", "dfl"),
        ("distribution_focal_loss", "dfl"),
        ("wise_iou", "wiou"),
        ("SmoothL1BoxLoss", "smooth_l1"),
        ("smooth_l1_loss", "smooth_l1"),
        ("mae", "l1"),
        ("log-cosh", "log_cosh"),
    ],
)
def test_the_usual_other_names_are_known(name, expected):
    assert boxloss.get(name).name == boxloss.get(expected).name


def test_every_other_name_leads_to_a_loss_of_its_own():
    from boxloss.losses import registry

    assert set(registry.OTHER_NAMES.values()) <= set(boxloss.names())
    for other, name in registry.OTHER_NAMES.items():
        assert registry.known_name(other) == name


def test_a_name_that_nobody_has_gets_a_near_match():
    assert "Did you mean 'ciou'? Received: name='cioo'" in message(boxloss.get, "cioo")
    assert message(boxloss.get, 3).endswith("Received: name=3")
