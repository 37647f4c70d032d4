"""What Keras saves of an object: its arguments, by the signature of its class."""

import inspect
from typing import Any

import keras
import numpy as np

from boxloss.tensors import ops
from boxloss.types import Config


def config_of(instance: Any, kind: type | None = None) -> Config:
    """Every argument of the constructor, from the attribute of the same name.

    A class that keeps an argument elsewhere adds it in a `get_config` of its own. kind: a class of
    the instance whose constructor is meant, its own where not given.
    """
    names = inspect.signature(kind or type(instance)).parameters
    return {name: saved(getattr(instance, name)) for name in names if hasattr(instance, name)}


def saved(value: Any) -> Any:
    """The value of an argument as a configuration holds it."""
    # A WeightedSum holds a list of losses, each of which is an object of its own.
    if isinstance(value, (list, tuple)):
        return type(value)(map(saved, value))
    if hasattr(value, "shape"):
        return np.asarray(ops.convert_to_numpy(value)).tolist()
    return keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value


def restored(value: Any) -> Any:
    """The object that a configuration describes; anything else as it was given."""
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
