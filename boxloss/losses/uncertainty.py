"""Loss classes of coordinates with a predicted spread, and of distances as distributions."""

from boxloss.functional import distribution, uncertainty
from boxloss.losses.arguments import BoxArguments, TensorArguments, UncertaintyArguments
from boxloss.losses.base import BoxLoss, Errors, TensorLoss
from boxloss.losses.coordinate import REDUCTIONS
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import CoordinateReduction, ImageShape, Tensor, Unpack

__all__ = ["DFLLoss", "GaussianNLLBoxLoss", "KLBoxLoss", "LaplaceNLLBoxLoss"]


class UncertaintyLoss(BoxLoss):
    """A loss of four coordinates, each with a spread.

    `y_true` (B, N, 4), `y_pred` (B, N, 8): four coordinates, then their four log-variances. They
    are measured in the given format, one term per coordinate, with that format's names. Unbounded
    below.

    Args (all keyword-only), beside those of `BoxLoss`:
        coordinate_reduction: "sum" or "mean" of the four.
    """

    kind = "uncertainty"
    recovers_disjoint = True
    recovers_inverted = True
    predicted_shape = (None, None, 8)

    def __init__(
        self,
        *,
        coordinate_reduction: CoordinateReduction = "sum",
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.coordinate_reduction = checks.one_of(
            "coordinate_reduction", coordinate_reduction, REDUCTIONS
        )

    def coordinate_errors(self, difference: Tensor, log_variance: Tensor) -> Tensor:
        """(..., 4) of the signed difference and the log-variances."""
        raise NotImplementedError

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        # Logarithms, because a network may predict any number and a variance must be above 0.
        y_pred, log_variance = y_pred[..., :4], y_pred[..., 4:]
        errors = self.coordinate_errors(y_pred - y_true, log_variance)
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        names = boxes.coordinate_names(self.bounding_box_format)
        terms = dict(zip(names, ops.unstack(errors * share, 4, axis=-1), strict=True))
        # A spread has no residual; those of the four coordinates are in xyxy as for every loss.
        residuals = self.to_xyxy(y_pred, image_shape) - self.to_xyxy(y_true, image_shape)
        return Errors(terms, residuals, errors)


@register
class KLBoxLoss(UncertaintyLoss):
    """KL loss: smooth L1 scaled by the predicted precision. One term per coordinate.

    Mathematics: `boxloss.functional.kl_loss`.
    """

    name = "kl"

    def coordinate_errors(self, difference: Tensor, log_variance: Tensor) -> Tensor:
        return uncertainty.kl(difference, log_variance)


@register
class GaussianNLLBoxLoss(UncertaintyLoss):
    """Negative log-likelihood of a normal distribution. One term per coordinate.

    Mathematics: `boxloss.functional.gaussian_nll_loss`.

    Args (all keyword-only), beside those of `UncertaintyLoss`:
        full: whether ln(2 pi) / 2 is added.
    """

    name = "gaussian_nll"

    def __init__(self, *, full: bool = True, **arguments: Unpack[UncertaintyArguments]) -> None:
        super().__init__(**arguments)
        self.full = checks.flag("full", full)

    def coordinate_errors(self, difference: Tensor, log_variance: Tensor) -> Tensor:
        return uncertainty.gaussian_nll(difference, log_variance, self.full)


@register
class LaplaceNLLBoxLoss(UncertaintyLoss):
    """Negative log-likelihood of a Laplace distribution. One term per coordinate.

    The four logarithms are those of the scale b.
    Mathematics: `boxloss.functional.laplace_nll_loss`.

    Args (all keyword-only), beside those of `UncertaintyLoss`:
        full: whether ln 2 is added.
    """

    name = "laplace_nll"

    def __init__(self, *, full: bool = False, **arguments: Unpack[UncertaintyArguments]) -> None:
        super().__init__(**arguments)
        self.full = checks.flag("full", full)

    def coordinate_errors(self, difference: Tensor, log_variance: Tensor) -> Tensor:
        return uncertainty.laplace_nll(difference, log_variance, self.full)


@register
class DFLLoss(TensorLoss):
    """Distribution focal loss: cross-entropy with the two bins around each distance.

    Terms: left, top, right, bottom. `y_true` (B, N, 4): distances in bins; `y_pred`
    (B, N, 4 * bins): logits, those of one side after those of another. `residuals` are those of the
    expected distances in bins, signed as the sides of a box.
    Mathematics: `boxloss.functional.dfl_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        bins: how many bins each side has, at least 2.
        coordinate_reduction: "sum", or "mean" (the paper's weight 1/4) of the four sides.
    """

    name = "dfl"
    kind = "distribution"
    recovers_disjoint = True
    recovers_inverted = True

    def __init__(
        self,
        *,
        bins: int = 16,
        coordinate_reduction: CoordinateReduction = "sum",
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.bins = distribution.check_bins(bins)
        self.predicted_shape = (None, None, 4 * self.bins)
        self.coordinate_reduction = checks.one_of(
            "coordinate_reduction", coordinate_reduction, REDUCTIONS
        )

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        logits = distribution.by_side(y_pred, self.bins)
        errors = distribution.dfl(y_true, logits)
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        sides = ops.unstack(errors * share, 4, axis=-1)
        terms = dict(zip(("left", "top", "right", "bottom"), sides, strict=True))
        left, top, right, bottom = ops.unstack(distribution.expected(logits) - y_true, 4, axis=-1)
        # A longer distance to the left moves x1 to the left: the sign turns for left and top.
        return Errors(terms, ops.stack([-left, -top, right, bottom], axis=-1), errors)
