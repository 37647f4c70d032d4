"""Losses that weigh a pair, or move it, by its own IoU: Focal-EIoU, InterpIoU, WIoU."""

import math
from typing import Literal

from boxloss.functional.overlap import pair_of
from boxloss.functional.penalties import eiou_terms, power
from boxloss.tensors import checks, ops
from boxloss.tensors.formulas import total
from boxloss.types import ArrayLike, Tensor

__all__ = ["focal_eiou_loss", "interp_iou_loss", "wiou_loss"]

DYNAMIC = "dynamic"
# Of 1 - o. Below this, float32 cannot distinguish a prediction from its truth.
SMALLEST_MEAN = 1e-7


def focal_eiou_terms(pair, gamma=0.5, weight_gradient=False):
    terms = eiou_terms(pair)
    inversion = terms.pop("inversion")
    if gamma:
        weight = power(pair.iou, gamma)
        if not weight_gradient:
            weight = ops.stop_gradient(weight)
        terms = {name: weight * term for name, term in terms.items()}
    # Not weighted: an inverted box, whose IoU is 0, would cost nothing.
    return {**terms, "inversion": inversion}


def interp_iou_terms(pair, alpha=0.98):
    if alpha == DYNAMIC:
        # The worse a prediction, the nearer to the truth the box in between, which must overlap it
        # to have a gradient.
        alpha = ops.stop_gradient(ops.clip(1.0 - pair.iou, 0.6, 0.99))
    return {
        "overlap": 1.0 - pair.iou,
        "interpolated": 1.0 - pair.interpolated(alpha).iou,
        "inversion": pair.inversion,
    }


def wiou_terms(pair, running_mean, version=3, alpha=1.9, delta=3.0, gamma=0.5, plain=False):
    """`running_mean` of 1 - o: a number or a scalar tensor.

    `plain`: whether the outlier degree is that of the IoU before a modifier changed it.
    """
    cost = 1.0 - pair.iou
    # c is a constant here, and here only.
    squares = ops.square(pair.dx) + ops.square(pair.dy)
    diagonal = ops.stop_gradient(ops.square(pair.cw) + ops.square(pair.ch))
    # `exp_of_minus` keeps the fused loop vectorised, which `exp` and a division would end.
    attention = ops.reciprocal(ops.exp_of_minus(ops.divide_or(squares, diagonal, 0.0)))
    if version > 1:
        if not isinstance(running_mean, float):  # a mean that moves may fall to 0
            running_mean = ops.maximum(running_mean, SMALLEST_MEAN)
        outlier = ops.stop_gradient(1.0 - pair.plain_iou if plain else cost) * (1.0 / running_mean)
        if version == 2:
            factor = power(outlier, gamma) if gamma else ops.ones_like(outlier)
        else:
            # b / (delta alpha^(b - delta)), the power of delta as a number of its own.
            falling = ops.exp_of_minus(outlier * math.log(alpha))
            # Above e^88 float32 ends anyway, and far above it Python's own numbers.
            factor = outlier * falling * (math.exp(min(delta * math.log(alpha), 88.0)) / delta)
        attention = factor * attention
    return {"overlap": attention * cost, "inversion": pair.inversion}


def check_interpolation(alpha):
    if alpha == DYNAMIC:
        return alpha
    return checks.number(
        "alpha", alpha, 'a number from 0 to below 1, or "dynamic"', lambda x: 0 <= x < 1
    )


def check_wiou(*, version, alpha, delta, gamma):
    """The four arguments, checked."""
    if version not in (1, 2, 3) or isinstance(version, bool):
        raise ValueError(f"`version` must be 1, 2 or 3. Received: version={version!r}")
    alpha = checks.number("alpha", alpha, "a number above 1", lambda x: x > 1)
    delta = checks.positive("delta", delta)
    return int(version), alpha, delta, checks.non_negative("gamma", gamma)


def focal_eiou_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, gamma: float = 0.5, weight_gradient: bool = False
) -> Tensor:
    """Focal-EIoU loss: o^gamma times the EIoU loss.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 1) for ordered boxes. The weight is less
    for less overlap; for boxes apart loss and gradient are 0. It is a constant in the gradient, as
    in the community's code (the paper does not say); `weight_gradient=True` differentiates it,
    except at o = 0, where the slope is infinite for gamma < 1. `inversion` is not weighted.
    Source: Zhang et al. 2022, "Focal and Efficient IOU Loss", arXiv:2101.08158, eq. 10.
    """
    gamma = checks.non_negative("gamma", gamma)
    checks.flag("weight_gradient", weight_gradient)
    return total(focal_eiou_terms(pair_of(y_true, y_pred), gamma, weight_gradient))


def interp_iou_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, alpha: float | Literal["dynamic"] = 0.98
) -> Tensor:
    """InterpIoU loss: 1 - o + 1 - o', o' the IoU with the truth of the interpolated box.

    The interpolated box is (1 - alpha) of the prediction and alpha of the truth, side by side.
    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2] for ordered boxes. `alpha="dynamic"`
    is 1 - o held in [0.6, 0.99], a constant in the gradient. Boxes apart have a gradient once
    (1 - alpha) times their distance is less than their size.
    Source: 2025, "InterpIoU", arXiv:2507.12420; the constants are second-hand.
    """
    return total(interp_iou_terms(pair_of(y_true, y_pred), check_interpolation(alpha)))


def wiou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    version: Literal[1, 2, 3] = 3,
    alpha: float = 1.9,
    delta: float = 3.0,
    gamma: float = 0.5,
    running_mean: float | Tensor = 1.0,
    momentum: float = 1e-2,
) -> Tensor:
    """Wise-IoU loss: r e^(d^2 / c^2) (1 - o), c held constant in the gradient.

    Version 1: r = 1. Version 2: r = b^gamma. Version 3: r = b / (delta alpha^(b - delta)), with b =
    (1 - o) / `running_mean`, held constant. `running_mean` of 1 - o is a number above 0 or a scalar
    tensor that the caller moves (`momentum` is how fast `WIoULoss` does; unused here).
    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, e) for ordered boxes, version 1.
    Source: Tong et al. 2023, "Wise-IoU", arXiv:2301.10051. The authors' later code has alpha 1.7,
    delta 2.7.
    """
    arguments = check_wiou(version=version, alpha=alpha, delta=delta, gamma=gamma)
    pair = pair_of(y_true, y_pred)
    if isinstance(running_mean, (int, float)):
        running_mean = checks.positive("running_mean", running_mean)
    else:
        running_mean = ops.cast(running_mean, ops.dtype_name(pair.w))
    return total(wiou_terms(pair, running_mean, *arguments))
