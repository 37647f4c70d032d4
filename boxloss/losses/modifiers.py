"""Loss classes that change a base: Alpha-, Inner-, Focaler- and Unified-IoU."""

from boxloss.functional import modifiers
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments, ModifierArguments
from boxloss.losses.base import TensorLoss
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.tensors import checks
from boxloss.tensors.config import restored
from boxloss.types import BaseLoss, Terms, Unpack

__all__ = ["AlphaIoULoss", "FocalerIoULoss", "InnerIoULoss", "UnifiedIoULoss"]


# What the flags below know of the bases: penalties that end at the right sides, and none at all for
# a box inside the other.
SEES_SIDES = ("eiou", "shape_iou", "siou")
BLIND_INSIDE = ("giou", "iou")


class ModifierLoss(OverlapLoss):
    """A change of a loss that is an overlap plus penalties; the terms are those of the base.

    Args (all keyword-only), beside those of `BoxLoss`:
        base: "iou" (linear), "giou", "diou", "ciou", "eiou", "siou", "mpdiou" or "shape_iou", or a
            Loss object of one of them, for its arguments. Of an object only the formula is used:
            format, weights and reductions are those of the modifier.
    """

    recovers_disjoint = False

    def __init__(
        self, *, base: BaseLoss | TensorLoss = "iou", **arguments: Unpack[BoxArguments]
    ) -> None:
        super().__init__(**arguments)
        self.base = base = restored(base)
        if isinstance(base, str):
            from boxloss.losses.registry import get

            checks.one_of("base", base, modifiers.BASES)
            base = get(
                base, bounding_box_format=self.bounding_box_format, image_shape=self.image_shape
            )
        elif not getattr(base, "is_overlap_plus_penalties", False):
            known = ", ".join(map(repr, sorted(modifiers.BASES)))
            raise ValueError(
                f"`base` must be one of {known}, or a loss object of one. Received: base={base!r}"
            )
        self._base = base
        self.recovers_disjoint = base.recovers_disjoint
        self.recovers_inverted = base.recovers_inverted


@register
class AlphaIoULoss(ModifierLoss):
    """`boxloss.functional.alpha_iou_loss`. Args: alpha: the power of overlap and penalties."""

    name = "alpha_iou"

    def __init__(self, *, alpha: float = 3.0, **arguments: Unpack[ModifierArguments]) -> None:
        super().__init__(**arguments)
        self.alpha = checks.positive("alpha", alpha)
        # Above 1 the gradient vanishes as the overlap and the penalties go to 0.
        self.recovers_disjoint = self.recovers_disjoint and self.alpha <= 1

    def pair_terms(self, pair: Pair) -> Terms:
        return modifiers.alpha_terms(self._base.pair_terms, pair, self.alpha)


@register
class InnerIoULoss(ModifierLoss):
    """`boxloss.functional.inner_iou_loss`. Args: ratio: size of the boxes whose overlap counts."""

    name = "inner_iou"

    def __init__(self, *, ratio: float = 0.75, **arguments: Unpack[ModifierArguments]) -> None:
        super().__init__(**arguments)
        self.ratio = checks.positive("ratio", ratio)
        # A small box inside the truth: its inner box may have no overlap, and no other gradient.
        if self._base.name in BLIND_INSIDE:
            self.recovers_inverted = self.recovers_inverted and self.ratio >= 0.75
            self.recovers_disjoint = self.recovers_disjoint and self.ratio >= 1

    def pair_terms(self, pair: Pair) -> Terms:
        return modifiers.inner_terms(self._base.pair_terms, pair, self.ratio)


@register
class FocalerIoULoss(ModifierLoss):
    """`boxloss.functional.focaler_iou_loss`. Args: low, high: the IoU that counts as 0, as 1."""

    name = "focaler_iou"

    def __init__(
        self, *, low: float = 0.0, high: float = 0.95, **arguments: Unpack[ModifierArguments]
    ) -> None:
        super().__init__(**arguments)
        self.low, self.high = modifiers.check_range(low=low, high=high)
        # The overlap has no gradient below `low` nor above `high`; the base must see the sides.
        if (self.low > 0 or self.high < 0.9) and self._base.name not in SEES_SIDES:
            self.recovers_disjoint = self.recovers_inverted = False

    def pair_terms(self, pair: Pair) -> Terms:
        return modifiers.focaler_terms(self._base.pair_terms, pair, self.low, self.high)


@register
class UnifiedIoULoss(ModifierLoss):
    """`boxloss.functional.unified_iou_loss`. Args: ratio: by which both boxes are scaled."""

    name = "unified_iou"
    recovers_disjoint = True

    def __init__(
        self,
        *,
        base: BaseLoss | TensorLoss = "ciou",
        ratio: float = 2.0,
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(base=base, **arguments)
        self.ratio = checks.positive("ratio", ratio)
        if self._base.name == "iou":
            self.recovers_inverted = self.ratio >= 0.75

    def pair_terms(self, pair: Pair) -> Terms:
        return modifiers.unified_terms(self._base.pair_terms, pair, self.ratio)
