"""`keras.ops` for JAX and PyTorch, without its narrowing of float64 to float32.

Keras' dtype rules know 64 bits on TensorFlow only: some operations give float32 for float64 on the
other backends, and `clip` rounds its bounds to float32 on PyTorch. For float64 those are taken from
the backend itself here; all else is keras.ops.
"""

import keras
from keras import ops as _keras_ops

if keras.config.backend() == "torch":
    import torch as _library
else:
    import jax.numpy as _library

NARROWING = (
    "arctan2",
    "ceil",
    "clip",
    "cos",
    "floor",
    "maximum",
    "minimum",
    "sin",
)


def _is_float64(x):
    return str(getattr(x, "dtype", None)).removeprefix("torch.") == "float64"


def _wide(name):
    usual, own = getattr(_keras_ops, name), getattr(_library, name)

    def operation(*tensors):
        # Numbers among the arguments become float64 too: 0.1 rounded to float32 is another number.
        if any(map(_is_float64, tensors)):
            return own(*(_keras_ops.convert_to_tensor(x, dtype="float64") for x in tensors))
        return usual(*tensors)

    operation.__name__ = operation.__qualname__ = name
    return operation


globals().update({name: _wide(name) for name in NARROWING})


def __getattr__(name):
    return getattr(_keras_ops, name)
