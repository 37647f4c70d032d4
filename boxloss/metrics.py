"""Metrics of boxes for `compile(metrics=)`."""

from collections.abc import Sequence

import keras

from boxloss.functional.overlap import pair_of
from boxloss.losses import reduction
from boxloss.tensors import boxes, checks, ops
from boxloss.tensors.config import config_of
from boxloss.types import ArrayLike, Config, Tensor


@keras.utils.register_keras_serializable(package="boxloss")
class MeanIoU(keras.metrics.Metric):
    """Mean IoU in [0, 1] of all real boxes since the last reset; 0 where there was none.

        model.compile("adam", loss=boxloss.CIoULoss(), metrics=[boxloss.metrics.MeanIoU()])

    Box j of an image is compared with prediction j, as in the losses, and padding is what it is
    there: a row of `y_true` that is all -1, or where `mask` (B, N) bool is False. An inverted
    prediction has IoU 0. Unlike a loss, a metric divides by its weights: a `sample_weight` of shape
    (B,), (B, 1) or (B, N) gives the weighted mean. A NaN in a real box reaches the result.

    Args: bounding_box_format, image_shape: as in `boxloss.IoULoss`. name, dtype: as in Keras.
    """

    def __init__(
        self,
        *,
        bounding_box_format: str = "xyxy",
        image_shape: Sequence[float] | None = None,
        name: str = "mean_iou",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.bounding_box_format = boxes.check_format("bounding_box_format", bounding_box_format)
        self.image_shape = None if image_shape is None else checks.image_shape(image_shape)
        self.total = self.add_weight(name="total", shape=(), initializer="zeros")
        self.count = self.add_weight(name="count", shape=(), initializer="zeros")

    def update_state(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> None:
        y_true, y_pred = (boxes.known(x, (None, None, 4)) for x in (y_true, y_pred))
        checks.boxes(y_true, y_pred, rank=3)
        y_true, y_pred = ops.widen(y_true, "float32"), ops.widen(y_pred, "float32")
        real = boxes.is_real(y_true)
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            checks.mask(mask, ops.static_shape(real))
            real = ops.logical_and(mask, real)
        iou = pair_of(*(self._xyxy(boxes.fill(x, real)) for x in (y_true, y_pred))).iou
        weight = ops.cast(real, "float32")
        for given in reduction.split_weight(sample_weight, ops.static_shape(real), "float32"):
            if given is not None:
                given = given[:, None] if len(ops.static_shape(given)) == 1 else given
                weight = weight * ops.where(real, given, ops.zeros_like(weight))
        # A box of weight 0 is not looked at: 0 * NaN is NaN.
        counted = ops.not_equal(weight, ops.zeros_like(weight))
        iou = ops.where(counted, iou, ops.zeros_like(iou))
        self.total.assign_add(ops.cast(ops.sum(iou * weight), self.total.dtype))
        self.count.assign_add(ops.cast(ops.sum(weight), self.count.dtype))

    def _xyxy(self, x):
        return boxes.to_xyxy(x, self.bounding_box_format, self.image_shape)

    def result(self) -> Tensor:
        return ops.divide_or(self.total + 0.0, self.count + 0.0, 0.0)

    def get_config(self) -> Config:
        return {**config_of(self), **super().get_config()}
