"""Scale-based dynamic loss, Gaussian combined distance, and L1 of normalised distances."""

import math

from oracles.modifiers import BASES
from oracles.penalties import summed


def sd(g, held, delta=0.5, largest_area=81.0):
    parts = BASES["ciou"](g, held)
    b = min(g.W * g.H / largest_area * delta, delta)
    scale = parts["overlap"] + parts["aspect"]
    return {"scale": (1 - delta + b) * scale, "location": (1 + delta - b) * parts["center"]}


def gcd(g, held):
    squared = 0.0
    for offset, side, true_side in ((g.dx, g.w, g.W), (g.dy, g.h, g.H)):
        squares = offset**2 + (side - true_side) ** 2 / 4
        if squares > 0 and min(side, true_side) == 0:
            return {"gcd": 1.0}
        if squares > 0:
            squared += squares * (1 / side**2 + 1 / true_side**2) / 2
    return {"gcd": -math.expm1(-math.sqrt(squared))}


def ltrb_l1(y_true, y_pred, at=None, unit="image", image_shape=None, coordinate_reduction="mean"):
    height, width = image_shape if unit == "image" else (unit, unit)
    # Distances from any point: it cancels.
    x, y = 3.25, -7.5

    def distances(box):
        x1, y1, x2, y2 = map(float, box)
        return (x - x1) / width, (y - y1) / height, (x2 - x) / width, (y2 - y) / height

    errors = [abs(a - b) for a, b in zip(distances(y_true), distances(y_pred), strict=True)]
    return sum(errors) / (4 if coordinate_reduction == "mean" else 1)


TERMS = {"sd": sd, "gcd": gcd}
ORACLES = {name: summed(terms) for name, terms in TERMS.items()}
ORACLES["ltrb_l1"] = ltrb_l1
