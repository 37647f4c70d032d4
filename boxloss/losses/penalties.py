"""Loss classes of overlap with penalties for place and shape."""

from typing import Literal

from boxloss.functional import penalties
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks
from boxloss.types import Terms, Unpack

__all__ = ["EIoULoss", "MPDIoULoss", "PIoULoss", "SIoULoss", "ShapeIoULoss"]


@register
class EIoULoss(OverlapLoss):
    """`boxloss.functional.eiou_loss`; terms overlap, center, width, height, inversion."""

    name = "eiou"
    is_overlap_plus_penalties = True

    def pair_terms(self, pair: Pair) -> Terms:
        return penalties.eiou_terms(pair)


@register
class SIoULoss(OverlapLoss):
    """`boxloss.functional.siou_loss`; terms overlap, distance, shape, inversion.

    Args: theta: power of the shape cost, above 0; 2 to 6 in the paper.
    """

    name = "siou"
    is_overlap_plus_penalties = True

    def __init__(self, *, theta: float = 4.0, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.theta = checks.positive("theta", theta)

    def pair_terms(self, pair: Pair) -> Terms:
        return penalties.siou_terms(pair, self.theta)


@register
class MPDIoULoss(OverlapLoss):
    """`boxloss.functional.mpdiou_loss`; terms overlap, corners, inversion.

    Args: image_shape: (height, width), by which the corners' distances are measured. It is required
        unless the format is relative to the image, where it is (1, 1) by default.
    """

    name = "mpdiou"
    is_overlap_plus_penalties = True

    def __init__(self, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        if self.image_shape is None and not boxes.is_relative(self.bounding_box_format):
            raise ValueError(
                "`image_shape` must be (height, width) unless `bounding_box_format` is relative. "
                f"Received: image_shape=None, bounding_box_format={self.bounding_box_format!r}"
            )

    def pair_terms(self, pair: Pair) -> Terms:
        if pair.image_shape is None:
            pair.image_shape = self.image_shape or (1.0, 1.0)
        return penalties.mpdiou_terms(pair)


@register
class ShapeIoULoss(OverlapLoss):
    """`boxloss.functional.shape_iou_loss`; terms overlap, distance, shape, inversion.

    Args: scale: how much the true box's shape weighs, at least 0; depends on the data set.
    """

    name = "shape_iou"
    is_overlap_plus_penalties = True

    def __init__(self, *, scale: float = 0.0, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.scale = checks.non_negative("scale", scale)

    def pair_terms(self, pair: Pair) -> Terms:
        return penalties.shape_iou_terms(pair, self.scale)


@register
class PIoULoss(OverlapLoss):
    """`boxloss.functional.piou_loss`; terms overlap, corners, inversion.

    Args:
        version: 1, or 2: with a factor that is largest at medium quality.
        scale: lambda, where version 2 has its largest factor.
        weight_gradient: whether that factor is differentiated.
    """

    name = "piou"
    is_product = True
    # Loss and gradient vanish with the distance; 81 % arrive with version 1, none with version 2.
    recovers_disjoint = False

    def __init__(
        self,
        *,
        version: Literal[1, 2] = 2,
        scale: float = 1.3,
        weight_gradient: bool = True,
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.version, self.scale, self.weight_gradient = penalties.check_piou(
            version=version, scale=scale, weight_gradient=weight_gradient
        )

    def pair_terms(self, pair: Pair) -> Terms:
        return penalties.piou_terms(pair, self.version, self.scale, self.weight_gradient)
