"""Assignment by the overlap of anchors alone: max-IoU (RetinaNet) and ATSS."""

from collections.abc import Sequence

from boxloss import functional
from boxloss.assignment.aligned import Assignment, inside, real_rows, targets, with_a_row
from boxloss.tensors import boxes as box_arithmetic
from boxloss.tensors import ops
from boxloss.types import ArrayLike


def _claims(overlap, wanted):
    """(B, A): of the boxes (B, N, A) that want a location, the one of highest overlap; -1: none."""
    claim = ops.where(wanted, overlap, -ops.ones_like(overlap))
    index = ops.cast(ops.argmax(claim, axis=1), "int32")
    return ops.where(ops.any(wanted, axis=1), index, -ops.ones_like(index))


def _overlaps(anchors, true_boxes, ignore):
    """IoU (B, N, A), 0 for boxes that are not to be found; which are; the best IoU with crowds."""
    overlap = functional.iou_matrix(true_boxes, anchors)
    zero = ops.zeros_like(overlap)
    overlap = ops.where(ops.isfinite(overlap), overlap, zero)
    real = ops.expand_dims(real_rows(true_boxes, ignore), -1)
    crowd = zero
    if ignore is not None:
        crowds = ops.logical_and(ignore, box_arithmetic.is_real(true_boxes))
        crowd = ops.where(ops.expand_dims(crowds, -1), overlap, zero)
    return ops.where(real, overlap, zero), real, ops.max(crowd, axis=1)


def _quality(overlap, index):
    """(B, A): the overlap with the chosen box, 0 where there is none."""
    rows = ops.arange(ops.shape(overlap)[1], dtype="int32")[None, :, None]
    chosen = ops.equal(ops.expand_dims(index, 1), rows)
    return ops.sum(ops.where(chosen, overlap, ops.zeros_like(overlap)), axis=1)


def max_iou(
    anchors: ArrayLike,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    ignore: ArrayLike | None = None,
    *,
    classes: int,
    positive: float = 0.5,
    negative: float = 0.4,
    force: bool = True,
) -> Assignment:
    """RetinaNet's assignment: every anchor to the box it overlaps most.

    From `positive` up it answers for the box, below `negative` it is background, between them it is
    ignored. With `force`, the anchors it overlaps most, if at all, are a box's own.

    Args:
        anchors: (A, 4), or (B, A, 4), xyxy.
        true_boxes, true_labels: (B, N, 4) and (B, N), padded with -1.
        ignore: (B, N) bool: anchors without a box that overlap one by `negative` are ignored.
        classes: C, the label of background.

    Returns: `Assignment`; the quality is the IoU of the anchor.
    Source: Lin et al. 2017, arXiv:1708.02002, section 4.1; `force` is Faster R-CNN's rule.
        Differences: an anchor forced by several boxes goes to the one of highest overlap.
    """
    true_boxes, true_labels, ignore = with_a_row(true_boxes, true_labels, ignore)
    overlap, real, crowd = _overlaps(anchors, true_boxes, ignore)
    best = ops.max(overlap, axis=1)  # (B, A)
    high = ops.greater_equal(overlap, positive * ops.ones_like(overlap))
    index = _claims(overlap, ops.logical_and(real, high))
    if force:
        most = ops.max(overlap, axis=-1, keepdims=True)  # (B, N, 1)
        forced = ops.logical_and(
            ops.greater_equal(overlap, most), ops.greater(overlap, ops.zeros_like(overlap))
        )
        claimed = _claims(overlap, ops.logical_and(real, forced))
        index = ops.where(ops.greater_equal(claimed, 0), claimed, index)
    near = ops.greater_equal(ops.maximum(best, crowd), negative * ops.ones_like(best))
    quality = _quality(overlap, index)
    return targets(index, quality, true_boxes, true_labels, classes, ignored=near)


def atss(
    anchors: ArrayLike,
    level_sizes: Sequence[int],
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    ignore: ArrayLike | None = None,
    *,
    classes: int,
    count: int = 9,
) -> Assignment:
    """Adaptive training sample selection.

    Candidates of a box are, on each level, the `count` anchors whose centres are nearest to its
    own. It takes those whose IoU is at least the mean + the unbiased standard deviation of the
    candidates' IoU and whose centre is inside it.

    Args:
        anchors: (A, 4) xyxy, level after level; level_sizes: how many of them each level has.
        true_boxes, true_labels, ignore, classes: as for `max_iou`; anchors without a box whose
            centre is inside an ignored box are ignored.

    Returns: `Assignment`; the quality is the IoU of the anchor.
    Source: Zhang et al. 2020, arXiv:1912.02424, algorithm 1. Candidates at equal distance from the
        last place are all kept; the deviation of a single candidate is 0.
    """
    true_boxes, true_labels, ignore = with_a_row(true_boxes, true_labels, ignore)
    overlap, real, _ = _overlaps(anchors, true_boxes, ignore)
    x1, y1, x2, y2 = box_arithmetic.split(ops.convert_to_tensor(anchors))
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    points = ops.stack([x, y], axis=-1)
    X1, Y1, X2, Y2 = [ops.expand_dims(side, -1) for side in box_arithmetic.split(true_boxes)]
    distance = ops.square(x - (X1 + X2) / 2) + ops.square(y - (Y1 + Y2) / 2)
    near, start = [], 0
    for size in level_sizes:
        level = distance[..., start : start + size]
        last = -ops.top_k(-level, min(count, size))[0][..., -1:]
        near.append(ops.less_equal(level, last))
        start += size
    candidate = ops.logical_and(ops.concatenate(near, axis=-1), real)

    number = ops.sum(ops.cast(candidate, ops.dtype_name(overlap)), axis=-1, keepdims=True)
    zero = ops.zeros_like(overlap)
    mean = ops.sum(ops.where(candidate, overlap, zero), axis=-1, keepdims=True)
    mean = ops.divide_or(mean, number, 0.0)
    spread = ops.sum(ops.where(candidate, ops.square(overlap - mean), zero), axis=-1, keepdims=True)
    limit = mean + ops.safe_sqrt(ops.divide_or(spread, number - 1.0, 0.0))
    within = inside(points, true_boxes)
    chosen = ops.logical_and(ops.logical_and(candidate, within), ops.greater_equal(overlap, limit))
    index = _claims(overlap, chosen)
    ignored = None
    if ignore is not None:
        crowds = ops.logical_and(ignore, box_arithmetic.is_real(true_boxes))
        ignored = ops.any(ops.logical_and(within, ops.expand_dims(crowds, -1)), axis=1)
    quality = _quality(overlap, index)
    return targets(index, quality, true_boxes, true_labels, classes, ignored)
