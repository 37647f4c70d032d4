"""Class losses per box, from logits. Labels are integers; a row of -1 is padding or ignored."""

from boxloss import checks, ops


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


def softmax_loss(y_true, y_pred):
    """Cross-entropy: -ln softmax(y_pred) at the label.

    `y_true` (...) integers in [0, C], C = background; `y_pred` (..., C + 1) logits. Returns (...),
    in [0, inf).
    """
    checks.labels(y_true, y_pred)
    labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
    return softmax(labels, _logits(y_pred))


def sigmoid_focal_loss(y_true, y_pred, *, alpha=0.25, gamma=2.0):
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
