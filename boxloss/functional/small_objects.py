"""Losses for small objects: scale-based dynamic loss and the Gaussian combined distance.

Built as `functional.overlap`: functions of a `Pair` that return named addends.
"""

from boxloss.functional.overlap import ciou_terms, loss_of
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["gcd_loss", "sd_loss"]

# 9 x 9 pixels: the largest "small" target of the paper's data sets.
LARGEST_AREA = 81.0


def sd_terms(pair, delta=0.5, largest_area=LARGEST_AREA):
    terms = ciou_terms(pair)
    # b = min(A delta / 81, delta), from the truth only: a constant in the gradient. The sides are
    # divided first, as their product leaves float32 for sides of 1e20.
    unit = largest_area**0.5
    share = ops.stop_gradient((pair.true_width / unit) * (pair.true_height / unit))
    share = ops.minimum(share, ops.ones_like(share))
    shape, place = (1.0 - delta) + delta * share, (1.0 + delta) - delta * share
    return {
        "overlap": shape * terms["overlap"],
        "center": place * terms["center"],
        "aspect": shape * terms["aspect"],
        "inversion": terms["inversion"],
    }


# Of D sqrt(2): e^-D is 0 in float32 from D = 104. The slope of D, up to 1 / a side, is of no use
# beyond.
FAR = 150.0


# No side is taken for shorter: the square of its reciprocal must be a number.
SHORTEST = 1e-18


def _squared_distance(offset, change, side, true_side):
    """(offset^2 + change^2 / 4) (1 / side^2 + 1 / true_side^2), at most FAR^2.

    A side of 0 makes it FAR^2, unless nothing differs on this axis: 0 then.
    """
    # 1 / SHORTEST^2 = 1e36 makes FAR^2 of all but nothing. Without a select, which would end the
    # vectorised loop here: that took 2.4 times as long.
    shortest = SHORTEST * ops.ones_like(offset)
    one_by, one_by_true = (ops.reciprocal(ops.maximum(x, shortest)) for x in (side, true_side))
    squares = ops.square(offset) + 0.25 * ops.square(change)
    distance = squares * (ops.square(one_by) + ops.square(one_by_true))
    return ops.minimum(distance, FAR**2 * ops.ones_like(distance))


def gcd_terms(pair):
    x = _squared_distance(pair.dx, pair.w - pair.W, pair.w, pair.W)
    y = _squared_distance(pair.dy, pair.h - pair.H, pair.h, pair.H)
    return {
        "gcd": ops.one_minus_exp(ops.safe_sqrt(0.5 * (x + y))),
        "inversion": pair.inversion,
    }


def check_sd(*, delta, largest_area):
    """The two arguments, checked."""
    delta = checks.number("delta", delta, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    return delta, checks.positive("largest_area", largest_area)


def sd_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    delta: float = 0.5,
    largest_area: float = LARGEST_AREA,
) -> Tensor:
    """Scale-based dynamic loss: (1 - delta + b) (1 - o + alpha v) + (1 + delta - b) d^2 / c^2.

    b = delta min(A / largest_area, 1), A the area of the true box; the parts are those of
    `ciou_loss`, alpha a constant. `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2.5) for
    ordered boxes. The smaller the truth, the more its place counts and the less overlap and shape;
    from `largest_area` on, and with delta 0, it is the CIoU loss. Not scale-free.

    Args:
        delta: how much is moved, 0 to 1; 0.5 in the authors' code.
        largest_area: in the boxes' unit squared. The default is the paper's: boxes in pixels of the
            original image, 81 = 9 x 9. Boxes in [0, 1] all count as tiny unless it is divided by
            the image's area; the authors' code measures in cells of the feature map, 81 of which
            are 36 to 288 pixels square.

    Source: Yang et al. 2024, "Pinwheel-shaped Convolution and Scale-based Dynamic Loss",
    arXiv:2412.16986 (SDB; its mask form SDM is no box loss).
    """
    delta, largest_area = check_sd(delta=delta, largest_area=largest_area)
    return loss_of(sd_terms, y_true, y_pred, delta, largest_area)


def gcd_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Gaussian combined distance loss: 1 - e^-D.

    D^2 = [(dx^2 + (w - W)^2 / 4) (1/w^2 + 1/W^2) + (dy^2 + (h - H)^2 / 4) (1/h^2 + 1/H^2)] / 2.
    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 1) for ordered boxes. Symmetric, and the
    same in every unit of x and of y. The smaller box sets the reach: a prediction much smaller than
    its truth, or than its distance from it, has hardly a gradient, and none where D is above 106.
    Differences: at equal boxes, a kink where the authors' code gives NaN, the gradient is 0; a side
    of 0 costs 1 unless the truth has it too. Only the authors' mode "exp" is here: under the others
    their loss falls with the distance.
    Source: Guan et al. 2025, "Gaussian Combined Distance", arXiv:2510.27649, from its code.
    """
    return loss_of(gcd_terms, y_true, y_pred)
