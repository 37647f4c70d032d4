"""Weights to start from: a backbone's of ImageNet, or those of another detector of boxloss."""

import contextlib
import pathlib
import sys
from typing import Any

import numpy as np

from boxloss.detector import backbones, lite0
from boxloss.detector.catalogue import STRIDES, WEIGHTS, models_folder
from boxloss.detector.load import load_detector
from boxloss.detector.model import Detector
from boxloss.detector.torch_file import read_tensors
from boxloss.files import one_line, read_object, shortened
from boxloss.tensors import ops
from boxloss.types import PathLike


def start_from_pretrained(detector: Detector, pretrained: PathLike) -> dict[str, Any]:
    """Put pretrained weights into a detector.

    Args:
        pretrained: "imagenet"; a `.pth` file of EfficientNet-Lite0 or an `.h5` file of
            `keras.applications`, for the backbone of that name; or a detector of boxloss, as a
            `.keras` file or a run folder, whose classes and size may differ.

    Returns: a dict: "from", "licence" (None where it is not known), "fit" and "of": how many of
        the arrays of the backbone, or of the detector, were taken, and how many there are.

    Raises ValueError where the backbone has no ImageNet weights, where the file is not on this
    machine and cannot be downloaded, and where a file holds something else.
    """
    if pretrained == "imagenet":
        return _imagenet(detector)
    path = pathlib.Path(pretrained)
    if path.suffix in (".pth", ".h5"):
        return _backbone_file(detector, path)
    source = load_detector(path)
    fit = start_from(detector, source)
    folder = path if path.is_dir() else path.parent
    before = read_object(folder / "config.json").get("pretrained_from")
    licence = before.get("licence") if isinstance(before, dict) else None
    return {"from": str(path), "licence": licence, "fit": fit, "of": len(detector.weights)}


def _imagenet(detector):
    name = detector.backbone
    if name not in WEIGHTS:
        raise ValueError(
            "`pretrained` must be none or a detector for a backbone that has no ImageNet weights. "
            f"Received: pretrained='imagenet', backbone={name!r}"
        )
    weights, path = WEIGHTS[name], WEIGHTS[name].path()
    if weights.keras_name is None:
        if path is None:
            raise ValueError(_missing(weights, "no such file here"))
        found = _backbone_file(detector, path)
    else:
        found = _downloaded(detector, weights)
    return found | {
        "from": f"ImageNet-1k, {weights.file} of {weights.origin}",
        "licence": weights.licence,
    }


def _missing(weights, reason):
    return (
        "`pretrained` must be weights that are here or can be downloaded; "
        f"{weights.advice()}. Received: 'imagenet' ({shortened(reason)})"
    )


def _downloaded(detector, weights):
    """Take what `keras.utils.get_file` finds or downloads; it compares the file's hash."""
    if weights.path() is None:
        place = f"{weights.origin}{weights.file} to {models_folder()}"
        print(f"downloading {place}", file=sys.stderr)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the JSON object
            loaded = backbones.build(detector.backbone, "imagenet")
    except Exception as error:  # what a failed download raises depends on the network
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(_missing(weights, reason)) from None
    return _taken(detector, loaded)


def _backbone_file(detector, path):
    """Take the weights of a backbone from a file of its own format."""
    if not path.is_file():
        raise ValueError(f"{one_line(path)}: file must exist. Received: no such file")
    # The ending says the format: that of PyTorch for Lite0, that of Keras for the others.
    wanted = ".pth" if detector.backbone == "efficientnet_lite0" else ".h5"
    if detector.backbone not in WEIGHTS or path.suffix != wanted:
        raise ValueError(
            f"{one_line(path)}: file must hold weights of the backbone. Received: a {path.suffix} "
            f"file for backbone={detector.backbone!r}"
        )
    try:
        if wanted == ".pth":
            loaded = backbones.build(detector.backbone)
            _fill_lite0(loaded, read_tensors(path))
        else:
            loaded = backbones.build(detector.backbone, str(path))
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{one_line(path)}: file must hold the weights of {detector.backbone}. "
            f"Received: {shortened(reason)}"
        ) from None
    return {"from": str(path), "licence": None} | _taken(detector, loaded)


def _fill_lite0(model, tensors):
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(lite0.arrays_for(layer, tensors))


def _taken(detector, loaded):
    backbone = detector.backbone_model
    backbone.set_weights(loaded.get_weights())
    return {"fit": len(backbone.weights), "of": len(backbone.weights)}


def start_from(detector: Detector, source: Detector) -> int:
    """Copy the weights of `source` that fit; returns how many arrays did.

    An array fits where layer, name and shape are the same. Of the arrays of classes, the part of
    each class of the same name is copied.
    """
    # By name and not by order: with other bins, classes or another size there are more arrays, or
    # fewer.
    given = {_layer_and_name(weight): weight for weight in source.weights}
    copied = 0
    for weight in detector.weights:
        other = given.get(_layer_and_name(weight))
        if other is None:
            continue
        if _layer_and_name(weight)[0] in CLASS_LAYERS:
            copied += _copy_classes(weight, other, detector.class_names, source.class_names)
        elif other.shape == weight.shape:
            weight.assign(other)
            copied += 1
    return copied


CLASS_LAYERS = {f"class{stride}" for stride in STRIDES}


def _copy_classes(weight, other, names, other_names):
    """Copy the columns of the classes that both have; 1 where there is one, else 0."""
    shared = [(names.index(name), other_names.index(name)) for name in names if name in other_names]
    if not shared or weight.shape[:-1] != other.shape[:-1]:
        return 0
    # Columns of classes that only the new detector has keep their random start.
    value = np.array(ops.numpy_of(weight))
    to, of = map(list, zip(*shared, strict=True))
    value[..., to] = ops.numpy_of(other)[..., of]
    weight.assign(value)
    return 1


def _layer_and_name(weight):
    return tuple(weight.path.split("/")[-2:])
