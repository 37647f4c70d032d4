"""The distribution focal loss: a side as a softmax over bins."""

from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["dfl_loss"]

# The right one of the two bins must exist, and both must have a weight.
MARGIN = 1.01


def by_side(logits, bins):
    """(..., 4 * bins), side-major, as (..., 4, bins)."""
    return ops.reshape(logits, (*ops.shape(logits)[:-1], 4, bins))


def expected(logits):
    """The mean of the predicted distribution in bins: (..., 4, bins) to (..., 4)."""
    bins = ops.static_shape(logits)[-1]
    numbers = ops.cast(ops.arange(bins), ops.dtype_name(logits))
    return ops.sum(ops.softmax(logits, axis=-1) * numbers, axis=-1)


def dfl(distances, logits):
    """(..., 4) and (..., 4, bins) to (..., 4)."""
    bins = ops.static_shape(logits)[-1]
    # A distance beyond the last bin asks for a bin that does not exist: it costs as one at the end.
    distances = ops.stop_gradient(ops.clip(distances, 0.0, bins - MARGIN))
    numbers = ops.cast(ops.arange(bins), ops.dtype_name(logits))
    # l + 1 - y for the bin on the left, y - l for the one on the right, 0 for the others.
    distance = ops.abs(ops.expand_dims(distances, -1) - numbers)
    weights = ops.maximum(1.0 - distance, ops.zeros_like(distance))
    return -ops.sum(weights * ops.log_softmax(logits, axis=-1), axis=-1)


def check_bins(bins):
    return int(checks.number("bins", bins, "a whole number of at least 2", _is_bins))


def _is_bins(x):
    return x >= 2 and x == int(x)


def dfl_loss(y_true: ArrayLike, y_pred: ArrayLike, *, bins: int = 16) -> Tensor:
    """Distribution focal loss per side: -(l + 1 - y) ln S_l - (y - l) ln S_(l + 1), l = floor(y).

    `y_true` (..., 4): left, top, right, bottom distances in bins, held in [0, bins - 1.01];
    `y_pred` (..., 4 * bins): logits, the bins of left first. Returns (..., 4), at least the entropy
    of the two weights: not 0 at the optimum between two bins (at most ln 2). S is the softmax over
    the bins 0 to bins - 1, whose mean is the distance.
    Difference: MMDetection has one bin more for the same number, and holds y at bins - 0.1.
    Source: Li et al. 2020, "Generalized Focal Loss", arXiv:2006.04388, eq. 6.
    """
    bins = check_bins(bins)
    checks.boxes(y_true, y_pred, prediction_size=4 * bins)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return dfl(ops.widen(y_true, dtype), by_side(ops.widen(y_pred, dtype), bins))
