"""From box errors to image losses to the batch scalar: masks, weights and denominators.

For image i, s_i = sum over j of m_ij u_ij e_ij (m the mask, u the mining weight times the weight of
the box, e the box error); its loss is s_i / d_i. Weights are in no denominator; the set that mining
keeps is. The sums that a denominator needs run over all replicas.
"""

import math
import numbers
from collections.abc import Callable
from typing import NamedTuple, get_args

from boxloss.tensors import checks, formulas, ops
from boxloss.types import NormalizerWord, Reduction, Tensor

NORMALIZERS = get_args(NormalizerWord)
REDUCTIONS = get_args(Reduction)


def check_normalizer(value, names=NORMALIZERS):
    """One of `names`, or a number above 0 by which every image sum is divided."""
    if isinstance(value, str) or not isinstance(value, numbers.Real):
        return checks.one_of("normalizer", value, names)
    return checks.positive("normalizer", value)


def check_reduction(value):
    """Keras' names; None is "none", and "auto" (Keras 2) the default."""
    value = {None: "none", "auto": "sum_over_batch_size"}.get(value, value)
    return checks.one_of("reduction", value, REDUCTIONS)


def split_weight(sample_weight, lead, dtype):
    """A scalar, (B,), (B, 1) or (B, N) weight as (image weight (B,) or (), box weight (B, N)).

    The one that is not given is None. (B, 1) is a weight of images, also when N is 1.
    """
    if sample_weight is None:
        return None, None
    # Widened first: a weight in float16 would turn the sums below into float16.
    weight = ops.widen(sample_weight, dtype)
    shape = ops.static_shape(weight)
    checks.sample_weight(shape, lead)
    if len(shape) < 2:
        return weight, None
    # Ambiguous where N is 1. A column with one weight per image is what Keras' users write, and
    # what some data pipelines make of (B,).
    if shape[1] == 1:
        return ops.squeeze(weight, axis=1), None
    return None, weight


class Factor(NamedTuple):
    """The factor of each box in the scalar: box_ij * image_i / divisor_i, each None for 1.

    The scalar is the sum over boxes of factor times error. `divides(count)` gives the divisors of
    the images, (B,) or (), of their numbers of counted boxes (B,): the one part that is known only
    after the boxes were read.
    """

    box: Tensor | None  # (B, N) weights
    image: Tensor | None  # (B,) or (): Keras' reduction over images, times their weights
    divides: Callable[[Tensor], Tensor] | None = None

    def divisor(self, count):
        return None if self.divides is None else self.divides(count)

    def of_boxes(self, count, shape):
        """As one tensor (B, N) of the given shape; `count` (B,) boxes of each image count."""
        factor = ops.ones_like(count) if self.image is None else self.image * ops.ones_like(count)
        if self.divides is not None:
            factor = factor / self.divides(count)
        factor = ops.expand_dims(factor, -1)
        return ops.broadcast_to(factor, shape) if self.box is None else factor * self.box

    def applied(self, errors, mask):
        """The scalar, of errors (B, N) that are 0 at padding; `mask` says what divisors count."""
        count = None if self.divides is None else formulas.count(mask, ops.dtype_name(errors))
        return self.sum(errors, self.divisor(count))

    def sum(self, errors, divisor):
        """The scalar, of errors (B, N) that are 0 at padding, and of the divisors."""
        sums = ops.sum(errors if self.box is None else errors * self.box, axis=-1)
        sums = sums if divisor is None else sums / divisor
        return ops.sum(sums if self.image is None else sums * self.image)


def factor(errors_like, *, normalizer, reduction, box_weight, image_weight, by_box=False):
    """The `Factor` of a `normalizer` and a Keras `reduction` other than "none".

    errors_like: (B, N), for its shape and dtype. by_box: box errors are reduced, not image losses.
    """
    # One number per image, of a batch without boxes as well: there is no first column in that.
    values = errors_like if by_box else ops.sum(errors_like[:, :1], axis=-1)
    image = share_of_each(values, image_weight, reduction)
    if by_box or normalizer == "none":
        return Factor(box_weight, image)
    if not isinstance(normalizer, str):
        return Factor(box_weight, image / normalizer)
    return Factor(box_weight, image, lambda count: divisor(count, normalizer))


def divisor(count, normalizer, image_share=None):
    """By what image sums are divided, (B,) or (); `count` (B,) boxes of each image count."""
    if normalizer in ("image", "positives"):
        # An image without boxes has the sum 0; at least 1 below leaves 0 / 1 instead of 0 / 0.
        count = ops.maximum(count, ops.ones_like(count))
        return count if image_share is None else count * image_share
    # "batch": one denominator for all images of all replicas, so that the mean over images is
    # the sum of errors over the number of boxes.
    # Replicas. Each holds a part of the batch and computes its own loss; the strategy adds up their
    # gradients. For N replicas to give the gradient of one, all must divide by the same number: the
    # boxes of the whole batch, divided by the images of the whole batch, since Keras' mean divides
    # by those again. Both sums travel in one all-reduce, because its price is the latency and not
    # two numbers.
    both = ops.stack([ops.sum(count), ops.sum(ops.ones_like(count))])
    boxes, images = ops.unstack(ops.all_replicas_sum(both), 2)
    return ops.maximum(boxes, ops.ones_like(boxes)) / images


def image_losses(box_errors, counted, *, normalizer, box_weight=None, mined=None, image_share=None):
    """(B, N) errors, 0 at padding, to (B,) image losses.

    `counted` (B, N): which boxes the denominators count: the real ones, those that mining kept, or
    the positives. `mined` (B, N) are mining weights; `image_share` (a scalar) is the share of
    images that mining keeps.
    """
    # Weights are in no denominator: an image whose boxes all weigh 0.1 then has a tenth of the
    # loss, as Keras' users expect of a weight. Dividing by the sum of weights would cancel a weight
    # that all boxes of an image share. What mining keeps is in the denominator: dropped boxes do
    # not exist for it.
    weighted = box_errors
    for weight in (mined, box_weight):
        if weight is not None:
            weighted = weighted * weight
    # Outside the mask the errors are exactly 0 (the ladder filled padding before the arithmetic),
    # so a plain sum is the sum over real boxes.
    sums = ops.sum(weighted, axis=-1)
    if normalizer == "none":
        return sums
    if not isinstance(normalizer, str):
        return sums / normalizer
    count = formulas.count(counted, ops.dtype_name(box_errors))
    return sums / divisor(count, normalizer, image_share)


def share_of_each(values, weight, reduction):
    """What Keras' `reduction` multiplies each of `values` (B, ...) by, with weights (B,) or ().

    Means divide by the number of values on all replicas: under data parallelism gradients are
    summed over replicas, so every value counts once, also when replicas hold different numbers.
    """
    shape, dtype = ops.shape(values), ops.dtype_name(values)
    one = ops.convert_to_tensor(1.0, dtype=dtype)
    if reduction == "sum":
        return one if weight is None else weight
    # A mean over the values of this replica alone would be wrong where replicas hold batches of
    # different sizes, as in the last step of an epoch: images of the smaller one would count more.
    # Hence our own mean, over the values of all replicas.
    number = ops.cast(math.prod(shape), dtype)
    if reduction == "mean_with_sample_weight" and weight is not None:
        ones = ops.ones((shape[0],), dtype=dtype)
        number = ops.sum(weight * ones) * ops.cast(math.prod(shape[1:]), dtype)
    # No images, or weights that are all 0: a mean of nothing is 0, with a gradient of 0.
    share = ops.divide_or(one, ops.all_replicas_sum(number), 0.0)
    return share if weight is None else weight * share


def reduce(values, weight, reduction):
    """Keras' `reduction` of (B,) image losses, or of (B, N) box errors, times the (B,) weights."""

    def per_value(factor):
        rank = len(ops.static_shape(factor))
        more = len(ops.static_shape(values)) - rank if rank else 0
        return ops.reshape(factor, (-1, *(1,) * more)) if more else factor

    if reduction == "none":
        return values if weight is None else values * per_value(weight)
    return ops.sum(values * per_value(share_of_each(values, weight, reduction)))
