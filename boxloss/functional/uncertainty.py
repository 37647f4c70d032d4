"""Losses of coordinates with a predicted spread: one number per side, (..., 4).

`a` is the logarithm of the predicted variance (Laplace: of its scale b), d = y_pred - y_true. The
weight e^-a is finite for every a: beyond a = -30, a deviation of 3e-7, it goes on along its
tangent, so that the gradient still points back. No value is lowest: a may fall forever at d = 0.
"""

import math

from boxloss.functional.coordinate import l1, smooth_l1
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["gaussian_nll_loss", "kl_loss", "laplace_nll_loss"]

STEEPEST = 30.0
# Where even the tangent would leave float32.
FARTHEST = 1e6


def precision(a):
    """e^-a, along its tangent where -a is above `STEEPEST`."""
    # Beyond x = 30, e^x goes on as e^30 (1 + (x - 30)): value and slope are the same at 30, and
    # float32 does not overflow at x = 89.
    beyond = ops.greater(-a, STEEPEST)
    inside = ops.where(beyond, STEEPEST * ops.ones_like(a), -a)
    outside = ops.where(beyond, -a - STEEPEST, ops.zeros_like(a))
    outside = ops.where(ops.greater(outside, FARTHEST), FARTHEST * ops.ones_like(a), outside)
    return ops.exp(inside) * (1.0 + outside)


def kl(d, a):
    return precision(a) * smooth_l1(d, 1.0) + 0.5 * a


def gaussian_nll(d, a, full=True):
    constant = 0.5 * math.log(2.0 * math.pi) if full else 0.0
    return 0.5 * (precision(a) * ops.square(d) + a) + constant


def laplace_nll(d, a, full=False):
    return precision(a) * l1(d) + a + (math.log(2.0) if full else 0.0)


def _widened(y_true, y_pred, log_variance):
    checks.boxes(y_true, y_pred)
    shapes = checks.shape_of(log_variance), checks.shape_of(y_pred)
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`log_variance` must have the shape of `y_pred`. "
            f"Received: log_variance.shape={shapes[0]}, y_pred.shape={shapes[1]}"
        )
    # One dtype for all three: boxes in float32 beside variances in float16 stay float32.
    dtype = ops.arithmetic_dtype(y_true, y_pred, log_variance)
    difference = ops.widen(y_pred, dtype) - ops.widen(y_true, dtype)
    return difference, ops.widen(log_variance, dtype)


def kl_loss(y_true: ArrayLike, y_pred: ArrayLike, log_variance: ArrayLike) -> Tensor:
    """KL loss per coordinate: e^-a q + a / 2, q = smooth L1 of d with threshold 1.

    All (..., 4); returns (..., 4), unbounded below.
    Difference: e^-a goes on along its tangent for a below -30. (The authors' code splits the loss
    in two graphs, which logs it twice with the same gradient.)
    Source: He et al. 2019, "Bounding Box Regression with Uncertainty", arXiv:1809.08545.
    """
    return kl(*_widened(y_true, y_pred, log_variance))


def gaussian_nll_loss(
    y_true: ArrayLike, y_pred: ArrayLike, log_variance: ArrayLike, *, full: bool = True
) -> Tensor:
    """Negative log-likelihood of a Gaussian per coordinate: (d^2 e^-a + a + ln(2 pi)) / 2.

    All (..., 4); returns (..., 4), unbounded below. `full=False` drops ln(2 pi) / 2, as
    PyTorch does by default.
    Difference: e^-a goes on along its tangent for a below -30.
    """
    checks.flag("full", full)
    difference, log_variance = _widened(y_true, y_pred, log_variance)
    return gaussian_nll(difference, log_variance, full)


def laplace_nll_loss(
    y_true: ArrayLike, y_pred: ArrayLike, log_variance: ArrayLike, *, full: bool = False
) -> Tensor:
    """Negative log-likelihood of a Laplace distribution per coordinate: |d| e^-a + a, a = ln b.

    All (..., 4), `log_variance` = ln b; returns (..., 4), unbounded below. `full=True` adds ln 2.
    Difference: e^-a goes on along its tangent for a below -30.
    """
    checks.flag("full", full)
    difference, log_variance = _widened(y_true, y_pred, log_variance)
    return laplace_nll(difference, log_variance, full)
