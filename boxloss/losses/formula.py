"""A loss of boxes that is one formula."""

from boxloss.losses.base import BoxLoss, Errors
from boxloss.tensors import boxes, formulas, ops
from boxloss.types import ImageShape, Sides, Tensor, Terms


class FormulaLoss(BoxLoss):
    """A box loss that says what one box costs, and no more.

    A subclass defines `formula`. How it is run, fused or operation by operation and on which
    backend, is decided by `tensors.formulas` alone.
    """

    def formula(self, true: Sides, pred: Sides, image_shape: ImageShape | None = None) -> Terms:
        """{name: term (...)} of boxes given by their sides, four tensors (...) each, as they come.

        The terms sum to the error of the box. `tensors.formulas` decides how this is run.
        """
        raise NotImplementedError

    def has_formula(self, image_shape: ImageShape | None = None) -> bool:
        shape = self._shape(image_shape)
        # A shape per image is a tensor (B, 2), which does not go with sides repeated (..., 4).
        return self.is_pure and (shape is None or isinstance(shape, tuple))

    def measured(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None
    ) -> tuple[Tensor, Tensor]:
        """(residuals in xyxy, coordinate errors), (B, N, 4) both, of filled boxes."""
        # An overlap loss has no cost per coordinate. |d| in xyxy is what every loss can show, in
        # one unit, so that errors of two losses can be drawn side by side.
        residuals = self.to_xyxy(y_pred, image_shape) - self.to_xyxy(y_true, image_shape)
        return residuals, ops.even_abs(residuals)

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        return self.masked_errors(y_true, y_pred, None, image_shape)

    def masked_errors(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        real: Tensor | None,
        image_shape: ImageShape | None = None,
        every_level: bool = True,
    ) -> Errors:
        def formula(true, pred):
            return self.formula(true, pred, image_shape)

        if self.has_formula(image_shape):
            terms, errors = formulas.terms_and_errors(formula, y_true, y_pred, real)
        else:
            terms, errors = formulas.terms_by_sides(formula, y_true, y_pred, real), None
        if not every_level:
            return Errors(terms, fused=errors)
        if real is not None:
            y_true, y_pred = self.fill(y_true, y_pred, real)
        return Errors(terms, *self.measured(y_true, y_pred, image_shape), errors)

    def sides_to_xyxy(self, sides: Sides, image_shape: ImageShape | None) -> Sides:
        """`to_xyxy` of four tensors (...)."""
        return boxes.sides_to_xyxy(sides, self.bounding_box_format, self._shape(image_shape))
