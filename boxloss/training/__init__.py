"""Training: assign, measure, step; checkpoints, histories and evaluation around Keras' `fit`.

`Options` and the recipe need no Keras, so that the commands can check theirs at once; everything
else comes with the first use of its name.
"""

import importlib
from typing import TYPE_CHECKING

from boxloss.training.options import Options
from boxloss.training.recipe import Recipe, recommend
from boxloss.training.statistics import DataStatistics

if TYPE_CHECKING:
    from boxloss.training.criterion import Costs, Criterion, box_loss, measuring_loss
    from boxloss.training.model import TrainingModel
    from boxloss.training.optimizer import FlatAdam
    from boxloss.training.progress import Interrupted, NonFiniteLoss
    from boxloss.training.run import evaluate, train

_HOMES = {
    "Costs": "criterion",
    "Criterion": "criterion",
    "FlatAdam": "optimizer",
    "Interrupted": "progress",
    "NonFiniteLoss": "progress",
    "TrainingModel": "model",
    "box_loss": "criterion",
    "evaluate": "run",
    "measuring_loss": "criterion",
    "train": "run",
}

__all__ = [
    "Costs",
    "Criterion",
    "DataStatistics",
    "FlatAdam",
    "Interrupted",
    "NonFiniteLoss",
    "Options",
    "Recipe",
    "TrainingModel",
    "box_loss",
    "evaluate",
    "measuring_loss",
    "recommend",
    "train",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"boxloss.training.{_HOMES[name]}")
    value = globals()[name] = getattr(home, name)
    return value
