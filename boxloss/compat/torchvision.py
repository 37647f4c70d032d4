"""torchvision 0.28 `torchvision.ops`: box losses, the focal loss and pairwise overlaps.

Kept: names; `boxes1` are the predictions, `boxes2` the truth; xyxy; `reduction` is "none" by
default, "mean" and "sum" run over all boxes, and the mean of no boxes is 0; a negative `alpha`
switches the balance of the focal loss off; pairwise functions take (N, 4) and (M, 4) and give
(N, M).

Knowingly different (the bugs that are not kept):
- `eps` is accepted and not used: nothing is added to union, hull or diagonal: an identical box of
  side 0.001 costs 0 (0.091 there).
- CIoU is finite for boxes without height (NaN gradient there) and for points (NaN).
- GIoU does not reward a box that is inverted on both axes: there two negative sides make a positive
  area and the inverted truth costs 0.
- An unknown `reduction` is refused by name.
- Ties between sides split the gradient evenly, as torch does.
Tensors of the Keras backend are expected and returned: with KERAS_BACKEND=torch these are torch's.
"""

from boxloss import functional
from boxloss.compat import binary_focal
from boxloss.compat.peer_loss import floating
from boxloss.functional.overlap import diou_matrix
from boxloss.tensors import boxes as box_arithmetic
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = [
    "box_area",
    "box_iou",
    "complete_box_iou",
    "complete_box_iou_loss",
    "distance_box_iou",
    "distance_box_iou_loss",
    "generalized_box_iou",
    "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]

# torchvision's name of a format: Keras' name.
FORMATS = {"cxcywh": "center_xywh", "xywh": "xywh", "xyxy": "xyxy"}


def _reduce(loss, reduction):
    checks.one_of("reduction", reduction, ("mean", "none", "sum"))
    if reduction == "none":
        return loss
    total = ops.sum(loss)
    if reduction == "sum":
        return total
    count = ops.sum(ops.ones_like(loss))
    return total / ops.maximum(count, ops.ones_like(count))


def generalized_box_iou_loss(
    boxes1: ArrayLike, boxes2: ArrayLike, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - GIoU: xyxy (..., 4) to (...), or one number."""
    return _reduce(functional.giou_loss(*floating(boxes2, boxes1)), reduction)


def distance_box_iou_loss(
    boxes1: ArrayLike, boxes2: ArrayLike, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - DIoU: xyxy (..., 4) to (...), or one number."""
    return _reduce(functional.diou_loss(*floating(boxes2, boxes1)), reduction)


def complete_box_iou_loss(
    boxes1: ArrayLike, boxes2: ArrayLike, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - CIoU, alpha a constant in the gradient: xyxy (..., 4) to (...), or one number."""
    return _reduce(functional.ciou_loss(*floating(boxes2, boxes1)), reduction)


def sigmoid_focal_loss(
    inputs: ArrayLike,
    targets: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Focal loss of logits (...) and targets (...) from 0 to 1: one number per element, (...)."""
    checks.non_negative("gamma", gamma)
    checks.same_shape(inputs=inputs, targets=targets)
    targets, inputs = floating(targets, inputs)
    loss = binary_focal.from_logits(targets, inputs, alpha if alpha >= 0 else None, gamma)
    return _reduce(loss, reduction)


def box_area(boxes: ArrayLike, fmt: str = "xyxy") -> Tensor:
    """Areas: (..., 4) to (...); 0 for an inverted box."""
    return box_arithmetic.area(_xyxy(boxes, fmt))


def _xyxy(x, fmt):
    fmt = FORMATS[checks.one_of("fmt", fmt, FORMATS)]
    return box_arithmetic.to_xyxy(ops.convert_to_tensor(x), fmt)


def box_iou(boxes1: ArrayLike, boxes2: ArrayLike, fmt: str = "xyxy") -> Tensor:
    """IoU of every pair: (..., N, 4) and (..., M, 4) to (..., N, M)."""
    return functional.iou_matrix(_xyxy(boxes1, fmt), _xyxy(boxes2, fmt))


def generalized_box_iou(boxes1: ArrayLike, boxes2: ArrayLike) -> Tensor:
    """GIoU of every pair: (..., N, 4) and (..., M, 4) to (..., N, M)."""
    return functional.giou_matrix(boxes1, boxes2)


def distance_box_iou(boxes1: ArrayLike, boxes2: ArrayLike, eps: float = 1e-7) -> Tensor:
    """DIoU of every pair: (..., N, 4) and (..., M, 4) to (..., N, M)."""
    return diou_matrix(boxes1, boxes2)


def complete_box_iou(boxes1: ArrayLike, boxes2: ArrayLike, eps: float = 1e-7) -> Tensor:
    """CIoU of every pair: (..., N, 4) and (..., M, 4) to (..., N, M)."""
    return functional.ciou_matrix(boxes1, boxes2)
