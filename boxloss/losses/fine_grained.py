"""Loss classes of D-FINE: sides as distributions over bins that widen, and their distillation."""

from boxloss.functional import fine_grained
from boxloss.functional.distribution import by_side
from boxloss.losses.arguments import TensorArguments
from boxloss.losses.base import Errors, TensorLoss
from boxloss.losses.coordinate import REDUCTIONS
from boxloss.losses.registry import register
from boxloss.tensors import boxes, checks, ops
from boxloss.types import Balance, CoordinateReduction, ImageShape, Tensor, Unpack

__all__ = ["DDFLoss", "FGLLoss"]

SIDES = ("left", "top", "right", "bottom")
BALANCES = ("none", "sqrt")


def _errors_of(errors, difference, share=1.0):
    """`Errors` of four sides: terms left ... bottom, residuals signed as the sides of a box."""
    terms = dict(zip(SIDES, ops.unstack(errors * share, 4, axis=-1), strict=True))
    # A side further to the left moves x1 to the left: the sign turns for left and top.
    left, top, right, bottom = ops.unstack(difference, 4, axis=-1)
    return Errors(terms, ops.stack([-left, -top, right, bottom], axis=-1), errors)


@register
class FGLLoss(TensorLoss):
    """Fine-grained localization loss of D-FINE. Terms: left, top, right, bottom.

    Mathematics: `boxloss.functional.fgl_loss`.

    `y_true` (B, N, 4): sides of the reference box (`boxloss.coders.SideCoder.sides`); `y_pred`
    (B, N, 4 * bins): logits, side-major. `residuals` are those of the expected sides, signed as the
    sides of a box, in the unit of the sides.

    -1 is a side like any other (a truth half the size of its reference), so a row of -1 is not
    padding here. Padding is a row whose four sides are all below -`reg_scale`, which no box has:
    -1e9 serves; or give a `mask`.

    Not a loss to use alone: where the predicted box does not overlap the truth it has no gradient,
    and it does not recover unless `iou_weight` is False.

    Args (all keyword-only), beside those of `TensorLoss`:
        bins: how many bins each side has: odd, at least 5.
        reg_scale: sides of one whole reference; 8 in D-FINE-X.
        up: the last bin is at 2 up reg_scale.
        iou_weight: whether the IoU of the expected box weighs the sides.
        coordinate_reduction: "sum" (D-FINE) or "mean" of the four sides.
    """

    name = "fgl"
    kind = "distribution"

    def __init__(
        self,
        *,
        bins: int = 33,
        reg_scale: float = 4.0,
        up: float = 0.5,
        iou_weight: bool = True,
        coordinate_reduction: CoordinateReduction = "sum",
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.bins, self.reg_scale, self.up = fine_grained.check_bins(
            bins=bins, reg_scale=reg_scale, up=up
        )
        self.iou_weight = checks.flag("iou_weight", iou_weight)
        # With the weight, a box that starts without overlap has no gradient: 92 % arrive.
        self.recovers_disjoint = self.recovers_inverted = not self.iou_weight
        self.predicted_shape = (None, None, 4 * self.bins)
        self.coordinate_reduction = checks.one_of(
            "coordinate_reduction", coordinate_reduction, REDUCTIONS
        )

    def is_real(self, y_true: Tensor) -> Tensor:
        # left + right >= -reg_scale for every box, so not all four can be below.
        low = -self.reg_scale * ops.ones_like(y_true[..., 0])
        return ops.logical_not(_all(ops.less(side, low) for side in boxes.split(y_true)))

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        values = fine_grained.bin_values(self.bins, self.reg_scale, self.up)
        logits = by_side(y_pred, self.bins)
        errors = fine_grained.fgl(y_true, logits, values, self.reg_scale, self.iou_weight)
        share = 0.25 if self.coordinate_reduction == "mean" else 1.0
        return _errors_of(errors, fine_grained.expected_sides(logits, values) - y_true, share)


def _all(conditions):
    result = None
    for condition in conditions:
        result = condition if result is None else ops.logical_and(result, condition)
    return result


@register
class DDFLoss(TensorLoss):
    """Decoupled distillation focal loss of D-FINE. Terms: left, top, right, bottom.

    Mathematics: `boxloss.functional.ddf_loss`.

    `y_true` (B, N, 4 * bins + 2): the teacher's logits, side-major, the quality, and 1 where the
    box is matched, else 0; `y_pred` (B, N, 4 * bins): the student's logits. A quality of -1 marks
    padding. `residuals` are those of the expected bins, signed as the sides of a box.

    Args (all keyword-only), beside those of `TensorLoss`:
        bins: how many bins each side has, at least 2.
        temperature: T, above 0.
        balance: "sqrt" weighs matched boxes by sqrt(M) / (sqrt(M) + sqrt(U)) n / (4 M), the others
            likewise, M and U the numbers of both on all replicas, n = M + U. The mean of the box
            errors is then D-FINE's loss: the means of both kinds, in the ratio of the roots of
            their numbers. "none" leaves the sum of the sides.

    Difference from the paper: the means of both kinds instead of their sums, as in the authors'
    code, so that the loss does not grow with the number of queries.
    """

    name = "ddf"
    kind = "distribution"
    minimum = 0.0
    recovers_disjoint = True
    recovers_inverted = True

    def __init__(
        self,
        *,
        bins: int = 33,
        temperature: float = 5.0,
        balance: Balance = "sqrt",
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.bins, self.temperature = fine_grained.check_ddf(bins=bins, temperature=temperature)
        self.balance = checks.one_of("balance", balance, BALANCES)
        self.true_shape = (None, None, 4 * self.bins + 2)
        self.predicted_shape = (None, None, 4 * self.bins)

    @property
    def uses_batch(self) -> bool:
        """Whether the cost of a box depends on the other boxes of the batch."""
        return self.balance == "sqrt"

    def is_real(self, y_true: Tensor) -> Tensor:
        quality = y_true[..., 4 * self.bins]
        return ops.not_equal(quality, -1 * ops.ones_like(quality))

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        everything = ops.ones_like(y_true[..., 0], dtype="bool")
        return self.masked_errors(y_true, y_pred, everything, image_shape)

    def masked_errors(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        real: Tensor,
        image_shape: ImageShape | None = None,
        every_level: bool = True,
    ) -> Errors:
        y_true, y_pred = self.fill(y_true, y_pred, real)
        teacher, quality, matched = fine_grained.split_teacher(y_true, self.bins)
        logits = by_side(y_pred, self.bins)
        errors = fine_grained.ddf(teacher, quality, logits, self.temperature)
        if self.balance == "sqrt":
            errors = errors * ops.expand_dims(_balance(matched, real), -1)
        numbers = range(self.bins)
        difference = fine_grained.expected_sides(logits, numbers)
        return _errors_of(errors, difference - fine_grained.expected_sides(teacher, numbers))


def _balance(matched, real):
    """The weight of each box (B, N) by which their mean is balanced; see `DDFLoss`."""
    dtype = ops.dtype_name(matched)
    is_matched = ops.greater(matched, 0.5 * ops.ones_like(matched))
    kinds = [ops.logical_and(real, kind) for kind in (is_matched, ops.logical_not(is_matched))]
    # Over all replicas: the roots of parts do not add up to the root of the whole.
    counts = ops.stack([ops.sum(ops.cast(kind, dtype)) for kind in kinds])
    counts = ops.stop_gradient(ops.all_replicas_sum(counts))
    roots = ops.safe_sqrt(counts)
    # n sqrt(M) / (4 M) is n / (4 sqrt(M)); a kind without boxes weighs nothing.
    share = ops.divide_or(ops.sum(counts), 4.0 * ops.sum(roots), 0.0)
    weights = ops.divide_or(share, roots, 0.0)
    return ops.where(is_matched, weights[0], weights[1])
