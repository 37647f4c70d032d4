"""Box-regression losses for object detection that keep every level of the cost.

    loss = boxloss.CIoULoss(bounding_box_format="xywh")
    value = loss(y_true, y_pred)            # a scalar, as in Keras
    tensors = loss.tensors(y_true, y_pred)  # and every level on the way to it

`import boxloss` alone imports nothing else. Keras comes with the first use of a loss (Keras in turn
imports OpenCV and matplotlib where they are installed); data sets, detectors and reports come with
theirs. Where KERAS_BACKEND is not set, Keras gets the first backend that is installed: TensorFlow,
JAX, PyTorch.
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxloss import functional, losses
    from boxloss.detector import load_detector as load_detector
    from boxloss.losses import *  # noqa: F403 - the loss classes, as `losses.__all__` lists them
    from boxloss.losses import get, names
    from boxloss.losses.mining import FocalWeighting as FocalWeighting
    from boxloss.losses.mining import HardestBoxes as HardestBoxes
    from boxloss.losses.mining import HardestImages as HardestImages
    from boxloss.report import BoxReport as BoxReport

__version__ = "0.1.0"

_HOMES = {
    "BoxReport": "report",
    "FocalWeighting": "losses.mining",
    "HardestBoxes": "losses.mining",
    "HardestImages": "losses.mining",
    "load_detector": "detector",
}
_MODULES = frozenset(
    "adapters assignment audit callbacks cli coders compat datasets detector evaluation files "
    "functional losses metrics report simulation tensors training types".split()
)
# Modules that moved into a folder keep the names by which programs import them.
_MOVED = {
    "boxes": "tensors.boxes",
    "checks": "tensors.checks",
    "drawing": "report.drawing",
    "explorer": "report.page",
    "mining": "losses.mining",
    "noise": "datasets.noise",
    "ops": "tensors.ops",
    "reduction": "losses.reduction",
}

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
    if name in _MODULES or name in _MOVED:
        return importlib.import_module(f"boxloss.{_MOVED.get(name, name)}")
    if not name.startswith("_"):
        # Whatever else is public is a loss class, or the registry's `get` and `names`.
        home = importlib.import_module(f"boxloss.{_HOMES.get(name, 'losses')}")
        if name in _HOMES or name in home.__all__:
            value = globals()[name] = getattr(home, name)
            return value
    raise AttributeError(f"module 'boxloss' has no attribute {name!r}")


def __dir__():
    losses = importlib.import_module("boxloss.losses")
    return sorted({*globals(), *__all__, *_MODULES, *_MOVED, *losses.__all__})


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `boxloss.mining` and the other names of `_MOVED` from where they are now."""

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package != "boxloss" or module not in _MOVED:
            return None
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        module = importlib.import_module(f"boxloss.{_MOVED[spec.name.partition('.')[2]]}")
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module):
        # The module ran when it was imported under its new name. The import machinery has just
        # replaced its spec by that of the old name, which `importlib.reload` would follow.
        module.__spec__ = self.own_spec


def _choose_backend():
    """Set KERAS_BACKEND to a backend that is installed, where Keras would take a missing one.

    Keras takes TensorFlow unless KERAS_BACKEND or its own keras.json says otherwise, and cannot be
    imported where that one is missing. What is set in the environment is never changed.
    """
    if os.environ.get("KERAS_BACKEND"):
        return
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            configured = json.load(file)["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        configured = "tensorflow"
    for backend in (configured, "tensorflow", "jax", "torch"):
        if isinstance(backend, str) and importlib.util.find_spec(backend) is not None:
            if backend != configured:
                os.environ["KERAS_BACKEND"] = backend
            return


class _WithKeras(importlib.abc.MetaPathFinder):
    """Registers the losses as soon as Keras is there, so that its `load_model` knows them."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        _choose_backend()
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                # While `tensors.ops` itself brings Keras, the losses cannot be built yet; they
                # come with whatever wanted the operations.
                if "boxloss.tensors.ops" not in sys.modules:
                    importlib.import_module("boxloss.losses")

            spec.loader.exec_module = execute_and_register
        return spec


sys.meta_path.insert(0, _OldNames())
if "keras" in sys.modules:
    importlib.import_module("boxloss.losses")
else:
    sys.meta_path.insert(0, _WithKeras())
