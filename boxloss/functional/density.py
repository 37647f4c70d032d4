"""GHM-R: coordinates weighed by how many others have a gradient like theirs."""

from boxloss.functional.coordinate import difference
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

__all__ = ["ghm_r_loss"]


def smoothed_l1(d, mu):
    """sqrt(d^2 + mu^2) - mu, without the difference."""
    return ops.square(d) / (ops.sqrt(ops.square(d) + mu * mu) + mu)


def bin_of(cost, mu, bins):
    """Which of the bins of gradient norms a smoothed L1 cost is in, as int32."""
    # |d| / sqrt(d^2 + mu^2), from the cost sqrt(d^2 + mu^2) - mu.
    norm = ops.safe_sqrt(cost * (cost + 2.0 * mu)) / (cost + mu)
    # inf / inf where a coordinate is wrong beyond float32: the last bin.
    norm = ops.where(ops.isnan(norm), ops.ones_like(norm), ops.stop_gradient(norm))
    return ops.cast(ops.minimum(norm * bins, ops.ones_like(norm) * (bins - 0.5)), "int32")


def histogram(index, counted, bins, dtype):
    """How many of the `counted` are in each bin, on all replicas: (bins,)."""
    # A comparison per bin and no scatter: there are few bins, and additions to one place wait for
    # each other on a GPU.
    counts = [
        ops.sum(ops.cast(ops.logical_and(ops.equal(index, k), counted), dtype)) for k in range(bins)
    ]
    return ops.all_replicas_sum(ops.stack(counts))


def density_weights(index, counts, total):
    """total / (counts of the own bin * bins); 0 for a bin that holds nothing."""
    bins = ops.static_shape(counts)[0]
    weights = ops.divide_or(total * ops.ones_like(counts), counts * bins, 0.0)
    spread = ops.zeros_like(ops.cast(index, ops.dtype_name(counts)))
    for k in range(bins):
        spread = ops.where(ops.equal(index, k), weights[k], spread)
    return ops.stop_gradient(spread)


def ghm_r_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    mu: float = 0.02,
    bins: int = 10,
    momentum: float = 0.0,
    histogram: ArrayLike | None = None,
) -> Tensor:
    """GHM-R per coordinate: N / (M n_k) (sqrt(d^2 + mu^2) - mu), n_k of N in the same of M bins.

    `y_true`, `y_pred` (..., 4); returns (..., 4), in [0, inf), in the boxes' unit as `mu` is. The
    bins divide the gradient norm |d| / sqrt(d^2 + mu^2); weights are constants in the gradient.
    `histogram` (bins,): the counts n_k; by default those of these boxes, all of them.
    Difference: M bins as in the paper; MMDetection divides by those that are not empty.
    Source: Li et al. 2019, "Gradient Harmonized Single-stage Detector", arXiv:1811.05181.
    """
    mu, bins, momentum = check_ghm_r(mu=mu, bins=bins, momentum=momentum)
    cost = smoothed_l1(difference(y_true, y_pred), mu)
    index = bin_of(cost, mu, bins)
    everything = ops.equal(index, index)
    counts = _count(index, everything, bins, ops.dtype_name(cost))
    total = ops.sum(counts)
    if histogram is not None:
        counts = ops.cast(ops.convert_to_tensor(histogram), ops.dtype_name(cost))
    return density_weights(index, counts, total) * cost


# `histogram` is also the name of the argument.
_count = histogram


def check_ghm_r(*, mu, bins, momentum):
    momentum = checks.number(
        "momentum", momentum, "a number from 0 to below 1", lambda x: 0 <= x < 1
    )
    return checks.positive("mu", mu), checks.count("bins", bins), momentum
