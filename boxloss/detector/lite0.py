"""EfficientNet-Lite0 without its classifier, and its weights from the file of a PyTorch port.

Source: Tan & Le 2019, "EfficientNet", arXiv:1905.11946, in the form "Lite0" that Google released
in 2020: no squeeze-and-excitation, ReLU6 in place of swish, a stem of 32 channels.
"""

import keras

from boxloss.detector.network import FusedBatchNormalization

# blocks, kernel, stride of the first, expansion, channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def lite0():
    """Images (B, H, W, 3) in [0, 255] to features of 40, 112 and 320 channels: a model.

    Their strides are 8, 16 and 32; each is the last feature of its stride, which is narrow. A layer
    with weights is named after its tensors in the file: "blocks_0_bn1" after "_blocks.0._bn1".
    """
    images = keras.Input((None, None, 3), name="images")
    # (x - 127) / 128, as the Lite models were trained; the other EfficientNets take the means and
    # deviations of ImageNet.
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(images)
    x = _normal(_convolution(x, 32, 3, 2, "_conv_stem"), "_bn0")
    number, features = 0, []
    for blocks, kernel, stride, expansion, channels in STAGES:
        if stride == 2:
            features.append(x)
        for i in range(blocks):
            x = _block(x, kernel, 1 if i else stride, expansion, channels, f"_blocks.{number}")
            number += 1
    return keras.Model(images, [*features[-2:], x], name="backbone")


def _block(x, kernel, stride, expansion, channels, name):
    """An inverted bottleneck: wider by `expansion`, one filter per channel, narrow again."""
    y, width = x, x.shape[-1]
    if expansion > 1:
        y = _convolution(y, width * expansion, 1, 1, f"{name}._expand_conv")
        y = _normal(y, f"{name}._bn0")
    y = keras.layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=_layer(f"{name}._depthwise_conv")
    )(y)
    y = _normal(y, f"{name}._bn1")
    y = _convolution(y, channels, 1, 1, f"{name}._project_conv")
    y = _normal(y, f"{name}._bn2", activation=False)
    if stride > 1 or width != channels:
        return y
    return keras.layers.Add(name=_layer(f"{name}.add"))([x, y])


def _convolution(x, channels, kernel, stride, name):
    # "same" pads one more at the bottom and right where the stride is 2, as TensorFlow did when
    # these weights were trained. The even padding of PyTorch would shift every feature.
    return keras.layers.Conv2D(
        channels, kernel, stride, padding="same", use_bias=False, name=_layer(name)
    )(x)


def _normal(x, name, activation=True):
    # 1e-3 is part of the weights: with the 1e-5 of PyTorch, channels of small variance would grow.
    x = FusedBatchNormalization(momentum=0.97, epsilon=1e-3, name=_layer(name))(x)
    return keras.layers.ReLU(6.0, name=_layer(f"{name}.act"))(x) if activation else x


def _layer(name):
    return name.replace("._", "_").replace(".", "_").strip("_")


def arrays_for(layer, tensors):
    """The arrays of one layer, in Keras' order and shape, taken out of the dict `tensors`.

    KeyError where one is missing.
    """
    names = {_layer(name.rpartition(".")[0]): name.rpartition(".")[0] for name in tensors}
    prefix = names[layer.name]
    if isinstance(layer, keras.layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{prefix}.{part}"] for part in parts]
    kernel = tensors[f"{prefix}.weight"]
    # PyTorch: outputs, inputs per group, height, width. Keras: height, width, inputs, outputs; of a
    # depthwise convolution, whose groups have one input each: height, width, groups, 1.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
