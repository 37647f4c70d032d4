"""Loss classes that change a base: Alpha-, Inner-, Focaler- and Unified-IoU."""

from collections.abc import Collection
from typing import Any

from boxloss.functional import modifiers
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments, ChangedArguments, ModifierArguments
from boxloss.losses.base import TensorLoss
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.losses.state import StatefulLoss
from boxloss.losses.statistical import WIoULoss
from boxloss.tensors import checks
from boxloss.tensors.config import restored
from boxloss.types import BaseLoss, ChangedBase, Tensor, Terms, Unpack

__all__ = ["AlphaIoULoss", "FocalerIoULoss", "InnerIoULoss", "UnifiedIoULoss"]


# What the flags below know of the bases: penalties that end at the right sides, and none at all for
# a box inside the other.
SEES_SIDES = ("eiou", "piou", "shape_iou", "siou")
BLIND_INSIDE = ("giou", "iou")


class ModifierLoss(OverlapLoss):
    """A change of a loss that is an overlap plus penalties; its terms are those of the base.

    Args (all keyword-only), beside those of `BoxLoss`:
        base: "iou" (linear), "giou", "diou", "ciou", "eiou", "siou", "mpdiou" or "shape_iou", or a
            Loss object of one of them, for its arguments. Of an object only the formula is used:
            format, weights and reductions are those of the modifier.
    """

    recovers_disjoint = False
    bases: Collection[str] = modifiers.BASES

    def __init__(
        self, *, base: ChangedBase | TensorLoss = "iou", **arguments: Unpack[BoxArguments]
    ) -> None:
        super().__init__(**arguments)
        self.base = base = restored(base)
        if isinstance(base, str):
            from boxloss.losses.registry import get

            # A base that is named shares format and image with the modifier; one that is given
            # keeps its own, which is not used: the boxes arrive here in xyxy already.
            checks.one_of("base", base, self.bases)
            base = get(
                base, bounding_box_format=self.bounding_box_format, image_shape=self.image_shape
            )
        elif not self.takes(base):
            known = ", ".join(map(repr, sorted(self.bases)))
            raise ValueError(
                f"`base` must be one of {known}, or a loss object of one. Received: base={base!r}"
            )
        self._base = base
        # A modifier that leaves the penalties alone recovers what its base does; the classes below
        # say what they lose. Descent of 200 starts per loss checks every one of these flags.
        self.recovers_disjoint = base.recovers_disjoint
        self.recovers_inverted = base.recovers_inverted

    def takes(self, base: TensorLoss) -> bool:
        """Whether a loss object can be the base."""
        return getattr(base, "is_overlap_plus_penalties", False)


@register
class AlphaIoULoss(ModifierLoss):
    """Alpha-IoU loss: overlap and penalties of the base to a power. Terms: those of the base.

    Mathematics: `boxloss.functional.alpha_iou_loss`.

    Args (all keyword-only), beside those of `ModifierLoss`:
        alpha: the power, above 0.
    """

    name = "alpha_iou"

    def __init__(self, *, alpha: float = 3.0, **arguments: Unpack[ModifierArguments]) -> None:
        super().__init__(**arguments)
        self.alpha = checks.positive("alpha", alpha)
        # Above 1 the gradient vanishes as the overlap and the penalties go to 0.
        self.recovers_disjoint = self.recovers_disjoint and self.alpha <= 1

    def pair_terms(self, pair: Pair) -> Terms:
        return modifiers.alpha_terms(self._base.pair_terms, pair, self.alpha)


class ChangedOverlapLoss(StatefulLoss, ModifierLoss):
    """A modifier that puts another overlap in the place of o.

    `base` may also be "piou" or "wiou", which multiply the overlap. A `WIoULoss` object brings its
    running mean along: that of the changed overlap, unless its `outlier` is "plain".
    """

    bases = (*modifiers.BASES, *modifiers.PRODUCTS)

    def __init__(self, **arguments: Unpack[ChangedArguments]) -> None:
        super().__init__(**arguments)
        self.state = getattr(self._base, "state", None)

    def takes(self, base: TensorLoss) -> bool:
        return super().takes(base) or getattr(base, "is_product", False)

    def changed_iou(self, pair: Pair) -> Tensor:
        """(B, N), in the place of `pair.iou`."""
        raise NotImplementedError

    def pair_terms(self, pair: Pair) -> Terms:
        iou = self.changed_iou(pair)
        return modifiers.changed_terms(self._base.pair_terms, pair, iou, self._base.is_product)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(self._base, WIoULoss):
            self._base.warn_of_a_fixed_mean()
        return super().__call__(*args, **kwargs)

    def moved(self, y_true: Tensor, y_pred: Tensor, real: Tensor, image_shape: Tensor) -> Tensor:
        pair = Pair(self.to_xyxy(y_true, image_shape), self.to_xyxy(y_pred, image_shape))
        return self._base.moved_by(pair.with_iou(self.changed_iou(pair)), real)


@register
class InnerIoULoss(ChangedOverlapLoss):
    """Inner-IoU loss: the base with the overlap of scaled boxes. Terms: those of the base.

    Mathematics: `boxloss.functional.inner_iou_loss`.

    Args (all keyword-only), beside those of `ModifierLoss`:
        ratio: size of the boxes whose overlap counts, as a multiple of the given ones, above 0.
    """

    name = "inner_iou"

    def __init__(self, *, ratio: float = 0.75, **arguments: Unpack[ChangedArguments]) -> None:
        super().__init__(**arguments)
        self.ratio = checks.positive("ratio", ratio)
        # A small box inside the truth: its inner box may have no overlap, and no other gradient.
        if self._base.name in BLIND_INSIDE:
            self.recovers_inverted = self.recovers_inverted and self.ratio >= 0.75
            self.recovers_disjoint = self.recovers_disjoint and self.ratio >= 1

    def changed_iou(self, pair: Pair) -> Tensor:
        return modifiers.inner_iou(pair, self.ratio)


@register
class FocalerIoULoss(ChangedOverlapLoss):
    """Focaler-IoU loss: the base with an overlap that is stretched. Terms: those of the base.

    Mathematics: `boxloss.functional.focaler_iou_loss`.

    Args (all keyword-only), beside those of `ModifierLoss`:
        low: the IoU that counts as 0.
        high: the IoU that counts as 1, above `low`.
    """

    name = "focaler_iou"

    def __init__(
        self, *, low: float = 0.0, high: float = 0.95, **arguments: Unpack[ChangedArguments]
    ) -> None:
        super().__init__(**arguments)
        self.low, self.high = modifiers.check_range(low=low, high=high)
        # The overlap has no gradient below `low` nor above `high`; the base must see the sides.
        if (self.low > 0 or self.high < 0.9) and self._base.name not in SEES_SIDES:
            self.recovers_disjoint = self.recovers_inverted = False

    def changed_iou(self, pair: Pair) -> Tensor:
        return modifiers.focaler_iou(pair, self.low, self.high)


@register
class UnifiedIoULoss(ModifierLoss):
    """Unified-IoU loss: the base for both boxes scaled. Terms: those of the base.

    Mathematics: `boxloss.functional.unified_iou_loss`.

    Args (all keyword-only), beside those of `ModifierLoss`:
        ratio: factor by which both boxes are scaled about their centres, above 0.
    """

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
