"""D-FINE's losses: a side of a reference box as a distribution over bins that widen outwards.

A side is measured from the same side of the reference, in units of w / s (left, right) and h / s
(top, bottom), w and h the size of the reference and s = `reg_scale`: 0 is the reference's own edge,
s one whole side of the reference further out. `boxloss.coders.SideCoder` converts boxes.

The reference cancels in both losses. Decoding scales each axis and shifts it, so the IoU of two
decoded boxes is that of their sides, taken as boxes of a reference that is s wide and s high.
"""

import numpy as np

from boxloss.functional.distribution import by_side
from boxloss.functional.pair import Pair
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["ddf_loss", "fgl_loss"]


def bin_values(bins: int = 33, reg_scale: float = 4.0, up: float = 0.5) -> np.ndarray:
    """The sides W(0) ... W(N) at the N + 1 bins, float64 (bins,).

    W(N/2) = 0 is the reference's edge; from there +-((u s + 1)^(2 i / (N - 2)) - 1) for i = 1 ...
    N/2 - 1, u = `up`, s = `reg_scale`, and +-2 u s at both ends. So the bins near the edge are fine
    (0.076 of the default), the last but one is 0.21 wide, and the last one 2.
    Source: Peng et al. 2024, "D-FINE", arXiv:2410.13842; the paper's W times s, as in its code.
    """
    half = (bins - 1) // 2
    inner = (up * reg_scale + 1.0) ** (np.arange(1, half) / (half - 1)) - 1.0
    outer = np.append(inner, 2.0 * up * reg_scale)
    return np.concatenate([-outer[::-1], [0.0], outer])


def check_bins(*, bins, reg_scale, up):
    """The three arguments, checked."""
    rule = "an odd whole number of at least 5"
    bins = checks.number("bins", bins, rule, lambda x: x >= 5 and x % 2 == 1)
    return int(bins), checks.positive("reg_scale", reg_scale), checks.positive("up", up)


def expected_sides(logits, values):
    """The mean of the predicted distributions: (..., bins) to (...), `values` the bins' sides."""
    values = ops.cast(ops.convert_to_tensor(values), ops.dtype_name(logits))
    return ops.sum(ops.softmax(logits, axis=-1) * values, axis=-1)


def side_weights(sides, values):
    """(..., bins): how much of each side (...) its two neighbouring bins get, 0 for the others.

    Bin n's weight rises from W(n - 1) to W(n) and falls to W(n + 1), so that the weights sum to 1
    and their mean is the side. A side beyond the first or the last bin belongs to that bin alone.
    """
    dtype = ops.dtype_name(sides)
    # One bin more at each end: the first bin then rises, and the last one falls, outside of [W(0),
    # W(N)], to which sides are clipped.
    around = np.concatenate([values[:1] - 1.0, values, values[-1:] + 1.0])
    below, above = (ops.cast(ops.convert_to_tensor(x), dtype) for x in (around[:-2], around[2:]))
    per_gap = 1.0 / np.diff(around)
    rise, fall = (ops.cast(ops.convert_to_tensor(x), dtype) for x in (per_gap[:-1], per_gap[1:]))
    y = ops.expand_dims(ops.clip(sides, float(values[0]), float(values[-1])), -1)
    weight = ops.minimum((y - below) * rise, (above - y) * fall)
    return ops.maximum(weight, ops.zeros_like(weight))


def side_boxes(sides, reg_scale):
    """Sides (..., 4) of a reference as boxes xyxy, the reference s x s about the origin."""
    left, top, right, bottom = ops.unstack(sides, 4, axis=-1)
    half = 0.5 * reg_scale
    return -half - left, -half - top, half + right, half + bottom


def iou_of(sides, logits, values, reg_scale):
    """The IoU (...) of the box of the expected sides with that of `sides`."""
    expected = expected_sides(logits, values)
    pair = Pair.of_sides(side_boxes(sides, reg_scale), side_boxes(expected, reg_scale))
    return pair.iou


def fgl(sides, logits, values, reg_scale, iou_weight=True):
    """(..., 4) and (..., 4, bins) to (..., 4)."""
    sides = ops.stop_gradient(sides)
    weights = ops.stop_gradient(side_weights(sides, values))
    # A logit of -inf is a bin of probability 0, which costs nothing where its weight is 0.
    counted = ops.greater(weights, ops.zeros_like(weights))
    chosen = ops.sum(weights * ops.where(counted, logits, ops.zeros_like(logits)), axis=-1)
    # The weights sum to 1: -sum of weight * ln softmax.
    errors = ops.logsumexp(logits, axis=-1) - chosen
    if not iou_weight:
        return errors
    iou = iou_of(sides, ops.stop_gradient(logits), values, reg_scale)
    return ops.stop_gradient(ops.expand_dims(iou, -1)) * errors


def ddf(teacher, quality, logits, temperature):
    """(..., 4, bins), (...) and (..., 4, bins) to (..., 4)."""
    teacher, quality = ops.stop_gradient(teacher), ops.stop_gradient(quality)
    log_p = ops.log_softmax(teacher / temperature, axis=-1)
    log_q = ops.log_softmax(logits / temperature, axis=-1)
    p = ops.exp(log_p)
    # 0 ln 0 is 0: a teacher may have logits of -inf.
    positive = ops.greater(p, ops.zeros_like(p))
    ratio = ops.where(positive, log_p - log_q, ops.zeros_like(p))
    divergence = ops.sum(p * ratio, axis=-1)
    # Rounding can make it negative: 0 then, with the gradient as it is.
    divergence = divergence - ops.stop_gradient(ops.minimum(divergence, ops.zeros_like(divergence)))
    return ops.expand_dims(quality, -1) * (temperature * temperature) * divergence


def split_teacher(y_true, bins):
    """Teacher logits (..., 4, bins), quality (...) and matched (...) of `ddf_loss`' `y_true`."""
    size = 4 * bins
    return by_side(y_true[..., :size], bins), y_true[..., size], y_true[..., size + 1]


def fgl_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bins: int = 33,
    reg_scale: float = 4.0,
    up: float = 0.5,
    iou_weight: bool = True,
) -> Tensor:
    """Fine-grained localisation loss per side: o (-(1 - r) ln S_n - r ln S_(n + 1)).

    `y_true` (..., 4): left, top, right, bottom sides of the reference box, in w / s and h / s
    (`boxloss.coders.SideCoder.sides`), held in [W(0), W(N)]; `y_pred` (..., 4 * bins): logits, the
    bins of left first. Returns (..., 4) in [0, inf). S is the softmax over the bins, n the bin with
    W(n) <= y <= W(n + 1), r = (y - W(n)) / (W(n + 1) - W(n)); W is `bin_values`. o is the IoU of
    the box of the expected sides with the truth; o and r are constants in the gradient, which is
    o (S - target).

    Args:
        bins: N + 1, odd, at least 5. reg_scale: s; 8 in D-FINE-X. up: u, above 0.
        iou_weight: False takes o = 1.

    At the optimum it is o times the entropy of the two weights, at most ln 2 per side. It is 0,
    without gradient, where the predicted box does not overlap the truth: not a loss to use alone,
    and its value rises in training as o does.
    Differences: every side beyond the bins costs as one at the end (KerasHub gives it no weight),
    bins and weights are not rounded to float32, and an even number of bins is refused, for which
    the published W has one value too few. A box of negative size has o = 0.
    Source: Peng et al. 2024, "D-FINE", arXiv:2410.13842; constants of its code (reg_max 32).
    """
    bins, reg_scale, up = check_bins(bins=bins, reg_scale=reg_scale, up=up)
    checks.flag("iou_weight", iou_weight)
    checks.boxes(y_true, y_pred, prediction_size=4 * bins)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    logits = by_side(ops.widen(y_pred, dtype), bins)
    values = bin_values(bins, reg_scale, up)
    return fgl(ops.widen(y_true, dtype), logits, values, reg_scale, iou_weight)


def check_ddf(*, bins, temperature):
    """The two arguments, checked."""
    bins = checks.number("bins", bins, "a whole number of at least 2", _is_bins)
    return int(bins), checks.positive("temperature", temperature)


def _is_bins(x):
    return x >= 2 and x == int(x)


def ddf_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, bins: int = 33, temperature: float = 5.0
) -> Tensor:
    """Decoupled distillation focal loss per side: q T^2 KL(softmax(t / T) || softmax(z / T)).

    `y_true` (..., 4 * bins + 2): the teacher's logits t (the last decoder layer's), the quality q
    and whether the box is matched (1 or 0; not used here, see `boxloss.DDFLoss`). q is the IoU of
    the student's box for a matched one, else the teacher's largest class probability. `y_pred`
    (..., 4 * bins): the student's logits z, the bins of left first. Returns (..., 4) in [0, inf), 0
    where both distributions are equal. t and q are constants; the gradient is q T (softmax(z / T) -
    softmax(t / T)).
    Difference: the exact logarithm; KerasHub adds 1e-8 to the probabilities, so that its loss ends
    at T^2 ln 1e8 = 460.5 and its gradient fades. The direction is that of every code; the paper's
    symbol names the student first.
    Source: Peng et al. 2024, "D-FINE", arXiv:2410.13842; T = `temperature` of its code.
    """
    bins, temperature = check_ddf(bins=bins, temperature=temperature)
    checks.boxes(y_true, y_pred, size=4 * bins + 2, prediction_size=4 * bins)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    teacher, quality, _ = split_teacher(ops.widen(y_true, dtype), bins)
    return ddf(teacher, quality, by_side(ops.widen(y_pred, dtype), bins), temperature)
