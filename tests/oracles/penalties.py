"""EIoU, SIoU, MPDIoU, Shape-IoU and Powerful-IoU, from their papers.

The addends of each, without `inversion`, are `TERMS[name](geometry, held, **arguments)`; `held` is
the geometry where constants of the gradient are taken.
"""

import math

from oracles.geometry import geometry, inversion


def ratio(a, b):
    """a / b, 0 where both are 0."""
    return a / b if b > 0 else 0.0


def eiou(g, held):
    c2 = g.cw**2 + g.ch**2
    return {
        "overlap": 1 - g.iou,
        "center": ratio(g.dx**2 + g.dy**2, c2),
        "width": ratio(g.w - g.W, g.cw) ** 2,
        "height": ratio(g.h - g.H, g.ch) ** 2,
    }


def changes(g, held):
    """|w - W| / max(w, W), |h - H| / max(h, H); no gradient where both sides are 0: a jump."""

    def change(a, b, at):
        if at == b == 0 and a != 0:
            return math.nan
        return ratio(abs(a - b), max(a, b))

    return change(g.w, g.W, held.w), change(g.h, g.H, held.h)


def siou(g, held, theta=4.0):
    sigma = math.hypot(g.dx, g.dy)
    x = min(1.0, ratio(abs(g.dy), sigma))
    angle = 1 - 2 * math.sin(math.asin(x) - math.pi / 4) ** 2 if sigma > 0 else 0.0
    gamma = 2 - angle
    rho_x, rho_y = ratio(g.dx, g.cw) ** 2, ratio(g.dy, g.ch) ** 2
    distance = (1 - math.exp(-gamma * rho_x)) + (1 - math.exp(-gamma * rho_y))
    shape = sum((1 - math.exp(-change)) ** theta for change in changes(g, held))
    return {"overlap": 1 - g.iou, "distance": distance / 2, "shape": shape / 2}


def mpdiou(g, held, image_shape):
    height, width = image_shape
    d1 = (g.x1 - g.X1) ** 2 + (g.y1 - g.Y1) ** 2
    d2 = (g.x2 - g.X2) ** 2 + (g.y2 - g.Y2) ** 2
    return {"overlap": 1 - g.iou, "corners": (d1 + d2) / (width**2 + height**2)}


def shape_iou(g, held, scale=0.0):
    ww = hh = 1.0
    if scale > 0 and (g.W > 0 or g.H > 0):
        ww = 2 * g.W**scale / (g.W**scale + g.H**scale)
        hh = 2 * g.H**scale / (g.W**scale + g.H**scale)
    change_w, change_h = changes(g, held)
    distance = ratio(hh * g.dx**2 + ww * g.dy**2, g.cw**2 + g.ch**2)
    shape = (1 - math.exp(-hh * change_w)) ** 4 + (1 - math.exp(-ww * change_h)) ** 4
    return {"overlap": 1 - g.iou, "distance": distance, "shape": shape / 2}


def piou(g, held, version=2, scale=1.3, weight_gradient=True):
    def distance(g):
        # A true side of 0 counts as the other one, a true point as the enclosing box (held).
        longer = max(g.W, g.H) or max(held.cw, held.ch) or 1.0
        W, H = g.W or longer, g.H or longer
        x, y = abs(g.x1 - g.X1) + abs(g.x2 - g.X2), abs(g.y1 - g.Y1) + abs(g.y2 - g.Y2)
        return (x / W + y / H) / 4

    weight = 1.0
    if version == 2:
        x = scale * math.exp(-distance(g if weight_gradient else held))
        weight = 3 * x * math.exp(-(x**2))
    corners = 1 - math.exp(-(distance(g) ** 2)) if distance(g) < 100 else 1.0
    return {"overlap": weight * (1 - g.iou), "corners": weight * corners}


TERMS = {"eiou": eiou, "siou": siou, "mpdiou": mpdiou, "shape_iou": shape_iou, "piou": piou}


def summed(terms):
    """The oracle of a function that gives the addends."""

    def oracle(y_true, y_pred, at=None, **arguments):
        at = y_pred if at is None else at
        parts = terms(geometry(y_true, y_pred), geometry(y_true, at), **arguments)
        return sum(parts.values()) + inversion(y_true, y_pred, at)

    return oracle


ORACLES = {name: summed(terms) for name, terms in TERMS.items()}
