"""Coordinate losses: one number per side, (..., 4), of the error d = y_pred - y_true.

They measure in the unit of the boxes (pixels, fractions of the image, encoded deltas): their
thresholds are in that unit too. Gradients are 0 at d = 0.
"""

import math

from boxloss.tensors import checks, ops
from boxloss.tensors.compiled import function_call
from boxloss.types import ArrayLike, ImageShape, Tensor

__all__ = [
    "balanced_l1_loss",
    "huber_loss",
    "l1_loss",
    "l2_loss",
    "log_cosh_loss",
    "ltrb_l1_loss",
    "smooth_l1_loss",
]


def difference(y_true, y_pred):
    """y_pred - y_true (..., 4), checked and widened."""
    checks.boxes(y_true, y_pred)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return ops.widen(y_pred, dtype) - ops.widen(y_true, dtype)


def errors_of(error, y_true, y_pred, *arguments):
    """`error(y_pred - y_true, *arguments)`, compiled where the same shapes come again."""
    checks.boxes(y_true, y_pred)
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    return function_call(_errors, y_true, y_pred, error, arguments)


def _errors(y_true, y_pred, error, arguments):
    return error(difference(y_true, y_pred), *arguments)


def l1(d):
    return ops.even_abs(d)


def smooth_l1(d, beta):
    if beta == 0:
        return l1(d)
    size = ops.even_abs(d)
    near = ops.less(size, beta)
    # The unused branch must stay small: its gradient is multiplied by 0, and 0 * inf is NaN.
    inner = ops.where(near, size, ops.zeros_like(size))
    return ops.where(near, ops.square(inner) * (0.5 / beta), size - 0.5 * beta)


def huber(d, delta):
    return delta * smooth_l1(d, delta)


def balanced_l1(d, alpha, gamma, beta):
    # From alpha ln(b + 1) = gamma, the paper's condition for a slope without a jump at the knee.
    # expm1 keeps the digits of a small ratio.
    b = math.expm1(gamma / alpha)
    size = ops.even_abs(d) / beta
    near = ops.less(size, 1.0)
    # Far away the inner branch would overflow: there it is held at 0.
    inner = b * ops.where(near, size, ops.zeros_like(size))
    bent = (alpha / b) * ((inner + 1.0) * ops.log1p(inner) - inner)
    return beta * ops.where(near, bent, gamma * size + (gamma / b - alpha))


def log_cosh(d):
    size = ops.even_abs(d)
    near = ops.less(size, 1.0)
    # cosh d = 1 + u^2 / (2 (1 + u)) = e^|d| (1 + u + u^2 / 2) with u = e^-|d| - 1: the first has no
    # cancellation near 0, the second no overflow far from it.
    u = ops.expm1(-size)
    shrunk = ops.where(near, 1.0 + u, ops.ones_like(u))
    inner = ops.where(near, 0.5 * ops.square(u) / shrunk, u + 0.5 * ops.square(u))
    return ops.where(near, ops.zeros_like(size), size) + ops.log1p(inner)


def l1_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """|d| per coordinate: (..., 4) to (..., 4), in [0, inf), in the boxes' unit."""
    return errors_of(l1, y_true, y_pred)


def smooth_l1_loss(y_true: ArrayLike, y_pred: ArrayLike, *, beta: float = 1.0) -> Tensor:
    """Smooth L1 per coordinate: d^2 / (2 beta) for |d| < beta, else |d| - beta / 2.

    (..., 4) to (..., 4), in [0, inf), slope at most 1; `beta` is in the boxes' unit, 0 means L1. It
    is Huber's loss divided by its threshold.
    Source: Girshick 2015, "Fast R-CNN", arXiv:1504.08083, eq. 3 (beta = 1).
    """
    return errors_of(smooth_l1, y_true, y_pred, checks.non_negative("beta", beta))


def l2_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """d^2 per coordinate, without a half: (..., 4) to (..., 4), in [0, inf), slope 2d."""
    return errors_of(ops.square, y_true, y_pred)


def huber_loss(y_true: ArrayLike, y_pred: ArrayLike, *, delta: float = 1.0) -> Tensor:
    """Huber per coordinate: d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2).

    (..., 4) to (..., 4), in [0, inf), slope at most `delta`, which is in the boxes' unit.
    Source: Huber 1964, "Robust Estimation of a Location Parameter". EfficientDet uses delta = 0.1.
    """
    return errors_of(huber, y_true, y_pred, checks.positive("delta", delta))


def balanced_l1_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    alpha: float = 0.5,
    gamma: float = 1.5,
    beta: float = 1.0,
) -> Tensor:
    """Balanced L1 per coordinate: (alpha/b) (b x + 1) ln(b x + 1) - alpha x for x = |d| < 1, else
    gamma x + gamma/b - alpha, with b = e^(gamma/alpha) - 1.

    (..., 4) to (..., 4), in [0, inf), slope at most `gamma`. `beta`, in the boxes' unit, moves the
    knee: beta f(d / beta), whose slope has no jump (MMDetection's, with a beta inside the logarithm
    only, has one; the paper has no beta).
    Source: Pang et al. 2019, "Libra R-CNN", arXiv:1904.02701.
    """
    arguments = check_balanced(alpha=alpha, gamma=gamma, beta=beta)
    return errors_of(balanced_l1, y_true, y_pred, *arguments)


def check_balanced(*, alpha, gamma, beta):
    """The three arguments as floats; e^(gamma / alpha) must be a number."""
    arguments = {"alpha": alpha, "gamma": gamma, "beta": beta}
    alpha, gamma, beta = (checks.positive(name, value) for name, value in arguments.items())
    if gamma / alpha > 80:
        raise ValueError(
            f"`gamma` must be at most 80 times `alpha`. Received: gamma={gamma!r}, alpha={alpha!r}"
        )
    return alpha, gamma, beta


def log_cosh_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """ln cosh d per coordinate: (..., 4) to (..., 4), in [0, inf), slope tanh d.

    Without overflow far from 0 and without cancellation near it.
    """
    return errors_of(log_cosh, y_true, y_pred)


IMAGE = "image"


def check_unit(unit):
    """ "image", or a number above 0."""
    if unit == IMAGE:
        return unit
    return checks.number("unit", unit, 'a number above 0, or "image"', lambda x: x > 0)


def ltrb_l1(d, width, height):
    """|d| (..., 4) of x1, y1, x2, y2, divided by `width`, `height`: numbers or tensors (B, 1)."""
    x1, y1, x2, y2 = ops.unstack(d, 4, axis=-1)
    sides = ((x1, width), (y1, height), (x2, width), (y2, height))
    return ops.stack([ops.even_abs(side) / unit for side, unit in sides], axis=-1)


def ltrb_l1_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    unit: float | str = "image",
    image_shape: ImageShape | None = None,
) -> Tensor:
    """L1 of left, top, right, bottom distances, per side: |d| / unit.

    `y_true`, `y_pred`: xyxy (..., 4). The location from which distances are measured cancels: the
    left distances differ by what x1 differs. Returns (..., 4), in [0, inf), in the order of x1, y1,
    x2, y2.

    Args:
        unit: "image" divides x by the image's width and y by its height, so that the loss does not
            depend on the image's size. A number divides all four by it, the stride of the level.
        image_shape: (height, width) in the boxes' unit, for "image"; that of the network's input,
            padding included, not of the picture.

    Source: the loss of Ultralytics' heads without bins (`reg_max` 1, YOLO26), which takes the mean
    of the four.
    """
    unit = check_unit(unit)
    d = difference(y_true, y_pred)
    if unit != IMAGE:
        return ltrb_l1(d, unit, unit)
    if image_shape is None:
        raise ValueError(
            '`image_shape` must be (height, width) with unit="image". Received: image_shape=None'
        )
    height, width = checks.image_shape(image_shape)
    return ltrb_l1(d, width, height)
