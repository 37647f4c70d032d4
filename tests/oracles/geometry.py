"""Two boxes as plain numbers, with the rules for inverted sides."""

import math
from types import SimpleNamespace


def collapse(low, high):
    """An inverted side becomes its middle."""
    return ((low + high) / 2,) * 2 if high < low else (low, high)


def geometry(y_true, y_pred):
    X1, Y1, X2, Y2 = map(float, y_true)
    x1, y1, x2, y2 = map(float, y_pred)
    X1, X2 = collapse(X1, X2)
    Y1, Y2 = collapse(Y1, Y2)
    x1, x2 = collapse(x1, x2)
    y1, y2 = collapse(y1, y2)
    w, h, W, H = x2 - x1, y2 - y1, X2 - X1, Y2 - Y1
    inter = max(0.0, min(x2, X2) - max(x1, X1)) * max(0.0, min(y2, Y2) - max(y1, Y1))
    union = w * h + W * H - inter
    equal = (x1, y1, x2, y2) == (X1, Y1, X2, Y2)
    iou = inter / union if union > 0 else float(equal)
    cw, ch = max(x2, X2) - min(x1, X1), max(y2, Y2) - min(y1, Y1)
    dx, dy = (x1 + x2 - X1 - X2) / 2, (y1 + y2 - Y1 - Y2) / 2
    return SimpleNamespace(
        x1=x1, y1=y1, x2=x2, y2=y2, X1=X1, Y1=Y1, X2=X2, Y2=Y2,
        w=w, h=h, W=W, H=H, inter=inter, union=union, iou=iou, cw=cw, ch=ch, dx=dx, dy=dy,
    )  # fmt: skip


def inversion(y_true, y_pred, at):
    """Inverted or flat predicted sides, over the longer side that encloses both boxes at `at`."""
    X1, Y1, X2, Y2 = map(float, y_true)
    a1, b1, a2, b2 = map(float, at)
    s = max(max(X1, X2, a1, a2) - min(X1, X2, a1, a2), max(Y1, Y2, b1, b2) - min(Y1, Y2, b1, b2))
    if s == 0:
        s = 1.0
    x1, y1, x2, y2 = map(float, y_pred)
    cost = 0.0
    for low, high, at_low, at_high, true_side in (
        (x1, x2, a1, a2, max(0.0, X2 - X1)),
        (y1, y2, b1, b2, max(0.0, Y2 - Y1)),
    ):
        if at_high < at_low or (at_high == at_low and true_side > 0):
            # The rule is that of the place: linear around it.
            cost += low - high
    return cost / s


def angle(w, h):
    return math.atan2(w, h)
