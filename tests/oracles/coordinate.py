"""Coordinate losses, summed over the four coordinates."""


def l1(y_true, y_pred, at=None):
    return sum(abs(float(p) - float(t)) for t, p in zip(y_true, y_pred, strict=True))


def smooth_l1(y_true, y_pred, at=None, beta=1.0):
    cost = 0.0
    for t, p in zip(y_true, y_pred, strict=True):
        d = abs(float(p) - float(t))
        cost += d * d / (2 * beta) if d < beta else d - beta / 2
    return cost


ORACLES = {"l1": l1, "smooth_l1": smooth_l1}
