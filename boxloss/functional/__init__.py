"""The mathematics alone: xyxy boxes, no mask, no reduction, `y_true` before `y_pred`.

Coordinate losses return (..., 4), box losses (...). Inputs of float16 and bfloat16 are computed in
float32; float64 stays float64 where both inputs have it.
"""

from boxloss.functional.classification import (
    quality_focal_loss,
    sigmoid_focal_loss,
    softmax_loss,
    varifocal_loss,
)
from boxloss.functional.coordinate import (
    balanced_l1_loss,
    huber_loss,
    l1_loss,
    l2_loss,
    log_cosh_loss,
    smooth_l1_loss,
)
from boxloss.functional.density import ghm_r_loss
from boxloss.functional.distribution import dfl_loss
from boxloss.functional.measures import bounded_iou_loss, extended_iou_loss, nwd_loss
from boxloss.functional.modifiers import (
    alpha_iou_loss,
    focaler_iou_loss,
    inner_iou_loss,
    unified_iou_loss,
)
from boxloss.functional.overlap import (
    ciou_loss,
    ciou_matrix,
    diou_loss,
    giou_loss,
    giou_matrix,
    iou_loss,
    iou_matrix,
)
from boxloss.functional.penalties import (
    eiou_loss,
    mpdiou_loss,
    piou_loss,
    shape_iou_loss,
    siou_loss,
)
from boxloss.functional.rotated import (
    gwd_loss,
    kfiou_loss,
    kld_loss,
    probiou_loss,
    rotated_giou_loss,
    rotated_iou_loss,
)
from boxloss.functional.uncertainty import gaussian_nll_loss, kl_loss, laplace_nll_loss
from boxloss.functional.weighted import focal_eiou_loss, interp_iou_loss, wiou_loss

__all__ = [
    "alpha_iou_loss",
    "balanced_l1_loss",
    "bounded_iou_loss",
    "ciou_loss",
    "ciou_matrix",
    "dfl_loss",
    "diou_loss",
    "eiou_loss",
    "extended_iou_loss",
    "focal_eiou_loss",
    "focaler_iou_loss",
    "gaussian_nll_loss",
    "ghm_r_loss",
    "giou_loss",
    "giou_matrix",
    "gwd_loss",
    "huber_loss",
    "inner_iou_loss",
    "interp_iou_loss",
    "iou_loss",
    "iou_matrix",
    "kfiou_loss",
    "kl_loss",
    "kld_loss",
    "l1_loss",
    "l2_loss",
    "laplace_nll_loss",
    "log_cosh_loss",
    "mpdiou_loss",
    "nwd_loss",
    "piou_loss",
    "probiou_loss",
    "quality_focal_loss",
    "rotated_giou_loss",
    "rotated_iou_loss",
    "shape_iou_loss",
    "sigmoid_focal_loss",
    "siou_loss",
    "smooth_l1_loss",
    "softmax_loss",
    "unified_iou_loss",
    "varifocal_loss",
    "wiou_loss",
]
