"""Training: assign, measure, step; checkpoints, histories and evaluation around Keras' `fit`."""

from boxloss.training.criterion import Costs, Criterion, box_loss, measuring_loss
from boxloss.training.model import TrainingModel
from boxloss.training.optimizer import FlatAdam
from boxloss.training.options import Options
from boxloss.training.progress import Interrupted, NonFiniteLoss
from boxloss.training.run import evaluate, train

__all__ = [
    "Costs",
    "Criterion",
    "FlatAdam",
    "Interrupted",
    "NonFiniteLoss",
    "Options",
    "TrainingModel",
    "box_loss",
    "evaluate",
    "measuring_loss",
    "train",
]
