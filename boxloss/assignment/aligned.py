"""Who is responsible for which true box: targets (B, A) for the A locations of a dense head.

Shapes are fixed and batched; truth is padded with rows of -1. No gradient flows through an
assignment, and no intermediate is larger than (B, N, A).
"""

import functools
from typing import NamedTuple

import keras

from boxloss import functional
from boxloss.tensors import boxes as box_arithmetic
from boxloss.tensors import ops
from boxloss.types import ArrayLike, Tensor


def compiled(function):
    """`function` of tensors as one XLA program on TensorFlow; as it is on other backends.

    TensorFlow's graph makes one pass over memory for each operation: compiled, the (B, N, A)
    arithmetic takes a fifth of the time. XLA's programs do not run on several CPU replicas.
    """
    program = []

    @functools.wraps(function)
    def call(*arguments):
        symbolic = any(isinstance(x, keras.KerasTensor) for x in arguments)
        if ops.backend() != "tensorflow" or symbolic or ops.replica_context() is not None:
            return function(*arguments)
        if not program:
            import tensorflow as tf

            program.append(tf.function(function, jit_compile=True, autograph=False))
        return program[0](*arguments)

    return call


class Assignment(NamedTuple):
    """The targets of every location.

    index: (B, A) int, the true box it answers for, -1 for none.
    boxes: (B, A, 4) xyxy, rows of -1 where there is none: padding, as every loss understands it.
    labels: (B, A) int, C (background) where there is none, -1 where the location must be ignored.
    quality: (B, A) in [0, 1], how good its prediction is for that box, 0 where there is none.
    """

    index: Tensor
    boxes: Tensor
    labels: Tensor
    quality: Tensor


def real_rows(true_boxes: ArrayLike, ignore: ArrayLike | None = None) -> Tensor:
    """(B, N) bool: rows that are boxes to find (no padding, not ignored)."""
    real = box_arithmetic.is_real(true_boxes)
    return real if ignore is None else ops.logical_and(real, ops.logical_not(ignore))


def with_a_row(true_boxes: ArrayLike, true_labels: ArrayLike, ignore: ArrayLike | None = None):
    """The three as they are; with one row of padding where they have no rows: (B, 1, ...).

    A maximum over zero rows is undefined, so one padding row is added.
    """
    if ops.static_shape(true_boxes)[1] != 0:
        return true_boxes, true_labels, ignore
    images = ops.shape(true_boxes)[0]
    return (
        -ops.ones((images, 1, 4), dtype=ops.dtype_name(true_boxes)),
        -ops.ones((images, 1), dtype="int32"),
        None if ignore is None else ops.zeros((images, 1), dtype="bool"),
    )


def inside(points: ArrayLike, boxes: ArrayLike, smallest: float = 0.0) -> Tensor:
    """(B, N, A) bool: which points (A, 2) lie within which boxes (B, N, 4), borders excluded.

    A side shorter than `smallest` counts as that long about its middle, so that a box smaller than
    the grid still holds a point.
    """
    x1, y1, x2, y2 = [ops.expand_dims(side, -1) for side in box_arithmetic.split(boxes)]
    x, y = ops.unstack(points, 2, axis=-1)
    reach_x = ops.maximum(x2 - x1, smallest) / 2
    reach_y = ops.maximum(y2 - y1, smallest) / 2
    near_x = ops.less(ops.absolute(x - (x1 + x2) / 2), reach_x)
    near_y = ops.less(ops.absolute(y - (y1 + y2) / 2), reach_y)
    return ops.logical_and(near_x, near_y)


def _power(x, exponent):
    """x ** exponent; by multiplications where that is small and whole: pow is ten times slower."""
    if exponent != int(exponent) or not 1 <= exponent <= 8:
        return ops.sqrt(x) if exponent == 0.5 else ops.power(x, exponent)
    result = x
    for _ in range(int(exponent) - 1):
        result = result * x
    return result


def _label_scores(scores, labels):
    """(B, A, C) scores at the labels (B, N): (B, N, A). A matrix product, 0 at padding."""
    chosen = ops.one_hot(labels, ops.shape(scores)[-1], dtype=ops.dtype_name(scores))
    return ops.matmul(chosen, ops.transpose(scores, (0, 2, 1)))


def targets(
    index: ArrayLike,
    quality: Tensor,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    classes: int,
    ignored: ArrayLike | None = None,
) -> Assignment:
    """`Assignment` from the chosen boxes (B, A); `ignored` (B, A): locations to leave alone."""
    found = ops.greater_equal(index, 0)
    row = ops.maximum(index, 0)
    boxes = ops.take_along_axis(true_boxes, ops.expand_dims(row, -1), axis=1)
    labels = ops.take_along_axis(ops.cast(true_labels, "int32"), row, axis=1)
    rest = ops.ones_like(labels) * classes
    if ignored is not None:
        rest = ops.where(ignored, -ops.ones_like(rest), rest)
    return Assignment(
        index=index,
        boxes=ops.where(ops.expand_dims(found, -1), boxes, -ops.ones_like(boxes)),
        labels=ops.where(found, labels, rest),
        quality=ops.where(found, quality, ops.zeros_like(quality)),
    )


def task_aligned(
    scores: ArrayLike,
    boxes: ArrayLike,
    points: ArrayLike,
    true_boxes: ArrayLike,
    true_labels: ArrayLike,
    ignore: ArrayLike | None = None,
    *,
    count: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    smallest: float = 0.0,
) -> Assignment:
    """Task-aligned assignment: the `count` locations inside a box with the highest s^alpha u^beta.

    s is the score of the box's class, u the IoU of the predicted box. A location claimed twice goes
    to the box it overlaps most. Its quality is t max(u) / max(t), t = s^alpha u^beta, the maxima
    over the locations of that box: the soft target of the class and the weight of the box loss.

    Args:
        scores: (B, A, C) probabilities.
        boxes: (B, A, 4) predicted, xyxy.
        points: (A, 2) x, y of the locations, in the unit of the boxes.
        true_boxes, true_labels: (B, N, 4) and (B, N), padded with -1.
        ignore: (B, N) bool, crowds and difficult boxes: locations in them that answer for no other
            box get the label -1.
        count, alpha, beta: of the paper 13, 1, 6; the defaults are those of YOLOv8.
        smallest: sides shorter than this are taken as this long when locations are chosen.

    Returns: `Assignment`.
    Source: Feng et al. 2021, "TOOD", arXiv:2108.07755, eqs. 1 and 2. Differences: IoU of a location
        that holds no candidate does not count.
    """
    scores, boxes = ops.stop_gradient(scores), ops.stop_gradient(boxes)
    true_boxes, true_labels, ignore = with_a_row(true_boxes, true_labels, ignore)
    metric = _affinity(
        scores, boxes, points, true_boxes, true_labels, ignore, alpha, beta, smallest
    )
    metric, place = ops.top_k(metric, min(count, ops.shape(metric)[-1]))  # (B, N, count)
    place = ops.cast(place, "int32")
    index, quality, ignored = _settle(metric, place, boxes, points, true_boxes, ignore, smallest)
    classes = ops.shape(scores)[-1]
    return Assignment(*_targets(index, quality, true_boxes, true_labels, classes, ignored))


@compiled
def _affinity(scores, boxes, points, true_boxes, true_labels, ignore, alpha, beta, smallest):
    """(B, N, A): s^alpha u^beta, -1 where the box may not choose the location."""
    candidate = inside(points, true_boxes, smallest)
    candidate = ops.logical_and(candidate, ops.expand_dims(real_rows(true_boxes, ignore), -1))
    overlap = functional.iou_matrix(true_boxes, boxes)
    metric = _power(_label_scores(scores, true_labels), alpha) * _power(overlap, beta)
    # NaN counts as the largest when the best are looked for.
    candidate = ops.logical_and(candidate, ops.isfinite(metric))
    return ops.where(candidate, metric, -ops.ones_like(metric))


@compiled
def _settle(metric, place, boxes, points, true_boxes, ignore, smallest):
    """index (B, A), quality (B, A) and ignored (B, A) or None.

    metric, place: (B, N, count), what each box would choose and where; -1: nothing.
    """
    images, rows, count = ops.shape(place)
    locations = ops.shape(boxes)[1]
    total = images * locations
    flat = ops.reshape(place, (images, rows * count, 1))
    theirs = ops.reshape(ops.take_along_axis(boxes, flat, axis=1), (images, rows, count, 4))
    overlap = functional.iou_matrix(ops.expand_dims(true_boxes, 2), theirs)[:, :, 0]
    selected = ops.greater_equal(metric, ops.zeros_like(metric))
    image = ops.reshape(ops.arange(images, dtype="int32"), (-1, 1, 1))
    # What nobody chose is put behind the last location.
    spot = ops.where(selected, place + locations * image, total * ops.ones_like(place))

    def most(value):
        """Of each location (total + 1) the highest value (B, N, count) of those who chose it."""
        return ops.segment_max(ops.reshape(value, (-1,)), ops.reshape(spot, (-1,)), total + 1)

    row = ops.reshape(ops.arange(rows, dtype="int32"), (1, -1, 1)) * ops.ones_like(place)
    wins = ops.logical_and(selected, ops.equal(overlap, ops.take(most(overlap), spot)))
    # Of equal overlaps the first box. A location without one has the smallest of all integers.
    behind = most(ops.where(wins, rows - row, ops.zeros_like(row)))
    owns = ops.logical_and(wins, ops.equal(rows - row, ops.take(behind, spot)))
    index = ops.reshape(behind[:-1], (images, locations))
    found = ops.greater(index, 0)
    index = ops.where(found, rows - index, -ops.ones_like(index))

    zero = ops.zeros_like(metric)
    top, best = (
        ops.max(ops.where(owns, value, zero), axis=-1, keepdims=True) for value in (metric, overlap)
    )
    quality = ops.where(owns, metric * ops.divide_or(best, top, 0.0), zero)
    quality = ops.reshape(most(quality)[:-1], (images, locations))
    quality = ops.where(found, quality, ops.zeros_like(quality))
    if ignore is None:
        return index, quality, None
    crowd = ops.logical_and(ignore, box_arithmetic.is_real(true_boxes))
    within = inside(points, true_boxes, smallest)
    return index, quality, ops.any(ops.logical_and(within, ops.expand_dims(crowd, -1)), axis=1)


_targets = compiled(targets)
