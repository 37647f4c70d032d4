"""IoU, GIoU, DIoU and CIoU, from their papers."""

import math

from oracles.geometry import angle, geometry, inversion


def iou(y_true, y_pred, at=None, mode="linear"):
    o = geometry(y_true, y_pred).iou
    values = {
        "linear": lambda: 1 - o,
        "square": lambda: 1 - o * o,
        "log": lambda: -math.log(max(o, 1e-6)),
    }
    return values[mode]() + inversion(y_true, y_pred, y_pred if at is None else at)


def giou(y_true, y_pred, at=None):
    g = geometry(y_true, y_pred)
    area = g.cw * g.ch
    penalty = (area - g.union) / area if area > 0 else 0.0
    return 1 - g.iou + penalty + inversion(y_true, y_pred, y_pred if at is None else at)


def _center(g):
    diagonal = g.cw**2 + g.ch**2
    return (g.dx**2 + g.dy**2) / diagonal if diagonal > 0 else 0.0


def diou(y_true, y_pred, at=None):
    g = geometry(y_true, y_pred)
    return 1 - g.iou + _center(g) + inversion(y_true, y_pred, y_pred if at is None else at)


def _aspect(g):
    if (g.w == 0 and g.h == 0) or (g.W == 0 and g.H == 0):
        return 0.0
    return 4 / math.pi**2 * (angle(g.W, g.H) - angle(g.w, g.h)) ** 2


def ciou(y_true, y_pred, at=None, gated=False, alpha_gradient=False):
    at = y_pred if at is None else at
    g = geometry(y_true, y_pred)
    held = g if alpha_gradient else geometry(y_true, at)
    v, o = _aspect(held), held.iou
    alpha = v / (1 - o + v) if v > 0 else 0.0
    if gated and geometry(y_true, at).iou < 0.5:
        alpha = 0.0
    return 1 - g.iou + _center(g) + alpha * _aspect(g) + inversion(y_true, y_pred, at)


ORACLES = {"iou": iou, "giou": giou, "diou": diou, "ciou": ciou}
