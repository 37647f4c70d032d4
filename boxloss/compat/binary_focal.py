"""The focal loss of each class on its own, targets from 0 to 1: all three libraries have one."""

from boxloss.tensors import ops

# Keras keeps probabilities this far from 0 and 1.
EPSILON = 1e-7


def _balanced(y, wrong, cross_entropy, alpha, gamma):
    """`wrong` is 1 - p_t. `alpha` is a number, a tensor of weights, or None for no balance."""
    if isinstance(alpha, (int, float)):
        alpha = alpha * y + (1.0 - alpha) * (1.0 - y)
    loss = cross_entropy if alpha is None else alpha * cross_entropy
    # A root has an infinite slope at 0, where a prediction is perfect: `safe_power` has none.
    return loss * ops.safe_power(wrong, gamma) if gamma else loss


def from_logits(y, logits, alpha, gamma):
    """(...) targets and logits to (...)."""
    wrong = y * ops.sigmoid(-logits) + (1.0 - y) * ops.sigmoid(logits)
    cross_entropy = y * ops.softplus(-logits) + (1.0 - y) * ops.softplus(logits)
    return _balanced(y, wrong, cross_entropy, alpha, gamma)


def from_probabilities(y, p, alpha, gamma):
    """(...) targets and probabilities to (...). No gradient where p is within 1e-7 of 0 or 1."""
    p = ops.clip(p, EPSILON, 1.0 - EPSILON)
    wrong = y * (1.0 - p) + (1.0 - y) * p
    cross_entropy = -(y * ops.log(p) + (1.0 - y) * ops.log(1.0 - p))
    return _balanced(y, wrong, cross_entropy, alpha, gamma)
