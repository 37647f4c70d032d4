"""Coordinate losses: one number a side, (..., 4), of the error d = y_pred - y_true.

They measure in the unit of the boxes (pixels, fractions of the image, encoded deltas): their
thresholds are in that unit too. Gradients are 0 at d = 0.
"""

from boxloss import checks, ops


def difference(y_true, y_pred):
    """y_pred - y_true (..., 4), checked and widened."""
    checks.boxes(y_true, y_pred)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return ops.widen(y_pred, dtype) - ops.widen(y_true, dtype)


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


def l1_loss(y_true, y_pred):
    """|d| per coordinate: (..., 4) to (..., 4), in [0, inf), in the boxes' unit."""
    return l1(difference(y_true, y_pred))


def smooth_l1_loss(y_true, y_pred, *, beta=1.0):
    """Smooth L1 per coordinate: d^2 / (2 beta) for |d| < beta, else |d| - beta / 2.

    (..., 4) to (..., 4), in [0, inf), slope at most 1; `beta` is in the boxes' unit, 0 means L1. It
    is Huber's loss divided by its threshold.
    Source: Girshick 2015, "Fast R-CNN", arXiv:1504.08083, eq. 3 (beta = 1).
    """
    return smooth_l1(difference(y_true, y_pred), checks.non_negative("beta", beta))
