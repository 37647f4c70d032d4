"""Training: assign, measure, step; checkpoints, histories and evaluation around Keras' `fit`.

`Options` and the recipe need no Keras, so that the commands can check theirs at once; everything
else comes with the first use of its name.
"""

from typing import TYPE_CHECKING

from boxloss._lazy import on_first_use
from boxloss.training.options import Options
from boxloss.training.recipe import Recipe, recommend
from boxloss.training.statistics import DataStatistics

if TYPE_CHECKING:
    from boxloss.training.criterion import Costs, Criterion, box_loss, measuring_loss
    from boxloss.training.model import TrainingModel
    from boxloss.training.optimizer import FlatAdam
    from boxloss.training.progress import Interrupted, NonFiniteLoss
    from boxloss.training.run import evaluate, train
else:
    # A checker that saw this function would take every name for one of the package.
    __getattr__ = on_first_use(
        __name__,
        {
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
        },
    )

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
