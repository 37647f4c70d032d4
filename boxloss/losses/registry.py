"""The registry of losses: `@register` fills it, `get(name, **arguments)` and `names()` read it."""

from typing import Any, TypeVar

import keras

from boxloss.losses.base import TensorLoss
from boxloss.tensors import checks

__all__ = ["KINDS", "get", "names"]

Loss = TypeVar("Loss", bound=type[TensorLoss])
KINDS = ("box", "uncertainty", "distribution", "rotated", "box3d", "class")
_BY_NAME: dict[str, type[TensorLoss]] = {}


def register(cls: Loss) -> Loss:
    """Make a loss class known by its `name`, here and to Keras, which saves and loads it."""
    _BY_NAME[str(cls.name)] = cls
    return keras.saving.register_keras_serializable(package="boxloss")(cls)


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

    >>> boxloss.get("ciou", bounding_box_format="xywh")
    """
    return _BY_NAME[checks.one_of("name", name, _BY_NAME)](**arguments)
