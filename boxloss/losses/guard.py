"""Warnings about boxes and labels that can hardly be what was meant.

Only in eager mode, and only at the first calls of each loss, on a part of the boxes: whatever is
compiled pays nothing. A loss warns of each matter once.
"""

import warnings
import weakref

import numpy as np

from boxloss.tensors import boxes, ops

CALLS_LOOKED_AT = 3  # calls of a loss that are looked at
BOXES_LOOKED_AT = 256  # boxes of a call
BOXES_NEEDED = 8  # real boxes from which anything is said

# Weak: looking at a loss must not keep it alive. Not an attribute: that would be copied and saved.
_LOOKED: weakref.WeakKeyDictionary = (
    weakref.WeakKeyDictionary()
)  # loss -> [looks, matters warned of]


def look(loss, y_true, y_pred, mask=None):
    """Warn of the boxes (B, N, 4), in the format of `loss`, if they are real numbers by now."""
    if not _may_look(loss, y_true, y_pred, mask):
        return
    true, pred = (_flat(x, 4) for x in (y_true, y_pred))
    real = np.isfinite(true).all(-1) & np.isfinite(pred).all(-1) & (true != -1).any(-1)
    if mask is not None:
        real &= _flat(mask, 1)[:, 0].astype(bool)
    # Only what will be counted is judged: padding may hold anything.
    true, pred = true[real], pred[real]
    zeros = int((true == 0).all(-1).sum())
    if zeros:
        _warn(
            loss,
            "zeros",
            f"`y_true` has rows of zeros ({zeros} of {len(true)}), which count as real boxes: pad "
            "with -1 (`padded_batch(..., padding_values=-1.0)` in tf.data), or give a mask",
        )
    # Shares of a handful of boxes mean nothing: one odd box of three would be a third.
    if len(true) < BOXES_NEEDED:
        return
    for matter, message in _matters(loss.bounding_box_format, true, pred):
        _warn(loss, matter, message)


def look_at_labels(loss, labels, background, mask=None):
    """Warn of labels (B, N) that are no class, if they are real numbers by now."""
    if not _may_look(loss, labels, mask):
        return
    label = _flat(labels, 1)[:, 0]
    wrong = (label != -1) & ~((label >= 0) & (label <= background))
    if mask is not None:
        wrong &= _flat(mask, 1)[:, 0].astype(bool)
    if wrong.any():
        _warn(
            loss,
            "labels",
            f"`y_true` must hold labels from 0 to {background - 1}, {background} for background or "
            f"-1 for padding: {label[wrong][0]:g} is none of them, and its cost means nothing",
        )


def _may_look(loss, *tensors):
    """True at the first calls with real numbers."""
    if ops.traced_by_torch():  # which cannot follow what is below, see `TensorLoss._compiled`
        return False
    seen = _LOOKED.setdefault(loss, [0, set()])
    if seen[0] >= CALLS_LOOKED_AT or not all(map(_is_eager, tensors)):
        return False
    # Counted even if nothing is found, so that a long eager loop is checked at its start only.
    seen[0] += 1
    return True


def _warn(loss, matter, message):
    """Once a matter."""
    warned = _LOOKED[loss][1]
    if matter not in warned:
        warned.add(matter)
        warnings.warn(f"{type(loss).__name__}: {message}", stacklevel=6)


def _is_eager(x):
    if x is None:
        return True
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        return tf.executing_eagerly() and hasattr(x, "numpy")
    if ops.backend() == "jax":
        import jax

        return not isinstance(x, jax.core.Tracer)
    import torch

    # Inside a torch.func transform a tensor has no numbers of its own.
    wrapped = isinstance(x, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(x)
    return not wrapped


def _flat(x, size):
    """(at most BOXES_LOOKED_AT, size) float64 numpy."""
    x = ops.reshape(x, (-1, size))[:BOXES_LOOKED_AT]
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")), "float64")


def _matters(box_format, true, pred):
    """(name, message) of whatever looks wrong."""
    for name, x in (("y_true", true), ("y_pred", pred)):
        inverted = _inverted_share(x, box_format)
        # Offsets and logarithms of ratios are about 0, of both signs.
        if np.abs(x).max() <= 10 and (x < 0).mean() >= 0.2 and inverted >= 0.2:
            yield (
                f"deltas {name}",
                f"`{name}` looks like encoded deltas (small numbers of both signs), where boxes in "
                f"bounding_box_format={box_format!r} are expected: decode them first, as "
                "boxloss.DecodedBoxLoss does",
            )
        elif inverted > 0.5:
            yield (
                f"inverted {name}",
                f"`{name}` is mostly inverted (x2 < x1 or y2 < y1 in {inverted:.0%} of "
                f"the boxes): is bounding_box_format={box_format!r} the format of the boxes?",
            )
    if not boxes.is_relative(box_format) and true.min() >= 0 and true.max() <= 1:
        yield (
            "relative",
            "`y_true` looks relative to the image (all numbers are in [0, 1]), but "
            f"bounding_box_format={box_format!r} is in pixels: if it is relative, give "
            "a format 'rel_...'",
        )


def _inverted_share(x, box_format):
    kind = box_format.removeprefix("rel_")
    sides = x[:, 2:] if "w" in kind else x[:, 2:] - x[:, :2]
    return (sides < 0).any(-1).mean()
