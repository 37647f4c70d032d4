"""Box-regression losses for object detection that keep every level of the cost.

    loss = boxloss.CIoULoss(bounding_box_format="xywh")
    value = loss(y_true, y_pred)            # a scalar, as in Keras
    tensors = loss.tensors(y_true, y_pred)  # and every level on the way to it

Data sets, detectors and reports are imported at their first use: `import boxloss` alone needs numpy
and Keras.
"""

import importlib

from boxloss import functional, losses
from boxloss.losses import *  # noqa: F403 - the loss classes, as `losses.__all__` lists them
from boxloss.losses import get, names
from boxloss.mining import FocalWeighting, HardestBoxes, HardestImages

__version__ = "0.1.0"

_LAZY = {
    "BoxReport": "boxloss.report",
    "load_detector": "boxloss.detector",
}
_MODULES = (
    "adapters",
    "assignment",
    "audit",
    "callbacks",
    "coders",
    "compat",
    "datasets",
    "detector",
    "drawing",
    "evaluation",
    "explorer",
    "metrics",
    "noise",
    "report",
    "simulation",
    "training",
)

__all__ = [
    "FocalWeighting",
    "HardestBoxes",
    "HardestImages",
    "functional",
    "get",
    "losses",
    "names",
    *losses.__all__,
    *_LAZY,
]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"boxloss.{name}")
    raise AttributeError(f"module 'boxloss' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_MODULES})
