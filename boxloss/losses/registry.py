"""The registry of losses: `@register` fills it, `get(name, **arguments)` and `names()` read it."""

import re
from typing import Any, TypeVar

import keras

from boxloss.losses import documentation
from boxloss.losses.base import TensorLoss
from boxloss.tensors import checks

__all__ = ["KINDS", "box_loss", "get", "names"]

Loss = TypeVar("Loss", bound=type[TensorLoss])
KINDS = ("box", "uncertainty", "distribution", "rotated", "box3d", "class")
# What other libraries and papers call some of them, in small letters and without `loss` at the end.
OTHER_NAMES = {
    "generalizediou": "giou",
    "distanceiou": "diou",
    "completeiou": "ciou",
    "efficientiou": "eiou",
    "scyllaiou": "siou",
    "wiseiou": "wiou",
    "wiouv3": "wiou",
    "powerfuliou": "piou",
    "boundediou": "bounded_iou",
    "focalereiou": "focal_eiou",
    "normalizedwasserstein": "nwd",
    "mae": "l1",
    "absoluteerror": "l1",
    "mse": "l2",
    "squarederror": "l2",
    "logcosh": "log_cosh",
    "ghmr": "ghm_r",
    "distributionfocal": "dfl",
    "focal": "sigmoid_focal",
    "qfl": "quality_focal",
    "vfl": "varifocal",
    "crossentropy": "softmax",
    "softmaxcrossentropy": "softmax",
}
# Filled by the decorator when the file of a class is imported, so that files of losses that need
# other losses (modifiers, sums) find them here without importing the whole package in a circle.
_BY_NAME: dict[str, type[TensorLoss]] = {}


def register(cls: Loss) -> Loss:
    """Make a loss class known by its `name`, here and to Keras, and its docstring complete."""
    _BY_NAME[str(cls.name)] = cls
    # Under "boxloss>CIoULoss" in saved models, whatever file the class is in: files may move.
    register_with_keras = keras.saving.register_keras_serializable(package="boxloss")
    return register_with_keras(documentation.complete(cls))


def registered() -> tuple[type[TensorLoss], ...]:
    """All classes, in the order in which their files were imported."""
    return tuple(_BY_NAME.values())


def names(kind: str | None = None) -> list[str]:
    """The names of all losses, or of one kind, sorted."""
    if kind is not None:
        checks.one_of("kind", kind, KINDS)
    return sorted(name for name, loss in _BY_NAME.items() if kind in (None, loss.kind))


def get(name: str, /, **arguments: Any) -> TensorLoss:
    """The loss called `name`, with its arguments; a misspelt name gets a near match.

    Names of other libraries are understood: the class ("CIoULoss"), the function ("giou_loss"), and
    those of `OTHER_NAMES`.

    >>> boxloss.get("ciou", bounding_box_format="xywh")
    """
    return _BY_NAME[checks.one_of("name", known_name(name), _BY_NAME)](**arguments)


def box_loss(loss: Any, *, bounding_box_format: str | None = None) -> Any:
    """A loss of kind "box", from its name or as the object that is given.

    With a `bounding_box_format`, a loss that is named has it and an object must have it.
    """
    wanted = {} if bounding_box_format is None else {"bounding_box_format": bounding_box_format}
    if isinstance(loss, str):
        return get(checks.one_of("loss", known_name(loss), names("box")), **wanted)
    has_format = all(getattr(loss, name, None) == value for name, value in wanted.items())
    if getattr(loss, "kind", None) != "box" or not has_format:
        rule = "".join(f" with {name}={value!r}" for name, value in wanted.items())
        raise ValueError(
            f"`loss` must be a name or a loss of kind 'box'{rule}. Received: loss={loss!r}"
        )
    return loss


def known_name(name: Any) -> Any:
    """The registry's name of a loss that is called otherwise elsewhere; else `name` as it is."""
    if not isinstance(name, str) or name in _BY_NAME:
        return name
    short = _short(name)
    found = {_short(own): own for own in _BY_NAME}
    found |= {_short(cls.__name__): own for own, cls in _BY_NAME.items()}
    return found.get(short) or OTHER_NAMES.get(short, name)


def _short(name):
    return re.sub("[^a-z0-9]", "", name.lower()).removesuffix("loss")
