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
    """Efficient IoU loss: 1 - o and penalties for centre, width and height.

    Terms: overlap, center, width, height, inversion.
    Mathematics: `boxloss.functional.eiou_loss`.
    """

    name = "eiou"
    is_overlap_plus_penalties = True

    def pair_terms(self, pair: Pair) -> Terms:
        return penalties.eiou_terms(pair)


@register
class SIoULoss(OverlapLoss):
    """SCYLLA IoU loss: 1 - o and half of a distance and a shape cost.

    Terms: overlap, distance, shape, inversion.
    Mathematics: `boxloss.functional.siou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        theta: power of the shape cost, above 0; 2 to 6 in the paper.
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
    """Minimum point distance IoU loss: 1 - o and the corners' distances by the image's diagonal.

    Terms: overlap, corners, inversion. `image_shape` is required, unless the format is relative to
    the image, where it is (1, 1) by default.
    Mathematics: `boxloss.functional.mpdiou_loss`.
    """

    name = "mpdiou"
    is_overlap_plus_penalties = True

    def __init__(self, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        # The corners' distances are divided by the image's diagonal. Without its size the loss of
        # boxes in pixels would be some 1e5 times too large, and nobody would see why.
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
    """Shape IoU loss: 1 - o and distance and shape costs, weighted by the true box's shape.

    Terms: overlap, distance, shape, inversion.
    Mathematics: `boxloss.functional.shape_iou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        scale: power of the true box's width and height in the weights, at least 0; 0 weighs both
            sides alike. The paper chooses it by data set.
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
    """Powerful IoU loss: 1 - o and a penalty for the sides by the size of the true box.

    Terms: overlap, corners, inversion.
    Mathematics: `boxloss.functional.piou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        version: 1, or 2: with a factor that is largest at medium quality.
        scale: lambda, which places the largest factor of version 2.
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
