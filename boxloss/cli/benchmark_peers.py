"""Who takes part in `benchmark losses`: each gives a function that runs loss and gradient once.

`make(y_true, y_pred)` of numpy boxes (B, N, 4) returns a call without arguments that computes the
mean of the loss over all boxes and its gradient with respect to `y_pred`, and waits for both.
"""

import importlib.util
import math

import numpy as np

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

    arguments = {"image_shape": (640, 640)} if name == "mpdiou" else {}
    loss = boxloss.get(name, **arguments)
    return lambda y_true, y_pred: _timed(_value_and_gradient(loss), y_true, y_pred)


def boxloss_functional(name):
    """The mathematics alone; its mean is a compiled function."""
    import tensorflow as tf

    from boxloss import functional

    function = getattr(functional, f"{name}_loss")
    arguments = {"image_shape": (640, 640)} if name == "mpdiou" else {}
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


def _overlap(y_true, y_pred):
    """IoU, union, enclosing width and height."""
    import tensorflow as tf

    X1, Y1, X2, Y2 = tf.unstack(y_true, axis=-1)
    x1, y1, x2, y2 = tf.unstack(y_pred, axis=-1)
    width = tf.maximum(tf.minimum(x2, X2) - tf.maximum(x1, X1), 0.0)
    height = tf.maximum(tf.minimum(y2, Y2) - tf.maximum(y1, Y1), 0.0)
    intersection = width * height
    union = (x2 - x1) * (y2 - y1) + (X2 - X1) * (Y2 - Y1) - intersection
    hull = tf.maximum(x2, X2) - tf.minimum(x1, X1), tf.maximum(y2, Y2) - tf.minimum(y1, Y1)
    return intersection / union, union, *hull


def _giou(y_true, y_pred):
    iou, union, width, height = _overlap(y_true, y_pred)
    hull = width * height
    return 1.0 - iou + (hull - union) / hull


def _ciou(y_true, y_pred):
    import tensorflow as tf

    iou, _, width, height = _overlap(y_true, y_pred)
    X1, Y1, X2, Y2 = tf.unstack(y_true, axis=-1)
    x1, y1, x2, y2 = tf.unstack(y_pred, axis=-1)
    distance = ((x1 + x2 - X1 - X2) ** 2 + (y1 + y2 - Y1 - Y2) ** 2) / 4.0
    angle = tf.atan((X2 - X1) / (Y2 - Y1)) - tf.atan((x2 - x1) / (y2 - y1))
    v = 4.0 / math.pi**2 * angle**2
    alpha = tf.stop_gradient(v / (1.0 - iou + v))
    return 1.0 - iou + distance / (width**2 + height**2) + alpha * v


PLAIN = {"l1": _l1, "giou": _giou, "ciou": _ciou}


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
