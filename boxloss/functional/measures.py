"""Losses of a pair of boxes that put another measure in the IoU's place.

Bounded IoU, Extended-IoU and the normalised Wasserstein distance; built as `functional.overlap`.
"""

from boxloss.functional.coordinate import smooth_l1
from boxloss.functional.overlap import loss_of
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["bounded_iou_loss", "extended_iou_loss", "nwd_loss"]


def bounded_iou_terms(pair, center_factor=2.0, beta=0.2):
    def offset(distance, side):
        # 1 - max(0, (W - k|dx|) / (W + k|dx|)), without the difference.
        distance = center_factor * ops.even_abs(distance)
        cost = ops.divide_or(2.0 * distance, side + distance, 0.0)
        return ops.even_minimum(cost, ops.ones_like(cost))

    return {
        "x": smooth_l1(offset(pair.dx, pair.W), beta),
        "y": smooth_l1(offset(pair.dy, pair.H), beta),
        "width": smooth_l1(pair.width_change, beta),
        "height": smooth_l1(pair.height_change, beta),
        "inversion": pair.inversion,
    }


def extended_iou_terms(pair, smooth_point=0.1):
    # The signed IoU goes on below 0 for boxes apart, down to -1: the cost is straight there and its
    # slope is not lost, as that of 1 - o is.
    cost = smooth_l1(1.0 - pair.signed_iou, smooth_point)
    return {"extended_iou": cost, "inversion": pair.inversion}


def nwd_terms(pair, constant=12.8):
    squares = ops.square(pair.dx) + ops.square(pair.dy)
    squares = squares + 0.25 * (ops.square(pair.w - pair.W) + ops.square(pair.h - pair.H))
    # Back in the unit of the boxes: `constant` is a size in it, which is what makes the loss depend
    # on the scale.
    distance = ops.safe_sqrt(squares) * (pair.unit / constant)
    return {"nwd": ops.one_minus_exp(distance), "inversion": pair.inversion}


def bounded_iou_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, center_factor: float = 2.0, beta: float = 0.2
) -> Tensor:
    """Bounded IoU loss: the sum of smooth L1 (threshold `beta`) of 1 - b over x, y, width, height.

    b_x = max(0, (W - k |dx|) / (W + k |dx|)), k = `center_factor`; b_w = min(w / W, W / w).
    `y_true`, `y_pred`: xyxy (..., 4). Returns (...) in [0, 4 - 2 beta], for beta above 1 in
    [0, 2 / beta], for ordered boxes; flat for |dx| >= W / k.
    k = 2 as printed; the authors' later code says that k = 1, which makes b the IoU of boxes of one
    size, is right. MMDetection adds 1e-3 to every length, which is wrong for normalised boxes.
    Source: Tychsen-Smith and Petersson 2018, "Fitness NMS and Bounded IoU Loss", arXiv:1711.00164.
    """
    center_factor = checks.positive("center_factor", center_factor)
    beta = checks.non_negative("beta", beta)
    return loss_of(bounded_iou_terms, y_true, y_pred, center_factor, beta)


def extended_iou_loss(y_true: ArrayLike, y_pred: ArrayLike, *, smooth_point: float = 0.1) -> Tensor:
    """Extended-IoU loss: smooth L1 (threshold `smooth_point`) of 1 - the signed IoU.

    The signed IoU uses an intersection that goes on below 0 for boxes apart. `y_true`, `y_pred`:
    xyxy (..., 4). Returns (...) in [0, 1.95] for ordered boxes with the default. It is the
    `EIoULoss` of MMDetection, not the EIoU of arXiv:2101.08158. For boxes apart it depends on which
    corner is the origin (the top left), as in the original.
    Source: Peng and Yu 2021, "A Systematic IoU-Related Method", IEEE TIP 30, from its code.
    """
    smooth_point = checks.positive("smooth_point", smooth_point)
    return loss_of(extended_iou_terms, y_true, y_pred, smooth_point)


def nwd_loss(y_true: ArrayLike, y_pred: ArrayLike, *, constant: float = 12.8) -> Tensor:
    """Normalised Wasserstein distance loss: 1 - e^(-sqrt(d) / constant).

    d = dx^2 + dy^2 + ((w - W)^2 + (h - H)^2) / 4. `y_true`, `y_pred`: xyxy (..., 4) in the unit of
    `constant`, the average size of the objects of the data set (12.8 pixels in AI-TOD; for
    normalised boxes it must be rescaled). Returns (...) in [0, 1) for ordered boxes. Not
    scale-free, and without gradient at distances of many constants. At equal boxes, a kink, the
    gradient is 0.
    Source: Wang et al. 2021, "A Normalized Gaussian Wasserstein Distance for Tiny Object
    Detection", arXiv:2110.13389, eqs. 7 to 9.
    """
    constant = checks.positive("constant", constant)
    return loss_of(nwd_terms, y_true, y_pred, constant)
