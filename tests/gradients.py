"""Value and gradient of a function on whatever backend Keras runs on."""

import numpy as np

from boxloss.tensors import ops


def as_tensor(array, dtype=None):
    """A backend tensor, of a low-precision dtype too where it is named."""
    tensor = ops.convert_to_tensor(np.asarray(array))
    return tensor if dtype is None else ops.cast(tensor, dtype)


def as_numpy(tensor):
    """float64 numpy, also from bfloat16."""
    if tensor is None:
        return None
    if ops.dtype_name(tensor) in ("bfloat16", "float16"):
        tensor = ops.cast(tensor, "float32")
    return np.asarray(ops.convert_to_numpy(tensor)).astype("float64")


def value_and_gradient(function, x, dtype=None):
    """`function(x)` and the gradient of its sum with respect to `x`, as float64 numpy arrays."""
    x = as_tensor(x, dtype)
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
            total = tf.reduce_sum(value)
        gradient = tape.gradient(total, x)
        gradient = tf.zeros_like(x) if gradient is None else gradient
    elif ops.backend() == "jax":
        import jax

        def total(x):
            value = function(x)
            return value.sum(), value

        gradient, value = jax.grad(total, has_aux=True)(x)
    else:
        import torch

        x = x.detach().clone().requires_grad_(True)
        value = function(x)
        total = value.sum()
        if total.requires_grad:
            total.backward()
        gradient = torch.zeros_like(x) if x.grad is None else x.grad
        value = value.detach()
    return as_numpy(value), as_numpy(gradient)
