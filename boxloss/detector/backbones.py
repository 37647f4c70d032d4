"""Backbones of other libraries, as models from pixels to features at strides 8, 16 and 32."""

import warnings
from typing import Any

import keras
import numpy as np

from boxloss.detector.catalogue import STRIDES, WEIGHTS
from boxloss.detector.lite0 import lite0
from boxloss.detector.network import FusedBatchNormalization

# A picture whose levels all have different shapes. None is 1 x 1, which is the shape of a mean over
# the picture in squeeze-and-excitation.
PROBE = (1, 256, 192, 3)
CAFFE_MEANS = (103.939, 116.779, 123.68)  # of blue, green and red


def build(name: str, weights: str | None = None) -> keras.Model:
    """The backbone `name`: RGB in [0, 255] to three features.

    weights: of a backbone of `keras.applications`: None for random ones, "imagenet", which Keras
    downloads where it is not there, or a file of Keras.
    """
    if name == "efficientnet_lite0":
        return lite0()
    model = _application(name, weights)
    last = {stride: operation for operation, stride in strides_of(model)}
    features = [last[stride].output for stride in STRIDES]
    # A clone's inputs are a list of one, and Keras warns when it is called with a tensor.
    return keras.Model(model.inputs[0], features, name="backbone")


def strides_of(model: keras.Model) -> list[tuple[Any, int | None]]:
    """Each operation of a model with the stride of its output, in the order of the arithmetic.

    None for an output that is no map of the picture, such as a mean over it. Layers are known by
    stride and order and not by name: Keras counts names up ("activation_11") over all models of a
    process.
    """
    operations = [operation for operation in model.operations if operation.output is not None]
    probe = keras.Model(model.input, [operation.output for operation in operations])
    shapes = probe.compute_output_spec(keras.KerasTensor(PROBE))
    return [
        (operation, _stride(spec.shape)) for operation, spec in zip(operations, shapes, strict=True)
    ]


def _stride(shape):
    height, width = PROBE[1:3]
    if len(shape) != 4 or not shape[1] or height % shape[1]:
        return None
    stride = height // shape[1]
    return stride if shape[2] * stride == width else None


def _application(name, weights):
    """A model of `keras.applications`, without its classifier, with its preprocessing inside."""
    make = getattr(keras.applications, str(WEIGHTS[name].keras_name))
    images = keras.Input((None, None, 3), name="images")
    # The other models bring their preprocessing.
    # ResNet50 was trained in Caffe: BGR, with the means taken off and no scale.
    given = images[..., ::-1] - np.float32(CAFFE_MEANS) if name == "resnet50" else images
    with warnings.catch_warnings():
        # The warning that the weights were trained at a side of 224: only the classifier needs it.
        warnings.simplefilter("ignore", UserWarning)
        model = make(
            include_top=False, weights=weights, input_tensor=given, input_shape=(None, None, 3)
        )
    fused = keras.models.clone_model(model, clone_function=_clone)
    if weights is not None:
        # `clone_model` has made new layers, whose weights are random.
        fused.set_weights(model.get_weights())
    return fused


def _clone(layer):
    """The layer again, a batch normalisation as the fused one, which is faster on CPUs."""
    if type(layer) is keras.layers.BatchNormalization:
        return FusedBatchNormalization.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())
