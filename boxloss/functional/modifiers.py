"""Alpha-, Inner-, Focaler- and Unified-IoU: changes of any loss that is an overlap plus penalties.

`base` is one of `BASES`, or a function of a `Pair` that returns the terms `overlap`, penalties and
`inversion`. The modified terms keep their names.

Inner- and Focaler-IoU are defined for such sums: base + o - o', o' the changed overlap. WIoU and
Powerful-IoU multiply the overlap, and no paper defines the two changes for them. Here, as in the
code in which they are published, o' is put in the place of o; the sum base + o - o' would go below
0 (-0.04 for Focaler-WIoU, whose factor shrinks what o' takes away).
"""

from collections.abc import Callable
from typing import TypeAlias

from boxloss.functional import overlap, penalties, weighted
from boxloss.functional.overlap import pair_of
from boxloss.functional.pair import Pair
from boxloss.functional.penalties import power
from boxloss.tensors import checks, ops
from boxloss.tensors.formulas import total
from boxloss.types import ArrayLike, BaseLoss, ChangedBase, ImageShape, Tensor, Terms

__all__ = ["alpha_iou_loss", "focaler_iou_loss", "inner_iou_loss", "unified_iou_loss"]

Base: TypeAlias = Callable[[Pair], Terms]
BASES: dict[BaseLoss, Base] = {
    "iou": overlap.iou_terms,
    "giou": overlap.giou_terms,
    "diou": overlap.diou_terms,
    "ciou": overlap.ciou_terms,
    "eiou": penalties.eiou_terms,
    "siou": penalties.siou_terms,
    "mpdiou": penalties.mpdiou_terms,
    "shape_iou": penalties.shape_iou_terms,
}


def _wiou_terms(pair):
    return weighted.wiou_terms(pair, 1.0)


# Of Inner- and Focaler-IoU only.
PRODUCTS = {"piou": penalties.piou_terms, "wiou": _wiou_terms}


def alpha_terms(base, pair, alpha):
    terms = {name: power(term, alpha) for name, term in base(pair).items()}
    # `inversion` keeps the power 1: at a flat side its value is 0, and only its slope opens the
    # side.
    return {**terms, "overlap": 1.0 - power(pair.iou, alpha), "inversion": pair.inversion}


def inner_iou(pair, ratio):
    return pair.scaled(ratio).iou


def focaler_iou(pair, low, high):
    # Held in [0, 1] by operations that split ties, so that the ends are kinks like all others.
    share = (pair.iou - low) / (high - low)
    return ops.even_minimum(ops.even_relu(share), ops.ones_like(share))


def changed_terms(base, pair, iou, is_product=False):
    """The terms of `base` with another overlap: in the place of o, or of the term `overlap` only.

    The latter is what the papers say: CIoU's trade-off, too, is that of the plain o.
    """
    if is_product:
        # Equal boxes are a kink: the halves of its gradient cancel only to the last digit where
        # they are multiplied.
        return base(pair.with_iou(ops.where(pair.equal, ops.stop_gradient(iou), iou)))
    return {**base(pair), "overlap": 1.0 - iou}


def unified_terms(base, pair, ratio):
    # The scaled boxes are made of collapsed sides, in which no inversion is left to see.
    return {**base(pair.scaled(ratio)), "inversion": pair.inversion}


def check_range(*, low, high):
    """0 <= low < high <= 1, as floats."""
    if not 0 <= low < high <= 1:
        raise ValueError(
            f"`low` and `high` must be 0 <= low < high <= 1. Received: low={low!r}, high={high!r}"
        )
    return float(low), float(high)


def _changed(change, y_true, y_pred, base, image_shape, *arguments):
    """Inner- and Focaler-IoU: `change(pair, *arguments)` is the changed overlap."""
    is_product = base in PRODUCTS

    def terms(base, pair):
        return changed_terms(base, pair, change(pair, *arguments), is_product)

    return _modified(terms, y_true, y_pred, base, image_shape, bases={**BASES, **PRODUCTS})


def _modified(terms, y_true, y_pred, base, image_shape, *arguments, bases=BASES):
    if not callable(base):
        base = bases[checks.one_of("base", base, bases)]
    if image_shape is not None:
        image_shape = checks.image_shape(image_shape)
    # Without the size of the image there is no sensible default: 1 would be right for relative
    # boxes and wrong by a factor of 1e5 for pixels.
    elif base is penalties.mpdiou_terms:
        raise ValueError(
            "`image_shape` must be (height, width) with base='mpdiou'. Received: image_shape=None"
        )
    return total(terms(base, pair_of(y_true, y_pred, image_shape), *arguments))


def alpha_iou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    base: BaseLoss | Base = "iou",
    alpha: float = 3.0,
    image_shape: ImageShape | None = None,
) -> Tensor:
    """alpha-IoU loss: 1 - o^alpha + the sum of penalty^alpha.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...). The range is that of `base` for alpha of at
    least 1 and penalties of at most 1, which those of mpdiou and of shape_iou with a scale are not.
    alpha above 1 loses the gradient as o goes to 0, below 1 it grows there; o and penalties of 0
    have none then. CIoU's trade-off is that of the plain o. `image_shape` is for the base "mpdiou".
    Differences: the paper has iou, giou, diou and ciou; other bases follow the same rule. The
    authors' code adds 1e-9 to every power.
    Source: He et al. 2021, "Alpha-IoU", arXiv:2110.13675.
    """
    alpha = checks.positive("alpha", alpha)
    return _modified(alpha_terms, y_true, y_pred, base, image_shape, alpha)


def inner_iou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    base: ChangedBase | Base = "iou",
    ratio: float = 0.75,
    image_shape: ImageShape | None = None,
) -> Tensor:
    """Inner-IoU loss: that of `base` + o - o_in, o_in the IoU of the boxes scaled by `ratio`.

    Each box is scaled about its own centre. `y_true`, `y_pred`: xyxy (..., 4). Returns (...). The
    range is that of `base`. A ratio below 1 loses the overlap, and its gradient, earlier. The bases
    "wiou" and "piou", which the paper does not have, use o_in in the place of o.
    Source: Zhang et al. 2023, "Inner-IoU", arXiv:2311.02877; ratios 0.5 to 1.5.
    """
    ratio = checks.positive("ratio", ratio)
    return _changed(inner_iou, y_true, y_pred, base, image_shape, ratio)


def focaler_iou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    base: ChangedBase | Base = "iou",
    low: float = 0.0,
    high: float = 0.95,
    image_shape: ImageShape | None = None,
) -> Tensor:
    """Focaler-IoU loss: that of `base` + o - f, f = (o - low) / (high - low) held in [0, 1].

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...). The range is that of `base`. f, which is
    differentiated, has no gradient outside [low, high]. The bases "wiou" and "piou", which the
    paper does not have, use f in the place of o.
    Source: Zhang and Zhang 2024, "Focaler-IoU", arXiv:2401.10525.
    """
    low, high = check_range(low=low, high=high)
    return _changed(focaler_iou, y_true, y_pred, base, image_shape, low, high)


def unified_iou_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    base: BaseLoss | Base = "ciou",
    ratio: float = 2.0,
    image_shape: ImageShape | None = None,
) -> Tensor:
    """Unified-IoU loss: that of `base` for both boxes scaled by `ratio` about their own centres.

    `y_true`, `y_pred`: xyxy (..., 4). Returns (...). The range is that of `base`. The paper moves
    the ratio from 2 to 0.5 during the training; its focal factor is not part of this.
    Source: Luo et al. 2024, "Unified-IoU", arXiv:2408.06636.
    """
    ratio = checks.positive("ratio", ratio)
    return _modified(unified_terms, y_true, y_pred, base, image_shape, ratio)
