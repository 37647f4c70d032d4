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

__version__ = "0.2.0"

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

if TYPE_CHECKING:
    # What is below is read by checkers and editors alone: every name, and no other.
    from boxloss import adapters as adapters
    from boxloss import assignment as assignment
    from boxloss import audit as audit
    from boxloss import callbacks as callbacks
    from boxloss import cli as cli
    from boxloss import coders as coders
    from boxloss import compat as compat
    from boxloss import datasets as datasets
    from boxloss import detector as detector
    from boxloss import evaluation as evaluation
    from boxloss import files as files
    from boxloss import functional as functional
    from boxloss import losses as losses
    from boxloss import metrics as metrics
    from boxloss import report as report
    from boxloss import simulation as simulation
    from boxloss import tensors as tensors
    from boxloss import training as training
    from boxloss import types as types
    from boxloss.datasets import noise as noise
    from boxloss.detector import load_detector as load_detector
    from boxloss.losses import *  # noqa: F403 - the loss classes, as `losses.__all__` lists them
    from boxloss.losses import mining as mining
    from boxloss.losses import reduction as reduction
    from boxloss.losses.mining import FocalWeighting as FocalWeighting
    from boxloss.losses.mining import HardestBoxes as HardestBoxes
    from boxloss.losses.mining import HardestImages as HardestImages
    from boxloss.report import BoxReport as BoxReport
    from boxloss.report import drawing as drawing
    from boxloss.report import page as explorer  # noqa: F401 - its old name
    from boxloss.tensors import boxes as boxes
    from boxloss.tensors import checks as checks
    from boxloss.tensors import ops as ops

    __all__ = [
        "BoxReport",
        "FocalWeighting",
        "HardestBoxes",
        "HardestImages",
        "functional",
        "load_detector",
        "losses",
    ]
    __all__ += losses.__all__
else:
    # A checker that saw this function would take every name for one of boxloss.
    def __getattr__(name):
        if name in _MODULES or name in _MOVED:
            return importlib.import_module(f"boxloss.{_MOVED.get(name, name)}")
        if name == "__all__":
            return sorted({*_HOMES, "functional", "losses", *_loss_names()})
        if not name.startswith("_") and (name in _HOMES or name in _loss_names()):
            home = importlib.import_module(f"boxloss.{_HOMES.get(name, 'losses')}")
            value = globals()[name] = getattr(home, name)
            return value
        raise AttributeError(f"module 'boxloss' has no attribute {name!r}")


def _loss_names():
    return importlib.import_module("boxloss.losses").__all__


def __dir__():
    return sorted({*globals(), *_HOMES, *_MODULES, *_MOVED, *_loss_names()})


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
