"""Bounded IoU, Extended-IoU and the normalised Wasserstein distance."""

import math

from oracles.penalties import summed


def _smooth(x, beta):
    if beta == 0:
        return x
    return x * x / (2 * beta) if x < beta else x - beta / 2


def bounded_iou(g, held, center_factor=2.0, beta=0.2):
    def place(d, side):
        d = center_factor * abs(d)
        return max(0.0, (side - d) / (side + d)) if side + d > 0 else 1.0

    def size(a, b):
        return min(a, b) / max(a, b) if max(a, b) > 0 else 1.0

    return {
        "x": _smooth(1 - place(g.dx, g.W), beta),
        "y": _smooth(1 - place(g.dy, g.H), beta),
        "width": _smooth(1 - size(g.w, g.W), beta),
        "height": _smooth(1 - size(g.h, g.H), beta),
    }


def extended_iou(g, held, smooth_point=0.1):
    # From the corner of the enclosing box; areas of boxes apart count negative.
    left, top = min(g.x1, g.X1), min(g.y1, g.Y1)
    a, b = max(g.x1, g.X1) - left, min(g.x2, g.X2) - left
    c, d = max(g.y1, g.Y1) - top, min(g.y2, g.Y2) - top
    signed = b * d + min(a, b) * min(c, d) - a * max(c, d) - max(a, b) * c
    if b >= a and d >= c:
        signed = g.inter  # the same without rounding
    union = g.w * g.h + g.W * g.H - signed
    equal = (g.x1, g.y1, g.x2, g.y2) == (g.X1, g.Y1, g.X2, g.Y2)
    o = signed / union if union > 0 else float(equal)
    return {"extended_iou": _smooth(1 - o, smooth_point)}


def nwd(g, held, constant=12.8):
    squares = g.dx**2 + g.dy**2 + ((g.w - g.W) ** 2 + (g.h - g.H) ** 2) / 4
    return {"nwd": -math.expm1(-math.sqrt(squares) / constant)}


TERMS = {"bounded_iou": bounded_iou, "extended_iou": extended_iou, "nwd": nwd}
ORACLES = {name: summed(terms) for name, terms in TERMS.items()}
