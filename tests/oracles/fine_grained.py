"""FGL and DDF of D-FINE and MAL of DEIM, from their papers, one box at a time, float64.

Imports nothing from boxloss.
"""

import math

import numpy as np


def bin_values(bins, reg_scale, up):
    """W(n) of the paper (a = up, c = 1 / reg_scale) times reg_scale."""
    a, c, N = up, 1 / reg_scale, bins - 1
    values = []
    for n in range(N + 1):
        if n == 0:
            w = -2 * a
        elif n < N / 2:
            w = c - c * (a / c + 1) ** ((N - 2 * n) / (N - 2))
        elif n < N:
            w = -c + c * (a / c + 1) ** ((2 * n - N) / (N - 2))
        else:
            w = 2 * a
        values.append(w / c)
    return values


def log_softmax(logits):
    top = max(logits)
    total = math.log(sum(math.exp(x - top) for x in logits)) + top
    return [x - total for x in logits]


def bin_and_weight(side, values):
    """The bin on the left of a side, and the weight of the one on its right."""
    side = min(max(side, values[0]), values[-1])
    n = max(k for k in range(len(values) - 1) if values[k] <= side)
    return n, (side - values[n]) / (values[n + 1] - values[n])


def iou_of_sides(true, pred, reg_scale):
    """IoU of two boxes given by their sides from one reference of size reg_scale."""
    half = reg_scale / 2

    def box(sides):
        left, top, right, bottom = sides
        return -half - left, -half - top, half + right, half + bottom

    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = box(pred), box(true)
    w, h = max(0.0, min(x2, X2) - max(x1, X1)), max(0.0, min(y2, Y2) - max(y1, Y1))
    if x2 < x1 or y2 < y1:
        return 0.0
    return w * h / ((x2 - x1) * (y2 - y1) + (X2 - X1) * (Y2 - Y1) - w * h)


def fgl(y_true, y_pred, at=None, bins=33, reg_scale=4.0, up=0.5, iou_weight=True):
    """(4,) of sides (4,) and logits (4 * bins,); the IoU is that of the logits `at`."""
    values = bin_values(bins, reg_scale, up)
    at = y_pred if at is None else at
    logits, held = (np.asarray(x, "float64").reshape(4, bins).tolist() for x in (y_pred, at))
    expected = [
        sum(math.exp(p) * w for p, w in zip(log_softmax(row), values, strict=True)) for row in held
    ]
    weight = iou_of_sides(y_true, expected, reg_scale) if iou_weight else 1.0
    errors = []
    for side, row in zip(map(float, y_true), logits, strict=True):
        n, right = bin_and_weight(side, values)
        logs = log_softmax(row)
        errors.append(-weight * ((1 - right) * logs[n] + right * logs[n + 1]))
    return np.array(errors)


def ddf(y_true, y_pred, bins=33, temperature=5.0):
    """(4,) of teacher logits, quality, matched (4 * bins + 2,) and student logits (4 * bins,)."""
    teacher = np.asarray(y_true[: 4 * bins], "float64").reshape(4, bins) / temperature
    student = np.asarray(y_pred, "float64").reshape(4, bins) / temperature
    quality = float(y_true[4 * bins])
    errors = []
    for t, z in zip(teacher.tolist(), student.tolist(), strict=True):
        pairs = zip(log_softmax(t), log_softmax(z), strict=True)
        divergence = sum(math.exp(p) * (p - q) for p, q in pairs)
        errors.append(quality * temperature**2 * divergence)
    return np.array(errors)


def balanced(per_box, matched):
    """D-FINE's mean of the sides of matched and of other boxes, by the roots of their numbers."""
    groups = [[e for e, m in zip(per_box, matched, strict=True) if m == kind] for kind in (1, 0)]
    roots = [math.sqrt(len(group)) for group in groups]
    means = [sum(group) / (4 * len(group)) if group else 0.0 for group in groups]
    return sum(root * mean for root, mean in zip(roots, means, strict=True)) / sum(roots)


def mal(y_true, y_pred, at=None, alpha=1.0, gamma=1.5):
    """(C,) of a class and a quality, and C logits; p^gamma is that of the logits `at`."""
    label, quality = int(y_true[0]), min(max(float(y_true[1]), 0.0), 1.0)
    at = y_pred if at is None else at
    errors = []
    for c, (x, held) in enumerate(zip(map(float, y_pred), map(float, at), strict=True)):
        log_p, log_not = -math.log1p(math.exp(-x)), -math.log1p(math.exp(x))
        if c == label:
            target = quality**gamma
            errors.append(-target * log_p - (1 - target) * log_not)
        else:
            errors.append(-alpha * (1 / (1 + math.exp(-held))) ** gamma * log_not)
    return np.array(errors)
