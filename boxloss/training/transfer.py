"""How a pretrained backbone is trained on: slower than the new layers, or not at all at first."""

from boxloss.detector import backbones
from boxloss.detector.network import FusedBatchNormalization


def describe(first_weights):
    """A line for people: where the first weights come from, how many fit, and their licence."""
    licence = first_weights["licence"] or "unknown"
    return (
        f"pretrained weights: {first_weights['from']}; {first_weights['fit']} of "
        f"{first_weights['of']} arrays fit; licence: {licence}"
    )


def slow_backbone(model, optimizer, options):
    """Freeze what `options` say of a pretrained backbone, and slow the rest of it down.

    To be called before the optimizer is built, which takes the variables that are trained then.
    """
    backbone = model.detector.backbone_model
    if backbone is None or options.pretrained == "none":
        return
    if options.frozen_stride:
        for operation, stride in backbones.strides_of(backbone):
            # In the order of the arithmetic: what comes first needs no gradient of its own and
            # passes none on.
            if stride is not None and stride > options.frozen_stride:
                break
            operation.trainable = False
    if options.frozen_statistics:
        for layer in backbone.layers:
            if isinstance(layer, FusedBatchNormalization):
                # A batch of eight images says less about the mean of a feature than ImageNet does.
                layer.fixed_statistics = True
    steps = -(-model.image_losses.values.shape[0] // options.batch_size)
    optimizer.slow_down(
        backbone.trainable_variables, options.backbone_rate, options.frozen_epochs * steps
    )
