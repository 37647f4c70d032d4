"""TensorFlow Addons 0.23.0: `GIoULoss`, `SigmoidFocalCrossEntropy` and their functions.

Kept: boxes are [y_min, x_min, y_max, x_max]; any leading axes; `SigmoidFocalCrossEntropy` does not
reduce unless asked to, and sums the classes (Keras' BinaryFocalCrossentropy averages them);
its probabilities are clipped to [1e-7, 1 - 1e-7]; a false `alpha` or `gamma` switches that factor
off; `reduction="auto"`.

Knowingly different (the bugs that are not kept):
- Axes of length 1 stay: TFA squeezes (1, 7, 4) to (7,) and (1, 1, 4) to ().
- An inverted prediction costs its inversion and has a gradient; TFA clamps its sides to 0, a flat
  loss with gradient 0.
- A box with a side of 0 against a true side above 0 has a gradient that opens it. Two equal boxes
  without area cost 0; TFA charges 1 for a row of padding.
- Ties between sides split the gradient evenly: an exact match has gradient 0; 1 / side in TFA's
  mode "iou".
- Boxes whose areas leave the range of the dtype: TFA gives NaN or 1 - 0; arithmetic here is float32
  (float64 for float64) in units of the pair.
- The gradient of the focal loss is finite for `gamma` below 1; probabilities that are the output of
  a sigmoid are not traced back to their logits.
"""

from typing import Any

import keras

from boxloss import functional
from boxloss.compat import binary_focal
from boxloss.compat.peer_loss import PeerLoss, floating
from boxloss.tensors import checks, ops
from boxloss.types import ArrayLike, Tensor

register = keras.utils.register_keras_serializable(package="boxloss.compat.tfa")

__all__ = ["GIoULoss", "SigmoidFocalCrossEntropy", "giou_loss", "sigmoid_focal_crossentropy"]


def giou_loss(y_true: ArrayLike, y_pred: ArrayLike, mode: str = "giou") -> Tensor:
    """1 - GIoU, or 1 - IoU with `mode="iou"`: yxyx (..., 4) to (...)."""
    checks.one_of("mode", mode, ("giou", "iou"))
    loss = functional.giou_loss if mode == "giou" else functional.iou_loss
    # Both losses are symmetric in x and y: the order of the sides needs no change.
    return loss(*floating(y_true, y_pred))


def sigmoid_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
) -> Tensor:
    """Focal loss summed over the last axis: (..., C) targets from 0 to 1 and predictions to (...).

    `y_pred` are probabilities, or logits with `from_logits=True`.
    """
    if gamma and gamma < 0:
        raise ValueError(f"`gamma` must be a number of at least 0. Received: gamma={gamma!r}")
    checks.same_shape(y_true=y_true, y_pred=y_pred)
    y_true, y_pred = floating(y_true, y_pred)
    focal = binary_focal.from_logits if from_logits else binary_focal.from_probabilities
    alpha = float(alpha) if alpha else None
    return ops.sum(focal(y_true, y_pred, alpha, float(gamma or 0.0)), axis=-1)


@register
class GIoULoss(PeerLoss):
    """`tfa.losses.GIoULoss`: see `giou_loss`; the mean over all boxes by default."""

    def __init__(
        self,
        mode: str = "giou",
        reduction: str | None = "auto",
        name: str | None = "giou_loss",
        **arguments: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **arguments)
        self.mode = checks.one_of("mode", mode, ("giou", "iou"))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return giou_loss(y_true, y_pred, mode=self.mode)


@register
class SigmoidFocalCrossEntropy(PeerLoss):
    """`tfa.losses.SigmoidFocalCrossEntropy`: see `sigmoid_focal_crossentropy`; not reduced."""

    def __init__(
        self,
        from_logits: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str | None = "none",
        name: str | None = "sigmoid_focal_crossentropy",
        **arguments: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **arguments)
        self.from_logits = from_logits
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sigmoid_focal_crossentropy(
            y_true, y_pred, alpha=self.alpha, gamma=self.gamma, from_logits=self.from_logits
        )
