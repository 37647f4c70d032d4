"""Several box losses as one."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from boxloss.losses import documentation
from boxloss.losses.arguments import BoxArguments
from boxloss.losses.base import BoxLoss, Errors
from boxloss.losses.coordinate import CoordinateLoss
from boxloss.losses.formula import FormulaLoss
from boxloss.tensors import checks, ops
from boxloss.tensors.config import restored
from boxloss.types import ArrayLike, ImageShape, Sides, Tensor, Terms, Unpack

__all__ = ["WeightedSum"]


@documentation.complete
@keras.saving.register_keras_serializable(package="boxloss")
class WeightedSum(FormulaLoss):
    """A weighted sum of box losses, a loss like any other: `WeightedSum({"l1": 5.0, "giou": 2.0})`.

    Terms are prefixed, "giou/hull", and hold their weight. `coordinate_errors` are the weighted
    ones of the members that measure coordinates, |y_pred - y_true| in xyxy if there are none.

    Args (the others keyword-only), beside those of `BoxLoss`:
        losses: {name or loss object: weight}, or pairs of them, weights at least 0. Objects must
            have the sum's format; mining, normalizer and reductions are those of the sum. Members'
            names must differ. Rows of -1 are padding unless every member measures "encoded".
    """

    name = "weighted_sum"

    def __init__(
        self,
        losses: Mapping[Any, float] | Iterable[tuple[str | BoxLoss, float]],
        **arguments: Unpack[BoxArguments],
    ) -> None:
        from boxloss.losses import get

        super().__init__(**arguments)
        pairs = losses.items() if isinstance(losses, Mapping) else losses
        self.losses: list[tuple[Any, float]] = []
        for member, weight in pairs:
            member = restored(member)
            if isinstance(member, str):
                member = get(
                    member,
                    bounding_box_format=self.bounding_box_format,
                    image_shape=self.image_shape,
                )
            if getattr(member, "kind", None) != "box":
                given = getattr(member, "name", member)
                raise ValueError(
                    f"`losses` must be losses of kind 'box'. Received: {given!r} in losses"
                )
            if member.bounding_box_format != self.bounding_box_format:
                raise ValueError(
                    "`losses` must have the `bounding_box_format` of the sum, "
                    f"{self.bounding_box_format!r}. Received: "
                    f"{member.name!r} with bounding_box_format={member.bounding_box_format!r}"
                )
            self.losses.append((member, checks.non_negative("weight", weight)))
        # Terms are named by their member; two of one name would overwrite each other. The same loss
        # twice with other arguments needs a `name` of its own.
        names = [member.name for member, _ in self.losses]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"`losses` must have different names. Received: {names!r}")
        shapes = {owner.image_shape for owner, _ in (*self.losses, (self, 1.0))} - {None}
        if len(shapes) > 1:
            raise ValueError(
                "`losses` must agree on `image_shape`, with each other and with the sum. "
                f"Received: {sorted(shapes)!r}"
            )
        # The minimum of a sum is the sum of the minima where each is reached at equal boxes, which
        # is what `minimum` says of a member. One member without a minimum leaves the sum without.
        minima = [member.minimum for member, _ in self.losses]
        if None not in minima:
            self.minimum = float(sum(w * m for (_, w), m in zip(self.losses, minima, strict=True)))
        self.recovers_disjoint = any(member.recovers_disjoint for member, _ in self.losses)
        self.recovers_inverted = any(member.recovers_inverted for member, _ in self.losses)

    @property
    # Rows of -1 are padding as soon as one member could not compute them as boxes.
    def is_encoded(self) -> bool:
        return all(member.is_encoded for member, _ in self.losses)

    @property
    def is_pure(self) -> bool:
        return all(getattr(member, "is_pure", True) for member, _ in self.losses)

    def move(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        mask: ArrayLike | None = None,
        image_shape: ImageShape | None = None,
    ) -> None:
        """One step of the states of the members that have one."""
        for member, _ in self.losses:
            member.move(y_true, y_pred, mask, image_shape)

    def has_formula(self, image_shape: ImageShape | None = None) -> bool:
        return all(member.has_formula(image_shape) for member, _ in self.losses)

    def formula(self, true: Sides, pred: Sides, image_shape: ImageShape | None = None) -> Terms:
        return self._merged(member.formula(true, pred, image_shape) for member, _ in self.losses)

    def measured(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None
    ) -> tuple[Tensor, Tensor]:
        parts = [member.measured(y_true, y_pred, image_shape) for member, _ in self.losses]
        residuals = parts[0][0]
        return residuals, self._coordinate_errors(residuals, [errors for _, errors in parts])

    def masked_errors(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        real: Tensor | None,
        image_shape: ImageShape | None = None,
        every_level: bool = True,
    ) -> Errors:
        if self.has_formula(image_shape):
            return super().masked_errors(y_true, y_pred, real, image_shape, every_level)
        # A member that looks at the whole batch, or that reads a variable.
        parts = [
            member.masked_errors(y_true, y_pred, real, image_shape, every_level)
            for member, _ in self.losses
        ]
        terms = self._merged(part.terms for part in parts)
        if not every_level:
            return Errors(terms)
        # All members see the same boxes, so any of them has the residuals.
        residuals = parts[0].residuals
        coordinates = [part.coordinate_errors for part in parts]
        return Errors(terms, residuals, self._coordinate_errors(residuals, coordinates))

    def _merged(self, parts):
        """The terms of all members, under their names and times their weights."""
        return {
            f"{member.name}/{name}": weight * term
            for (member, weight), terms in zip(self.losses, parts, strict=True)
            for name, term in terms.items()
        }

    def _coordinate_errors(self, residuals, parts):
        """The weighted sum of the members that measure coordinates; |residuals| if none does."""
        # Only coordinate losses: what overlap losses report as coordinate errors is |d|, which was
        # not part of their cost and must not be added to what was.
        weighted = [
            weight * part
            for (member, weight), part in zip(self.losses, parts, strict=True)
            if isinstance(member, CoordinateLoss)
        ]
        return sum(weighted[1:], weighted[0]) if weighted else ops.even_abs(residuals)
