"""The rotated family: boxes (..., 5) = cx, cy, w, h, angle in radians, from x towards y.

`gwd`, `kld`, `probiou` and `kfiou` compare the Gaussians whose axes are those of the boxes: square
boxes have no angle for them. Their closed forms below are sums of addends of at least 0, so that
nothing cancels near equality. All have the addend `inversion`, 0 for sides of at least 0, and a
side is taken as at least 1e-6 of the pair's extent where a formula divides by it.

Half sides: p, q of the prediction, P, Q of the truth, long with long (`RotatedPair.like_half`);
f = (p^2 - q^2)(P^2 - Q^2) >= 0; phi the angle between like sides.
"""

from typing import get_args

from boxloss.functional import overlap
from boxloss.functional.rotated_pair import RotatedPair
from boxloss.tensors import checks, ops
from boxloss.tensors.formulas import total
from boxloss.types import (
    ArrayLike,
    GWDFunction,
    IoUMode,
    KFIoUMode,
    KLDDirection,
    ProbIoUMode,
    Tensor,
)

__all__ = [
    "gwd_loss",
    "kfiou_loss",
    "kld_loss",
    "probiou_loss",
    "rotated_giou_loss",
    "rotated_iou_loss",
]

FUNCTIONS = get_args(GWDFunction)
DIRECTIONS = get_args(KLDDirection)
PROBIOU_MODES = get_args(ProbIoUMode)
KFIOU_MODES = get_args(KFIoUMode)


def pair_of(y_true, y_pred):
    """The checked and widened `RotatedPair` of two sets of boxes."""
    checks.boxes(y_true, y_pred, size=5)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return RotatedPair(ops.widen(y_true, dtype), ops.widen(y_pred, dtype))


def _bounded(value, tau):
    """1 - 1 / (tau + value) for value >= 0, exactly 0 at 0 with tau 1."""
    # One fraction: 1 minus a number near 1 would lose the digits of a small value.
    return ((tau - 1.0) + value) / (tau + value)


def _anisotropy(p, q, P, Q):
    """f of the module's docstring."""
    # (p - q)(p + q) and not p^2 - q^2, which cancels for boxes that are nearly square.
    return ((p - q) * (p + q)) * ((P - Q) * (P + Q))


def gwd_terms(pair, function="log1p", tau=1.0, normalize=False):
    p, q = pair.half
    P, Q = pair.like_half
    cos2, sin2 = pair.like_cos2_sin2
    f = _anisotropy(p, q, P, Q)
    # trace((A^1/2 B A^1/2)^1/2) = sqrt(X^2 - sin^2 f), X = p P + q Q: its distance from X is the
    # last addend, and X^2 - f = (p Q + q P)^2.
    root = ops.sqrt(ops.square(p * Q + q * P) + cos2 * f)
    squared = (
        ops.square(pair.dx)
        + ops.square(pair.dy)
        + ops.square(p - P)
        + ops.square(q - Q)
        + 2.0 * sin2 * f / (p * P + q * Q + root)
    )
    if normalize:
        size = 2.0 * ops.sqrt(ops.sqrt(p * q) * ops.sqrt(P * Q))
        value = ops.log1p(ops.safe_sqrt(squared) / size)
    elif function == "sqrt":
        value = ops.safe_sqrt(squared) * pair.unit
    else:
        value = ops.log1p(squared * ops.square(pair.unit))
    return {"gwd": _bounded(value, tau), "inversion": pair.inversion}


def _log_excess(a, b):
    """r^2 - 1 - 2 ln r of r = a / b: 0 at 1, at least 0."""
    ratio, s = a / b, (a - b) / b
    near = ops.less(ops.abs(s), 0.02 * ops.ones_like(s))
    t = ops.where(near, s, ops.zeros_like(s))
    # The logarithm's series: the closed form cancels near 1. Its next addend is below 1e-14.
    series = 2.0 + t * (
        -2 / 3 + t * (2 / 4 + t * (-2 / 5 + t * (2 / 6 + t * (-2 / 7 + t * 2 / 8))))
    )
    far = ops.where(near, 2.0 * ops.ones_like(ratio), ratio)
    return ops.where(near, ops.square(t) * series, ops.square(far) - 1.0 - 2.0 * ops.log(far))


def _divergence(half, like_half, sin2, offset, offset_half):
    """D(N(a) || N(b)); `offset` along the sides of b, whose half sides there are `offset_half`."""
    (p, q), (P, Q) = half, like_half
    u, v = offset
    U, V = offset_half
    # Every factor is divided at once: the product of four short sides leaves float32.
    turned = ((p - q) / P) * ((p + q) / Q) * ((P - Q) / P) * ((P + Q) / Q)
    return 0.5 * (
        ops.square(u / U)
        + ops.square(v / V)
        + _log_excess(p, P)
        + _log_excess(q, Q)
        + sin2 * turned
    )


def kld_terms(pair, direction="pred_to_true", tau=1.0, sqrt=False):
    _, sin2 = pair.like_cos2_sin2
    if direction == "pred_to_true":
        divergence = _divergence(pair.half, pair.like_half, sin2, pair.true_offset, pair.true_half)
    else:
        divergence = _divergence(pair.like_half, pair.half, sin2, pair.offset, pair.half)
    value = ops.log1p(ops.safe_sqrt(divergence) if sqrt else divergence)
    return {"kld": _bounded(value, tau), "inversion": pair.inversion}


def _spread(pair):
    """k = p q / (P Q) and det(A + B) / (4 sqrt(det A det B)) - 1, A and B the covariances."""
    p, q = pair.half
    P, Q = pair.like_half
    _, sin2 = pair.like_cos2_sin2
    s, t = (p - P) / P, (q - Q) / Q
    k, k_1 = (p / P) * (q / Q), s + t + s * t  # k and k - 1, likewise m
    m, m_1 = (p / P) / (q / Q), (s - t) / (1.0 + t)
    turned = ((p - q) / p) * ((p + q) / q) * ((P - Q) / P) * ((P + Q) / Q)
    return k, 0.25 * ((k_1 / k) * k_1 + (m_1 / m) * m_1 + sin2 * turned)


def _bhattacharyya(pair):
    p, q = pair.half
    u, v = pair.offset
    U, V = pair.true_offset
    true_p, true_q = pair.true_half
    _, spread = _spread(pair)
    # The adjugate of A + B, applied to the offset on both sides, over det(A + B), which is
    # 4 p q P Q (1 + spread): term by term, as the square of a product of four small sides, which
    # gradients divide by, leaves float32.
    distance = (p / q) * (v / true_p) * (v / true_q) + (q / p) * (u / true_p) * (u / true_q)
    distance = distance + (true_p / true_q) * (V / p) * (V / q)
    distance = distance + (true_q / true_p) * (U / p) * (U / q)
    # The variance of a uniform side w is w^2 / 12, a third of its half squared.
    return 0.1875 * distance / (1.0 + spread) + 0.5 * ops.log1p(spread)


def probiou_terms(pair, mode="l1"):
    value = _bhattacharyya(pair)
    if mode == "l1":
        # 1 - e^-x by expm1: the plain difference is 0 for x below 3e-8.
        value = ops.safe_sqrt(-ops.expm1(-value))
    return {"probiou": value, "inversion": pair.inversion}


def kfiou_terms(pair, mode="exp", center_weight=0.0):
    k, spread = _spread(pair)
    # 1 / KFIoU, at least 3.
    # KFIoU = V / (V_A + V_B - V) with V^2 = det A det B / det(A + B) for areas V_A^2 = det A.
    # Divided out, with k = V_A / V_B and the determinant of the sum from `_spread`, its inverse is
    # this.
    inverse = 2.0 * ops.sqrt(1.0 + spread) * (ops.sqrt(k) + 1.0 / ops.sqrt(k)) - 1.0
    value = ops.log(inverse) if mode == "log" else ops.exp(1.0 - 1.0 / inverse) - 1.0
    terms = {"kfiou": value}
    if center_weight:
        (u, v), (P, Q) = pair.true_offset, pair.true_half
        terms["center"] = center_weight * ops.log1p(ops.square(u / P) + ops.square(v / Q))
    return {**terms, "inversion": pair.inversion}


def rotated_iou_terms(pair, mode="linear"):
    return overlap.iou_terms(pair, mode)


def rotated_giou_terms(pair, mode="linear"):
    terms = overlap.iou_terms(pair, mode)
    hull = 1.0 - ops.divide_or(pair.union, pair.hull, 1.0)
    # Equal boxes are a kink of the hull, with the least value: no gradient.
    hull = ops.where(pair.equal, ops.zeros_like(hull), hull)
    return {"overlap": terms["overlap"], "hull": hull, "inversion": terms["inversion"]}


# Public -------------------------------------------------------------------------------------------


def check_tau(value):
    return checks.number("tau", value, "a number of at least 1", lambda x: x >= 1)


def gwd_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    function: GWDFunction = "log1p",
    tau: float = 1.0,
    normalize: bool = False,
) -> Tensor:
    """Gaussian Wasserstein distance d: 1 - 1 / (tau + f(d^2)).

    f is ln(1 + d^2) ("log1p") or d ("sqrt"); with `normalize` it is ln(1 + d / (w h W H)^(1/4)),
    the only one that is scale-free: the others depend on the boxes' unit.
    `y_true`, `y_pred`: (..., 5). Returns (...) in [1 - 1/tau, 1).
    Source: Yang et al. 2021, "Rethinking Rotated Object Detection with Gaussian Wasserstein
    Distance Loss", arXiv:2101.11952. The authors' code: "sqrt", tau 2; `normalize`: MMRotate's.
    """
    checks.one_of("function", function, FUNCTIONS)
    checks.flag("normalize", normalize)
    return total(gwd_terms(pair_of(y_true, y_pred), function, check_tau(tau), normalize))


def kld_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    direction: KLDDirection = "pred_to_true",
    tau: float = 1.0,
    sqrt: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence D of the Gaussians: 1 - 1 / (tau + ln(1 + D)).

    D(prediction || truth), or D(truth || prediction) with "true_to_pred"; `sqrt` takes
    ln(1 + sqrt(D)). `y_true`, `y_pred`: (..., 5). Returns (...) in [1 - 1/tau, 1). Scale-free.
    Source: Yang et al. 2021, "Learning High-Precision Bounding Box for Rotated Object Detection
    via Kullback-Leibler Divergence", arXiv:2106.01883. MMRotate's `kld`: "true_to_pred", sqrt.
    """
    checks.one_of("direction", direction, DIRECTIONS)
    checks.flag("sqrt", sqrt)
    return total(kld_terms(pair_of(y_true, y_pred), direction, check_tau(tau), sqrt))


def probiou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, mode: ProbIoUMode = "l1") -> Tensor:
    """ProbIoU: the Hellinger distance ("l1", in [0, 1]) or Bhattacharyya's ("l2", in [0, inf)).

    Of Gaussians with the variances of uniform sides, w^2 / 12. `y_true`, `y_pred`: (..., 5).
    Returns (...). Scale-free. "l1" has hardly a gradient for boxes far apart: the paper starts with
    "l2".
    Source: Llerena et al. 2021, "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union
    for Object Detection", arXiv:2106.06072. No epsilon and no clipping, unlike the sample code.
    """
    checks.one_of("mode", mode, PROBIOU_MODES)
    return total(probiou_terms(pair_of(y_true, y_pred), mode))


def kfiou_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, mode: KFIoUMode = "exp", center_weight: float = 0.0
) -> Tensor:
    """KFIoU k of two Gaussians brought to one centre: exp(1 - k) - 1, or -ln k ("log").

    Plus `center_weight` ln(1 + offset^T Sigma^-1 offset), Sigma of the truth: k does not see the
    centre. `y_true`, `y_pred`: (..., 5). Returns (...); k is in (0, 1/3], so that equal boxes cost
    0.9477 ("exp") or 1.0986 ("log"). Scale-free.
    Source: Yang et al. 2023, "The KFIoU Loss for Rotated Object Detection", arXiv:2201.12558.
    """
    checks.one_of("mode", mode, KFIOU_MODES)
    center_weight = checks.non_negative("center_weight", center_weight)
    return total(kfiou_terms(pair_of(y_true, y_pred), mode, center_weight))


def rotated_iou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, mode: IoUMode = "linear") -> Tensor:
    """IoU loss of rotated boxes: 1 - o ("linear"), -ln o ("log") or 1 - o^2 ("square").

    `y_true`, `y_pred`: (..., 5). Returns (...). The exact area of the intersection; no gradient for
    boxes apart. Scale-free. o is floored at 1e-6 under "log".
    Source: Zhou et al. 2019, "IoU Loss for 2D/3D Object Detection", arXiv:1908.03851.
    """
    checks.one_of("mode", mode, overlap.MODES)
    return total(rotated_iou_terms(pair_of(y_true, y_pred), mode))


def rotated_giou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, mode: IoUMode = "linear") -> Tensor:
    """GIoU loss of rotated boxes: the IoU loss + (C - U) / C, C the area of the convex hull.

    `y_true`, `y_pred`: (..., 5). Returns (...), in [0, 2] for "linear". Scale-free. C is the
    smallest convex shape around both, as the paper defines it; for upright boxes
    `giou_loss` takes the smallest upright box, so that the two differ at angle 0 as well.
    Source: Rezatofighi et al. 2019, "Generalized IoU", arXiv:1902.09630, algorithm 1.
    """
    checks.one_of("mode", mode, overlap.MODES)
    return total(rotated_giou_terms(pair_of(y_true, y_pred), mode))
