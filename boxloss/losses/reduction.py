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
    weight = ops.widen(sample_weight, dtype)
    shape = ops.static_shape(weight)
    checks.sample_weight(shape, lead)
    if len(shape) < 2:
        return weight, None
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

    `mask` (B, N) tells which boxes the denominators count: the real ones, those that mining kept,
    or the positives; `counts_all` that the errors outside it are 0. `mined` (B, N) are mining
    weights; `image_share` (a scalar) is the share of images that mining keeps.
    """
    dtype = ops.dtype_name(box_errors)
    weighted = box_errors
    for weight in (mined, box_weight):
        if weight is not None:
            weighted = weighted * weight
    if counts_all:
        weighted, mask = one_loop.marked(weighted, mask)
    sums = ops.sum(weighted, axis=-1)
    if normalizer == "none":
        return sums
    if not isinstance(normalizer, str):
        return sums / normalizer
    one = ops.ones_like(sums)
    count = one_loop.count(mask, dtype)
    if normalizer in ("image", "positives"):
        count = ops.maximum(count, one)
        one_loop.divides(count)
        return sums / (count if image_share is None else count * image_share)
    # "batch": one denominator for all images of all replicas, so that the mean over images is
    # the sum of errors over the number of boxes.
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
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and image_weight is not None:
        divisor = ops.sum(image_weight * ops.ones_like(values))
    else:
        divisor = ops.sum(ops.ones_like(values))
    divisor = ops.all_replicas_sum(divisor)
    return ops.divide_or(total, divisor, 0.0)
