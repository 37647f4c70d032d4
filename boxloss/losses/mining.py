"""Weights from the errors themselves: which boxes, or images, a step looks at.

A mining object turns box errors (B, N) and their mask into weights (B, N) that are constants in the
gradient. Ties keep the lower index.
"""

from typing import NamedTuple

import keras

from boxloss.tensors import checks, ops
from boxloss.tensors.config import config_of
from boxloss.types import Config, MiningScope, Tensor


class Mined(NamedTuple):
    """Weights (B, N), the boxes that denominators count, the share of images that is kept."""

    weights: Tensor
    kept: Tensor
    image_share: Tensor | None = None


def _kept_count(total, fraction, count):
    """The fraction of `total`, rounded up, or the count; never more than `total`."""
    if fraction is None:
        return ops.minimum(total, ops.ones_like(total) * count)
    # 0.3 * 10 is 3.0000000000000004, and in float32 0.3 * 100,000 is 30,000.002: without the slack
    # the ceiling keeps one too many. A share that is smaller than the slack still keeps one.
    wanted = ops.ceil(total * fraction * (1.0 - 3e-7) - 1e-4)
    wanted = ops.maximum(wanted, ops.ones_like(total))
    return ops.minimum(total, wanted)


def _keep_hardest(errors, mask, fraction, count):
    """bool, like `errors`: the `fraction` or `count` highest of each row among `mask`."""
    dtype = ops.dtype_name(errors)
    # A NaN must reach the loss: it counts as the hardest.
    ranked = ops.where(ops.isnan(errors), ops.ones_like(errors) * float("inf"), errors)
    ranked = ops.where(mask, ranked, ops.ones_like(errors) * -float("inf"))
    # The rank of each box is the argsort of the argsort. A threshold at the k-th error would keep
    # too many where errors are equal; ranks keep exactly k, and ties keep the lower index.
    order = ops.argsort(-ranked, axis=-1)
    rank = ops.argsort(order, axis=-1)
    total = ops.sum(ops.cast(mask, dtype), axis=-1, keepdims=True)
    keep = ops.less(ops.cast(rank, dtype), _kept_count(total, fraction, count))
    return ops.logical_and(keep, mask)


class Mining:
    """Keyword arguments that serialise; `mine(box_errors, mask)` gives `Mined`."""

    def mine(self, box_errors: Tensor, mask: Tensor) -> Mined:
        raise NotImplementedError

    def get_config(self) -> Config:
        """Every argument, from the attribute of its name."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: Config) -> "Mining":
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mining)
            and type(self) is type(other)
            and self.get_config() == other.get_config()
        )

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.get_config().items())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _check_share(fraction, count):
    checks.exactly_one(fraction=fraction, count=count)
    if fraction is not None:
        return checks.fraction("fraction", fraction), None
    return None, checks.count("count", count)


@keras.utils.register_keras_serializable(package="boxloss")
class HardestBoxes(Mining):
    """Weight 1 for the hardest boxes, 0 for the rest; the kept boxes are the denominator.

    `fraction` (0, 1] (rounded up) or `count`: of each image, or of the batch on this replica with
    `scope="batch"`.
    Source: Shrivastava et al. 2016, "Online Hard Example Mining", arXiv:1604.03540.
    """

    def __init__(
        self,
        *,
        fraction: float | None = None,
        count: int | None = None,
        scope: MiningScope = "image",
    ) -> None:
        self.fraction, self.count = _check_share(fraction, count)
        self.scope = checks.one_of("scope", scope, ("batch", "image"))

    def mine(self, box_errors: Tensor, mask: Tensor) -> Mined:
        shape = ops.shape(box_errors)
        errors = ops.stop_gradient(box_errors)
        if self.scope == "batch":
            flat = ops.reshape(errors, (1, -1)), ops.reshape(mask, (1, -1))
            kept = ops.reshape(_keep_hardest(*flat, self.fraction, self.count), shape)
        else:
            kept = _keep_hardest(errors, mask, self.fraction, self.count)
        return Mined(ops.cast(kept, ops.dtype_name(box_errors)), kept)


@keras.utils.register_keras_serializable(package="boxloss")
class HardestImages(Mining):
    """Weight 1 for the boxes of the hardest images, 0 for the rest; the mean is over kept images.

    An image's hardness is the mean error of its real boxes. `fraction` (0, 1] (rounded up) or
    `count`: of the batch on this replica.
    """

    def __init__(self, *, fraction: float | None = None, count: int | None = None) -> None:
        self.fraction, self.count = _check_share(fraction, count)

    def mine(self, box_errors: Tensor, mask: Tensor) -> Mined:
        dtype = ops.dtype_name(box_errors)
        errors = ops.stop_gradient(box_errors)
        boxes = ops.sum(ops.cast(mask, dtype), axis=-1)
        hardness = ops.sum(errors, axis=-1) / ops.maximum(boxes, ops.ones_like(boxes))
        everyone = ops.ones_like(hardness)
        kept = _keep_hardest(
            hardness[None], ops.cast(everyone, "bool")[None], self.fraction, self.count
        )[0]  # (B,)
        share = ops.sum(ops.cast(kept, dtype)) / ops.sum(everyone)
        kept = ops.logical_and(ops.expand_dims(kept, -1), mask)
        return Mined(ops.cast(kept, dtype), kept, share)


@keras.utils.register_keras_serializable(package="boxloss")
class FocalWeighting(Mining):
    """Weight (e / mean e)^gamma, the mean over the image's real boxes; 1 where that mean is 0."""

    def __init__(self, *, gamma: float = 1.0) -> None:
        self.gamma = checks.non_negative("gamma", gamma)

    def mine(self, box_errors: Tensor, mask: Tensor) -> Mined:
        # Weights are a choice of what to learn from. Differentiated, they would be one more way to
        # lower the loss: making hard boxes rarer by making others harder.
        errors = ops.stop_gradient(box_errors)
        total = ops.sum(ops.cast(mask, ops.dtype_name(errors)), axis=-1, keepdims=True)
        mean = ops.sum(errors, axis=-1, keepdims=True) / ops.maximum(total, ops.ones_like(total))
        # Divided by the mean first: a power of the errors themselves would change the scale of the
        # loss with its unit, and overflow for pixels.
        ratio = ops.divide_or(errors, mean * ops.ones_like(errors), 1.0)
        weights = ops.safe_power(ratio, self.gamma) if self.gamma else ops.ones_like(ratio)
        return Mined(ops.where(mask, weights, ops.zeros_like(weights)), mask)
