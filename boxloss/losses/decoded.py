"""A box loss on what a head predicts, decoded inside."""

from typing import TYPE_CHECKING, get_args

import keras

from boxloss.losses.base import BoxLoss, Tensors
from boxloss.tensors import boxes, checks, ops
from boxloss.tensors.config import config_of, restored
from boxloss.types import ArrayLike, Config, Tensor, Truth

if TYPE_CHECKING:
    from boxloss.coders import Coder

__all__ = ["DecodedBoxLoss"]

TRUTHS = get_args(Truth)


@keras.saving.register_keras_serializable(package="boxloss")
class DecodedBoxLoss(keras.losses.Loss):
    """`loss` on boxes that `coder` decodes, so that no overlap loss is ever fed encoded numbers.

        loss = DecodedBoxLoss(boxloss.GIoULoss(), boxloss.coders.DeltaCoder(anchors))
        value = loss(y_true, deltas)

    Called like the loss within, with the same `sample_weight`, `mask` and `tensors(...)`; every
    level is that of the decoded boxes. Padding is filled before it is decoded.

    Args:
        loss: a `BoxLoss` of kind "box" (or its name) with bounding_box_format "xyxy"; its reduction
            counts.
        coder: of `boxloss.coders`, or alike; `y_pred` (B, A, coder.size) is what it decodes.
        truth: "boxes": `y_true` (B, A, 4) is xyxy, padded with rows of -1. "encoded": it is encoded
            like `y_pred`; rows of -1 are no padding then, and a mask or weights say which count.
    """

    def __init__(
        self,
        loss: str | BoxLoss,
        coder: "Coder",
        *,
        truth: Truth = "boxes",
        name: str | None = None,
    ) -> None:
        from boxloss.losses.registry import box_loss

        self.loss: BoxLoss = box_loss(restored(loss), bounding_box_format="xyxy")
        if isinstance(coder, dict):
            from boxloss import coders  # noqa: F401 - at its first need: it registers its classes

            coder = keras.saving.deserialize_keras_object(coder)
        if not (hasattr(coder, "decode") and hasattr(coder, "size")):
            raise ValueError(f"`coder` must be of boxloss.coders. Received: coder={coder!r}")
        name = name or f"decoded_{self.loss.name}"
        super().__init__(name=name, reduction=self.loss.reduction)
        self.coder = coder
        self.truth = checks.one_of("truth", truth, TRUTHS)

    @property
    def kind(self) -> str | None:
        return self.loss.kind

    # Not of the inner loss: it sees boxes after decoding, in which no row is -1 any more.
    def is_real(self, y_true: Tensor) -> Tensor:
        """(B, A) bool: False for rows of padding."""
        if self.truth == "encoded":
            return ops.ones_like(y_true[..., 0], dtype="bool")
        return boxes.is_real(y_true)

    def _decoded(self, y_true, y_pred, mask):
        encoded = self.truth == "encoded"
        sizes = self.coder.size if encoded else 4, self.coder.size
        y_true, y_pred = (
            boxes.known(x, (None, None, size))
            for x, size in zip((y_true, y_pred), sizes, strict=True)
        )
        checks.boxes(y_true, y_pred, *sizes, rank=3)
        dtype = ops.arithmetic_dtype(y_true, y_pred, dtype=self.loss.dtype)
        # Decoding takes exponentials: in float16 they overflow at 11.1, and bfloat16 has no odd
        # numbers of pixels above 256.
        y_true, y_pred = ops.widen(y_true, dtype), ops.widen(y_pred, dtype)
        real = self.is_real(y_true)
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            checks.mask(mask, ops.static_shape(real))
            real = ops.logical_and(mask, real)
        # Filled before decoding. Rows of padding may hold anything, and exp(1e38) is infinite: its
        # gradient is NaN even where the row is masked afterwards. 0 decodes to a finite box with
        # every coder.
        if encoded:
            y_true = self.coder.decode(boxes.fill(y_true, real))
        return y_true, self.coder.decode(boxes.fill(y_pred, real)), real

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Tensor:
        y_true, y_pred, real = self._decoded(y_true, y_pred, mask)
        # The inner loss gets the mask, since decoded padding is an ordinary box and not a row of
        # -1.
        return self.loss(y_true, y_pred, sample_weight, mask=real)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Image losses (B,), or what `loss` returns."""
        y_true, y_pred, _ = self._decoded(y_true, y_pred, None)
        return self.loss.call(y_true, y_pred)

    def tensors(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Tensors:
        """Every level of the loss of the decoded boxes, as `Tensors`."""
        y_true, y_pred, real = self._decoded(y_true, y_pred, mask)
        return self.loss.tensors(y_true, y_pred, sample_weight, mask=real)

    def get_config(self) -> Config:
        """Every argument, from the attribute of its name."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: Config) -> "DecodedBoxLoss":
        return cls(**config)
