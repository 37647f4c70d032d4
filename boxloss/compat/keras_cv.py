"""KerasCV 0.9.0: `IoULoss`, `GIoULoss`, `CIoULoss`, `SmoothL1Loss`, `FocalLoss`.

Kept: `bounding_box_format` in upper or lower case, relative boxes measured in units of the image;
`IoULoss` and `GIoULoss` average the IoU over the axis `axis` *before* the loss is taken, so that
"log" is -ln of a mean (`axis="no_reduction"` gives one per box); `CIoULoss` gives one per box
and differentiates its alpha, unlike the paper; `SmoothL1Loss` averages the last axis, `FocalLoss`
sums it.

Knowingly different (the bugs that are not kept):
- Batches. KerasCV takes the diagonal over batch and box: identical boxes of shape (3, 5, 4) cost
  1.094 (GIoU) or 0.750 (IoU) there, 0 here, and the result is (3,), not (5,).
- IoULoss in its default mode "log" is inf, with gradient NaN, without overlap; the mean IoU is
  floored at 1e-6 here.
- CIoULoss squares 4 / pi^2 in its aspect term and adds an epsilon to sides and areas: an identical
  box of side 0.001 costs 0.17 there, 0 here. `eps` is accepted and, as there, not used. Its
  `get_config` forgets the format.
- GIoULoss rewards inverted boxes: two negative sides make a positive area there.
- SmoothL1Loss jumps at `l1_cutoff` unless that is 1. Here it is the smooth L1 of Fast R-CNN with
  beta = `l1_cutoff`: d^2 / (2 beta) below, |d| - beta / 2 above.
- FocalLoss gives the weight alpha to no target once `label_smoothing` has moved them off 1; here
  the targets before smoothing decide.

BinaryPenaltyReducedFocalCrossEntropy is a loss of heat maps, not of boxes, and not here.
"""

from typing import Any

import keras

from boxloss import functional
from boxloss.compat import binary_focal
from boxloss.compat.peer_loss import PeerLoss, floating
from boxloss.functional.overlap import IOU_FLOOR
from boxloss.tensors import boxes, checks, ops
from boxloss.types import ArrayLike, Tensor

register = keras.utils.register_keras_serializable(package="boxloss.compat.keras_cv")

__all__ = ["CIoULoss", "FocalLoss", "GIoULoss", "IoULoss", "SmoothL1Loss"]


class _BoxLoss(PeerLoss):
    def __init__(self, bounding_box_format: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bounding_box_format = boxes.check_format(
            "bounding_box_format", str(bounding_box_format).lower()
        )

    def measured(self, loss: Any, y_true: ArrayLike, y_pred: ArrayLike, **arguments: Any) -> Tensor:
        """A functional loss of both in xyxy: (..., N, 4) to (..., N)."""
        y_true, y_pred = floating(y_true, y_pred)
        checks.boxes(y_true, y_pred)
        pair = (boxes.to_xyxy(x, self.bounding_box_format) for x in (y_true, y_pred))
        return loss(*pair, **arguments)


class _MeanOverlapLoss(_BoxLoss):
    def __init__(self, bounding_box_format: str, axis: int | str = -1, **kwargs: Any) -> None:
        super().__init__(bounding_box_format, **kwargs)
        self.axis = axis

    def mean(self, overlaps: Tensor) -> Tensor:
        return overlaps if self.axis == "no_reduction" else ops.mean(overlaps, axis=self.axis)


@register
class IoULoss(_MeanOverlapLoss):
    """1 - IoU ("linear"), 1 - IoU^2 ("quadratic") or -ln IoU ("log") of a mean IoU.

    `y_true`, `y_pred`: (..., N, 4). `axis`: the axis of the IoUs (..., N) that is averaged first,
    or "no_reduction".
    """

    def __init__(
        self, bounding_box_format: str, mode: str = "log", axis: int | str = -1, **kwargs: Any
    ) -> None:
        super().__init__(bounding_box_format, axis, **kwargs)
        self.mode = checks.one_of("mode", mode, ("linear", "log", "quadratic"))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        iou = self.mean(1.0 - self.measured(functional.iou_loss, y_true, y_pred))
        if self.mode == "linear":
            return 1.0 - iou
        if self.mode == "quadratic":
            return 1.0 - ops.square(iou)
        return -ops.log(ops.where(ops.less(iou, IOU_FLOOR), ops.ones_like(iou) * IOU_FLOOR, iou))


@register
class GIoULoss(_MeanOverlapLoss):
    """1 - the mean GIoU over `axis`, or 1 - GIoU of each box with `axis="no_reduction"`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.mean(self.measured(functional.giou_loss, y_true, y_pred))


@register
class CIoULoss(_BoxLoss):
    """1 - CIoU, one number per box."""

    def __init__(self, bounding_box_format: str, eps: float = 1e-7, **kwargs: Any) -> None:
        super().__init__(bounding_box_format, **kwargs)
        self.eps = eps

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.measured(functional.ciou_loss, y_true, y_pred, alpha_gradient=True)


@register
class SmoothL1Loss(PeerLoss):
    """Smooth L1 with beta = `l1_cutoff`, averaged over the last axis."""

    def __init__(self, l1_cutoff: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l1_cutoff = checks.positive("l1_cutoff", l1_cutoff)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        checks.same_shape(y_true=y_true, y_pred=y_pred)
        y_true, y_pred = floating(y_true, y_pred)
        # Also for rows of any length, in KerasCV as here.
        return ops.mean(functional.coordinate.smooth_l1(y_pred - y_true, self.l1_cutoff), axis=-1)


@register
class FocalLoss(PeerLoss):
    """Focal loss summed over the last axis: (..., C) targets and predictions to (...).

    `y_pred` are probabilities, or logits with `from_logits=True`. Targets of 1 weigh `alpha`, all
    others 1 - `alpha`. `label_smoothing` moves the targets towards 0.5.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2,
        from_logits: bool = False,
        label_smoothing: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)
        self.gamma = checks.non_negative("gamma", gamma)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        checks.same_shape(y_true=y_true, y_pred=y_pred)
        y, y_pred = floating(y_true, y_pred)
        one = ops.ones_like(y)
        alpha = ops.where(ops.equal(y, one), one * self.alpha, one * (1.0 - self.alpha))
        y = y * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        focal = binary_focal.from_logits if self.from_logits else binary_focal.from_probabilities
        return ops.sum(focal(y, y_pred, alpha, self.gamma), axis=-1)
