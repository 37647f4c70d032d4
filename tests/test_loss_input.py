"""Wrong input to a loss: one line that names the argument, the rule and what was received."""

import numpy as np
import pytest
from loss_table import make

from boxloss import functional


def message_of(call):
    with pytest.raises(ValueError) as error:
        call()
    return str(error.value)


def zeros(*shape):
    return np.zeros(shape, "float32")


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 1, 4)),
            "`y_true` and `y_pred` must be boxes of the same shape (B, N). "
            "Received: y_true.shape=(2, 3, 4), y_pred.shape=(2, 1, 4)",
        ),
        (
            lambda: make("l1")(zeros(2, 3, 5), zeros(2, 3, 5)),
            "`y_true` must have shape (B, N, 4). "
            "Received: y_true.shape=(2, 3, 5), y_pred.shape=(2, 3, 5)",
        ),
        (
            lambda: make("l1")(zeros(3, 4), zeros(3, 4)),
            "`y_true` must have shape (B, N, 4) (one image is a batch of one: y_true[None]). "
            "Received: y_true.shape=(3, 4), y_pred.shape=(3, 4)",
        ),
        (
            lambda: functional.ciou_loss(zeros(3, 4), zeros(1, 4)),
            "`y_true` and `y_pred` must be boxes of the same shape (...). "
            "Received: y_true.shape=(3, 4), y_pred.shape=(1, 4)",
        ),
        (
            lambda: make("giou", bounding_box_format="xywhh"),
            "`bounding_box_format` must be one of 'center_xywh', 'center_yxhw', 'rel_center_xywh', "
            "'rel_xywh', 'rel_xyxy', 'rel_yxyx', 'xywh', 'xyxy', 'yxyx'. Did you mean 'xywh'? "
            "Received: bounding_box_format='xywhh'",
        ),
        (
            lambda: make("smooth_l1", beta=-0.1),
            "`beta` must be a number of at least 0. Received: beta=-0.1",
        ),
        (
            lambda: functional.smooth_l1_loss(zeros(3, 4), zeros(3, 4), beta=float("nan")),
            "`beta` must be a number of at least 0. Received: beta=nan",
        ),
        (
            lambda: functional.smooth_l1_loss(zeros(3, 4), zeros(3, 4), beta=10**400),
            f"`beta` must be a number of at least 0. Received: beta={10**400}",
        ),
        (
            lambda: make("iou", mode="ln"),
            "`mode` must be one of 'linear', 'log', 'square'. Received: mode='ln'",
        ),
        (
            lambda: make("ciou", gated=1),
            "`gated` must be True or False. Received: gated=1",
        ),
        (
            lambda: make("giou", image_shape=(0, 4)),
            "`image_shape` must be (height, width), two numbers above 0. Received: image_shape=0",
        ),
        (
            lambda: make("giou", image_shape=5),
            "`image_shape` must be (height, width). Received: image_shape=5",
        ),
        (
            lambda: make("mpdiou").tensors(
                zeros(2, 3, 4), zeros(2, 3, 4), image_shape=np.ones((1, 2))
            ),
            "`image_shape` must be (height, width), or a tensor (B, 2) of them. "
            "Received: image_shape.shape=(1, 2) for B=2",
        ),
        (
            lambda: make("l1")(zeros(2, 3, 4), zeros(2, 3, 4), image_shape=np.ones((2, 3))),
            "`image_shape` must be (height, width), or a tensor (B, 2) of them. "
            "Received: image_shape.shape=(2, 3) for B=2",
        ),
        (
            lambda: make("giou", normalizer="boxes"),
            "`normalizer` must be one of 'batch', 'image', 'none'. Received: normalizer='boxes'",
        ),
        (
            lambda: make("giou", normalizer="positives"),  # it has no background
            "`normalizer` must be one of 'batch', 'image', 'none'. "
            "Received: normalizer='positives'",
        ),
        (
            lambda: make("softmax", normalizer="boxes"),
            "`normalizer` must be one of 'batch', 'image', 'none', 'positives'. "
            "Received: normalizer='boxes'",
        ),
        (
            lambda: make("giou", normalizer=0),
            "`normalizer` must be a number above 0. Received: normalizer=0",
        ),
        (
            lambda: make("giou", normalizer="batch", reduction="sum"),
            '`reduction` must be a mean with normalizer="batch", which already divides by all '
            "boxes. Received: reduction='sum'",
        ),
        (
            lambda: make("giou", normalizer="none", box_reduction="none"),
            '`normalizer` and `mining` must be the defaults with box_reduction="none", which '
            "leaves boxes to the caller. Received: normalizer='none', mining=None",
        ),
        (
            lambda: make("giou", mining="hardest"),
            "`mining` must be HardestBoxes, HardestImages or FocalWeighting. "
            "Received: mining='hardest'",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), zeros(3)),
            "`sample_weight` must have shape (B,), (B, 1) or (B, N). "
            "Received: sample_weight.shape=(3,) for boxes (2, 3)",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), mask=np.ones((2, 1), bool)),
            "`mask` must have the shape (B, N) of the boxes. "
            "Received: mask.shape=(2, 1) for boxes (2, 3)",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), mask=np.ones((2, 3), "float32")),
            "`mask` must be of dtype bool, True = real. Received: dtype float32",
        ),
        (
            lambda: make("softmax")(np.zeros((2, 3), "int32"), zeros(2, 4, 5)),
            "`y_true` must have shape (B, N) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(2, 3), y_pred.shape=(2, 4, 5)",
        ),
        (
            lambda: make("sigmoid_focal")(np.zeros(3, "int32"), zeros(3, 5)),
            "`y_true` must have shape (B, N) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(3,), y_pred.shape=(3, 5)",
        ),
        (
            lambda: make("varifocal")(zeros(3, 2), zeros(3, 5)),
            "`y_true` must have shape (B, N, 2) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(3, 2), y_pred.shape=(3, 5)",
        ),
        (
            lambda: functional.iou_matrix(zeros(4), zeros(3, 4)),
            "`a` must have shape (..., boxes, 4). Received: a.shape=(4,)",
        ),
        (
            lambda: functional.giou_matrix(zeros(1, 3, 4), zeros(2, 5, 4)),
            "`a` and `b` must have the same axes before (boxes, 4), or one of them none. "
            "Received: a.shape=(1, 3, 4), b.shape=(2, 5, 4)",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(call, message):
    assert message_of(call) == message
