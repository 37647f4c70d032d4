"""The overlap family: losses of a pair of boxes as a whole.

Every loss is a function of a `Pair` that returns its named addends (...); the public `<name>_loss`
sums them. Boxes are xyxy (..., 4) in any unit; all losses here are scale-free, finite for every
box, 0 for equal boxes of any size, and all have the addend `inversion`, 0 for ordered boxes.
"""

from typing import get_args

from boxloss.functional.pair import Pair
from boxloss.tensors import checks, formulas, ops
from boxloss.tensors.compiled import function_call
from boxloss.types import ArrayLike, IoUMode, Tensor

__all__ = [
    "ciou_loss",
    "ciou_matrix",
    "diou_loss",
    "diou_matrix",
    "giou_loss",
    "giou_matrix",
    "iou_loss",
    "iou_matrix",
]

IOU_FLOOR = 1e-6
MODES = get_args(IoUMode)


def pair_of(y_true, y_pred, image_shape=None):
    """The checked and widened `Pair` of two sets of boxes."""
    checks.boxes(y_true, y_pred)
    dtype = ops.arithmetic_dtype(y_true, y_pred)
    return Pair(ops.widen(y_true, dtype), ops.widen(y_pred, dtype), image_shape)


def loss_of(terms, y_true, y_pred, *arguments, image_shape=None):
    """The sum of `terms(pair, *arguments)`, (...), compiled where the same shapes come again."""
    checks.boxes(y_true, y_pred)
    # A shape for each image is a tensor (B, 2), which a compiled call has no place for.
    if not (image_shape is None or isinstance(image_shape, tuple)):
        return formulas.total(terms(pair_of(y_true, y_pred, image_shape), *arguments))
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    return function_call(_sum, y_true, y_pred, terms, arguments, image_shape)


def _sum(y_true, y_pred, terms, arguments, image_shape):
    dtype = ops.arithmetic_dtype(y_true, y_pred)

    def formula(true, pred):
        return terms(Pair.of_sides(true, pred, image_shape), *arguments)

    return formulas.errors(formula, ops.widen(y_true, dtype), ops.widen(y_pred, dtype))


def iou_terms(pair, mode="linear"):
    o = pair.iou
    # ln 0 is infinite. Below the floor the cost is level: boxes apart have no gradient in the other
    # modes either.
    if mode == "log":
        overlap = -ops.log(ops.where(ops.less(o, IOU_FLOOR), ops.ones_like(o) * IOU_FLOOR, o))
    elif mode == "square":
        overlap = 1.0 - ops.square(o)
    else:
        overlap = 1.0 - o
    return {"overlap": overlap, "inversion": pair.inversion}


def giou_terms(pair):
    # 1 - U/C, not (C - U)/C: one rounding less, and exactly 0 where U == C.
    hull = 1.0 - ops.divide_or(pair.union, pair.hull, 1.0)
    # Rounding can make the union the larger: 0 then, with the gradient as it is.
    hull = hull - ops.stop_gradient(ops.minimum(hull, ops.zeros_like(hull)))
    return {"overlap": 1.0 - pair.iou, "hull": hull, "inversion": pair.inversion}


def diou_terms(pair):
    return {
        "overlap": 1.0 - pair.iou,
        "center": pair.center_distance,
        "inversion": pair.inversion,
    }


def ciou_terms(pair, gated=False, alpha_gradient=False):
    v, o = pair.aspect, pair.iou
    # 0 / 0 only at equal boxes of one shape, where the term is 0 whatever alpha is. alpha falls as
    # 1 - o grows: differentiated, it would pay to give up overlap.
    alpha = ops.divide_or(v, (1.0 - o) + v, 0.0)
    if not alpha_gradient:
        alpha = ops.stop_gradient(alpha)
    if gated:
        alpha = ops.where(ops.less(o, 0.5), ops.zeros_like(alpha), alpha)
    return {
        "overlap": 1.0 - o,
        "center": pair.center_distance,
        "aspect": alpha * v,
        "inversion": pair.inversion,
    }


def iou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, mode: IoUMode = "linear") -> Tensor:
    """IoU loss: 1 - o ("linear"), -ln o ("log") or 1 - o^2 ("square"), o the IoU.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...). Range [0, 1], [0, 13.8], [0, 1] for ordered
    boxes. No gradient for boxes apart. o is floored at 1e-6 under "log", which would be infinite.
    Source: "log" is Yu et al. 2016, "UnitBox", arXiv:1608.01471; "square" is YOLOX's.
    """
    checks.one_of("mode", mode, MODES)
    return loss_of(iou_terms, y_true, y_pred, mode)


def giou_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """GIoU loss: 1 - o + (C - U) / C, C the area of the enclosing box, U the union.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2] for ordered boxes; the penalty is 0
    where C is 0.
    Source: Rezatofighi et al. 2019, "Generalized IoU", arXiv:1902.09630, algorithms 1 and 2.
    """
    return loss_of(giou_terms, y_true, y_pred)


def diou_loss(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """DIoU loss: 1 - o + d^2 / c^2, d the distance of the centres, c the enclosing diagonal.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2) for ordered boxes. c is
    differentiated, as in every implementation. On boxes in units of an image that is not square, d
    and c are distorted.
    Source: Zheng et al. 2020, "Distance-IoU Loss", arXiv:1911.08287, eq. 7.
    """
    return loss_of(diou_terms, y_true, y_pred)


def ciou_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, gated: bool = False, alpha_gradient: bool = False
) -> Tensor:
    """CIoU loss: 1 - o + d^2 / c^2 + alpha v, v = 4/pi^2 (atan(W/H) - atan(w/h))^2.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 2.5) for ordered boxes. alpha = v / (1 -
    o + v), 0 where v is 0, is a constant in the gradient as in the authors' code;
    `alpha_gradient=True` differentiates it (Keras, KerasCV). `gated=True` sets alpha = 0 while o <
    0.5 (the extended paper, arXiv:2005.03572; MMDetection).
    Differences from the paper: v is 0 where a box is a point, whose aspect ratio is not defined;
    the gradient of v keeps its factor 1 / (w^2 + h^2), which eq. 12 replaces by 1.
    Source: Zheng et al. 2020, "Distance-IoU Loss", arXiv:1911.08287, eqs. 8 to 11.
    """
    checks.flag("gated", gated)
    checks.flag("alpha_gradient", alpha_gradient)
    return loss_of(ciou_terms, y_true, y_pred, gated, alpha_gradient)


# Pairwise ----------------------------------------------------------------------------------------


def _pairwise(a, b):
    checks.two_sets(a, b)
    dtype = ops.arithmetic_dtype(a, b)
    a, b = ops.widen(a, dtype), ops.widen(b, dtype)
    # (..., N, 1, 4) and (..., 1, M, 4): every quantity of the pair is then (..., N, M).
    return ops.expand_dims(a, -2), ops.expand_dims(b, -3)


def iou_matrix(a: ArrayLike, b: ArrayLike) -> Tensor:
    """IoU of every box of `a` (..., N, 4) and of `b` (..., M, 4): (..., N, M) in [0, 1]."""
    return Pair(*_pairwise(a, b)).iou


def giou_matrix(a: ArrayLike, b: ArrayLike) -> Tensor:
    """GIoU of every box of `a` with every box of `b`: (..., N, M) in [-1, 1]; see `giou_loss`."""
    terms = giou_terms(Pair(*_pairwise(a, b)))
    return 1.0 - terms["overlap"] - terms["hull"]


def diou_matrix(a: ArrayLike, b: ArrayLike) -> Tensor:
    """DIoU of every box of `a` with every box of `b`: (..., N, M) in (-1, 1]; see `diou_loss`."""
    terms = diou_terms(Pair(*_pairwise(a, b)))
    return 1.0 - terms["overlap"] - terms["center"]


def ciou_matrix(a: ArrayLike, b: ArrayLike) -> Tensor:
    """CIoU of every box of `a` with every box of `b`: (..., N, M) in (-1.5, 1]; see `ciou_loss`."""
    terms = ciou_terms(Pair(*_pairwise(a, b)))
    return 1.0 - terms["overlap"] - terms["center"] - terms["aspect"]
