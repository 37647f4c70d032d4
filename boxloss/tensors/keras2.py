"""The names of `keras.ops` that boxloss uses, from TensorFlow, for Keras 2 (TensorFlow 2.15).

Only what differs from TensorFlow's own spelling is written out. Nothing here is imported on Keras
3.
"""

import tensorflow as tf

abs = tf.abs
any = tf.reduce_any
all = tf.reduce_all
arctan2 = tf.math.atan2
argsort = tf.argsort
argmax = tf.argmax
argmin = tf.argmin
broadcast_to = tf.broadcast_to
ceil = tf.math.ceil
cos = tf.cos
custom_gradient = tf.custom_gradient
equal = tf.equal
exp = tf.exp
expand_dims = tf.expand_dims
expm1 = tf.math.expm1
floor = tf.floor
greater = tf.greater
greater_equal = tf.greater_equal
isnan = tf.math.is_nan
isfinite = tf.math.is_finite
less = tf.less
less_equal = tf.less_equal
log = tf.math.log
log1p = tf.math.log1p
log_softmax = tf.nn.log_softmax
logical_and = tf.logical_and
logical_not = tf.logical_not
logical_or = tf.logical_or
logsumexp = tf.reduce_logsumexp
matmul = tf.matmul
max = tf.reduce_max
mean = tf.reduce_mean
min = tf.reduce_min
not_equal = tf.not_equal
ones_like = tf.ones_like
sigmoid = tf.sigmoid
sign = tf.sign
sin = tf.sin
softmax = tf.nn.softmax
softplus = tf.math.softplus
sqrt = tf.sqrt
square = tf.square
squeeze = tf.squeeze
stack = tf.stack
stop_gradient = tf.stop_gradient
sum = tf.reduce_sum
transpose = tf.transpose
zeros_like = tf.zeros_like


def convert_to_tensor(x, dtype=None):
    if dtype is not None and isinstance(x, (int, float)):
        return _number(x, tf.as_dtype(dtype))
    x = tf.convert_to_tensor(x)
    return x if dtype is None else tf.cast(x, dtype)


def cast(x, dtype):
    return tf.cast(x, dtype)


def shape(x):
    """The shape as a tuple of numbers where they are known, scalars of the graph elsewhere."""
    dynamic = tf.shape(x)
    return tuple(dynamic[i] if n is None else n for i, n in enumerate(x.shape))


def reshape(x, newshape):
    return tf.reshape(x, newshape)


def _number(x, dtype):
    """A Python number as a tensor; `tf.cast` would round it to float32 on the way to float64."""
    if isinstance(x, (int, float)) and dtype.is_floating:
        return tf.constant(x, dtype)
    return tf.cast(x, dtype)


def _alike(x, y):
    """A Python number beside a tensor takes the tensor's dtype, as it does in keras.ops."""
    if isinstance(x, (int, float)) and tf.is_tensor(y):
        x = _number(x, y.dtype)
    if isinstance(y, (int, float)) and tf.is_tensor(x):
        y = _number(y, x.dtype)
    return x, y


def where(condition, x1=None, x2=None):
    if x1 is None:
        return tf.where(condition)
    return tf.where(condition, *_alike(x1, x2))


def maximum(x1, x2):
    return tf.maximum(*_alike(x1, x2))


def minimum(x1, x2):
    return tf.minimum(*_alike(x1, x2))


def power(x1, x2):
    return tf.pow(*_alike(x1, x2))


def clip(x, x_min, x_max):
    return tf.clip_by_value(x, _number(x_min, x.dtype), _number(x_max, x.dtype))


def unstack(x, num=None, axis=0):
    return tf.unstack(x, num=num, axis=axis)


def concatenate(xs, axis=-1):
    return tf.concat(xs, axis=axis)


def one_hot(x, num_classes, axis=-1, dtype="float32"):
    return tf.one_hot(x, num_classes, axis=axis, dtype=dtype)


def ones(shape, dtype="float32"):
    return tf.ones(shape, dtype=dtype)


def zeros(shape, dtype="float32"):
    return tf.zeros(shape, dtype=dtype)


def arange(start, stop=None, step=1, dtype=None):
    return (
        tf.range(start, delta=step, dtype=dtype)
        if stop is None
        else tf.range(start, stop, step, dtype=dtype)
    )


def take_along_axis(x, indices, axis=None):
    if axis not in (-1, len(x.shape) - 1):
        raise ValueError(f"`axis` must be the last one. Received: axis={axis}")
    return tf.gather(x, indices, axis=-1, batch_dims=len(x.shape) - 1)


def top_k(x, k, sorted=True):
    return tf.math.top_k(x, k, sorted=sorted)


def segment_sum(data, segment_ids, num_segments=None):
    return tf.math.unsorted_segment_sum(data, segment_ids, num_segments)


def convert_to_numpy(x):
    return x.numpy() if hasattr(x, "numpy") else x


def is_tensor(x):
    return tf.is_tensor(x)
