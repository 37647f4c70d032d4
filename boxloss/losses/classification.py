"""Loss classes of labels, one per box."""

from boxloss.functional import classification
from boxloss.losses import guard, reduction
from boxloss.losses.arguments import ClassArguments
from boxloss.losses.base import Errors, TensorLoss
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import ImageShape, Tensor, Unpack

__all__ = ["MALLoss", "QualityFocalLoss", "SigmoidFocalLoss", "SoftmaxLoss", "VarifocalLoss"]


class ClassLoss(TensorLoss):
    """A loss of one label per box; its single term is `class`.

    `y_true` (B, N) integers: a class, C for background, -1 for padding or ignored. `normalizer`
    also takes "positives": each image is divided by its rows that are not background (at least 1),
    as in the focal loss' paper.
    """

    kind = "class"
    true_shape: tuple[int | None, ...] = (None, None)
    predicted_shape = (None, None, None)
    normalizers = (*reduction.NORMALIZERS, "positives")

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        checks.labels(y_true, y_pred, trailing=self.true_shape[2:], rank=3)

    def guard(self, y_true: Tensor, y_pred: Tensor, mask: Tensor) -> None:
        guard.look_at_labels(self, y_true, self.background(y_pred), mask)

    def widen(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        # Labels are integers in any dtype that comes; float16 holds them exactly up to 2,048 only,
        # so they are never widened with the logits.
        dtype = ops.arithmetic_dtype(y_pred, dtype=self._arithmetic())
        return ops.cast(y_true, "int32"), ops.widen(y_pred, dtype)

    def is_real(self, y_true: Tensor) -> Tensor:
        # -1 is both padding and "ignore": neither contributes nor is in a denominator.
        return ops.not_equal(y_true, -1 * ops.ones_like(y_true))

    def background(self, y_pred: Tensor) -> Tensor:
        """The label that means background, for these logits."""
        return ops.static_shape(y_pred)[-1]

    def is_counted(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> Tensor:
        # RetinaNet divides by the anchors that were assigned to an object: there are 100,000 easy
        # negatives, whose number says nothing about the image.
        if self.normalizer != "positives":
            return real
        background = self.background(y_pred) * ops.ones_like(y_true)
        return ops.logical_and(real, ops.not_equal(y_true, background))

    def fill(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        # 0 logits for padding: any finite number serves, and its gradient is dropped by the mask.
        y_pred = ops.where(ops.expand_dims(real, -1), y_pred, ops.zeros_like(y_pred))
        return ops.where(real, y_true, ops.zeros_like(y_true)), y_pred


@register
class SoftmaxLoss(ClassLoss):
    """Cross-entropy over C classes and background.

    `y_pred` (B, N, C + 1) logits. `coordinate_errors` is None.
    Mathematics: `boxloss.functional.softmax_loss`.
    """

    name = "softmax"

    def background(self, y_pred: Tensor) -> Tensor:
        return ops.static_shape(y_pred)[-1] - 1

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        return Errors({"class": classification.softmax(y_true, y_pred)})


@register
class SigmoidFocalLoss(ClassLoss):
    """Focal loss of a sigmoid for each class, summed over the classes.

    `y_pred` (B, N, C) logits. `coordinate_errors` (B, N, C) is the loss of each class.
    Mathematics: `boxloss.functional.sigmoid_focal_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        alpha: weight of the true class, from 0 to 1; 1 - alpha for the others.
        gamma: focusing power, at least 0.
    """

    name = "sigmoid_focal"

    def __init__(
        self, *, alpha: float = 0.25, gamma: float = 2.0, **arguments: Unpack[ClassArguments]
    ) -> None:
        super().__init__(**arguments)
        self.alpha = checks.number("alpha", alpha, "a number from 0 to 1", lambda x: 0 <= x <= 1)
        self.gamma = checks.non_negative("gamma", gamma)

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        errors = classification.sigmoid_focal(y_true, y_pred, self.alpha, self.gamma)
        return Errors({"class": ops.sum(errors, axis=-1)}, None, errors)


class QualityLoss(ClassLoss):
    """A loss whose `y_true` (B, N, 2) holds a class and the quality, in [0, 1], of its box.

    `y_pred` (B, N, C) logits; the class C is background, a class of -1 padding or ignored.
    `coordinate_errors` (B, N, C) is the loss of each class.
    """

    true_shape = (None, None, 2)

    def guard(self, y_true: Tensor, y_pred: Tensor, mask: Tensor) -> None:
        super().guard(y_true[..., 0], y_pred, mask)

    def widen(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        dtype = ops.arithmetic_dtype(y_pred, dtype=self._arithmetic())
        return ops.widen(y_true, dtype), ops.widen(y_pred, dtype)

    def is_real(self, y_true: Tensor) -> Tensor:
        return super().is_real(y_true[..., 0])

    def is_counted(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> Tensor:
        return super().is_counted(y_true[..., 0], y_pred, real)

    def fill(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return boxes.fill(y_true, real), boxes.fill(y_pred, real)

    def class_errors(self, labels: Tensor, quality: Tensor, y_pred: Tensor) -> Tensor:
        """(B, N, C) of the labels (B, N), their qualities (B, N) and the logits (B, N, C)."""
        raise NotImplementedError

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        labels, quality = ops.unstack(y_true, 2, axis=-1)
        errors = self.class_errors(ops.cast(labels, "int32"), quality, y_pred)
        return Errors({"class": ops.sum(errors, axis=-1)}, None, errors)


@register
class QualityFocalLoss(QualityLoss):
    """Quality focal loss: cross-entropy with the quality, focused, summed over the classes.

    Mathematics: `boxloss.functional.quality_focal_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        beta: power of the distance from the quality, at least 0.
    """

    name = "quality_focal"

    def __init__(self, *, beta: float = 2.0, **arguments: Unpack[ClassArguments]) -> None:
        super().__init__(**arguments)
        self.beta = checks.non_negative("beta", beta)

    def class_errors(self, labels: Tensor, quality: Tensor, y_pred: Tensor) -> Tensor:
        return classification.quality_focal(labels, quality, y_pred, self.beta)


@register
class VarifocalLoss(QualityLoss):
    """Varifocal loss: positives weigh by their quality; summed over the classes.

    Mathematics: `boxloss.functional.varifocal_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        alpha: weight of the negatives, from 0 to 1.
        gamma: their focusing power, at least 0.
    """

    name = "varifocal"

    def __init__(
        self, *, alpha: float = 0.75, gamma: float = 2.0, **arguments: Unpack[ClassArguments]
    ) -> None:
        super().__init__(**arguments)
        self.alpha = checks.number("alpha", alpha, "a number from 0 to 1", lambda x: 0 <= x <= 1)
        self.gamma = checks.non_negative("gamma", gamma)

    def class_errors(self, labels: Tensor, quality: Tensor, y_pred: Tensor) -> Tensor:
        return classification.varifocal(labels, quality, y_pred, self.alpha, self.gamma)


@register
class MALLoss(QualityLoss):
    """Matchability-aware loss: the quality to a power as target; summed over the classes.

    Mathematics: `boxloss.functional.mal_loss`.

    Args (all keyword-only), beside those of `TensorLoss`:
        alpha: weight of the negatives, at least 0.
        gamma: power of the quality and of the negatives' modulation, at least 0.
    """

    name = "mal"

    def __init__(
        self, *, alpha: float = 1.0, gamma: float = 1.5, **arguments: Unpack[ClassArguments]
    ) -> None:
        super().__init__(**arguments)
        self.alpha = checks.non_negative("alpha", alpha)
        self.gamma = checks.non_negative("gamma", gamma)

    def class_errors(self, labels: Tensor, quality: Tensor, y_pred: Tensor) -> Tensor:
        return classification.mal(labels, quality, y_pred, self.alpha, self.gamma)
