"""Who takes part in `assignment.py`: each gives a function that runs loss and gradient once.

`make(y_true, y_pred)` of numpy boxes (B, N, 4) returns a call without arguments that computes the
mean of the loss over all boxes and its gradient with respect to `y_pred`, and waits for both.
"""

import importlib.util
import math
from types import SimpleNamespace

import numpy as np

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
    """{contestant: make} of those that have the loss and can be imported."""
    here = {"boxloss": boxloss_class(name), "boxloss_functional": boxloss_functional(name)}
    if name in PLAIN:
        formula = PLAIN[name]
        here["tensorflow_eager"] = _tensorflow(formula)
        here["tensorflow_graph"] = _tensorflow(formula, compiled=False)
        here["tensorflow_xla"] = _tensorflow(formula, compiled=True)
    missing = absent()
    if "torchvision" not in missing and name in ("giou", "diou", "ciou"):
        here["torchvision_eager"] = _torchvision(name, compiled=False)
        here["torchvision_compiled"] = _torchvision(name, compiled=True)
    if "keras_cv" not in missing and name in ("giou", "ciou"):
        here["keras_cv"] = _keras_cv(name)
    if "tfa" not in missing and name == "giou":
        here["tfa_eager"] = _tfa(None)
        here["tfa_xla"] = _tfa(True)
    return here


# TensorFlow ---------------------------------------------------------------------------------------


def _timed(step, y_true, y_pred):
    """`step(y_true, y_pred)` on tensors, waiting for the last element of everything."""
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


def add(y_true, y_pred):
    return _timed(lambda y_true, y_pred: y_true + y_pred, y_true, y_pred)


def empty(y_true, y_pred):
    """A compiled function of the same signature that does next to nothing, and its gradient."""
    import tensorflow as tf

    function = tf.function(
        lambda y_true, y_pred: y_true[0, 0, 0] * y_pred[0, 0, 0], jit_compile=True, autograph=False
    )
    return _timed(_value_and_gradient(function), y_true, y_pred)


def boxloss_class(name):
    """The public call, with masks and reductions; the mean of one image is that of its boxes."""
    import boxloss

    arguments = {"image_shape": IMAGE_SHAPE} if name == "mpdiou" else {}
    loss = boxloss.get(name, **arguments)
    return lambda y_true, y_pred: _timed(_value_and_gradient(loss), y_true, y_pred)


def boxloss_functional(name):
    """The mathematics alone; its mean is a compiled function."""
    import tensorflow as tf

    from boxloss import functional

    function = getattr(functional, f"{name}_loss")
    arguments = {"image_shape": IMAGE_SHAPE} if name == "mpdiou" else {}
    mean = tf.function(tf.reduce_mean, jit_compile=True, autograph=False)
    step = _value_and_gradient(lambda y_true, y_pred: mean(function(y_true, y_pred, **arguments)))
    return lambda y_true, y_pred: _timed(step, y_true, y_pred)


def _tensorflow(formula, compiled=None):
    import tensorflow as tf

    step = _value_and_gradient(lambda y_true, y_pred: tf.reduce_mean(formula(y_true, y_pred)))
    if compiled is not None:
        step = tf.function(step, jit_compile=compiled, autograph=False)
    return lambda y_true, y_pred: _timed(step, y_true, y_pred)


# The formulas as anyone would write them, without guards against degenerate boxes.


def _l1(y_true, y_pred):
    import tensorflow as tf

    return tf.reduce_sum(tf.abs(y_pred - y_true), axis=-1)


def _sides(y_true, y_pred):
    """Both boxes' widths and heights, the offset of the centres, IoU and the enclosing sides."""
    import tensorflow as tf

    X1, Y1, X2, Y2 = tf.unstack(y_true, axis=-1)
    x1, y1, x2, y2 = tf.unstack(y_pred, axis=-1)
    w, h, W, H = x2 - x1, y2 - y1, X2 - X1, Y2 - Y1
    width = tf.maximum(tf.minimum(x2, X2) - tf.maximum(x1, X1), 0.0)
    height = tf.maximum(tf.minimum(y2, Y2) - tf.maximum(y1, Y1), 0.0)
    intersection = width * height
    return SimpleNamespace(
        w=w,
        h=h,
        W=W,
        H=H,
        dx=(x1 + x2 - X1 - X2) / 2.0,
        dy=(y1 + y2 - Y1 - Y2) / 2.0,
        union=w * h + W * H - intersection,
        iou=intersection / (w * h + W * H - intersection),
        cw=tf.maximum(x2, X2) - tf.minimum(x1, X1),
        ch=tf.maximum(y2, Y2) - tf.minimum(y1, Y1),
    )


def _iou(y_true, y_pred):
    return 1.0 - _sides(y_true, y_pred).iou


def _giou(y_true, y_pred):
    s = _sides(y_true, y_pred)
    hull = s.cw * s.ch
    return 1.0 - s.iou + (hull - s.union) / hull


def _distance(s):
    return (s.dx**2 + s.dy**2) / (s.cw**2 + s.ch**2)


def _diou(y_true, y_pred):
    s = _sides(y_true, y_pred)
    return 1.0 - s.iou + _distance(s)


def _ciou(y_true, y_pred):
    import tensorflow as tf

    s = _sides(y_true, y_pred)
    v = 4.0 / math.pi**2 * (tf.atan(s.W / s.H) - tf.atan(s.w / s.h)) ** 2
    alpha = tf.stop_gradient(v / (1.0 - s.iou + v))
    return 1.0 - s.iou + _distance(s) + alpha * v


def _eiou(y_true, y_pred):
    s = _sides(y_true, y_pred)
    return 1.0 - s.iou + _distance(s) + ((s.w - s.W) / s.cw) ** 2 + ((s.h - s.H) / s.ch) ** 2


def _siou(y_true, y_pred):
    import tensorflow as tf

    s = _sides(y_true, y_pred)
    sine = tf.abs(s.dy) / tf.sqrt(s.dx**2 + s.dy**2)
    gamma = 1.0 + 2.0 * tf.sin(tf.asin(sine) - math.pi / 4.0) ** 2
    distance = 2.0 - tf.exp(-gamma * (s.dx / s.cw) ** 2) - tf.exp(-gamma * (s.dy / s.ch) ** 2)
    width = tf.abs(s.w - s.W) / tf.maximum(s.w, s.W)
    height = tf.abs(s.h - s.H) / tf.maximum(s.h, s.H)
    shape = (1.0 - tf.exp(-width)) ** 4 + (1.0 - tf.exp(-height)) ** 4
    return 1.0 - s.iou + (distance + shape) / 2.0


def _mpdiou(y_true, y_pred):
    import tensorflow as tf

    squares = tf.reduce_sum((y_pred - y_true) ** 2, axis=-1)
    height, width = IMAGE_SHAPE
    return _iou(y_true, y_pred) + squares / (height**2 + width**2)


PLAIN = {
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
    return lambda y_true, y_pred: _timed(_value_and_gradient(loss), y_true, y_pred)


def _tfa(compiled):
    import tensorflow as tf
    import tensorflow_addons as tfa

    step = _value_and_gradient(lambda t, p: tf.reduce_mean(tfa.losses.giou_loss(t, p)))
    if compiled:
        step = tf.function(step, jit_compile=True)
    return lambda y_true, y_pred: _timed(step, y_true, y_pred)
