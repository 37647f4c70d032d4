"""The loss class of distances to the four sides in units of the image or of the stride."""

from boxloss.functional import coordinate
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.coordinate import REDUCTIONS
from boxloss.losses.formula import FormulaLoss
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import CoordinateReduction, ImageShape, Sides, Tensor, Terms, Unpack

__all__ = ["LTRBL1Loss"]


@register
class LTRBL1Loss(FormulaLoss):
    """L1 loss of the four distances from a location, by image or stride. Terms: x1, y1, x2, y2.

    Mathematics: `boxloss.functional.ltrb_l1_loss`.

    `y_true` and `y_pred` are boxes: the location from which distances are measured cancels.

    Args (all keyword-only), beside those of `BoxLoss`:
        unit: "image", or a number above 0, the stride.
        image_shape: (height, width) of the network's input, required for "image" unless the format
            is relative to the image, where it is (1, 1) by default.
        coordinate_reduction: "mean" (Ultralytics) or "sum" of the four.
    """

    name = "ltrb_l1"
    minimum = 0.0
    recovers_disjoint = True
    recovers_inverted = True

    def __init__(
        self,
        *,
        unit: float | str = "image",
        coordinate_reduction: CoordinateReduction = "mean",
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.unit = coordinate.check_unit(unit)
        self.coordinate_reduction = checks.one_of(
            "coordinate_reduction", coordinate_reduction, REDUCTIONS
        )
        # Pixels that nothing divides would make the loss some hundred times too large.
        is_relative = boxes.is_relative(self.bounding_box_format)
        if self.unit == coordinate.IMAGE and self.image_shape is None and not is_relative:
            raise ValueError(
                '`image_shape` must be (height, width) with unit="image" unless '
                "`bounding_box_format` is relative. Received: image_shape=None, "
                f"bounding_box_format={self.bounding_box_format!r}"
            )

    def _width_and_height(self, image_shape, like):
        """By which x and y are divided: numbers, or tensors (B, 1) of an image shape per image."""
        if self.unit != coordinate.IMAGE:
            return self.unit, self.unit
        shape = self.image_shape if image_shape is None else image_shape
        if shape is None:
            return 1.0, 1.0
        if isinstance(shape, (list, tuple)):
            height, width = checks.image_shape(shape)
            return width, height
        return boxes.image_scale(shape, like)

    def formula(self, true: Sides, pred: Sides, image_shape: ImageShape | None = None) -> Terms:
        true, pred = (self.sides_to_xyxy(sides, image_shape) for sides in (true, pred))
        # Left and right are measured along x, top and bottom along y.
        units = self._width_and_height(image_shape, pred[0]) * 2
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        sides = zip(boxes.coordinate_names("xyxy"), true, pred, units, strict=True)
        return {name: ops.even_abs(p - t) * (share / unit) for name, t, p, unit in sides}

    def measured(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None
    ) -> tuple[Tensor, Tensor]:
        residuals, _ = super().measured(y_true, y_pred, image_shape)
        width, height = self._width_and_height(image_shape, residuals)
        return residuals, coordinate.ltrb_l1(residuals, width, height)
