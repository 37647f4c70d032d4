"""The tensor operations that the mathematics of boxloss is written in.

On Keras 3 this module *is* `keras.ops` (TensorFlow, JAX, PyTorch): every name is looked up there
(through `ops_float64` on JAX and PyTorch, so that float64 stays what it is).
On Keras 2, where TensorFlow Addons lives, the same names come from `ops_tensorflow`. Below stand
only the few operations that no library offers, or that differ between backends at the points where
a box loss has its kinks.
"""

import keras

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3

if not KERAS_3:
    from boxloss import ops_tensorflow as _ops
elif keras.config.backend() in ("jax", "torch"):
    from boxloss import ops_float64 as _ops
else:
    from keras import ops as _ops


def backend():
    """ "tensorflow", "jax", "torch" (or another Keras backend)."""
    return keras.config.backend() if KERAS_3 else "tensorflow"


def __getattr__(name):
    try:
        operation = getattr(_ops, name)
    except AttributeError:
        raise AttributeError(f"module 'boxloss.ops' has no attribute {name!r}") from None
    globals()[name] = operation
    return operation


def dtype_name(x):
    """The dtype of a tensor or array as a string, "float32" and the like."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return "float32"
    name = getattr(dtype, "name", None) or str(dtype)
    return name.removeprefix("torch.")


def static_shape(x):
    """The shape as a tuple; None where a graph does not know a dimension."""
    return tuple(x.shape)


# Ties --------------------------------------------------------------------------------------------
# TensorFlow gives the whole gradient of maximum(a, b) at a == b to `a`; JAX and PyTorch split it.
# An exact match is a tie on all four sides: only the even split makes its gradient 0.


def even_maximum(a, b):
    """max(a, b) whose gradient is split evenly where a == b, on every backend."""
    if backend() == "tensorflow":
        return _ops.where(_ops.equal(a, b), 0.5 * (a + b), _ops.maximum(a, b))
    return _ops.maximum(a, b)


def even_minimum(a, b):
    """min(a, b) whose gradient is split evenly where a == b, on every backend."""
    if backend() == "tensorflow":
        return _ops.where(_ops.equal(a, b), 0.5 * (a + b), _ops.minimum(a, b))
    return _ops.minimum(a, b)


def even_relu(x):
    """max(x, 0) with gradient 1/2 at 0, where the backends say 0, 1/2 or 1."""
    return even_maximum(x, _ops.zeros_like(x))


def even_abs(x):
    """|x| with gradient 0 at 0 (JAX says 1)."""
    return x * _ops.stop_gradient(_ops.sign(x))


# Division and powers -----------------------------------------------------------------------------


def divide_or(a, b, otherwise):
    """a / b where b > 0; the constant `otherwise`, without gradient, where b <= 0.

    The guard asks for b <= 0, never for b > 0: a NaN in a real box must not be hidden.
    """
    bad = _ops.less_equal(b, _ops.zeros_like(b))
    safe = _ops.where(bad, _ops.ones_like(b), b)
    return _ops.where(bad, _ops.ones_like(b) * otherwise, a / safe)


def safe_sqrt(x):
    """sqrt(x) where x > 0; 0 without gradient, which would be infinite, where x <= 0."""
    bad = _ops.less_equal(x, _ops.zeros_like(x))
    return _ops.where(bad, _ops.zeros_like(x), _ops.sqrt(_ops.where(bad, _ops.ones_like(x), x)))


def safe_power(x, exponent):
    """x ** exponent where x > 0; 0 without gradient where x <= 0."""
    bad = _ops.less_equal(x, _ops.zeros_like(x))
    powered = _ops.power(_ops.where(bad, _ops.ones_like(x), x), exponent)
    return _ops.where(bad, _ops.zeros_like(x), powered)


# Precision ---------------------------------------------------------------------------------------

FLOAT16_MAX = 65504.0


def _widen_float16(x):
    """float16 to float32; the gradient saturates where float16 cannot hold it (instead of inf)."""

    def gradient(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        return _ops.cast(_ops.clip(upstream, -FLOAT16_MAX, FLOAT16_MAX), "float16")

    return _ops.cast(x, "float32"), gradient


def widen(x, dtype):
    """`x` as a tensor of `dtype` ("float32" or "float64"), in which all arithmetic is done."""
    x = _ops.convert_to_tensor(x)
    name = dtype_name(x)
    if name == "float16":
        x = _ops.custom_gradient(_widen_float16)(x)
        name = "float32"
    return x if name == dtype else _ops.cast(x, dtype)


def arithmetic_dtype(*tensors, dtype=None):
    """float64 if all `tensors` and `dtype` (if given) are float64, else float32: never lower."""
    wide = all(dtype_name(x) == "float64" for x in tensors)
    if dtype is not None:
        wide = wide and dtype == "float64"
    return "float64" if wide else "float32"


# Replicas ----------------------------------------------------------------------------------------


def replica_context():
    """The tf.distribute replica context when several replicas run in step, else None.

    On JAX arrays are global, on PyTorch one process is one replica here: both give None.
    """
    if backend() != "tensorflow":
        return None
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return None
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def all_replicas_sum(x):
    """The sum of `x` over all replicas: `x` itself where there is only one."""
    context = replica_context()
    return x if context is None else context.all_reduce("SUM", x)


def replica_count():
    context = replica_context()
    return 1 if context is None else context.num_replicas_in_sync
