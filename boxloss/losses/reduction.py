"""From box errors to image losses to the batch scalar: masks, weights and denominators.

For image i, s_i = sum over j of m_ij u_ij e_ij (m the mask, u the mining weight times the weight of
the box, e the box error); its loss is s_i / d_i. Weights are in no denominator; the set that mining
keeps is. The sums that a denominator needs run over all replicas.
"""

import numbers
from typing import get_args

from boxloss.tensors import checks, one_loop, ops
from boxloss.types import NormalizerWord, Reduction

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


def image_losses(
    box_errors,
    mask,
    *,
    normalizer,
    box_weight=None,
    mined=None,
    image_share=None,
    counts_all=False,
):
    """(B, N) errors, 0 at padding, to (B,) image losses.

    `mask` (B, N) says which boxes the denominators count: the real ones, those that mining kept,
    or the positives; `counts_all` that the errors outside it are 0. `mined` (B, N) are mining
    weights; `image_share` (a scalar) is the share of images that mining keeps.
    """
    # Weights are in no denominator: an image whose boxes all weigh 0.1 then has a tenth of the
    # loss, as Keras' users expect of a weight. Dividing by the sum of weights would cancel a weight
    # that all boxes of an image share. What mining keeps is in the denominator: dropped boxes do
    # not exist for it.
    dtype = ops.dtype_name(box_errors)
    weighted = box_errors
    for weight in (mined, box_weight):
        if weight is not None:
            weighted = weighted * weight
    if counts_all:
        weighted, mask = one_loop.marked(weighted, mask)
    # Outside the mask the errors are exactly 0 (the ladder filled padding before the arithmetic),
    # so a plain sum is the sum over real boxes.
    sums = ops.sum(weighted, axis=-1)
    if normalizer == "none":
        return sums
    if not isinstance(normalizer, str):
        return sums / normalizer
    # An image without boxes has s = 0; a denominator of at least 1 leaves 0 / 1 instead of 0 / 0.
    one = ops.ones_like(sums)
    count = one_loop.count(mask, dtype)
    if normalizer in ("image", "positives"):
        count = ops.maximum(count, one)
        one_loop.divides(count)
        return sums / (count if image_share is None else count * image_share)
    # "batch": one denominator for all images of all replicas, so that the mean over images is
    # the sum of errors over the number of boxes.
    # Replicas. Each holds a part of the batch and computes its own loss; the strategy adds up their
    # gradients. For N replicas to give the gradient of one, all must divide by the same number: the
    # boxes of the whole batch, divided by the images of the whole batch, since Keras' mean divides
    # by those again. Both sums travel in one all-reduce, because its price is the latency and not
    # two numbers.
    both = ops.stack([ops.sum(count), ops.sum(one)])
    total, images = ops.unstack(ops.all_replicas_sum(both), 2)
    total = ops.maximum(total, ops.ones_like(total))
    one_loop.divides(total)
    return sums * (images / total)


def reduce(values, image_weight, reduction):
    """Keras' reduction of (B,) image losses, or of (B, N) box errors, times the (B,) weights.

    Means divide by the number of values on all replicas: under data parallelism gradients are
    summed over replicas, so every value counts once, also when replicas hold different numbers.
    """
    if image_weight is not None:
        if len(ops.static_shape(image_weight)) < len(ops.static_shape(values)):
            for _ in range(len(ops.static_shape(values)) - len(ops.static_shape(image_weight))):
                image_weight = ops.expand_dims(image_weight, -1)
        values = values * image_weight
    if reduction == "none":
        return values
    # A mean over the values of this replica alone would be wrong where replicas hold batches of
    # different sizes, as in the last step of an epoch: images of the smaller one would count more.
    # Hence our own mean, over the values of all replicas.
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and image_weight is not None:
        divisor = ops.sum(image_weight * ops.ones_like(values))
    else:
        divisor = ops.sum(ops.ones_like(values))
    divisor = ops.all_replicas_sum(divisor)
    # No images, or weights that are all 0: a mean of nothing is 0, with a gradient of 0.
    return ops.divide_or(total, divisor, 0.0)
