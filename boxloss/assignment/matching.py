"""Assignment by the cost of predictions: SimOTA (YOLOX) and Hungarian (DETR)."""

import numpy as np

from boxloss import functional
from boxloss.assignment.aligned import (
    Assignment,
    _label_scores,
    inside,
    real_rows,
    targets,
    with_a_row,
)
from boxloss.tensors import boxes as box_arithmetic
from boxloss.tensors import ops
from boxloss.types import ArrayLike, Tensor

# The cost of a pair that must not be matched, and of one whose own cost is not finite.
FORBIDDEN_COST = 1e9


def _finite(cost):
    """`FORBIDDEN_COST` where a cost is not finite or above it: one prediction spoils no match."""
    good = ops.logical_and(ops.isfinite(cost), ops.less(ops.abs(cost), FORBIDDEN_COST))
    return ops.where(good, cost, FORBIDDEN_COST * ops.ones_like(cost))


def _log(p):
    """ln p, at least -100, as PyTorch's cross-entropy has it."""
    # Not the logarithm of the smallest number: that of float32 is flushed to 0.
    return ops.maximum(ops.log(p), -100.0)


def simota(
    scores: ArrayLike,
    boxes: ArrayLike,
    points: ArrayLike,
    strides: ArrayLike,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    ignore: ArrayLike | None = None,
    *,
    radius: float = 2.5,
    count: int = 10,
    iou_weight: float = 3.0,
) -> Assignment:
    """SimOTA: each box takes its cheapest locations, as many as its best predictions overlap it.

    A location may answer for a box only if it lies in some box, or within `radius` strides of some
    centre. The cost is the cross-entropy of the square roots of the scores, - `iou_weight` ln IoU,
    and 1e5 where the location is not both in the box and near its centre. The number is the sum
    of the `count` highest IoU, cut to a whole number, at least 1. A location that several boxes
    want goes to the one of lowest cost.

    Args:
        scores: (B, A, C) probabilities (YOLOX: class times objectness).
        boxes: (B, A, 4) predicted, xyxy. points: (A, 2). strides: (A,).
        true_boxes, true_labels, ignore: as for `task_aligned`.

    Returns: `Assignment`; the quality is the IoU.
    Source: Ge et al. 2021, "YOLOX", arXiv:2107.08430, section 2.1; radius as in the paper (its code
        has 1.5). Locations that tie with the last place are all kept.
    """
    scores, boxes = ops.stop_gradient(scores), ops.stop_gradient(boxes)
    true_boxes, true_labels, ignore = with_a_row(true_boxes, true_labels, ignore)
    true_boxes = ops.convert_to_tensor(true_boxes)
    real = ops.expand_dims(real_rows(true_boxes, ignore), -1)
    within = inside(points, true_boxes)
    X1, Y1, X2, Y2 = [ops.expand_dims(side, -1) for side in box_arithmetic.split(true_boxes)]
    reach = radius * ops.convert_to_tensor(strides)
    x, y = ops.unstack(points, 2, axis=-1)
    near = ops.logical_and(
        ops.less(ops.abs(x - (X1 + X2) / 2), reach),
        ops.less(ops.abs(y - (Y1 + Y2) / 2), reach),
    )
    either = ops.logical_and(ops.logical_or(within, near), real)
    allowed = ops.logical_and(ops.any(either, axis=1, keepdims=True), real)  # (B, N, A)

    overlap = functional.iou_matrix(true_boxes, boxes)
    zero = ops.zeros_like(overlap)
    usable = ops.logical_and(allowed, ops.isfinite(overlap))
    overlap = ops.where(usable, overlap, zero)
    root = ops.sqrt(scores)
    rest = -_log(1.0 - root)
    # The cross-entropy with a one-hot label: all classes as negatives, and the label turned round.
    entropy = ops.expand_dims(ops.sum(rest, axis=-1), 1)
    entropy = entropy + _label_scores(-_log(root) - rest, true_labels)
    away = ops.where(ops.logical_and(within, near), zero, 1e5 * ops.ones_like(zero))
    cost = _finite(entropy - iou_weight * ops.log(overlap + 1e-8) + away)
    cost = ops.where(allowed, cost, FORBIDDEN_COST * ops.ones_like(cost))

    count = min(count, ops.shape(overlap)[-1])
    number = ops.maximum(ops.floor(ops.sum(ops.top_k(overlap, count)[0], axis=-1) + 1e-6), 1.0)
    cheapest = -ops.top_k(-cost, count)[0]  # (B, N, count), rising
    place = ops.cast(ops.minimum(number, float(count)), "int32") - 1
    last = ops.sum(
        cheapest * ops.one_hot(place, count, dtype=ops.dtype_name(cheapest)), axis=-1, keepdims=True
    )
    wanted = ops.logical_and(allowed, ops.less_equal(cost, last))
    wanted = ops.logical_and(wanted, ops.less(cost, FORBIDDEN_COST * ops.ones_like(cost)))

    claim = ops.where(wanted, -cost, -2.0 * FORBIDDEN_COST * ops.ones_like(cost))
    index = ops.cast(ops.argmax(claim, axis=1), "int32")
    index = ops.where(ops.any(wanted, axis=1), index, -ops.ones_like(index))
    rows = ops.arange(ops.shape(overlap)[1], dtype="int32")[None, :, None]
    quality = ops.sum(ops.where(ops.equal(index[:, None], rows), overlap, zero), axis=1)
    ignored = None
    if ignore is not None:
        crowds = ops.logical_and(ignore, box_arithmetic.is_real(true_boxes))
        ignored = ops.any(ops.logical_and(within, ops.expand_dims(crowds, -1)), axis=1)
    classes = ops.shape(scores)[-1]
    return targets(index, quality, true_boxes, true_labels, classes, ignored)


def hungarian_cost(
    scores: ArrayLike,
    boxes: ArrayLike,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    *,
    class_weight: float = 1.0,
    l1_weight: float = 5.0,
    giou_weight: float = 2.0,
) -> Tensor:
    """DETR's matching cost (B, N, M): -p - GIoU + L1 of centre and sides, weighted; finite."""
    scores, boxes = ops.convert_to_tensor(scores), ops.convert_to_tensor(boxes)
    true_boxes = ops.convert_to_tensor(true_boxes)
    a, b = box_arithmetic.split(true_boxes), box_arithmetic.split(boxes)

    def centred(x1, y1, x2, y2):
        return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1

    distance = 0.0
    for true, predicted in zip(centred(*a), centred(*b), strict=True):  # never (B, N, M, 4)
        distance = distance + ops.abs(true[:, :, None] - predicted[:, None, :])
    cost = l1_weight * distance - giou_weight * functional.giou_matrix(true_boxes, boxes)
    return _finite(cost - class_weight * _label_scores(scores, true_labels))


def hungarian(
    scores: ArrayLike,
    boxes: ArrayLike,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    ignore: ArrayLike | None = None,
    **weights: float,
) -> Assignment:
    """Optimal one-to-one matching of boxes and predictions; needs scipy, runs on the host.

    Args:
        scores: (B, M, C) probabilities. boxes: (B, M, 4) predicted, xyxy in units of the image.
        true_boxes, true_labels, ignore: as for `task_aligned`; ignored boxes are not matched.
        weights: of `hungarian_cost`.

    Returns: `Assignment`; the quality is the IoU. Not for use in a compiled graph.
    Source: Carion et al. 2020, "DETR", arXiv:2005.12872, eq. 1, weights of the published training.
    """
    from scipy.optimize import linear_sum_assignment

    true_boxes, true_labels, ignore = with_a_row(true_boxes, true_labels, ignore)
    cost = np.asarray(
        ops.convert_to_numpy(hungarian_cost(scores, boxes, true_boxes, true_labels, **weights))
    )
    real = np.asarray(ops.convert_to_numpy(real_rows(ops.convert_to_tensor(true_boxes), ignore)))
    index = np.full((cost.shape[0], cost.shape[2]), -1, "int32")
    for image, rows in enumerate(real):
        rows = np.flatnonzero(rows)
        matched, predictions = linear_sum_assignment(cost[image, rows])
        index[image, predictions] = rows[matched]
    overlap = np.asarray(ops.convert_to_numpy(functional.iou_matrix(true_boxes, boxes)))
    chosen = np.take_along_axis(overlap, np.maximum(index, 0)[:, None], axis=1)[:, 0]
    quality = ops.convert_to_tensor(np.where(np.isfinite(chosen), chosen, 0).astype(overlap.dtype))
    classes = ops.static_shape(ops.convert_to_tensor(scores))[-1]
    true_boxes, true_labels = map(ops.convert_to_tensor, (true_boxes, true_labels))
    return targets(ops.convert_to_tensor(index), quality, true_boxes, true_labels, classes)
