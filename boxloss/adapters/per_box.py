"""The errors of n pairs of boxes, by any loss, in somebody else's PyTorch program."""

import os
import sys
from collections.abc import Sequence
from typing import Any

# Losses that measure in units of the boxes have no default that fits boxes in shares of the image.
ABSOLUTE = ("nwd",)


def use_torch() -> None:
    """Take the PyTorch backend; ImportError where Keras already runs on another one."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    from boxloss.tensors import ops

    if ops.backend() != "torch":
        raise ImportError(
            "`KERAS_BACKEND` must be torch for a PyTorch detector, before Keras is imported. "
            f"Received: {ops.backend()}"
        )


class PerBoxErrors:
    """`measure(true, pred)`: the errors (n,) of boxes (n, 4), or (n, 5) with an angle.

    Args:
        loss: a name or a loss object. Format, reductions, normalizer and mining of an object give
            way to the detector's own. "wiou" and "ghm_r" by name get a state that moves.
        kinds: the kinds of losses that the seam can take.
        box_format: in which the detector writes its boxes.
        image_shape: (height, width), for a relative format and for losses that need one.
        encoded: a loss of coordinates measures the four numbers as they are.

    Attributes: loss: the loss as it is used. kind, name: its own. is_coordinate: whether it
    measures coordinates one by one. calls: how often it was asked. state: of WIoU and GHM-R.
    """

    def __init__(
        self,
        loss: Any,
        *,
        kinds: Sequence[str] = ("box",),
        box_format: str = "xyxy",
        image_shape: Sequence[float] | None = None,
        encoded: bool = True,
    ) -> None:
        use_torch()
        from boxloss.losses.coordinate import CoordinateLoss

        given = _loss_of(loss, kinds, box_format, image_shape)
        self.is_coordinate = isinstance(given, CoordinateLoss)
        self.kind, self.name = given.kind, given.name
        wanted: dict[str, Any] = {"normalizer": "image", "mining": None}
        wanted |= {"box_reduction": "none", "reduction": "none"}
        if self.kind == "box":
            wanted |= {"bounding_box_format": box_format}
            if image_shape is not None:
                wanted["image_shape"] = image_shape
        if self.is_coordinate and encoded:
            wanted["coordinate_format"] = "encoded"
        self.loss = _adapted(given, wanted)
        self.state = getattr(self.loss, "state", None)
        self.calls = 0

    def __call__(self, true: Any, pred: Any, image_shape: Any = None) -> Any:
        """Torch tensors (n, 4) or (n, 5) to the errors (n,), float32.

        States move in training only: where no gradient is asked for, they stay.
        """
        import keras
        import torch

        self.calls += 1
        if not len(pred):
            return pred.sum(-1)  # (0,), and still in the graph
        # Keras would move the boxes to its own default device, which need not be the model's.
        with keras.device(str(pred.device)):
            true, pred = true[None], pred[None]
            if torch.is_grad_enabled() and pred.requires_grad:
                return self.loss(true, pred, image_shape=image_shape)[0]
            return self.loss.tensors(true, pred, image_shape=image_shape).box_errors[0]


def _loss_of(loss, kinds, box_format, image_shape):
    """A loss object of one of `kinds`."""
    from boxloss import losses
    from boxloss.tensors import checks

    if not isinstance(loss, str):
        if not isinstance(loss, losses.TensorLoss) or loss.kind not in kinds:
            wanted = " or ".join(map(repr, kinds))
            raise ValueError(
                f"`loss` must be a loss of kind {wanted}, or the name of one. "
                f"Received: loss={loss!r}"
            )
        return loss
    name = checks.one_of("loss", loss, [n for kind in kinds for n in losses.names(kind)])
    relative = box_format.startswith("rel_")
    if name in ABSOLUTE and relative and image_shape is None:
        raise ValueError(
            "`image_shape` must be (height, width) for a loss in pixels where the detector's boxes "
            f"are shares of the image. Received: loss={name!r}, image_shape=None"
        )
    arguments = {
        "wiou": lambda: {"running_mean": losses.RunningMean()},
        "ghm_r": lambda: {"momentum": 0.9, "histogram": losses.GradientHistogram()},
        "mpdiou": lambda: {"bounding_box_format": box_format, "image_shape": image_shape},
    }
    return losses.get(name, **arguments.get(name, dict)())


def _adapted(loss, wanted):
    """The loss with the arguments `wanted`, its states and those of its members shared."""
    from boxloss.losses import LossState, WeightedSum

    config = loss.get_config()
    for name in config:
        value = getattr(loss, name, None)
        if isinstance(value, LossState):
            config[name] = value  # its configuration would make another one, which nothing moves
    if isinstance(loss, WeightedSum):
        config["losses"] = [(_adapted(member, wanted), weight) for member, weight in loss.losses]
    return type(loss).from_config({**config, **wanted})
