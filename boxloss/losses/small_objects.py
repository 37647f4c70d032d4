"""Loss classes for small objects: scale-based dynamic loss, Gaussian combined distance."""

from boxloss.functional import small_objects
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.types import Terms, Unpack

__all__ = ["GCDLoss", "SDLoss"]


@register
class SDLoss(OverlapLoss):
    """Scale-based dynamic loss: CIoU that weighs the place of small objects more.

    Terms: overlap, center, aspect, inversion. Not scale-free.
    Mathematics: `boxloss.functional.sd_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        delta: how much is moved from overlap and shape to place, from 0 to 1.
        largest_area: of a small object, in the boxes' unit squared: by default in pixels of the
            original image. Relative boxes need `image_shape`, or an area divided by the image's.
    """

    name = "sd"

    def __init__(
        self,
        *,
        delta: float = 0.5,
        largest_area: float = small_objects.LARGEST_AREA,
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        # The area decides how the terms are weighed, so this loss alone of the CIoU family has a
        # unit.
        self.delta, self.largest_area = small_objects.check_sd(
            delta=delta, largest_area=largest_area
        )

    def pair_terms(self, pair: Pair) -> Terms:
        return small_objects.sd_terms(pair, self.delta, self.largest_area)


@register
class GCDLoss(OverlapLoss):
    """Gaussian combined distance. Terms: gcd, inversion. The smaller box sets its reach.

    Mathematics: `boxloss.functional.gcd_loss`.
    """

    name = "gcd"

    def pair_terms(self, pair: Pair) -> Terms:
        return small_objects.gcd_terms(pair)
