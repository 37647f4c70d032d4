"""Class losses per box, from logits. Labels are integers; a row of -1 is padding or ignored."""

from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = [
    "mal_loss",
    "quality_focal_loss",
    "sigmoid_focal_loss",
    "softmax_loss",
    "varifocal_loss",
]


def _logits(y_pred):
    return ops.widen(y_pred, ops.arithmetic_dtype(y_pred))


def softmax(labels, logits):
    """(...) int, (..., C + 1) to (...)."""
    classes = ops.static_shape(logits)[-1]
    chosen = ops.one_hot(labels, classes, dtype=ops.dtype_name(logits))
    return -ops.sum(chosen * ops.log_softmax(logits, axis=-1), axis=-1)


def sigmoid_focal(labels, logits, alpha, gamma):
    """(...) int, (..., C) to (..., C); the label C is background, 0 in every class."""
    classes = ops.static_shape(logits)[-1]
    # one_hot gives a row of zeros for the label C, as wanted.
    y = ops.one_hot(labels, classes, dtype=ops.dtype_name(logits))
    # Logit of the probability of being right: p_t = sigmoid(signed).
    signed = (2.0 * y - 1.0) * logits
    cross_entropy = ops.softplus(-signed)
    balance = alpha * y + (1.0 - alpha) * (1.0 - y)
    # (1 - p_t)^gamma from logits: exp(-gamma softplus(signed)) has no infinite slope at p_t = 1.
    return balance * ops.exp(-gamma * ops.softplus(signed)) * cross_entropy


def softmax_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Cross-entropy: -ln softmax(y_pred) at the label.

    `y_true` (...) integers in [0, C], C = background; `y_pred` (..., C + 1) logits. Returns (...),
    in [0, inf).
    """
    checks.labels(y_true, y_pred)
    labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
    return softmax(labels, _logits(y_pred))


def sigmoid_focal_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Focal loss: -alpha_t (1 - p_t)^gamma ln p_t, summed over the classes.

    `y_true` (...) integers in [0, C], C = background; `y_pred` (..., C) logits. Returns (...), in
    [0, inf). The modulating factor is differentiated.
    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002, eq. 5.
    """
    checks.labels(y_true, y_pred)
    alpha = checks.number("alpha", alpha, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    gamma = checks.non_negative("gamma", gamma)
    labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
    return ops.sum(sigmoid_focal(labels, _logits(y_pred), alpha, gamma), axis=-1)


def _quality_target(labels, quality, logits):
    """(..., C): the quality at the label, 0 elsewhere; a constant in the gradient."""
    classes = ops.static_shape(logits)[-1]
    chosen = ops.one_hot(labels, classes, dtype=ops.dtype_name(logits))
    return chosen * ops.stop_gradient(ops.expand_dims(quality, -1))


def _soft_cross_entropy(y, logits):
    """-y ln s - (1 - y) ln(1 - s), s = sigmoid: both addends are at least 0."""
    # softplus is -ln s without s: a logit of 90 gives s = 1 in float32, and ln(1 - s) would be
    # infinite.
    return y * ops.softplus(-logits) + (1.0 - y) * ops.softplus(logits)


def quality_focal(labels, quality, logits, beta):
    """(...) int, (...), (..., C) to (..., C)."""
    y = _quality_target(labels, quality, logits)
    # y - s without cancellation, at s close to 1 too.
    distance = y * ops.sigmoid(-logits) - (1.0 - y) * ops.sigmoid(logits)
    cost = _soft_cross_entropy(y, logits)
    if beta == 0:  # 1 also for a distance of 0
        return cost
    size = ops.square(distance) if beta == 2 else ops.safe_power(ops.even_abs(distance), beta)
    return size * cost


def varifocal(labels, quality, logits, alpha, gamma):
    """(...) int, (...), (..., C) to (..., C)."""
    y = _quality_target(labels, quality, logits)
    negative = alpha * ops.exp(-gamma * ops.softplus(-logits)) * ops.softplus(logits)
    positive = ops.greater(y, ops.zeros_like(y))
    return ops.where(positive, y * _soft_cross_entropy(y, logits), negative)


def mal(labels, quality, logits, alpha, gamma):
    """(...) int, (...), (..., C) to (..., C)."""
    classes = ops.static_shape(logits)[-1]
    chosen = ops.one_hot(labels, classes, dtype=ops.dtype_name(logits))
    quality = ops.stop_gradient(ops.clip(ops.expand_dims(quality, -1), 0.0, 1.0))
    # Not (chosen * quality)^gamma: at gamma 0 that is 1 for every class, as 0^0 is.
    # A power of its own takes twice the time of all the rest; ln 0 gives e^(-inf) = 0, as wanted.
    power = ops.exp(gamma * ops.log(quality)) if gamma else ops.ones_like(quality)
    target = chosen * power
    # Both cases are y BCE(1, p) + w BCE(0, p) of two constants: y = q^gamma, w = 1 - y at the box's
    # class, and y = 0, w = alpha p^gamma elsewhere. Written so, each softplus is computed once.
    right, wrong = ops.softplus(-logits), ops.softplus(logits)
    modulation = alpha * ops.stop_gradient(ops.exp(-gamma * right))
    positive = ops.greater(chosen, ops.zeros_like(chosen))
    return target * right + ops.where(positive, 1.0 - target, modulation) * wrong


def _with_quality(y_true, y_pred):
    """Labels (...), quality (...) and logits of `y_true` (..., 2) = class, quality."""
    checks.labels(y_true, y_pred, trailing=(2,))
    logits = _logits(y_pred)
    labels, quality = ops.unstack(ops.widen(y_true, ops.dtype_name(logits)), 2, axis=-1)
    return ops.cast(labels, "int32"), quality, logits


def quality_focal_loss(y_true: ArrayLike, y_pred: ArrayLike, *, beta: float = 2.0) -> Tensor:
    """Quality focal loss: |y - s|^beta times the cross-entropy of y and s, summed over the classes.

    `y_true` (..., 2) = class in [0, C], C = background, and quality in [0, 1] (the IoU of the
    predicted box); y is the quality at the class, 0 elsewhere. `y_pred` (..., C) logits of s.
    Returns (...), in [0, inf). The modulating factor is differentiated, the quality is not.
    Source: Li et al. 2020, "Generalized Focal Loss", arXiv:2006.04388, eq. 5, with |y - s|: the
    authors' code takes the power of the signed difference, which is right for even beta only.
    """
    beta = checks.non_negative("beta", beta)
    labels, quality, logits = _with_quality(y_true, y_pred)
    return ops.sum(quality_focal(labels, quality, logits, beta), axis=-1)


def varifocal_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, alpha: float = 0.75, gamma: float = 2.0
) -> Tensor:
    """Varifocal loss: q BCE(q, s) where q > 0, else -alpha s^gamma ln(1 - s).

    BCE is the cross-entropy; summed over the classes. `y_true` (..., 2) = class in [0, C], C =
    background, and quality q in [0, 1]; q is 0 for the other classes. `y_pred` (..., C) logits of
    s. Returns (...), in [0, inf), 0 only for qualities of 0 and 1. s^gamma is differentiated, the
    quality is not.
    Source: Zhang et al. 2021, "VarifocalNet", arXiv:2008.13367, eq. 2.
    """
    alpha = checks.number("alpha", alpha, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    gamma = checks.non_negative("gamma", gamma)
    labels, quality, logits = _with_quality(y_true, y_pred)
    return ops.sum(varifocal(labels, quality, logits, alpha, gamma), axis=-1)


def mal_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, alpha: float = 1.0, gamma: float = 1.5
) -> Tensor:
    """Matchability-aware loss: BCE(q^gamma, p) at the box's class, alpha p^gamma BCE(0, p) else.

    BCE is the cross-entropy; summed over the classes. `y_true` (..., 2) = class in [0, C], C =
    background, and quality q, the IoU of the matched box, held in [0, 1]; `y_pred` (..., C) logits
    of p. Returns (...) in [0, inf); at the optimum it is the entropy of q^gamma. q and the
    modulating p^gamma are constants in the gradient, which is p - q^gamma at the class and
    alpha p^gamma p elsewhere.

    Args: alpha: weight of the negatives, at least 0; 1 in the authors' configuration (None there).
        gamma: at least 0; 1.5 in the authors' configurations, 2 by default in Transformers.

    Against `varifocal_loss`: the target is q^gamma instead of q, and a positive weighs 1 instead of
    q, so that matches of low quality count.
    Difference: at gamma 0 the published code makes the target of every negative 0^0 = 1; here the
    target of a negative is 0.
    Source: Huang et al. 2024, "DEIM", arXiv:2412.04234; p^gamma is held constant as in its code.
    """
    alpha = checks.non_negative("alpha", alpha)
    gamma = checks.non_negative("gamma", gamma)
    labels, quality, logits = _with_quality(y_true, y_pred)
    return ops.sum(mal(labels, quality, logits, alpha, gamma), axis=-1)
