"""The Keras loss that the classes of `compat` share: one number per box, Keras' own reduction."""

import keras

from boxloss.tensors import checks, ops
from boxloss.tensors.config import config_of
from boxloss.types import Config

REDUCTIONS = ("auto", "mean", "mean_with_sample_weight", "none", "sum", "sum_over_batch_size")


class PeerLoss(keras.losses.Loss):
    """`call` gives one number per box, or whatever the library gives; Keras weighs and reduces it.

    Args: reduction: Keras' names; "auto", which only Keras 2 knows, is "sum_over_batch_size". None
        is "none". name, dtype: as in Keras (Keras 2 has no dtype).
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        reduction = checks.one_of("reduction", reduction or "none", REDUCTIONS)
        if ops.KERAS_3:
            reduction = "sum_over_batch_size" if reduction == "auto" else reduction
            super().__init__(name=name, reduction=reduction, dtype=dtype)
        else:
            super().__init__(name=name, reduction=reduction)

    def get_config(self) -> Config:
        # A subclass hands on what it does not know by **kwargs: each class adds its own arguments.
        config = {}
        for kind in type(self).__mro__:
            if issubclass(kind, PeerLoss) and "__init__" in vars(kind):
                config.update(config_of(self, kind))
        config.update(super().get_config())  # Keras' words for reduction and name
        if ops.KERAS_3:
            config["dtype"] = self._dtype_policy.name
        return config


def floating(y_true, y_pred):
    """Both as tensors; the truth in the dtype of the prediction, which becomes a float."""
    y_pred = ops.convert_to_tensor(y_pred)
    if "float" not in ops.dtype_name(y_pred):
        y_pred = ops.cast(y_pred, "float32")
    return ops.cast(ops.convert_to_tensor(y_true), ops.dtype_name(y_pred)), y_pred
