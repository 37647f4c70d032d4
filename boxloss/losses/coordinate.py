"""Loss classes that measure each coordinate."""

from typing import get_args

from boxloss.functional import coordinate
from boxloss.losses.arguments import BoxArguments, CoordinateArguments
from boxloss.losses.formula import FormulaLoss
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import (
    CoordinateFormat,
    CoordinateReduction,
    ImageShape,
    Sides,
    Tensor,
    Terms,
    Unpack,
)

__all__ = [
    "BalancedL1BoxLoss",
    "HuberBoxLoss",
    "L1BoxLoss",
    "L2BoxLoss",
    "LogCoshBoxLoss",
    "SmoothL1BoxLoss",
]


REDUCTIONS = get_args(CoordinateReduction)


class CoordinateLoss(FormulaLoss):
    """A loss of the four coordinates one by one, in their own unit.

    Args (all keyword-only), beside those of `BoxLoss`:
        coordinate_reduction: "sum" (Fast R-CNN, DETR) or "mean" (Keras' Huber) of the four.
        coordinate_format: the format in which errors are measured: one of those above, or
            "encoded": as given, for deltas and distances. Rows of -1 are not padding then; a mask
            is needed.
    """

    minimum = 0.0
    recovers_disjoint = True
    recovers_inverted = True

    def __init__(
        self,
        *,
        coordinate_reduction: CoordinateReduction = "sum",
        coordinate_format: CoordinateFormat = "xyxy",
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.coordinate_reduction = checks.one_of(
            "coordinate_reduction", coordinate_reduction, REDUCTIONS
        )
        self.coordinate_format = boxes.check_format(
            "coordinate_format", coordinate_format, also=("encoded",)
        )

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        """(..., 4) of the signed difference."""
        raise NotImplementedError

    @property
    def is_encoded(self) -> bool:
        return self.coordinate_format == "encoded"

    # Measured in `coordinate_format`, which need not be the format of the input: Fast R-CNN's
    # deltas are measured as given, DETR's boxes as centre and size whatever the data set has.
    def _is_as_given(self):
        return self.coordinate_format in ("encoded", self.bounding_box_format)

    def formula(self, true: Sides, pred: Sides, image_shape: ImageShape | None = None) -> Terms:
        if not self._is_as_given():
            shape = self._shape(image_shape)
            true, pred = (
                boxes.sides_from_xyxy(
                    self.sides_to_xyxy(sides, shape), self.coordinate_format, shape
                )
                for sides in (true, pred)
            )
        # The mean is taken by a factor of each term, so that the terms still sum to the box error.
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        sides = zip(boxes.coordinate_names(self.coordinate_format), true, pred, strict=True)
        return {name: self.coordinate_errors(p - t) * share for name, t, p in sides}

    def measured(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None
    ) -> tuple[Tensor, Tensor]:
        true, pred = y_true, y_pred
        if not self._is_as_given():
            shape = self._shape(image_shape)
            true, pred = (
                boxes.from_xyxy(self.to_xyxy(x, shape), self.coordinate_format, shape)
                for x in (y_true, y_pred)
            )
        residuals = difference = pred - true
        # Residuals are in xyxy for every loss, so that they can be drawn and compared; converting
        # boxes whose numbers are encoded would need their coder.
        if self.coordinate_format not in ("encoded", "xyxy"):
            residuals, _ = super().measured(y_true, y_pred, image_shape)
        return residuals, self.coordinate_errors(difference)


@register
class L1BoxLoss(CoordinateLoss):
    """L1 loss: |d|, d = y_pred - y_true. One term per coordinate.

    Mathematics: `boxloss.functional.l1_loss`.
    """

    name = "l1"

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return coordinate.l1(difference)


@register
class SmoothL1BoxLoss(CoordinateLoss):
    """Smooth L1 loss: d^2 / (2 beta) while |d| < beta, else |d| - beta / 2.

    One term per coordinate.
    Mathematics: `boxloss.functional.smooth_l1_loss`.

    Args (all keyword-only), beside those of `CoordinateLoss`:
        beta: |d| at which the square ends, at least 0, in the unit of the coordinates; 0 is L1.
    """

    name = "smooth_l1"

    def __init__(self, *, beta: float = 1.0, **arguments: Unpack[CoordinateArguments]) -> None:
        super().__init__(**arguments)
        self.beta = checks.non_negative("beta", beta)

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return coordinate.smooth_l1(difference, self.beta)


@register
class L2BoxLoss(CoordinateLoss):
    """L2 loss: d^2, d = y_pred - y_true, without a half. One term per coordinate.

    Mathematics: `boxloss.functional.l2_loss`.
    """

    name = "l2"

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return ops.square(difference)


@register
class HuberBoxLoss(CoordinateLoss):
    """Huber loss: d^2 / 2 while |d| <= delta, else delta (|d| - delta / 2).

    One term per coordinate.
    Mathematics: `boxloss.functional.huber_loss`.

    Args (all keyword-only), beside those of `CoordinateLoss`:
        delta: |d| at which the square ends, above 0, in the unit of the coordinates.
    """

    name = "huber"

    def __init__(self, *, delta: float = 1.0, **arguments: Unpack[CoordinateArguments]) -> None:
        super().__init__(**arguments)
        self.delta = checks.positive("delta", delta)

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return coordinate.huber(difference, self.delta)


@register
class BalancedL1BoxLoss(CoordinateLoss):
    """Balanced L1 loss: small differences get a larger gradient. One term per coordinate.

    Mathematics: `boxloss.functional.balanced_l1_loss`.

    Args (all keyword-only), beside those of `CoordinateLoss`:
        alpha: slope of the logarithm inside; smaller values raise small differences more.
        gamma: slope outside, where the gradient is constant.
        beta: |d| at which the inside ends, in the unit of the coordinates.
    """

    name = "balanced_l1"

    def __init__(
        self,
        *,
        alpha: float = 0.5,
        gamma: float = 1.5,
        beta: float = 1.0,
        **arguments: Unpack[CoordinateArguments],
    ) -> None:
        super().__init__(**arguments)
        self.alpha, self.gamma, self.beta = coordinate.check_balanced(
            alpha=alpha, gamma=gamma, beta=beta
        )

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return coordinate.balanced_l1(difference, self.alpha, self.gamma, self.beta)


@register
class LogCoshBoxLoss(CoordinateLoss):
    """Log-cosh loss: ln cosh d, a smooth L1 without a parameter. One term per coordinate.

    Mathematics: `boxloss.functional.log_cosh_loss`.
    """

    name = "log_cosh"

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return coordinate.log_cosh(difference)
