"""Loss classes with another measure in the IoU's place."""

from boxloss.functional import measures
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.tensors import checks
from boxloss.types import Terms, Unpack

__all__ = ["BoundedIoULoss", "ExtendedIoULoss", "NWDLoss"]


@register
class BoundedIoULoss(OverlapLoss):
    """Bounded IoU loss: smooth L1 of an upper bound of the IoU for each of x, y, width, height.

    Terms: x, y, width, height, inversion.
    Mathematics: `boxloss.functional.bounded_iou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        center_factor: k of the bounds for x and y: 2 as printed, 1 in the authors' later code.
        beta: threshold of smooth L1, at least 0; 0 is L1.
    """

    name = "bounded_iou"
    recovers_disjoint = False

    def __init__(
        self, *, center_factor: float = 2.0, beta: float = 0.2, **arguments: Unpack[BoxArguments]
    ) -> None:
        super().__init__(**arguments)
        self.center_factor = checks.positive("center_factor", center_factor)
        self.beta = checks.non_negative("beta", beta)

    def pair_terms(self, pair: Pair) -> Terms:
        return measures.bounded_iou_terms(pair, self.center_factor, self.beta)


@register
class ExtendedIoULoss(OverlapLoss):
    """Extended IoU loss: an IoU that is below 0 for boxes apart. Terms: extended_iou, inversion.

    Mathematics: `boxloss.functional.extended_iou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        smooth_point: threshold of smooth L1, above 0.
    """

    name = "extended_iou"

    def __init__(self, *, smooth_point: float = 0.1, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.smooth_point = checks.positive("smooth_point", smooth_point)

    def pair_terms(self, pair: Pair) -> Terms:
        return measures.extended_iou_terms(pair, self.smooth_point)


@register
class NWDLoss(OverlapLoss):
    """Normalized Wasserstein distance of the boxes as Gaussians. Terms: nwd, inversion.

    Not scale-free: the boxes' unit counts.
    Mathematics: `boxloss.functional.nwd_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        constant: average size of an object, in the unit of the boxes, above 0.
    """

    name = "nwd"

    def __init__(self, *, constant: float = 12.8, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.constant = checks.positive("constant", constant)

    # In pixels the same shift costs less for a large object: `constant` says what is large.
    def pair_terms(self, pair: Pair) -> Terms:
        return measures.nwd_terms(pair, self.constant)
