"""Loss classes that weigh a box by what other boxes cost: WIoU, GHM-R."""

import warnings
import weakref
from typing import Any, Literal

import keras

from boxloss.functional import density, weighted
from boxloss.functional.pair import Pair
from boxloss.losses.arguments import BoxArguments, CoordinateArguments
from boxloss.losses.base import Errors
from boxloss.losses.coordinate import CoordinateLoss
from boxloss.losses.overlap import OverlapLoss
from boxloss.losses.registry import register
from boxloss.losses.state import GradientHistogram, RunningMean, StatefulLoss
from boxloss.tensors import boxes, checks, ops
from boxloss.tensors.config import restored
from boxloss.types import ImageShape, Outlier, Tensor, Terms, Unpack

__all__ = ["GHMRBoxLoss", "WIoULoss"]


def _state(argument, value, cls):
    """A layer, also from its configuration."""
    value = restored(value)
    if not isinstance(value, cls):
        raise ValueError(
            f"`{argument}` must be a boxloss.{cls.__name__}. Received: {argument}={value!r}"
        )
    return value


OUTLIERS = ("changed", "plain")

# Weak, so that a warning keeps no loss alive; not an attribute, which would be copied and saved.
_WARNED: weakref.WeakSet = weakref.WeakSet()


def _warn_once(loss, message, stacklevel=3):
    if not ops.traced_by_torch() and loss not in _WARNED:
        _WARNED.add(loss)
        warnings.warn(message, stacklevel=stacklevel)


@register
class WIoULoss(StatefulLoss, OverlapLoss):
    """Wise IoU loss: 1 - o times an attention for the distance and a focusing factor.

    Terms: overlap (with its factors), inversion.
    Mathematics: `boxloss.functional.wiou_loss`.

    Args (all keyword-only), beside those of `BoxLoss`:
        version: 1, 2 or 3.
        alpha, delta: shape of version 3's factor.
        gamma: power of version 2's factor.
        momentum: share of each batch in the running mean, above 0 and at most 1.
        running_mean: of 1 - o. A number is held fixed (the first call of version 2 or 3 warns of
            it); a `boxloss.RunningMean` moves at every call, after it was used. See
            `boxloss.losses.state`.
        outlier: as the base of `InnerIoULoss` or `FocalerIoULoss`, whether outlier degree and
            running mean are those of the "changed" IoU (default, as in published code) or of the
            "plain" one. By itself both are the same.
    """

    name = "wiou"
    is_product = True

    def __init__(
        self,
        *,
        version: Literal[1, 2, 3] = 3,
        alpha: float = 1.9,
        delta: float = 3.0,
        gamma: float = 0.5,
        momentum: float = 1e-2,
        running_mean: float | RunningMean = 1.0,
        outlier: Outlier = "changed",
        **arguments: Unpack[BoxArguments],
    ) -> None:
        super().__init__(**arguments)
        self.version, self.alpha, self.delta, self.gamma = weighted.check_wiou(
            version=version, alpha=alpha, delta=delta, gamma=gamma
        )
        self.momentum = checks.fraction("momentum", momentum)
        self.outlier = checks.one_of("outlier", outlier, OUTLIERS)
        if isinstance(running_mean, (dict, keras.layers.Layer)):
            self.state = self.running_mean = _state("running_mean", running_mean, RunningMean)
        else:
            self.running_mean = checks.positive("running_mean", running_mean)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self.warn_of_a_fixed_mean()
        return super().__call__(*args, **kwargs)

    def warn_of_a_fixed_mean(self) -> None:
        """Warn, once, where versions 2 and 3 have no running mean that moves."""
        if self.state is None and self.version > 1:
            _warn_once(
                self,
                f"WIoULoss holds running_mean={self.running_mean} fixed; give it a "
                "boxloss.RunningMean that the model owns to let it move",
                stacklevel=4,
            )

    def pair_terms(self, pair: Pair) -> Terms:
        mean = self.running_mean
        if self.state is not None:
            mean = self.state.read(ops.dtype_name(pair.w))
        arguments = self.version, self.alpha, self.delta, self.gamma, self.outlier == "plain"
        return weighted.wiou_terms(pair, mean, *arguments)

    def moved(self, y_true: Tensor, y_pred: Tensor, real: Tensor, image_shape: Tensor) -> Tensor:
        # The running mean of the paper is over batches. Means of replicas would count a replica
        # with few boxes as much as one with many: sums and counts are added up over all of them,
        # then divided once.
        pair = Pair(self.to_xyxy(y_true, image_shape), self.to_xyxy(y_pred, image_shape))
        return self.moved_by(pair, real)

    def moved_by(self, pair: Pair, real: Tensor) -> Tensor:
        """The running mean after a batch of pairs (B, N), of which `real` count."""
        dtype = ops.dtype_name(pair.w)
        count = ops.cast(real, dtype)
        cost = 1.0 - (pair.plain_iou if self.outlier == "plain" else pair.iou)
        sums = ops.all_replicas_sum(
            ops.stack([ops.sum(ops.stop_gradient(cost) * count), ops.sum(count)])
        )
        old = self.state.read(dtype)
        # A batch without boxes says nothing.
        return old + self.momentum * (ops.divide_or(sums[0], sums[1], old) - old)


@register
class GHMRBoxLoss(StatefulLoss, CoordinateLoss):
    """GHM-R loss: rare gradients weigh more than frequent ones. One term per coordinate.

    The weights depend on the whole batch.
    Mathematics: `boxloss.functional.ghm_r_loss`.

    Args (all keyword-only), beside those of `CoordinateLoss`:
        mu: |d| around which the smoothed L1 bends, in the unit of the coordinates.
        bins: how many bins the gradient norm has.
        momentum: of the counts: momentum * old + (1 - momentum) * those of the batch (on all
            replicas); 0 uses the batch alone. Above 0 it needs `histogram`; without one the first
            call warns, and each batch is counted alone.
        histogram: a `boxloss.GradientHistogram` with as many bins. See `boxloss.losses.state`.
    """

    name = "ghm_r"
    # Rare bins weigh up to N / bins: after such a gradient Adam's steps are short for long.
    recovers_inverted = False
    # The cost of a box depends on the others of the batch.
    uses_batch = True

    def __init__(
        self,
        *,
        mu: float = 0.02,
        bins: int = 10,
        momentum: float = 0.0,
        histogram: GradientHistogram | None = None,
        **arguments: Unpack[CoordinateArguments],
    ) -> None:
        super().__init__(**arguments)
        self.mu, self.bins, self.momentum = density.check_ghm_r(mu=mu, bins=bins, momentum=momentum)
        # The counts of one histogram are meant for one number of bins; others would be read off by
        # one.
        if histogram is not None:
            self.state = _state("histogram", histogram, GradientHistogram)
            if self.state.bins != self.bins:
                raise ValueError(
                    "`histogram` must have as many bins as the loss. "
                    f"Received: {self.state.bins} bins, bins={self.bins}"
                )
        self.histogram = self.state

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        # Warned and not refused: a single batch, as in an evaluation, is a fair use of the fixed
        # counts.
        if self.state is None and self.momentum > 0:
            _warn_once(
                self,
                f"GHMRBoxLoss uses the counts of each batch alone, as if momentum={self.momentum} "
                "were 0; give it a boxloss.GradientHistogram that the model owns",
            )
        return super().__call__(*args, **kwargs)

    def coordinate_errors(self, difference: Tensor) -> Tensor:
        return density.smoothed_l1(difference, self.mu)

    def _counts(self, index, real):
        """Counts (bins,) to weigh by, and their number in this batch."""
        # A mask of the index's shape that is True everywhere, made of a tensor: its shape may be
        # unknown.
        counted = ops.equal(index, index)
        if real is not None:
            counted = ops.logical_and(counted, ops.expand_dims(real, -1))
        counts = density.histogram(index, counted, self.bins, "float32")
        total = ops.sum(counts)
        if self.state is not None:
            counts = self.momentum * self.state.read("float32") + (1.0 - self.momentum) * counts
        return counts, total

    def has_formula(self, image_shape: ImageShape | None = None) -> bool:
        return False  # the weights are those of the whole batch

    def masked_errors(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        real: Tensor | None,
        image_shape: ImageShape | None = None,
        every_level: bool = True,
    ) -> Errors:
        if real is not None:
            y_true, y_pred = self.fill(y_true, y_pred, real)
        residuals, cost = self.measured(y_true, y_pred, image_shape)
        dtype = ops.dtype_name(cost)
        # The weight of a coordinate is the number of coordinates divided by those in its bin: one
        # bin for a rare gradient makes it as loud as a crowd. It is constant in the gradient, as in
        # the paper.
        index = density.bin_of(cost, self.mu, self.bins)
        counts, total = (ops.cast(x, dtype) for x in self._counts(index, real))
        cost = cost * density.density_weights(index, counts, total)
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        names = boxes.coordinate_names(self.coordinate_format)
        terms = dict(zip(names, ops.unstack(cost * share, 4, axis=-1), strict=True))
        return Errors(terms, residuals, cost)

    def moved(self, y_true: Tensor, y_pred: Tensor, real: Tensor, image_shape: Tensor) -> Tensor:
        cost = self.measured(y_true, y_pred, image_shape)[1]
        return self._counts(density.bin_of(cost, self.mu, self.bins), real)[0]
