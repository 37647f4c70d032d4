"""Box-regression losses for object detection that keep every level of the cost.

    loss = boxloss.CIoULoss(bounding_box_format="xywh")
    value = loss(y_true, y_pred)            # a scalar, as in Keras
    tensors = loss.tensors(y_true, y_pred)  # and every level on the way to it

`import boxloss` alone imports nothing else. Keras comes with the first use of a loss (Keras in turn
imports OpenCV and matplotlib where they are installed); data sets, detectors and reports come with
theirs.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxloss import functional, losses
    from boxloss.detector import load_detector as load_detector
    from boxloss.losses import *  # noqa: F403 - the loss classes, as `losses.__all__` lists them
    from boxloss.losses import get, names
    from boxloss.mining import FocalWeighting as FocalWeighting
    from boxloss.mining import HardestBoxes as HardestBoxes
    from boxloss.mining import HardestImages as HardestImages
    from boxloss.report import BoxReport as BoxReport

__version__ = "0.1.0"

_HOMES = {
    "BoxReport": "report",
    "FocalWeighting": "mining",
    "HardestBoxes": "mining",
    "HardestImages": "mining",
    "load_detector": "detector",
}
_MODULES = frozenset(
    "adapters assignment audit boxes callbacks checks cli coders compat compiled datasets detector "
    "drawing evaluation explorer files functional losses metrics mining noise one_loop ops "
    "ops_float64 ops_tensorflow reduction report simulation training types".split()
)

__all__ = [
    "BoxReport",
    "FocalWeighting",
    "HardestBoxes",
    "HardestImages",
    "functional",
    "get",
    "load_detector",
    "losses",
    "names",
]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"boxloss.{name}")
    if not name.startswith("_"):
        # Whatever else is public is a loss class, or the registry's `get` and `names`.
        home = importlib.import_module(f"boxloss.{_HOMES.get(name, 'losses')}")
        if name in _HOMES or name in home.__all__:
            value = globals()[name] = getattr(home, name)
            return value
    raise AttributeError(f"module 'boxloss' has no attribute {name!r}")


def __dir__():
    losses = importlib.import_module("boxloss.losses")
    return sorted({*globals(), *__all__, *_MODULES, *losses.__all__})


class _WithKeras(importlib.abc.MetaPathFinder):
    """Registers the losses as soon as Keras is there, so that its `load_model` knows them."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                # While `boxloss.ops` itself brings Keras, the losses cannot be built yet; they come
                # with whatever wanted the operations.
                if "boxloss.ops" not in sys.modules:
                    importlib.import_module("boxloss.losses")

            spec.loader.exec_module = execute_and_register
        return spec


if "keras" in sys.modules:
    importlib.import_module("boxloss.losses")
else:
    sys.meta_path.insert(0, _WithKeras())
