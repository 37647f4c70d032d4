"""Loss classes that weigh or move a pair by its own IoU: Focal-EIoU, InterpIoU."""

from typing import Literal

from boxloss.functional import weighted
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.tensors import checks
from boxloss.types import Terms, Unpack

__all__ = ["FocalEIoULoss", "InterpIoULoss"]


@register
class FocalEIoULoss(OverlapLoss):
    """Focal EIoU loss: o^gamma times the EIoU loss.

    Terms: overlap, center, width, height, inversion, each with its weight.
    Mathematics: `boxloss.functional.focal_eiou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        gamma: power of the IoU that weighs, at least 0.
        weight_gradient: whether the weight is differentiated.
    """

    name = "focal_eiou"
    recovers_disjoint = False

    def __init__(
        self,
        *,
        gamma: float = 0.5,
        weight_gradient: bool = False,
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.gamma = checks.non_negative("gamma", gamma)
        self.weight_gradient = checks.flag("weight_gradient", weight_gradient)
        # Differentiated, the weight leads to no overlap, where the loss is 0 as well. Of power 0 it
        # is 1.
        self.recovers_disjoint = self.gamma == 0
        self.recovers_inverted = self.gamma == 0 or not self.weight_gradient

    def pair_terms(self, pair: Pair) -> Terms:
        return weighted.focal_eiou_terms(pair, self.gamma, self.weight_gradient)


@register
class InterpIoULoss(OverlapLoss):
    """InterpIoU loss: 1 - o and the same for a box between both.

    Terms: overlap, interpolated, inversion.
    Mathematics: `boxloss.functional.interp_iou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        alpha: share of the truth in the box between, from 0 to below 1, or "dynamic".
    """

    name = "interp_iou"

    def __init__(
        self, *, alpha: float | Literal["dynamic"] = 0.98, **arguments: Unpack[BoxArguments]
    ) -> None:
        super().__init__(**arguments)
        # "dynamic" or a number: both are kept as given, so that a saved loss is loaded as it was
        # made.
        self.alpha = weighted.check_interpolation(alpha)
        # The interpolated box must overlap: (1 - alpha) of the distance is less than the size.
        self.recovers_disjoint = self.alpha == weighted.DYNAMIC or self.alpha >= 0.95

    def pair_terms(self, pair: Pair) -> Terms:
        return weighted.interp_iou_terms(pair, self.alpha)
