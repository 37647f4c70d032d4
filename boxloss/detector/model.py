"""The detector as a Keras model: from pixels to boxes, logits and, after NMS, detections."""

from collections.abc import Sequence
from typing import Any

import keras

from boxloss import coders
from boxloss.detector import backbones, inference, network
from boxloss.detector.catalogue import SIZES, STRIDES, size_and_backbone
from boxloss.tensors import ops
from boxloss.types import Config, Found, Pictures, Tensor


@keras.utils.register_keras_serializable(package="boxloss")
class Detector(keras.Model):
    """Several boxes per image, from pixels.

    Called with images (B, H, W, 3), RGB in [0, 255], H and W multiples of 32, it gives a dict of
    float32 tensors over the A locations: "boxes" (B, A, 4) xyxy in pixels, "logits" (B, A, C) and,
    where `bins` is not 0, "distribution" (B, A, 4 * bins).

    Args:
        class_names: list of the C names, in the order of the labels.
        size: "nano", "small" or "medium": how wide pyramid and head are, and the backbone of
            boxloss. "nano", or `backbone` where that is one of the three.
        image_size: side of the square that `predict` fits images into.
        bins: 0 predicts each distance directly; 16 as a distribution over 16 bins (DFL).
        category_ids: the ids, numbers or texts, under which a data set knows the classes; 1 ... C
            if not given.
        backbone: one of `boxloss.detector.BACKBONES`; that of `size` if not given. Its weights are
            random: `boxloss.detector.start_from_pretrained` puts pretrained ones in.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        size: str | None = None,
        image_size: int = 320,
        bins: int = 0,
        category_ids: Sequence[int | str] | None = None,
        name: str = "detector",
        backbone: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_names = [str(name) for name in class_names]
        if not self.class_names:
            raise ValueError("`class_names` must hold at least one name. Received: class_names=[]")
        self.size, self.backbone = size_and_backbone(size, backbone)
        self.image_size, self.bins = check_side(image_size), int(bins)
        ids = range(1, len(self.class_names) + 1) if category_ids is None else category_ids
        self.category_ids = [i if isinstance(i, str) else int(i) for i in ids]
        self.sides = 4 * (self.bins or 1)
        images = keras.Input((None, None, 3), name="images")
        if self.backbone in SIZES:
            own = SIZES[self.backbone]
            features = network.backbone(images, own["channels"], own["depths"])
        else:
            features = backbones.build(self.backbone)(images)
        features = network.neck(features, SIZES[self.size]["pyramid"])
        outputs = network.head(
            features, SIZES[self.size]["head"], self.sides, len(self.class_names)
        )
        self.network = keras.Model(images, outputs, name="network")
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        height, width = images.shape[1:3]
        levels = self.network(images, training=training)
        depth = self.sides + len(self.class_names)
        flat = [
            ops.reshape(level, (-1, level.shape[1] * level.shape[2], depth)) for level in levels
        ]
        # One list of locations: assignment, losses and NMS need not know that there are levels.
        raw = ops.concatenate(flat, axis=1)  # (B, A, sides + C)
        # PyTorch multiplies its tensors by tensors only.
        points, strides = map(ops.convert_to_tensor, coders.grid(height, width, STRIDES))
        sides = raw[..., : self.sides]
        # A distance is above 0. The slope of softplus never vanishes, as that of a ReLU does for a
        # location that begins on the wrong side.
        distances = coders.expected_bins(sides, self.bins) if self.bins else ops.softplus(sides)
        outputs = {
            "boxes": coders.distances_to_boxes(distances * strides[:, None], points),
            "logits": raw[..., self.sides :],
        }
        if self.bins:
            outputs["distribution"] = sides
        return outputs

    @property
    def backbone_model(self) -> keras.Model | None:
        """The part of the network that is another library's backbone, or None."""
        return None if self.backbone in SIZES else self.network.get_layer("backbone")

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
            "backbone": self.backbone,
        }


def check_side(image_size: int) -> int:
    """The side of a square that the network takes, or ValueError."""
    if image_size % STRIDES[-1] or image_size <= 0:
        raise ValueError(
            f"`image_size` must be a positive multiple of {STRIDES[-1]}. "
            f"Received: image_size={image_size!r}"
        )
    return int(image_size)
