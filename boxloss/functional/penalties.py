"""Overlap losses with a penalty for place and shape: EIoU, SIoU, MPDIoU, Shape-IoU, Powerful-IoU.

Built as `functional.overlap`: functions of a `Pair` that return named addends, scale-free (MPDIoU
with its image), finite for every box, 0 for equal boxes.
"""

from typing import Literal

from boxloss.functional.overlap import loss_of
from boxloss.functional.pair import scale_of
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, ImageShape, Tensor

__all__ = ["eiou_loss", "mpdiou_loss", "piou_loss", "shape_iou_loss", "siou_loss"]


def power(x, exponent):
    """x ** exponent for x >= 0 by multiplication where that serves; gradient 0 where x is 0."""
    if exponent == 1:
        return x
    if exponent == 2:
        return ops.square(x)
    if exponent == 3:
        return x * ops.square(x)
    if exponent == 4:
        return ops.square(ops.square(x))
    return ops.safe_power(x, exponent)


def eiou_terms(pair):
    def change(difference, side):
        # The square of a ratio and not a ratio of squares, which are 0 in float32 for sides of
        # 1e-23.
        return ops.square(ops.divide_or(difference, side, 0.0))

    return {
        "overlap": 1.0 - pair.iou,
        "center": pair.center_distance,
        "width": change(pair.w - pair.W, pair.cw),
        "height": change(pair.h - pair.H, pair.ch),
        "inversion": pair.inversion,
    }


def _shape_cost(width_change, height_change, exponent, most):
    """Half of the sum of (1 - e^-change)^exponent; no change is larger than `most`."""
    return 0.5 * (
        power(ops.one_minus_exp(width_change, most), exponent)
        + power(ops.one_minus_exp(height_change, most), exponent)
    )


def siou_terms(pair, theta=4.0):
    dx, dy = ops.even_abs(pair.dx), ops.even_abs(pair.dy)
    # 1 - 2 sin^2(asin(|dy| / r) - pi/4) = 2 |dx| |dy| / r^2: no root, no arcsine.
    scale = scale_of(dx, dy)
    x, y = dx * scale, dy * scale
    gamma = 2.0 - ops.divide_or(2.0 * x * y, ops.square(x) + ops.square(y), 0.0)
    # gamma is 1 where one centre lies diagonally from the other, 2 where both are level or upright.
    x = ops.square(ops.divide_or(dx, pair.cw, 0.0))
    y = ops.square(ops.divide_or(dy, pair.ch, 0.0))
    return {
        "overlap": 1.0 - pair.iou,
        "distance": 0.5 * (ops.one_minus_exp(gamma * x, 2) + ops.one_minus_exp(gamma * y, 2)),
        "shape": _shape_cost(pair.width_change, pair.height_change, theta, 1),
        "inversion": pair.inversion,
    }


def mpdiou_terms(pair):
    """Needs `pair.image_shape`."""
    shape = pair.image_shape
    if isinstance(shape, tuple):
        diagonal = (shape[0] ** 2 + shape[1] ** 2) ** 0.5
    else:
        shape = ops.cast(ops.convert_to_tensor(shape), ops.dtype_name(pair.w))  # (B, 2)
        diagonal = ops.sqrt(ops.sum(ops.square(shape), axis=-1, keepdims=True))
    # The offsets are in units of the pair, the diagonal is in those of the boxes.
    unit = pair.unit / diagonal
    squares = [ops.square(offset * unit) for offset in pair.corner_offsets]
    return {
        "overlap": 1.0 - pair.iou,
        "corners": (squares[0] + squares[1]) + (squares[2] + squares[3]),
        "inversion": pair.inversion,
    }


def _shape_weights(pair, scale):
    """2 W^s / (W^s + H^s) and 2 H^s / (W^s + H^s); 1 for a true point."""
    if scale == 0:
        return 1.0, 1.0
    unit = scale_of(pair.W, pair.H)
    # Of ratios: a power of pixels would leave the range of float32.
    w, h = power(pair.W * unit, scale), power(pair.H * unit, scale)
    return ops.divide_or(2.0 * w, w + h, 1.0), ops.divide_or(2.0 * h, w + h, 1.0)


def shape_iou_terms(pair, scale=0.0):
    ww, hh = _shape_weights(pair, scale)
    distance = hh * ops.square(pair.dx) + ww * ops.square(pair.dy)
    diagonal = ops.square(pair.cw) + ops.square(pair.ch)
    return {
        "overlap": 1.0 - pair.iou,
        "distance": ops.divide_or(distance, diagonal, 0.0),
        "shape": _shape_cost(hh * pair.width_change, ww * pair.height_change, 4, 2),
        "inversion": pair.inversion,
    }


# e^-P^2 is 0 in float64 long before: beyond, the slope of P (1 / a true side) may be anything.
FAR = 64.0


def _corner_distance(pair):
    """Powerful-IoU's P: mean over the four sides of |difference| / true side."""
    W, H = pair.W, pair.H
    zero, one = ops.zeros_like(W), ops.ones_like(W)
    extent = ops.stop_gradient(ops.maximum(pair.cw, pair.ch))
    longer = ops.maximum(W, H)
    # A true side of 0 cannot be a unit: the other side takes its place, for a point the extent of
    # the pair, so that P stays of order 1.
    longer = ops.where(ops.equal(longer, zero), extent, longer)
    longer = ops.where(ops.equal(longer, zero), one, longer)
    x_unit = ops.where(ops.equal(W, zero), longer, W)
    y_unit = ops.where(ops.equal(H, zero), longer, H)
    left, top, right, bottom = map(ops.even_abs, pair.corner_offsets)
    x, y = (left + right) * ops.reciprocal(x_unit), (top + bottom) * ops.reciprocal(y_unit)
    distance = 0.25 * (x + y)
    return ops.where(ops.greater(distance, FAR), FAR * one, distance)


def piou_terms(pair, version=2, scale=1.3, weight_gradient=True):
    distance = _corner_distance(pair)
    overlap, corners = 1.0 - pair.iou, ops.one_minus_exp(ops.square(distance))
    if version == 2:
        # 3 x e^(-x^2) is largest at x = 1 / sqrt(2): with x = scale e^-P boxes of medium quality
        # weigh most.
        x = scale * ops.exp_of_minus(distance)
        weight = 3.0 * x * ops.exp_of_minus(ops.square(x))
        if not weight_gradient:
            weight = ops.stop_gradient(weight)
        overlap, corners = weight * overlap, weight * corners
    return {"overlap": overlap, "corners": corners, "inversion": pair.inversion}


# Functions ---------------------------------------------------------------------------------------


def eiou_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """EIoU (Efficient IoU) loss: 1 - o + d^2 / c^2 + (w - W)^2 / cw^2 + (h - H)^2 / ch^2.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 4) for ordered boxes. A term whose
    enclosing side is 0 is 0. Not MMDetection's `EIoULoss`, which is `extended_iou_loss`.
    Source: Zhang et al. 2022, "Focal and Efficient IOU Loss", arXiv:2101.08158, eq. 7.
    """
    return loss_of(eiou_terms, y_true, y_pred)


def siou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, theta: float = 4.0) -> Tensor:
    """SIoU loss: 1 - o + (distance + shape) / 2.

    distance = sum over x, y of 1 - e^(-g rho), rho = (offset of centres / enclosing side)^2, g = 2
    - 2 |dx| |dy| / (dx^2 + dy^2); shape = sum over w, h of (1 - e^(-|w - W| / max(w, W)))^theta.
    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2.03) for ordered boxes. The addends
    `distance` and `shape` contain the half. `theta` is 2 to 6 in the paper.
    Nothing is detached. The exponent is negative, as printed (MMDetection's default is positive:
    its loss falls with the distance). Centres that agree on an axis are a kink: gradient 0 there.
    Source: Gevorgyan 2022, "SIoU Loss", arXiv:2205.12740.
    """
    theta = checks.positive("theta", theta)
    return loss_of(siou_terms, y_true, y_pred, theta)


def mpdiou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, image_shape: ImageShape) -> Tensor:
    """MPDIoU loss: 1 - o + (d1^2 + d2^2) / (image width^2 + image height^2).

    d1, d2 are the distances of the top left and of the bottom right corners. `y_true`, `y_pred`:
    xyxy (..., 4), in the unit of `image_shape` = (height, width). Returns (...) in [0, 3] inside
    the image. Ports that divide by the enclosing box differ from the paper.
    Source: Ma and Xu 2023, "MPDIoU", arXiv:2307.07662.
    """
    image_shape = checks.image_shape(image_shape)
    return loss_of(mpdiou_terms, y_true, y_pred, image_shape=image_shape)


def shape_iou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, scale: float = 0.0) -> Tensor:
    """Shape-IoU loss: 1 - o + (hh dx^2 + ww dy^2) / c^2 + shape.

    ww = 2 W^s / (W^s + H^s), hh likewise, s = `scale`; shape = (1 - e^(-hh |w - W| / max(w, W)))^4
    / 2 and the same of ww and h. `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 4) for
    ordered boxes. `scale` depends on the data set; 0 (the authors' default) makes ww = hh = 1.
    Source: Zhang and Zhang 2023, "Shape-IoU", arXiv:2312.17663.
    """
    scale = checks.non_negative("scale", scale)
    return loss_of(shape_iou_terms, y_true, y_pred, scale)


def check_piou(*, version, scale, weight_gradient):
    if version not in (1, 2) or isinstance(version, bool):
        raise ValueError(f"`version` must be 1 or 2. Received: version={version!r}")
    checks.flag("weight_gradient", weight_gradient)
    return int(version), checks.positive("scale", scale), weight_gradient


def piou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    version: Literal[1, 2] = 2,
    scale: float = 1.3,
    weight_gradient: bool = True,
) -> Tensor:
    """Powerful-IoU loss: 1 - o + 1 - e^(-P^2), version 2 times 3 x e^(-x^2), x = scale e^-P.

    P is the mean over the four sides of |difference| / true side. `y_true`, `y_pred`: xyxy (...,
    4). Returns (...) in [0, 2) (version 1), [0, 2.6) (2) for ordered boxes. Version 2 vanishes,
    loss and gradient, for boxes far apart. The factor is differentiated as in the authors' code;
    `weight_gradient=False` holds it constant.
    Differences: a true side of 0, for which P is infinite, counts as long as the other one (a true
    point: as the enclosing box's longer side, held constant); P above 64, where e^(-P^2) is 0, has
    no gradient.
    Source: Liu et al. 2024, "Powerful-IoU", Neural Networks 170.
    """
    arguments = check_piou(version=version, scale=scale, weight_gradient=weight_gradient)
    return loss_of(piou_terms, y_true, y_pred, *arguments)
