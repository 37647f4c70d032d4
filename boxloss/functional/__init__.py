"""The mathematics alone: xyxy boxes, no mask, no reduction, `y_true` before `y_pred`.

Coordinate losses return (..., 4), box losses (...). Inputs of float16 and bfloat16 are computed in
float32; float64 stays float64 where both inputs have it.
"""

from boxloss.functional.classification import sigmoid_focal_loss, softmax_loss
from boxloss.functional.coordinate import l1_loss, smooth_l1_loss
from boxloss.functional.overlap import (
    ciou_loss,
    ciou_matrix,
    diou_loss,
    giou_loss,
    giou_matrix,
    iou_loss,
    iou_matrix,
)

__all__ = [
    "ciou_loss",
    "ciou_matrix",
    "diou_loss",
    "giou_loss",
    "giou_matrix",
    "iou_loss",
    "iou_matrix",
    "l1_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "softmax_loss",
]
