"""Who takes part in `losses.py`: boxloss, the naive formulas and other libraries.

`make(y_true, y_pred)` of numpy boxes (B, N, 4) returns a call without arguments that computes the
mean of the loss over all boxes and its gradient with respect to `y_pred`, and waits for both.
`contestants(name)` has one per path of the backend in use: the ways in which a user may run a loss.
"""

import importlib
import math
from types import SimpleNamespace

import numpy as np

from boxloss.tensors import ops

IMAGE_SHAPE = (640, 640)  # of mpdiou
PEERS = {
    "torchvision": "torchvision.ops",
    "keras_cv": "keras_cv",
    "tfa": "tensorflow_addons",
}


def absent():
    """{peer: reason} of those that cannot be imported here."""
    missing = {}
    for peer, module in PEERS.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a peer may fail in any way; it is named, not hidden
            missing[peer] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
    return missing


def example(images, boxes):
    """True boxes (B, N, 4) in pixels and predictions a few pixels off; float32."""
    rng = np.random.default_rng(0)
    center = rng.uniform(50, 590, (images, boxes, 2)).astype("float32")
    size = rng.uniform(40, 100, (images, boxes, 2)).astype("float32")
    y_true = np.concatenate([center - size / 2, center + size / 2], axis=-1)
    return y_true, y_true + rng.normal(0, 5, y_true.shape).astype("float32")


def contestants(name):
    """{"path who": make} of those that have the loss, run here and can be imported."""
    here = {f"{path} boxloss": make(boxloss_loss(name)) for path, make in paths().items()}
    if name in NAIVE:
        here |= {f"{path} naive": make(naive_loss(name)) for path, make in paths().items()}
    missing = absent()
    if "torchvision" not in missing and name in ("giou", "diou", "ciou"):
        here["eager torchvision"] = _torchvision(name, compiled=False)
        here["compile torchvision"] = _torchvision(name, compiled=True)
    if "keras_cv" not in missing and name in ("giou", "ciou"):
        here["eager keras_cv"] = _keras_cv(name)
    if "tfa" not in missing and name == "giou":
        here["eager tfa"] = _tfa(None)
        here["jit tfa"] = _tfa(True)
    return here


def boxloss_loss(name):
    """The public call, with masks and reductions; all images have as many boxes here."""
    import boxloss

    return boxloss.get(name, **({"image_shape": IMAGE_SHAPE} if name == "mpdiou" else {}))


def naive_loss(name):
    xp = operations()
    return lambda y_true, y_pred: xp.mean(NAIVE[name](xp, y_true, y_pred))


# Paths --------------------------------------------------------------------------------------------


def paths():
    """{path: maker} of the backend in use; `maker(loss)` gives `make`."""
    return {
        "tensorflow": {
            "eager": _tensorflow_eager,
            "graph": lambda loss: _tensorflow_graph(loss, jit=False),
            "jit": lambda loss: _tensorflow_graph(loss, jit=True),
            "fit": _tensorflow_fit,
        },
        "jax": {"jit": _jax_jit},
        "torch": {"eager": _torch_eager, "compile": _torch_compile},
    }[ops.backend()]


def add(y_true, y_pred):
    """The backend's own add of the two arrays."""
    if ops.backend() == "tensorflow":
        return _waiting(lambda y_true, y_pred: y_true + y_pred, y_true, y_pred)
    if ops.backend() == "jax":
        import jax

        return _ready(jax.jit(lambda y_true, y_pred: y_true + y_pred), y_true, y_pred)
    import torch

    y_true, y_pred = torch.tensor(y_true), torch.tensor(y_pred)
    return lambda: y_true + y_pred


def _waiting(step, y_true, y_pred):
    """`step(y_true, y_pred)` on tensors, waiting for every scalar of its outcome."""
    import tensorflow as tf

    y_true, y_pred = tf.constant(y_true), tf.constant(y_pred)

    def call():
        for x in tf.nest.flatten(step(y_true, y_pred)):
            if len(x.shape) == 0:
                x.numpy()

    return call


def _value_and_gradient(function):
    import tensorflow as tf

    def step(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = function(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    return step


def _tensorflow_eager(loss):
    return lambda y_true, y_pred: _waiting(_value_and_gradient(loss), y_true, y_pred)


def _tensorflow_graph(loss, jit):
    import tensorflow as tf

    step = tf.function(_value_and_gradient(loss), jit_compile=jit, autograph=False)
    return lambda y_true, y_pred: _waiting(step, y_true, y_pred)


def _tensorflow_fit(loss):
    """The training step of `fit`, of a model that only shifts its input: y_pred + four weights."""

    def make(y_true, y_pred):
        import keras
        import tensorflow as tf

        inputs = keras.Input(y_pred.shape[1:])
        model = keras.Model(inputs, _Shift()(inputs))
        model.compile(keras.optimizers.SGD(1e-9), loss=loss)
        # One batch again and again, its number of images unknown to the graph, as in fit.
        batches = tf.data.Dataset.from_tensors((y_pred, y_true)).repeat()
        signature = tf.TensorSpec((None, *y_pred.shape[1:]), tf.float32)
        batches = batches.map(
            lambda *pair: tuple(tf.ensure_shape(x, signature.shape) for x in pair)
        )
        model.make_train_function()
        iterator = iter(batches.prefetch(1))
        return lambda: float(model.train_function(iterator)["loss"])

    return make


def _Shift():  # noqa: N802 - a class, made where Keras is at hand
    import keras

    class Shift(keras.layers.Layer):
        def build(self, shape):
            self.shift = self.add_weight(shape=(4,), initializer="zeros", name="shift")

        def call(self, boxes):
            return boxes + self.shift

    return Shift()


def _ready(function, *arrays):
    import jax

    arrays = [jax.numpy.asarray(x) for x in arrays]
    return lambda: jax.block_until_ready(function(*arrays))


def _jax_jit(loss):
    import jax

    step = jax.jit(jax.value_and_grad(loss, argnums=1))
    return lambda y_true, y_pred: _ready(step, y_true, y_pred)


def _torch_eager(loss):
    import torch

    def make(y_true, y_pred):
        y_true, y_pred = torch.tensor(y_true), torch.tensor(y_pred, requires_grad=True)

        def call():
            y_pred.grad = None
            loss(y_true, y_pred).backward()

        return call

    return make


def _torch_compile(loss):
    import torch

    # Not the loss itself: dynamo would compile one attribute of the object per call.
    return _torch_eager(torch.compile(lambda y_true, y_pred: loss(y_true, y_pred)))


def empty(y_true, y_pred):
    """A compiled function of the same signature that does next to nothing, and its gradient."""
    import tensorflow as tf

    function = tf.function(
        lambda y_true, y_pred: y_true[0, 0, 0] * y_pred[0, 0, 0], jit_compile=True, autograph=False
    )
    return _waiting(_value_and_gradient(function), y_true, y_pred)


# The formulas as anyone would write them, without guards against degenerate boxes -----------------


def operations():
    """The backend's own operations under common names."""
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        return SimpleNamespace(
            sides=lambda x: tf.unstack(x, axis=-1),
            sum=lambda x: tf.reduce_sum(x, axis=-1),
            mean=tf.reduce_mean,
            constant=tf.stop_gradient,
            relu=tf.nn.relu,
            **{name: getattr(tf, name) for name in SHARED},
            **{name: getattr(tf, name) for name in ("atan", "asin")},
        )
    if ops.backend() == "jax":
        import jax
        import jax.numpy as jnp

        return SimpleNamespace(
            sides=lambda x: [x[..., i] for i in range(4)],
            sum=lambda x: jnp.sum(x, axis=-1),
            mean=jnp.mean,
            constant=jax.lax.stop_gradient,
            relu=jax.nn.relu,
            atan=jnp.arctan,
            asin=jnp.arcsin,
            **{name: getattr(jnp, name) for name in SHARED},
        )
    import torch

    return SimpleNamespace(
        sides=lambda x: x.unbind(-1),
        sum=lambda x: x.sum(-1),
        mean=torch.mean,
        constant=lambda x: x.detach(),
        relu=torch.relu,
        **{name: getattr(torch, name) for name in SHARED},
        **{name: getattr(torch, name) for name in ("atan", "asin")},
    )


SHARED = ("abs", "exp", "maximum", "minimum", "sin", "sqrt")


def _l1(xp, y_true, y_pred):
    return xp.sum(xp.abs(y_pred - y_true))


def _pair(xp, y_true, y_pred):
    """Both boxes' widths and heights, the offset of the centres, IoU and the enclosing sides."""
    X1, Y1, X2, Y2 = xp.sides(y_true)
    x1, y1, x2, y2 = xp.sides(y_pred)
    w, h, W, H = x2 - x1, y2 - y1, X2 - X1, Y2 - Y1
    width = xp.relu(xp.minimum(x2, X2) - xp.maximum(x1, X1))
    height = xp.relu(xp.minimum(y2, Y2) - xp.maximum(y1, Y1))
    intersection = width * height
    union = w * h + W * H - intersection
    return SimpleNamespace(
        w=w,
        h=h,
        W=W,
        H=H,
        dx=(x1 + x2 - X1 - X2) / 2.0,
        dy=(y1 + y2 - Y1 - Y2) / 2.0,
        union=union,
        iou=intersection / union,
        cw=xp.maximum(x2, X2) - xp.minimum(x1, X1),
        ch=xp.maximum(y2, Y2) - xp.minimum(y1, Y1),
    )


def _iou(xp, y_true, y_pred):
    return 1.0 - _pair(xp, y_true, y_pred).iou


def _giou(xp, y_true, y_pred):
    s = _pair(xp, y_true, y_pred)
    hull = s.cw * s.ch
    return 1.0 - s.iou + (hull - s.union) / hull


def _distance(s):
    return (s.dx**2 + s.dy**2) / (s.cw**2 + s.ch**2)


def _diou(xp, y_true, y_pred):
    s = _pair(xp, y_true, y_pred)
    return 1.0 - s.iou + _distance(s)


def _ciou(xp, y_true, y_pred):
    s = _pair(xp, y_true, y_pred)
    v = 4.0 / math.pi**2 * (xp.atan(s.W / s.H) - xp.atan(s.w / s.h)) ** 2
    alpha = xp.constant(v / (1.0 - s.iou + v))
    return 1.0 - s.iou + _distance(s) + alpha * v


def _eiou(xp, y_true, y_pred):
    s = _pair(xp, y_true, y_pred)
    return 1.0 - s.iou + _distance(s) + ((s.w - s.W) / s.cw) ** 2 + ((s.h - s.H) / s.ch) ** 2


def _siou(xp, y_true, y_pred):
    s = _pair(xp, y_true, y_pred)
    sine = xp.abs(s.dy) / xp.sqrt(s.dx**2 + s.dy**2)
    gamma = 1.0 + 2.0 * xp.sin(xp.asin(sine) - math.pi / 4.0) ** 2
    distance = 2.0 - xp.exp(-gamma * (s.dx / s.cw) ** 2) - xp.exp(-gamma * (s.dy / s.ch) ** 2)
    width = xp.abs(s.w - s.W) / xp.maximum(s.w, s.W)
    height = xp.abs(s.h - s.H) / xp.maximum(s.h, s.H)
    shape = (1.0 - xp.exp(-width)) ** 4 + (1.0 - xp.exp(-height)) ** 4
    return 1.0 - s.iou + (distance + shape) / 2.0


def _mpdiou(xp, y_true, y_pred):
    squares = xp.sum((y_pred - y_true) ** 2)
    height, width = IMAGE_SHAPE
    return _iou(xp, y_true, y_pred) + squares / (height**2 + width**2)


NAIVE = {
    "l1": _l1,
    "iou": _iou,
    "giou": _giou,
    "diou": _diou,
    "ciou": _ciou,
    "eiou": _eiou,
    "siou": _siou,
    "mpdiou": _mpdiou,
}


# Other libraries ----------------------------------------------------------------------------------


def _torchvision(name, compiled):
    import torch
    import torchvision.ops

    function = {
        "giou": torchvision.ops.generalized_box_iou_loss,
        "diou": torchvision.ops.distance_box_iou_loss,
        "ciou": torchvision.ops.complete_box_iou_loss,
    }[name]
    if compiled:
        function = torch.compile(function)

    def make(y_true, y_pred):
        truth = torch.tensor(y_true.reshape(-1, 4))
        prediction = torch.tensor(y_pred.reshape(-1, 4), requires_grad=True)

        def call():
            prediction.grad = None
            function(prediction, truth, reduction="mean").backward()

        return call

    return make


def _keras_cv(name):
    import keras_cv

    loss = {"giou": keras_cv.losses.GIoULoss, "ciou": keras_cv.losses.CIoULoss}[name]
    loss = loss(bounding_box_format="xyxy")
    return lambda y_true, y_pred: _waiting(_value_and_gradient(loss), y_true, y_pred)


def _tfa(compiled):
    import tensorflow as tf
    import tensorflow_addons as tfa

    step = _value_and_gradient(lambda t, p: tf.reduce_mean(tfa.losses.giou_loss(t, p)))
    if compiled:
        step = tf.function(step, jit_compile=True)
    return lambda y_true, y_pred: _waiting(step, y_true, y_pred)
