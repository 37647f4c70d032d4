"""The ladder that every loss climbs: sides, boxes, images, batch."""

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from boxloss.losses import guard
from boxloss.losses import reduction as reduction_module  # `reduction` is an argument of Keras'
from boxloss.losses.arguments import TensorArguments, WholeSignature
from boxloss.losses.mining import Mining
from boxloss.tensors import boxes, checks, formulas, ops
from boxloss.tensors.compiled import Compiled
from boxloss.tensors.config import config_of, restored
from boxloss.types import (
    ArrayLike,
    BoundingBoxFormat,
    BoxReduction,
    ClassNormalizer,
    Config,
    ImageShape,
    Reduction,
    Tensor,
    Terms,
    Unpack,
)

__all__ = ["BoxLoss", "TensorLoss", "Tensors"]


class Tensors(NamedTuple):
    """Every level of one loss. Padding holds 0 in every field."""

    residuals: Tensor  # (B, N, 4) y_pred - y_true, signed, in xyxy
    coordinate_errors: Tensor  # (B, N, 4)
    box_errors: Tensor  # (B, N)
    image_losses: Tensor  # (B,)
    loss: Tensor  # ()
    terms: Terms  # name -> (B, N), which sum to box_errors

    def numpy(self) -> "Tensors":
        """The same as numpy arrays."""

        def convert(value):
            if value is None:
                return None
            if isinstance(value, dict):
                return {name: convert(term) for name, term in value.items()}
            return ops.convert_to_numpy(value)

        return Tensors(*map(convert, self))


# Terms come first: the box error is their sum, so that what is shown adds up to what is trained on.
class Errors(NamedTuple):
    """What one loss says about each box, before masks and weights."""

    terms: Terms  # which sum to the errors of the boxes
    residuals: Tensor = None
    coordinate_errors: Tensor = None
    fused: Tensor = None  # the errors, where they are computed better than by a sum of the terms

    @property
    def box_errors(self) -> Tensor:
        return formulas.total(self.terms) if self.fused is None else self.fused


class TensorLoss(keras.losses.Loss):
    """A loss that keeps its tensor until the last step.

    Called like any Keras loss, `loss(y_true, y_pred, sample_weight=None, mask=None)` gives the
    scalar that an optimizer minimises. `loss.tensors(...)`, with the same arguments, gives every
    level on the way (`Tensors`) and changes no state. numpy arrays are accepted everywhere.

    Real or padding. A box is real if `mask` (B, N) bool, where given, says so and its row of
    `y_true` is not all -1. Padding is filled before the arithmetic: NaN or inf there changes
    neither value nor gradient. Keras' implicit masks are ignored. NaN in a real box reaches the
    scalar.

    Decisions in which libraries differ:
    (a) Coordinates are summed (`coordinate_reduction="sum"`); Keras' Huber averages them, a factor
        of 4.
    (b) Each image counts once (`normalizer="image"`): the mean over its real boxes. "batch" divides
        the sum over all boxes by their number on all replicas (DETR, MMDetection), so that crowded
        images count more; "none" sums the boxes of an image; a number divides by it.
    (c) An image without boxes contributes 0 and stays in the denominator of the mean over images.

    Args (all keyword-only):
        normalizer: "image", "batch", "none" or a number above 0. Gradient accumulation is exact for
            "image" only.
        box_reduction: "sum", or "none": `loss(...)` then reduces masked box errors (B, N), for
            detectors that bring weights (B, N) of their own; `normalizer` and `mining` must stay
            default.
        mining: `HardestBoxes`, `HardestImages` or `FocalWeighting`: weights from the box errors.
        reduction: Keras' reduction over images: "sum_over_batch_size", "sum", "mean",
            "mean_with_sample_weight" or "none".
        name, dtype: as in Keras. The arithmetic is float32 for every dtype, float64 if the inputs
            and `dtype` are float64.

    `sample_weight` of shape (B,) or (B, 1) weighs images, once, at the last arrow; (B, N) weighs
    boxes. It scales and is in no denominator; it is not a mask. Under tf.distribute every image
    counts once, on however many replicas.
    """

    name: str | None = None  # the registry's name
    kind: str | None = None
    minimum: float | None = None
    recovers_disjoint = False
    recovers_inverted = False
    normalizers: tuple[str, ...] = reduction_module.NORMALIZERS
    # None is any size. A row of padding has as many -1 as the last axis of `true_shape`.
    true_shape: tuple[int | None, ...] = (None, None, 4)
    predicted_shape: tuple[int | None, ...] = (None, None, 4)

    # What `inspect.signature` and `help` show of each loss: all of its arguments.
    __signature__ = WholeSignature()

    def __init__(
        self,
        *,
        normalizer: ClassNormalizer = "image",
        box_reduction: BoxReduction = "sum",
        mining: Mining | None = None,
        reduction: Reduction | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **misspelt: Any,
    ) -> None:
        checks.no_other_arguments(type(self), misspelt)
        reduction_name = self._reduction_name = reduction_module.check_reduction(reduction)
        name = name or type(self).name
        if ops.KERAS_3:
            super().__init__(name=name, reduction=reduction_name, dtype=dtype)
        else:
            # Keras 2 knows no other means; `compile` asks only whether it is one.
            mean = reduction_name.startswith("mean")
            super().__init__(name=name, reduction="sum_over_batch_size" if mean else reduction_name)
            self._dtype = dtype or keras.backend.floatx()
        self.normalizer = reduction_module.check_normalizer(normalizer, self.normalizers)
        self.box_reduction = checks.one_of("box_reduction", box_reduction, ("none", "sum"))
        self.mining = _check_mining(mining)
        # Detectors that bring weights per anchor divide by themselves. A second division, or mining
        # inside, would be invisible to them: refused instead of guessed.
        if self.box_reduction == "none" and (self.normalizer != "image" or mining is not None):
            raise ValueError(
                '`normalizer` and `mining` must be the defaults with box_reduction="none", which '
                "leaves boxes to the caller. "
                f"Received: normalizer={normalizer!r}, mining={mining!r}"
            )
        # The sum of image losses would be the mean error of a box times the number of images:
        # nobody wants that number, and it grows with the batch.
        if reduction_name == "sum" and self.normalizer == "batch":
            raise ValueError(
                '`reduction` must be a mean with normalizer="batch", which already divides by all '
                f"boxes. Received: reduction={reduction!r}"
            )

    @property
    def dtype(self) -> str:
        """As on Keras 3; Keras 2 has none of its own."""
        return self._dtype

    @property
    def is_pure(self) -> bool:
        """A loss that changes variables when called is not: it is never compiled by itself."""
        return True

    # What a kind of loss says about itself
    # ---------------------------------------------------------

    def check(self, y_true: Tensor, y_pred: Tensor) -> None:
        """Raise unless the shapes fit."""
        sizes = self.true_shape[-1], self.predicted_shape[-1]
        checks.boxes(y_true, y_pred, *sizes, rank=3)

    def guard(self, y_true: Tensor, y_pred: Tensor, mask: Tensor) -> None:
        """Warn, in eager mode, of what can hardly be meant."""

    def is_real(self, y_true: Tensor) -> Tensor:
        """(B, N) bool: False for rows of padding."""
        return boxes.is_real(y_true)

    def is_counted(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> Tensor:
        """(B, N) bool: the boxes that denominators count."""
        return real

    def fill(self, y_true: Tensor, y_pred: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Both with padding replaced by boxes that are safe to compute."""
        return boxes.fill(y_true, real), boxes.fill(y_pred, real)

    def widen(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        dtype = ops.arithmetic_dtype(y_true, y_pred, dtype=self._arithmetic())
        return ops.widen(y_true, dtype), ops.widen(y_pred, dtype)

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        """`Errors` of filled boxes: terms (B, N), residuals and coordinate errors."""
        raise NotImplementedError

    def masked_errors(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        real: Tensor,
        image_shape: ImageShape | None = None,
        every_level: bool = True,
    ) -> Errors:
        """`errors` of boxes that hold padding where `real` (B, N) is False.

        Without `every_level`, only the errors of the boxes are asked for.
        """
        return self.errors(*self.fill(y_true, y_pred, real), image_shape)

    def has_formula(self, image_shape: ImageShape | None = None) -> bool:
        """Whether each box costs what `formula` says of its own sides, and nothing else matters."""
        return False

    # The ladder -----------------------------------------------------------------------------------

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> Tensor:
        value = self._run("loss", y_true, y_pred, sample_weight, mask, image_shape)
        self.move(y_true, y_pred, mask, image_shape)
        return value

    @ops.unconverted  # AutoGraph cannot write a body that is a docstring alone
    def move(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> None:
        """One step of the state by this batch, for losses that have one."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Image losses (B,), or masked box errors (B, N) with `box_reduction="none"`."""
        wanted = "box_errors" if self.box_reduction == "none" else "image_losses"
        return self._run(wanted, y_true, y_pred, None, None, None)

    def tensors(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> Tensors:
        """Every level of the loss, as `Tensors`. Changes no state.

        `image_shape`, where the loss takes one, may be a tensor (B, 2) of (height, width) here.
        """
        return self._run("all", y_true, y_pred, sample_weight, mask, image_shape)

    def box_errors(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> Tensor:
        """The errors of the boxes alone, (B, N), 0 at padding; no other level is computed.

        For code that weighs boxes by itself, a dense head for example. Changes no state.
        """
        return self._run("box_errors", y_true, y_pred, None, mask, image_shape)

    @ops.unconverted
    def _run(self, wanted, y_true, y_pred, sample_weight, mask, image_shape):
        """`_levels`, compiled where that pays."""
        checks.numeric("y_true", y_true)
        checks.numeric("y_pred", y_pred)
        y_true = boxes.known(y_true, self.true_shape)
        y_pred = boxes.known(y_pred, self.predicted_shape)
        self.check(y_true, y_pred)
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
        mask = None if mask is None else ops.convert_to_tensor(mask)
        static = None
        if isinstance(image_shape, (list, tuple)):
            static, image_shape = checks.image_shape(image_shape), None
        elif image_shape is not None:
            image_shape = ops.convert_to_tensor(image_shape)
            checks.image_shapes(ops.static_shape(image_shape), ops.static_shape(y_true)[0])
        levels, terms = self._compiled(wanted, static)
        outcome = levels(y_true, y_pred, sample_weight, mask, image_shape)
        self.guard(y_true, y_pred, mask)  # now that all shapes are known to fit
        if wanted != "all":
            return outcome
        return Tensors(*outcome[:-1], dict(zip(terms, outcome[-1], strict=True)))

    def _compiled(self, wanted, static):
        """The function of tensors for one outcome, and the names of the terms once it has run."""
        if ops.traced_by_torch():
            # torch.compile would hold on to the entries of all losses in the table, and fail where
            # one of them is gone before it has ended. It compiles by itself, so none is wanted.
            names = []
            return _plain_levels_of(lambda: self, wanted, static, names), names
        functions = _COMPILED.setdefault(self, {})
        if (wanted, static) not in functions:
            names = []
            functions[wanted, static] = _levels_of(weakref.ref(self), wanted, static, names), names
        return functions[wanted, static]

    def __setattr__(self, name, value):
        _COMPILED.pop(self, None)  # What was compiled holds the old value.
        super().__setattr__(name, value)

    def _levels(self, wanted, y_true, y_pred, sample_weight, mask, image_shape):
        """The level `wanted`, or with "all" every one, as a tuple, and the names of the terms."""
        y_true, y_pred = self.widen(y_true, y_pred)
        real = self.is_real(y_true)  # (B, N)
        if mask is not None:
            checks.mask(mask, ops.static_shape(real))
            real = ops.logical_and(mask, real)
        image_weight, box_weight = reduction_module.split_weight(
            sample_weight, ops.static_shape(real), ops.dtype_name(y_pred)
        )
        if box_weight is not None:
            box_weight = ops.where(real, box_weight, ops.zeros_like(box_weight))
        if wanted == "loss" and self._is_linear(image_shape):
            loss = self._scalar(y_true, y_pred, real, image_weight, box_weight, image_shape)
            return loss if ops.KERAS_3 else loss * self._keras_2_correction()
        errors = self.masked_errors(y_true, y_pred, real, image_shape, wanted == "all")
        box_errors, seen = formulas.masked(errors.box_errors, real)
        if wanted == "box_errors":
            return box_errors
        image_losses, loss = self._reduced(
            box_errors, self._counted(y_true, y_pred, real, seen), seen, image_weight, box_weight
        )
        if wanted != "all":
            return {"image_losses": image_losses, "loss": loss}[wanted]
        terms = {term: formulas.masked(x, real)[0] for term, x in errors.terms.items()}
        rows = [
            None if x is None else boxes.fill(x, real)
            for x in (errors.residuals, errors.coordinate_errors)
        ]
        return Tensors(*rows, box_errors, image_losses, loss, terms)

    def _is_linear(self, image_shape):
        """Whether the scalar is a sum of errors by factors that no error changes."""
        return (
            self.mining is None and self._reduction_name != "none" and self.has_formula(image_shape)
        )

    def _scalar(self, y_true, y_pred, real, image_weight, box_weight, image_shape):
        def formula(true, pred):
            return self.formula(true, pred, image_shape)

        factor = reduction_module.factor(
            y_pred[..., 0],
            normalizer=self.normalizer,
            reduction=self._reduction_name,
            box_weight=box_weight,
            image_weight=image_weight,
            by_box=self.box_reduction == "none",
        )
        return formulas.scalar(formula, y_true, y_pred, real, factor)

    def _counted(self, y_true, y_pred, real, seen):
        """Which boxes denominators count: `seen`, the real ones, unless the kind says otherwise."""
        counted = self.is_counted(*self.fill(y_true, y_pred, real), real)
        return seen if counted is real else counted

    def _reduced(self, box_errors, counted, real, image_weight, box_weight):
        """Image losses (B,) and the scalar."""
        mined = share = None
        if self.mining is not None:
            mined, kept, share = self.mining.mine(box_errors, real)
            counted = ops.logical_and(kept, counted)
        image_losses = reduction_module.image_losses(
            box_errors,
            counted,
            normalizer=self.normalizer,
            box_weight=box_weight,
            mined=mined,
            image_share=share,
        )
        values = image_losses
        if self.box_reduction == "none":
            values = box_errors if box_weight is None else box_errors * box_weight
        loss = reduction_module.reduce(values, image_weight, self._reduction_name)
        return image_losses, loss if ops.KERAS_3 else loss * self._keras_2_correction()

    def _keras_2_correction(self):
        """Keras 2's `compile` divides means by the number of replicas, which `reduce` has done."""
        return 1.0 if self._reduction_name in ("sum", "none") else float(ops.replica_count())

    def _arithmetic(self):
        return "float64" if self.dtype == "float64" else "float32"

    # Serialisation --------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Every argument, from the attribute of its name; subclasses need no other."""
        config = config_of(self)
        # Keras keeps these two under the same names, in words of its own.
        said = {
            "reduction": self._reduction_name,
            "dtype": self._dtype_policy.name if ops.KERAS_3 else self._dtype,
        }
        return {name: said.get(name, value) for name, value in config.items()}

    @classmethod
    def from_config(cls, config: Config) -> "TensorLoss":
        return cls(**config)


# Not an attribute: compiled functions are neither copied nor saved with a loss.
_COMPILED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _plain_levels_of(reference, wanted, static, names):
    def levels(y_true, y_pred, sample_weight, mask, image_shape):
        loss = reference()
        image_shape = image_shape if static is None else static
        tensors = loss._levels(wanted, y_true, y_pred, sample_weight, mask, image_shape)
        if wanted != "all":
            return tensors
        names[:] = tensors.terms
        return (*tensors[:-1], tuple(tensors.terms.values()))

    return levels


def _levels_of(reference, wanted, static, names):
    levels, loss = _plain_levels_of(reference, wanted, static, names), reference()
    is_scalar = wanted == "loss" and loss._reduction_name != "none"
    return Compiled(levels, is_scalar) if loss.is_pure else levels


def _check_mining(mining):
    mining = restored(mining)
    if mining is not None and not isinstance(mining, Mining):
        raise ValueError(
            "`mining` must be HardestBoxes, HardestImages or FocalWeighting. "
            f"Received: mining={mining!r}"
        )
    return mining


class BoxLoss(TensorLoss):
    """A loss of boxes (B, N, 4).

    Args (all keyword-only), beside those of `TensorLoss`:
        bounding_box_format: how `y_true` and `y_pred` are written: "xyxy", "yxyx", "xywh",
            "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh" or "rel_center_xywh".
        image_shape: (height, width) in pixels, by which `rel_*` boxes are multiplied first. Without
            it they stay in units of the image, where DIoU, CIoU, EIoU and SIoU see distances and
            angles distorted unless the image is square; IoU and GIoU do not change.
    """

    kind = "box"

    def __init__(
        self,
        *,
        bounding_box_format: BoundingBoxFormat = "xyxy",
        image_shape: Sequence[float] | None = None,
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.bounding_box_format = boxes.check_format("bounding_box_format", bounding_box_format)
        self.image_shape = None if image_shape is None else checks.image_shape(image_shape)

    @property
    def is_encoded(self) -> bool:
        """Whether the four numbers are measured as given, so that -1 is a value like any other."""
        return False

    # A real row of encoded numbers may be -1 throughout: up, to the left, and smaller.
    def is_real(self, y_true: Tensor) -> Tensor:
        if self.is_encoded:
            return ops.ones_like(y_true[..., 0], dtype="bool")
        return super().is_real(y_true)

    def guard(self, y_true: Tensor, y_pred: Tensor, mask: Tensor) -> None:
        if self.kind == "box" and not self.is_encoded:
            guard.look(self, y_true, y_pred, mask)

    def _shape(self, image_shape):
        # An image shape of the call wins: images of a batch may differ in size, the loss is made
        # once.
        shape = self.image_shape if image_shape is None else image_shape
        return checks.image_shape(shape) if isinstance(shape, (list, tuple)) else shape

    # Converted once, here at the border: everything further inside is xyxy, whatever the user has.
    def to_xyxy(self, x: Tensor, image_shape: ImageShape | None) -> Tensor:
        return boxes.to_xyxy(x, self.bounding_box_format, self._shape(image_shape))
