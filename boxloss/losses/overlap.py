"""Loss classes of the overlap family."""

from boxloss.functional import overlap
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.formula import FormulaLoss
from boxloss.losses.registry import register
from boxloss.tensors import checks
from boxloss.types import ImageShape, IoUMode, Sides, Terms, Unpack

__all__ = ["CIoULoss", "DIoULoss", "GIoULoss", "IoULoss"]


class OverlapLoss(FormulaLoss):
    """A loss of each pair of boxes as a whole; scale-free.

    It has no form per coordinate: `coordinate_errors` are |y_pred - y_true| in xyxy. Every loss has
    the term `inversion`, 0 for ordered boxes, which opens inverted and flat predictions.
    """

    minimum = 0.0
    recovers_disjoint = True
    recovers_inverted = True
    # Whether it is 1 - o and addends that penalise, which is what a modifier can build on.
    is_overlap_plus_penalties = False
    # Whether it multiplies 1 - o, which Inner- and Focaler-IoU can build on too.
    is_product = False

    def pair_terms(self, pair: Pair) -> Terms:
        """The named addends (B, N) of a `Pair`."""
        raise NotImplementedError

    def formula(self, true: Sides, pred: Sides, image_shape: ImageShape | None = None) -> Terms:
        true, pred = (self.sides_to_xyxy(sides, image_shape) for sides in (true, pred))
        return self.pair_terms(Pair.of_sides(true, pred, self._shape(image_shape)))


@register
class IoULoss(OverlapLoss):
    """IoU loss: 1 - o, o the IoU. Terms: overlap, inversion. Blind to boxes apart.

    Mathematics: `boxloss.functional.iou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        mode: "linear" (1 - o), "log" (-ln o) or "square" (1 - o^2).
    """

    name = "iou"
    recovers_disjoint = False

    def __init__(self, *, mode: IoUMode = "linear", **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.mode = checks.one_of("mode", mode, overlap.MODES)
        # A modifier puts another overlap in the place of o: -ln o and 1 - o^2 have no 1 - o to do
        # so.
        self.is_overlap_plus_penalties = self.mode == "linear"

    def pair_terms(self, pair: Pair) -> Terms:
        return overlap.iou_terms(pair, self.mode)


@register
class GIoULoss(OverlapLoss):
    """Generalized IoU loss: 1 - o + (C - U) / C. Terms: overlap, hull, inversion.

    Mathematics: `boxloss.functional.giou_loss`.
    """

    name = "giou"
    is_overlap_plus_penalties = True

    def pair_terms(self, pair: Pair) -> Terms:
        return overlap.giou_terms(pair)


@register
class DIoULoss(OverlapLoss):
    """Distance IoU loss: 1 - o + d^2 / c^2. Terms: overlap, center, inversion.

    Mathematics: `boxloss.functional.diou_loss`.
    """

    name = "diou"
    is_overlap_plus_penalties = True

    def pair_terms(self, pair: Pair) -> Terms:
        return overlap.diou_terms(pair)


@register
class CIoULoss(OverlapLoss):
    """Complete IoU loss: 1 - o + d^2 / c^2 + alpha v. Terms: overlap, center, aspect, inversion.

    Mathematics: `boxloss.functional.ciou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        gated: whether alpha is 0 while o < 0.5, as in the extended paper and MMDetection.
        alpha_gradient: whether alpha is differentiated, as in Keras and KerasCV.
    """

    name = "ciou"
    is_overlap_plus_penalties = True

    def __init__(
        self,
        *,
        gated: bool = False,
        alpha_gradient: bool = False,
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.gated = checks.flag("gated", gated)
        self.alpha_gradient = checks.flag("alpha_gradient", alpha_gradient)

    def pair_terms(self, pair: Pair) -> Terms:
        return overlap.ciou_terms(pair, self.gated, self.alpha_gradient)
