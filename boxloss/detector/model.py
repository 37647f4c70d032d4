"""The detector as a Keras model: from pixels to boxes, logits and, after NMS, detections."""

from collections.abc import Sequence
from typing import Any

import keras

from boxloss import coders
from boxloss.detector import inference
from boxloss.detector.network import SIZES, STRIDES, backbone, head, neck
from boxloss.tensors import checks, ops
from boxloss.types import Config, Found, Pictures, Tensor


@keras.utils.register_keras_serializable(package="boxloss")
class Detector(keras.Model):
    """Several boxes per image, from pixels.

    Called with images (B, H, W, 3), RGB in [0, 255], H and W multiples of 32, it gives a dict of
    float32 tensors over the A locations: "boxes" (B, A, 4) xyxy in pixels, "logits" (B, A, C) and,
    where `bins` is not 0, "distribution" (B, A, 4 * bins).

    Args:
        class_names: list of the C names, in the order of the labels.
        size: "nano" or "small".
        image_size: side of the square that `predict` fits images into.
        bins: 0 predicts each distance directly; 16 as a distribution over 16 bins (DFL).
        category_ids: the ids, numbers or texts, under which a data set knows the classes; 1 ... C
            if not given.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        size: str = "nano",
        image_size: int = 320,
        bins: int = 0,
        category_ids: Sequence[int | str] | None = None,
        name: str = "detector",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_names = [str(name) for name in class_names]
        if not self.class_names:
            raise ValueError("`class_names` must hold at least one name. Received: class_names=[]")
        self.size = checks.one_of("size", size, tuple(SIZES))
        self.image_size, self.bins = check_side(image_size), int(bins)
        ids = range(1, len(self.class_names) + 1) if category_ids is None else category_ids
        self.category_ids = [i if isinstance(i, str) else int(i) for i in ids]
        self.sides = 4 * (self.bins or 1)
        shape = SIZES[size]
        images = keras.Input((None, None, 3), name="images")
        features = backbone(images, shape["channels"], shape["depths"])
        features = neck(features, shape["pyramid"])
        outputs = head(features, shape["head"], self.sides, len(self.class_names))
        self.network = keras.Model(images, outputs, name="network")
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        height, width = images.shape[1:3]
        levels = self.network(images, training=training)
        depth = self.sides + len(self.class_names)
        flat = [
            ops.reshape(level, (-1, level.shape[1] * level.shape[2], depth)) for level in levels
        ]
        raw = ops.concatenate(flat, axis=1)  # (B, A, sides + C)
        # PyTorch multiplies its tensors by tensors only.
        points, strides = map(ops.convert_to_tensor, coders.grid(height, width, STRIDES))
        sides = raw[..., : self.sides]
        distances = coders.expected_bins(sides, self.bins) if self.bins else ops.softplus(sides)
        outputs = {
            "boxes": coders.distances_to_boxes(distances * strides[:, None], points),
            "logits": raw[..., self.sides :],
        }
        if self.bins:
            outputs["distribution"] = sides
        return outputs

    def predict(self, images: Pictures, **options: Any) -> list[Found]:
        """Detections in images of any size; see `inference.detect`."""
        return inference.detect(self, images, **options)

    def get_config(self) -> Config:
        return {
            "class_names": self.class_names,
            "size": self.size,
            "image_size": self.image_size,
            "bins": self.bins,
            "category_ids": self.category_ids,
            "name": self.name,
        }


def check_side(image_size: int) -> int:
    """The side of a square that the network takes, or ValueError."""
    if image_size % STRIDES[-1] or image_size <= 0:
        raise ValueError(
            f"`image_size` must be a positive multiple of {STRIDES[-1]}. "
            f"Received: image_size={image_size!r}"
        )
    return int(image_size)
