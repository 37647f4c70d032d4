"""Losses of upright 3-D boxes: (..., 7) = x, y, z, w, l, h, heading in radians.

w is along the box's own x, l along its own y, h along z. The heading turns the box's x from the
scene's x towards y; it may be of any size, and (w, l, heading), (w, l, heading + pi) and (l, w,
heading + pi/2) are one box. All are scale-free, and have the addend `inversion`, 0 for extents of
at least 0.
"""

from boxloss.functional.box3d_pair import ENCLOSURES, ORIGINS, Box3DPair
from boxloss.tensors import checks, ops
from boxloss.tensors.formulas import total
from boxloss.types import ArrayLike, Enclosure, Origin, Tensor

__all__ = ["diou3d_loss", "giou3d_loss", "iou3d_loss"]


def iou3d_terms(pair):
    return {"overlap": 1.0 - pair.iou, "inversion": pair.inversion}


def giou3d_terms(pair, enclosure="hull"):
    hull = 1.0 - ops.divide_or(pair.union, pair.enclosing_volume(enclosure), 1.0)
    if enclosure != "aligned":
        # Equal boxes are a kink with the least value: no gradient. Rounding can make the union the
        # larger: 0 then, with the gradient as it is.
        hull = ops.where(pair.equal, ops.zeros_like(hull), hull)
        hull = hull - ops.stop_gradient(ops.minimum(hull, ops.zeros_like(hull)))
    return {"overlap": 1.0 - pair.iou, "hull": hull, "inversion": pair.inversion}


def diou3d_terms(pair, enclosure="hull"):
    return {
        "overlap": 1.0 - pair.iou,
        "center": pair.center_distance(enclosure),
        "inversion": pair.inversion,
    }


def check_boxes(*, origin, clockwise):
    """The two arguments that say how boxes are written, checked."""
    return checks.one_of("origin", origin, ORIGINS), checks.flag("clockwise", clockwise)


def check_enclosure(enclosure):
    return checks.one_of("enclosure", enclosure, ENCLOSURES)


def _pair_of(y_true, y_pred, origin, clockwise):
    arguments = check_boxes(origin=origin, clockwise=clockwise)
    checks.boxes(y_true, y_pred, size=7)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return Box3DPair(ops.widen(y_true, dtype), ops.widen(y_pred, dtype), *arguments)


def iou3d_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, origin: Origin = "middle", clockwise: bool = False
) -> Tensor:
    """IoU loss of 3-D boxes: 1 - o, o = I / U by exact volumes.

    I is the area that both outlines share on the ground times the height that both share.
    `y_true`, `y_pred`: (..., 7). Returns (...) in [0, 1] for extents of at least 0. No gradient for
    boxes that are apart on the ground or in height.

    Args:
        origin: what z is: the "middle" of the box (OpenPCDet) or its "bottom" (the LiDAR and depth
            boxes of MMDetection3D). The wrong one is off by up to half a height.
        clockwise: whether headings turn y towards x (SECOND, Paddle3D).

    Differences: MMDetection3D's operator adds 1e-8 where edges cross, which is wrong for boxes of
    1e-4 and for equal boxes whose heading is written otherwise; here nothing is added.
    Source: Zhou et al. 2019, "IoU Loss for 2D/3D Object Detection", arXiv:1908.03851.
    """
    return total(iou3d_terms(_pair_of(y_true, y_pred, origin, clockwise)))


def giou3d_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    enclosure: Enclosure = "hull",
    origin: Origin = "middle",
    clockwise: bool = False,
) -> Tensor:
    """GIoU loss of 3-D boxes: 1 - o + (C - U) / C, C the volume of what encloses both.

    `y_true`, `y_pred`: (..., 7). Returns (...) in [0, 2) for extents of at least 0.

    Args:
        enclosure: the outline on the ground, whose area times the range of the heights is C.
            "hull", the convex hull, is the smallest one and the paper's definition; "smallest" is
            the rectangle of least area; "aligned" is the rectangle along x and y (3DETR), which
            changes when the scene is turned and is not 0 for equal boxes. Boxes that start apart
            arrive with "hull" only.
        origin, clockwise: as in `iou3d_loss`.

    Source: Rezatofighi et al. 2019, "Generalized IoU", arXiv:1902.09630, algorithm 1.
    """
    check_enclosure(enclosure)
    return total(giou3d_terms(_pair_of(y_true, y_pred, origin, clockwise), enclosure))


def diou3d_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    enclosure: Enclosure = "hull",
    origin: Origin = "middle",
    clockwise: bool = False,
) -> Tensor:
    """DIoU loss of 3-D boxes: 1 - o + d^2 / c^2, d the distance of the centres in space.

    c^2 is the squared diagonal on the ground plus the squared range of the heights. `y_true`,
    `y_pred`: (..., 7). Returns (...) in [0, 2) for extents of at least 0.

    Args:
        enclosure: the outline on the ground whose diagonal is taken: the "smallest" rectangle, the
            "aligned" one along x and y (TR3D), which changes when the scene is turned, or the
            convex "hull", whose diagonal is the longest distance between two corners.
        origin, clockwise: as in `iou3d_loss`.

    Differences: TR3D's code takes the difference of the widths for that of z; OpenPCDet's ignores
    the heading.
    Source: Zheng et al. 2020, "Distance-IoU Loss", arXiv:1911.08287, eq. 7, in three dimensions.
    """
    check_enclosure(enclosure)
    return total(diou3d_terms(_pair_of(y_true, y_pred, origin, clockwise), enclosure))
