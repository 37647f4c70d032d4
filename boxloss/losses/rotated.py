"""Loss classes of rotated boxes."""

import math

from boxloss.functional import overlap, rotated, rotated_pair
from boxloss.losses.arguments import TensorArguments
from boxloss.losses.base import Errors, TensorLoss
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import (
    GWDFunction,
    ImageShape,
    IoUMode,
    KFIoUMode,
    KLDDirection,
    ProbIoUMode,
    Tensor,
    Terms,
    Unpack,
)

__all__ = ["GWDLoss", "KFIoULoss", "KLDLoss", "ProbIoULoss", "RotatedGIoULoss", "RotatedIoULoss"]


class RotatedLoss(TensorLoss):
    """A loss of rotated boxes (B, N, 5) = cx, cy, w, h, angle in radians.

    All five are -1 in padding. The angle turns x towards y. It has any size: (w, h, angle),
    (w, h, angle + pi) and (h, w, angle + pi/2) are one box. `residuals` (B, N, 5) are
    y_pred - y_true with the angle's difference wrapped to [-pi/2, pi/2), `coordinate_errors` their
    absolute values. Every loss has the term `inversion`, 0 for sides of at least 0, which opens
    negative and flat predictions.
    """

    kind = "rotated"
    minimum = 0.0
    recovers_inverted = True
    true_shape = predicted_shape = (None, None, 5)

    def fill(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return boxes.fill(y_true, real), boxes.fill(y_pred, real)

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        """The named addends (B, N) of a `RotatedPair`."""
        raise NotImplementedError

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        # An angle that differs by pi is the same box: unwrapped, the residual of a perfect box
        # could be pi.
        residuals = rotated_pair.difference(y_true, y_pred)
        terms = self.pair_terms(rotated_pair.RotatedPair(y_true, y_pred))
        return Errors(terms, residuals, ops.even_abs(residuals))


@register
class GWDLoss(RotatedLoss):
    """Gaussian Wasserstein distance: 1 - 1 / (tau + f(d^2)). Terms: gwd, inversion.

    In the boxes' unit unless normalised.
    Mathematics: `boxloss.functional.gwd_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        function: f, "log1p" or "sqrt".
        tau: at least 1.
        normalize: whether the distance is divided by the boxes' size.
    """

    name = "gwd"
    recovers_disjoint = True

    def __init__(
        self,
        *,
        function: GWDFunction = "log1p",
        tau: float = 1.0,
        normalize: bool = False,
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.function = checks.one_of("function", function, rotated.FUNCTIONS)
        self.tau = rotated.check_tau(tau)
        self.normalize = checks.flag("normalize", normalize)
        # At d = 0 the published form 1 - 1 / (tau + f(0)) is not 0 unless tau is 1.
        self.minimum = 1.0 - 1.0 / self.tau

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.gwd_terms(pair, self.function, self.tau, self.normalize)


@register
class KLDLoss(RotatedLoss):
    """Kullback-Leibler divergence of the boxes as Gaussians. Terms: kld, inversion.

    Mathematics: `boxloss.functional.kld_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        direction: "pred_to_true", D(pred || true), or "true_to_pred".
        tau: at least 1.
        sqrt: whether the root of the divergence is taken.
    """

    name = "kld"
    recovers_disjoint = True

    def __init__(
        self,
        *,
        direction: KLDDirection = "pred_to_true",
        tau: float = 1.0,
        sqrt: bool = False,
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.direction = checks.one_of("direction", direction, rotated.DIRECTIONS)
        self.tau = rotated.check_tau(tau)
        self.sqrt = checks.flag("sqrt", sqrt)
        self.minimum = 1.0 - 1.0 / self.tau

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.kld_terms(pair, self.direction, self.tau, self.sqrt)


@register
class ProbIoULoss(RotatedLoss):
    """ProbIoU loss: Hellinger or Bhattacharyya distance of Gaussians. Terms: probiou, inversion.

    Mathematics: `boxloss.functional.probiou_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        mode: "l1" (Hellinger, blind to boxes far apart) or "l2" (Bhattacharyya).
    """

    name = "probiou"

    def __init__(self, *, mode: ProbIoUMode = "l1", **arguments: Unpack[TensorArguments]) -> None:
        super().__init__(**arguments)
        self.mode = checks.one_of("mode", mode, rotated.PROBIOU_MODES)
        # Bhattacharyya's distance grows with the square of the offset: descent takes long.
        self.recovers_inverted = self.mode == "l1"

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.probiou_terms(pair, self.mode)


@register
class KFIoULoss(RotatedLoss):
    """KFIoU loss: overlap of Gaussians by a Kalman filter.

    Terms: kfiou, inversion, and center if it has a weight. Blind to the centre unless
    `center_weight` is above 0.
    Mathematics: `boxloss.functional.kfiou_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        mode: "exp" or "log".
        center_weight: weight of the term center, at least 0.
    """

    name = "kfiou"
    minimum = math.exp(2 / 3) - 1
    recovers_inverted = False

    def __init__(
        self,
        *,
        mode: KFIoUMode = "exp",
        center_weight: float = 0.0,
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.mode = checks.one_of("mode", mode, rotated.KFIOU_MODES)
        self.center_weight = checks.non_negative("center_weight", center_weight)
        # Two equal Gaussians overlap by a third in the Kalman filter's measure, so the published
        # loss is not 0 for equal boxes. Shifting it would change the numbers that people compare.
        if self.mode == "log":
            self.minimum = math.log(3)
        self.recovers_disjoint = self.center_weight > 0
        # ln k is steep for a side near 0: 94 % arrive.
        self.recovers_inverted = self.center_weight > 0 and self.mode == "exp"

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.kfiou_terms(pair, self.mode, self.center_weight)


@register
class RotatedIoULoss(RotatedLoss):
    """IoU loss of rotated boxes. Terms: overlap, inversion. Blind to boxes apart.

    Mathematics: `boxloss.functional.rotated_iou_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        mode: "linear" (1 - o), "log" (-ln o) or "square" (1 - o^2).
    """

    name = "rotated_iou"
    recovers_inverted = False

    def __init__(self, *, mode: IoUMode = "linear", **arguments: Unpack[TensorArguments]) -> None:
        super().__init__(**arguments)
        self.mode = checks.one_of("mode", mode, overlap.MODES)

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.rotated_iou_terms(pair, self.mode)


@register
class RotatedGIoULoss(RotatedIoULoss):
    """GIoU loss of rotated boxes. Terms: overlap, hull, inversion.

    Mathematics: `boxloss.functional.rotated_giou_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        mode: of the overlap, "linear" (1 - o), "log" (-ln o) or "square" (1 - o^2).
    """

    name = "rotated_giou"
    recovers_disjoint = True
    recovers_inverted = True

    def pair_terms(self, pair: rotated_pair.RotatedPair) -> Terms:
        return rotated.rotated_giou_terms(pair, self.mode)
