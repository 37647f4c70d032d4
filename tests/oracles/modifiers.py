"""Alpha-, Inner-, Focaler- and Unified-IoU, Focal-EIoU, InterpIoU and WIoU, from their papers."""

import math
from types import SimpleNamespace

from oracles import penalties
from oracles.geometry import geometry
from oracles.overlap import _aspect, _center


def _ciou(g, held):
    v = _aspect(held)
    trade_off = v / (1 - held.iou + v) if v > 0 else 0.0
    return {"overlap": 1 - g.iou, "center": _center(g), "aspect": trade_off * _aspect(g)}


def _giou(g, held):
    hull = g.cw * g.ch
    return {"overlap": 1 - g.iou, "hull": (hull - g.union) / hull if hull > 0 else 0.0}


BASES = {
    "iou": lambda g, held: {"overlap": 1 - g.iou},
    "giou": _giou,
    "diou": lambda g, held: {"overlap": 1 - g.iou, "center": _center(g)},
    "ciou": _ciou,
    **{name: penalties.TERMS[name] for name in ("eiou", "siou", "mpdiou", "shape_iou")},
}


def scaled(g, ratio):
    """Both boxes of `g` scaled about their centres."""

    def ends(low, high, origin):
        centre, half = (low + high) / 2 - origin, (high - low) / 2 * ratio
        return centre - half, centre + half

    # About the truth's centre, as large coordinates would cost digits.
    ox, oy = (g.X1 + g.X2) / 2, (g.Y1 + g.Y2) / 2
    (x1, x2), (y1, y2) = ends(g.x1, g.x2, ox), ends(g.y1, g.y2, oy)
    (X1, X2), (Y1, Y2) = ends(g.X1, g.X2, ox), ends(g.Y1, g.Y2, oy)
    other = geometry((X1, Y1, X2, Y2), (x1, y1, x2, y2))
    # A millionth beside a million: the ends have lost the side.
    other.w, other.h, other.W, other.H = (ratio * side for side in (g.w, g.h, g.W, g.H))
    return other


def alpha_iou(g, held, base="iou", alpha=3.0, **arguments):
    terms = BASES[base](g, held, **arguments)
    terms = {name: max(term, 0.0) ** alpha for name, term in terms.items()}
    return {**terms, "overlap": 1 - g.iou**alpha}


def _with_overlap(g, held, change, base, arguments):
    """`base` with the overlap `change(g)`: a name, or a name and its arguments.

    WIoU and PIoU are products: they get the changed overlap in the place of the IoU.
    """
    if not isinstance(base, str):
        base, more = base
        arguments = {**arguments, **more}
    if base not in ("wiou", "piou"):
        return {**BASES[base](g, held, **arguments), "overlap": 1 - change(g)}
    product = wiou if base == "wiou" else penalties.piou
    if arguments.pop("outlier", "changed") == "plain":
        arguments["outlier_iou"] = held.iou
    changed = [SimpleNamespace(**{**vars(x), "iou": change(x)}) for x in (g, held)]
    return product(*changed, **arguments)


def inner_iou(g, held, base="iou", ratio=0.75, **arguments):
    return _with_overlap(g, held, lambda x: scaled(x, ratio).iou, base, arguments)


def focaler_iou(g, held, base="iou", low=0.0, high=0.95, **arguments):
    def share(x):
        return min(1.0, max(0.0, (x.iou - low) / (high - low)))

    return _with_overlap(g, held, share, base, arguments)


def unified_iou(g, held, base="ciou", ratio=2.0, **arguments):
    return BASES[base](scaled(g, ratio), scaled(held, ratio), **arguments)


def focal_eiou(g, held, gamma=0.5, weight_gradient=False):
    weight = (g if weight_gradient else held).iou ** gamma
    return {name: weight * term for name, term in penalties.eiou(g, held).items()}


def interp_iou(g, held, alpha=0.98):
    if alpha == "dynamic":
        alpha = min(0.99, max(0.6, 1 - held.iou))
    sides = [
        ((1 - alpha) * (p - t) + (t - origin), t - origin)
        for p, t, origin in (
            (g.x1, g.X1, g.X1),
            (g.y1, g.Y1, g.Y1),
            (g.x2, g.X2, g.X1),
            (g.y2, g.Y2, g.Y1),
        )
    ]
    other = geometry([t for _, t in sides], [b for b, _ in sides])
    return {"overlap": 1 - g.iou, "interpolated": 1 - other.iou}


def wiou(
    g,
    held,
    version=3,
    alpha=1.9,
    delta=3.0,
    gamma=0.5,
    running_mean=1.0,
    momentum=1e-2,
    outlier_iou=None,
):
    squares = held.cw**2 + held.ch**2
    cost = (1 - g.iou) * math.exp((g.dx**2 + g.dy**2) / squares if squares > 0 else 0.0)
    b = (1 - (held.iou if outlier_iou is None else outlier_iou)) / running_mean
    factor = {1: 1.0, 2: b**gamma, 3: b / (delta * alpha ** (b - delta))}[version]
    return {"overlap": factor * cost}


TERMS = {
    "alpha_iou": alpha_iou,
    "inner_iou": inner_iou,
    "focaler_iou": focaler_iou,
    "unified_iou": unified_iou,
    "focal_eiou": focal_eiou,
    "interp_iou": interp_iou,
    "wiou": wiou,
}
ORACLES = {name: penalties.summed(terms) for name, terms in TERMS.items()}
