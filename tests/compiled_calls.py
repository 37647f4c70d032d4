"""Calls that come often enough to be compiled, and boxes that try what compiling may break."""

import numpy as np
from loss_table import box_examples

from boxloss.losses.base import _COMPILED
from boxloss.tensors import compiled


def batch(n=6):
    """Ordinary boxes, exact matches, ties, an inverted box and padding full of NaN."""
    y_true, y_pred = box_examples(np.random.default_rng(0), 2, n)
    y_pred[0, 0] = y_true[0, 0]
    y_pred[0, 1, 0] = y_true[0, 1, 0]
    y_pred[1, 0, 2] = y_pred[1, 0, 0] - 3
    y_true[1, 3:], y_pred[1, 3:] = -1, np.nan
    return y_true, y_pred


def functions_of(loss):
    return [function for function, _ in _COMPILED[loss].values()]


def traces(loss):
    return sum(function.traces for function in functions_of(loss))


def repeat(call, times=compiled.COMPILING_CALL + 1):
    return [call() for _ in range(times)]
