"""The tensor operations that the mathematics of boxloss is written in.

On Keras 3 this module *is* `keras.ops` (TensorFlow, JAX, PyTorch): every name is looked up there
(through `float64` on JAX and PyTorch, so that float64 stays what it is). On Keras 2, beside
TensorFlow Addons, the same names come from `keras2`. This file itself has only the few operations
that no library offers, or that differ between backends at the points where a box loss has its
kinks.
"""

import builtins
import math
from typing import Any

import keras

from boxloss.tensors import tapes

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3

_ops: Any  # the library of operations
if not KERAS_3:
    from boxloss.tensors import keras2 as _ops
elif keras.config.backend() in ("jax", "torch"):
    from boxloss.tensors import float64 as _ops
else:
    _ops = keras.ops


def backend():
    """ "tensorflow", "jax", "torch" (or another Keras backend)."""
    return keras.config.backend() if KERAS_3 else "tensorflow"


def __getattr__(name):
    try:
        operation = getattr(_ops, name)
    except AttributeError:
        raise AttributeError(f"module 'boxloss.tensors.ops' has no attribute {name!r}") from None
    # What was found once is kept as a name of this module, so that the next access is a plain
    # attribute: `__getattr__` would be called for each of the fifty operations of a formula.
    if not hasattr(builtins, name):  # `ops.all` must not become what this file calls `all`
        globals()[name] = operation
    return operation


def traced_by_torch():
    """Whether someone's torch.compile is following the code that is being run."""
    if backend() != "torch":
        return False
    import torch

    return torch.compiler.is_compiling()


def dtype_name(x):
    """The dtype of a tensor or array as a string, "float32" and the like."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return "float32"
    name = getattr(dtype, "name", None) or str(dtype)
    return name.removeprefix("torch.")


def unstack(x, num=None, axis=0):
    """As in Keras, for arrays as well: PyTorch's takes tensors only."""
    return _ops.unstack(_ops.convert_to_tensor(x), num, axis=axis)


def numpy_of(variable):
    """The value of a variable as a numpy array, also of one that several devices hold."""
    return _ops.convert_to_numpy(_ops.convert_to_tensor(variable))


def stop_gradient(x):
    """As in Keras, for arrays as well."""
    return _ops.stop_gradient(_ops.convert_to_tensor(x))


def one_hot(labels, classes, dtype="float32"):
    """(...) to (..., classes), zeros for a label outside 0 ... classes - 1, also on PyTorch."""
    if backend() != "torch":
        return _ops.one_hot(labels, classes, dtype=dtype)
    # An ignored label, -1, is a row of zeros on the other backends.
    labels = _ops.cast(_ops.convert_to_tensor(labels), "int64")
    hit = _ops.equal(_ops.expand_dims(labels, -1), _ops.arange(classes, dtype="int64"))
    return _ops.cast(hit, dtype)


def static_shape(x):
    """The shape as a tuple; None where a graph does not know a dimension."""
    return tuple(x.shape)


def unconverted(function):
    """`function`, which AutoGraph leaves as it is inside someone's tf.function.

    There is no Python control flow over tensors in boxloss, and rewritten generators, closures and
    empty methods do not all work.
    """
    if backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


def by_hand(function):
    """A function whose derivative is written by hand.

    `function(*tensors)` gives its value and `gradient(upstream)`, one outcome per tensor. Both act
    element by element: each number of the value depends on the numbers at its own place alone. That
    is what makes one spelling enough for all derivatives. On TensorFlow `gradient` is the reverse
    one. On JAX it serves as the forward one, which is the same product there; JAX turns it round
    for gradients, and keeps `jax.jvp` and `jax.hessian`, which `jax.custom_vjp` would refuse.
    PyTorch's own derivatives do what is needed, and torch.compile looks through them: nothing here
    is called there.
    """
    if backend() != "jax":
        return _ops.custom_gradient(function)
    import jax

    @jax.custom_jvp
    def call(*tensors):
        return function(*tensors)[0]

    @call.defjvp
    def tangent(tensors, tangents):
        value, gradient = function(*tensors)
        parts = []
        for place, upstream in enumerate(tangents):
            part = gradient(upstream)
            parts.append(part[place] if isinstance(part, tuple) else part)
        return value, sum(parts[1:], parts[0])

    return call


# Ties --------------------------------------------------------------------------------------------
# TensorFlow gives the whole gradient of maximum(a, b) at a == b to `a`; JAX and PyTorch split it.
# An exact match is a tie on all four sides: only the even split makes its gradient 0.


def _share(a, b, at_tie):
    """The share of the gradient of max(a, b) that `a` gets: 1, 0, and `at_tie` at a tie."""
    one = _ops.ones_like(a)
    at_tie = 0.5 * one if at_tie is None else at_tie
    return _ops.where(
        _ops.greater(a, b), one, _ops.where(_ops.less(a, b), _ops.zeros_like(a), at_tie)
    )


def _even(choose, share, a, b, at_tie):
    """An extremum whose gradient goes to `a` by `share()`, the rest of it to `b`."""
    if backend() != "tensorflow":
        if at_tie is None:
            return choose(a, b)
        mixed = at_tie * a + (1.0 - at_tie) * b
        return _ops.where(_ops.equal(a, b), mixed, choose(a, b))

    def extremum(a, b):
        def gradient(upstream):
            part = upstream * share()
            return part, upstream - part

        return choose(a, b), gradient

    return by_hand(extremum)(a, b)


def even_maximum(a, b, at_tie=None):
    """max(a, b) of two tensors of one shape, its gradient split evenly where a == b.

    `at_tie`, a tensor of that shape: the part of it that `a` gets there, instead of 1/2.
    """
    return _even(_ops.maximum, lambda: _share(a, b, at_tie), a, b, at_tie)


def even_minimum(a, b, at_tie=None):
    """min(a, b); as `even_maximum`."""
    return _even(_ops.minimum, lambda: _share(b, a, at_tie), a, b, at_tie)


def even_relu(x):
    """max(x, 0) with gradient 1/2 at 0, where the backends say 0, 1/2 or 1."""
    return even_maximum(x, _ops.zeros_like(x))


def even_abs(x):
    """|x| with gradient 0 at 0 (JAX says 1)."""
    if backend() != "tensorflow":
        return x * _ops.stop_gradient(_ops.sign(x))

    def absolute(x):
        def gradient(upstream):
            zero, one = _ops.zeros_like(x), _ops.ones_like(x)
            negative = _ops.where(_ops.less(x, zero), -one, x)  # 0 and NaN stay
            return upstream * _ops.where(_ops.greater(x, zero), one, negative)

        return _ops.abs(x), gradient

    return by_hand(absolute)(x)


# Division and powers -----------------------------------------------------------------------------
# XLA counts a division, a square root or an arctangent as too expensive to compute twice, and cuts
# its fused loops there: each cut writes a tensor to memory and reads it back. Where XLA compiles
# float32, the operations below are made of additions and multiplications alone, so that a loss and
# its gradient are one loop each.


def compiles_to_one_loop(x):
    """Whether XLA compiles the code that is being run, and `x` is float32."""
    if dtype_name(x) != "float32":
        return False
    if backend() == "tensorflow":
        return tapes.in_xla()
    if backend() == "jax":
        import jax

        return isinstance(x, jax.core.Tracer)
    return False


def bits(x, dtype=None):
    """The bits of a float tensor as integers of its size; with `dtype`, the way back."""
    target = dtype or {"float32": "int32", "float64": "int64"}[dtype_name(x)]
    if backend() == "tensorflow":
        import tensorflow as tf

        return tf.bitcast(x, target)
    if backend() == "jax":
        import jax

        return jax.lax.bitcast_convert_type(x, target)
    import torch

    return x.view(getattr(torch, target))


def written(x):
    """`x` itself; XLA computes it once and writes it to memory, however many uses it has."""
    if not compiles_to_one_loop(x):
        return x
    return by_hand(lambda x: (_barrier(x), lambda upstream: upstream))(x)


def _barrier(x):
    if backend() == "jax":
        import jax

        return jax.lax.optimization_barrier(x)
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    return gen_xla_ops.xla_optimization_barrier(input=[x])[0]


def hidden_zero(mask):
    """float32 zeros of the shape of `mask` (bool). LLVM knows that they are zeros, XLA does not."""
    if backend() == "jax":
        import jax

        return bits(
            jax.lax.shift_right_logical(_ops.cast(mask, "int32"), jax.numpy.int32(1)), "float32"
        )
    import tensorflow as tf

    return tf.bitcast(
        tf.bitwise.right_shift(tf.cast(mask, tf.uint32), tf.constant(1, tf.uint32)), tf.float32
    )


SMALLEST = 1.1754944e-38  # of the normal numbers of float32

# (bits of the exponent, exponent and bias of 1 / 2^k, smallest normal number)
_EXPONENT = {
    "float32": (0x7F800000, 254 << 23, SMALLEST),
    "float64": (0x7FF << 52, 2046 << 52, 2.2250738585072014e-308),
}


def binary_unit(x):
    """2^k and 2^-k, constants in the gradient, with 2^k <= x < 2^(k + 1); 1 and 1 where x is 0.

    Dividing by a power of two is exact and is a multiplication.
    """
    dtype = dtype_name(x)
    mask, inverse, smallest = _EXPONENT[dtype]
    x = _ops.stop_gradient(x)
    # Below the normal numbers the exponent's bits are all 0, and its inverse would be infinite.
    exponent = bits(_ops.where(_ops.less(x, smallest), _ops.ones_like(x), x))
    if backend() == "tensorflow":
        import tensorflow as tf

        exponent = tf.bitwise.bitwise_and(exponent, tf.constant(mask, exponent.dtype))
    else:
        exponent = exponent & mask
    unit, scale = bits(exponent, dtype), bits(inverse - exponent, dtype)
    return _ops.stop_gradient(unit), _ops.stop_gradient(scale)


def reciprocal(x):
    """1 / x for x > 0; where XLA makes one loop of it, by three steps of Newton's method."""
    if not compiles_to_one_loop(x):
        return 1.0 / x
    # Three steps square an error of 12 % three times, which ends below the last bit of float32. The
    # first guess is behind a stop_gradient: the derivative of the steps alone is right.
    # The bits of a float are about its logarithm: their negation is 1 / x within 12 %.
    y = bits(0x7EF311C7 - bits(_ops.stop_gradient(x)), "float32")
    for _ in range(3):
        y = y * (2.0 - x * y)
    return y


def _ratio(a, b):
    """a / b, exactly 1 where a == b, with a gradient that divides once."""
    inverse = reciprocal(b)
    # An IoU of exactly 1 must come out for equal boxes, so that their loss is exactly 0.
    quotient = _ops.where(_ops.equal(a, b), _ops.ones_like(a), a * inverse)

    def gradient(upstream):
        first = upstream * inverse
        return first, -first * quotient

    return quotient, gradient


def divide_or(a, b, otherwise):
    """a / b where b > 0; the constant `otherwise`, without gradient, where b <= 0.

    The guard asks for b <= 0, never for b > 0: a NaN in a real box must not be hidden.
    """
    one_loop = compiles_to_one_loop(b)
    # Newton's method starts from the bits of a normal number.
    smallest = SMALLEST if one_loop else 0.0
    bad = (_ops.less if one_loop else _ops.less_equal)(b, _ops.zeros_like(b) + smallest)
    safe = _ops.where(bad, _ops.ones_like(b), b)
    a = a * _ops.ones_like(b)
    quotient = by_hand(_ratio)(a, safe) if one_loop else a / safe
    return _ops.where(bad, _ops.ones_like(b) * otherwise, quotient)


# atan(t) / t as a polynomial of t^2 on [0, 1], the highest power first; relative error 2.4e-9.
_ARCTAN = (
    -0.001753848091,
    0.01072657958,
    -0.0308039241,
    0.05755143396,
    -0.08377276987,
    0.1094201776,
    -0.1426193071,
    0.1999826583,
    -0.3333328364,
    0.9999999976,
)


def _angle(y, x):
    size = _ops.where(_ops.less(y, _ops.zeros_like(y)), -y, y)
    longer, shorter = _ops.maximum(size, x), _ops.minimum(size, x)
    t = shorter * reciprocal(longer)
    square = t * t
    series = _ARCTAN[0] * _ops.ones_like(t)
    for coefficient in _ARCTAN[1:]:
        series = series * square + coefficient
    value = t * series
    value = _ops.where(_ops.greater(size, x), 0.5 * math.pi - value, value)
    value = _ops.where(_ops.less(y, _ops.zeros_like(y)), -value, value)

    def gradient(upstream):
        scaled = upstream * reciprocal(x * x + y * y)
        return scaled * x, -scaled * y

    return value, gradient


def angle(y, x):
    """The angle of (x, y) for x >= 0, in [-pi/2, pi/2]; not both may be 0 or near 1e-19."""
    return by_hand(_angle)(y, x) if compiles_to_one_loop(x) else _ops.arctan2(y, x)


def _parts_of_exp(x):
    """p and q with e^-x = p + p q, p a power of two, for x >= 0: additions and multiplications."""
    # x = k ln 2 - r with |r| <= ln 2 / 2: e^-x = 2^-k e^r, and q = e^r - 1 is a short series.
    x = _ops.minimum(x, 87.0 * _ops.ones_like(x))  # e^-87 is about the smallest number
    k = _ops.cast(x * (1.0 / math.log(2.0)) + 0.5, "int32")
    power = bits((127 - k) * (1 << 23), "float32")
    k = _ops.cast(k, "float32")
    r = (k * 0.693359375 - x) - k * 2.12194440e-4  # ln 2 in two parts: the first is exact
    series = (1.0 / math.factorial(7)) * _ops.ones_like(r)
    for n in range(6, 0, -1):
        series = series * r + 1.0 / math.factorial(n)
    return power, series * r


def _exp_of_minus(x):
    power, series = _parts_of_exp(x)
    value = power + power * series

    def gradient(upstream):
        return -upstream * value

    return value, gradient


def _one_minus_exp(x):
    power, series = _parts_of_exp(x)

    def gradient(upstream):
        return upstream * (power + power * series)

    return (1.0 - power) - power * series, gradient


def exp_of_minus(x):
    """e^-x for x >= 0."""
    return by_hand(_exp_of_minus)(x) if compiles_to_one_loop(x) else _ops.exp(-x)


def _softplus(x):
    # ln(1 + e^x) = max(x, 0) + ln(1 + e), e = e^-|x|, and ln(1 + e) = 2 artanh(e / (2 + e)), whose
    # argument is at most 1/3: seven terms of its series end below the last bit.
    negative = _ops.less(x, _ops.zeros_like(x))
    e = _exp_of_minus(_ops.where(negative, -x, x))[0]
    s = e * reciprocal(2.0 + e)
    square = s * s
    series = 2.0 / 13.0 * _ops.ones_like(s)
    for n in range(11, 0, -2):
        series = series * square + 2.0 / n

    def gradient(upstream):
        return upstream * (_ops.where(negative, e, _ops.ones_like(e)) * reciprocal(1.0 + e))

    return _ops.where(negative, _ops.zeros_like(x), x) + s * series, gradient


def softplus(x):
    """ln(1 + e^x); where XLA makes one loop of it, without its slower log1p."""
    return by_hand(_softplus)(x) if compiles_to_one_loop(x) else _ops.softplus(x)


# (1 - e^-x) / x as a polynomial on [0, 1], the highest power first; relative error 3e-9.
_ONE_MINUS_EXP = (
    0.0001291868668,
    -0.001301107315,
    0.008275879695,
    -0.0416470443,
    0.166663449,
    -0.4999998012,
    0.999999998,
)


def _one_minus_exp_to(most):
    """1 - e^-x for x in [0, most], 1 or 2: a polynomial, of half of x where most is 2."""

    def value_and_gradient(x):
        series = _ONE_MINUS_EXP[0] / most**7 * _ops.ones_like(x)
        for power, coefficient in zip(range(6, 0, -1), _ONE_MINUS_EXP[1:], strict=True):
            series = series * x + coefficient / most**power
        value = series * x
        if most == 2:
            value = value * (2.0 - value)

        def gradient(upstream):
            return upstream * (1.0 - value)

        return value, gradient

    return value_and_gradient


def one_minus_exp(x, most=None):
    """1 - e^-x for x >= 0, exact to the last digits near 0 as well.

    `most`, 1 or 2, promises that no x is larger, which halves the operations.
    """
    if not compiles_to_one_loop(x):
        return -_ops.expm1(-x)
    function = _one_minus_exp if most is None else _one_minus_exp_to(most)
    return by_hand(function)(x)


def _half(bits_of_x):
    if backend() == "tensorflow":
        import tensorflow as tf

        return tf.bitwise.right_shift(bits_of_x, tf.constant(1, bits_of_x.dtype))
    return bits_of_x >> 1


def _root(x):
    # Newton's method for 1 / sqrt(x), as `reciprocal`: a root of the processor, and the division in
    # its derivative, keep the loop from being vectorised. The bits of a float are about its
    # logarithm: minus their half is 1 / sqrt(x) within 4 %, and three steps end below the last bit.
    bad = _ops.less(x, SMALLEST * _ops.ones_like(x))
    safe = _ops.clip(x, SMALLEST, 3.4028235e38)  # the steps know no infinity
    y = bits(0x5F3759DF - _half(bits(_ops.stop_gradient(safe))), "float32")
    for _ in range(3):
        y = y * (1.5 - 0.5 * ((safe * y) * y))  # half of the smallest number would be 0
    root = safe * y
    root = root + 0.5 * y * (safe - root * root)
    zero = _ops.zeros_like(x)

    def gradient(upstream):
        return _ops.where(bad, zero, upstream * (0.5 * y))

    return _ops.where(bad, zero, root), gradient


def safe_sqrt(x):
    """sqrt(x) where x > 0; 0 without gradient, which would be infinite, where x <= 0."""
    if compiles_to_one_loop(x):
        return by_hand(_root)(x)
    # Two selects: the inner one keeps the root away from 0, where its derivative is infinite and
    # infinite times the 0 of the outer select would be NaN.
    bad = _ops.less_equal(x, _ops.zeros_like(x))
    return _ops.where(bad, _ops.zeros_like(x), _ops.sqrt(_ops.where(bad, _ops.ones_like(x), x)))


def safe_power(x, exponent):
    """x ** exponent where x > 0; 0 without gradient where x <= 0, as `safe_sqrt`."""
    if exponent == 0.5:
        return safe_sqrt(x)
    bad = _ops.less_equal(x, _ops.zeros_like(x))
    powered = _ops.power(_ops.where(bad, _ops.ones_like(x), x), exponent)
    return _ops.where(bad, _ops.zeros_like(x), powered)


# Precision ---------------------------------------------------------------------------------------

FLOAT16_MAX = 65504.0


def _widen_float16(x):
    """float16 to float32; the gradient saturates where float16 cannot hold it (instead of inf).

    To saturate is not linear, so JAX has no forward derivative of it.
    """

    def narrow(*args, upstream=None):  # PyTorch gives the upstream by name
        upstream = args[0] if upstream is None else upstream
        return _ops.cast(_ops.clip(upstream, -FLOAT16_MAX, FLOAT16_MAX), "float16")

    return _ops.custom_gradient(lambda x: (_ops.cast(x, "float32"), narrow))(x)


def widen(x, dtype):
    """`x` as a tensor of `dtype` ("float32" or "float64"), in which all arithmetic is done."""
    x = _ops.convert_to_tensor(x)
    name = dtype_name(x)
    if name == "float16":
        x = _widen_float16(x)
        name = "float32"
    return x if name == dtype else _ops.cast(x, dtype)


def arithmetic_dtype(*tensors, dtype=None):
    """float64 if all `tensors` and `dtype` (if given) are float64, else float32: never lower."""
    # Half precision is for storing: a box of 500 pixels in bfloat16 is known to 2 pixels, and a
    # difference of two such sides to nothing. Sides are widened before the first subtraction.
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
    # None inside of a merge call, where sums over replicas are not possible.
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
