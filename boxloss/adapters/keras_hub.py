"""KerasHub's detectors.

    loss = boxloss.adapters.keras_hub.retinanet_box_loss(detector, "giou")
    detector.compile(optimizer, box_loss=loss)

KerasHub itself is not imported: the detector brings it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from boxloss import coders, losses
from boxloss.losses import BoxLoss, DecodedBoxLoss
from boxloss.losses.coordinate import CoordinateLoss
from boxloss.tensors import boxes, checks, ops

ENCODINGS = ("center_xywh",)


def retinanet_box_loss(
    detector: Any, loss: str | BoxLoss = "giou", *, image_shape: Sequence[float] | None = None
) -> DecodedBoxLoss | BoxLoss:
    """The `box_loss` that a `keras_hub.models.RetinaNetObjectDetector` is compiled with.

    That detector hands its box loss deltas of anchors (B, A, 4), and weights (B, A) that are
    already divided by the number of positives. So here the deltas are decoded before a loss that
    compares boxes; a loss of coordinates measures the deltas, as in the paper; there is one number
    an anchor; and `reduction` is "sum" (Keras' default would divide once more, by the number of all
    anchors of the batch).

    Args:
        detector: a RetinaNetObjectDetector. Its anchors, and the variance of its label encoder, are
            read now: a detector with another image shape needs another loss.
        loss: a name of kind "box", or a `BoxLoss`, of which format and reductions are replaced.
        image_shape: (height, width) of the images in pixels, where the detector's backbone leaves
            them open.

    Returns: a `boxloss.DecodedBoxLoss`, or, for a loss of coordinates, that loss of deltas.

    Raises: ValueError for another detector. DFineObjectDetector accepts a `box_loss` and ignores
    it: its own losses are fixed. ValueError for a loss that needs to know which anchors count
    (GHM-R, a WIoU with a running mean): the weights come only after the loss.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002.
    """
    _check_detector(detector)
    height, width = _image_shape(detector, image_shape)
    given = _loss_of(loss, (height, width))
    config = {
        **given.get_config(),
        "bounding_box_format": "xyxy",
        "box_reduction": "none",
        "reduction": "sum",
    }
    if isinstance(given, CoordinateLoss):
        return type(given).from_config({**config, "coordinate_format": "encoded"})
    within = type(given).from_config(config)
    variance = getattr(detector.label_encoder, "box_variance", None) or (1.0, 1.0, 1.0, 1.0)
    coder = coders.DeltaCoder(
        _anchors(detector, height, width), weights=[1.0 / float(share) for share in variance]
    )
    return losses.DecodedBoxLoss(within, coder, truth="encoded")


def _check_detector(detector):
    ancestors = {cls.__name__ for cls in type(detector).__mro__}
    if "DFineObjectDetector" in ancestors:
        raise ValueError(
            "`detector` must be a RetinaNetObjectDetector: DFineObjectDetector ignores the "
            f"`box_loss` it is compiled with. Received: a {type(detector).__name__}"
        )
    if "RetinaNetObjectDetector" not in ancestors:
        raise ValueError(
            "`detector` must be a RetinaNetObjectDetector of keras_hub. "
            f"Received: a {type(detector).__name__}"
        )
    encoding = detector.label_encoder.encoding_format
    if encoding not in ENCODINGS:
        raise ValueError(
            "`detector` must have a label encoder with encoding_format='center_xywh', in which its "
            f"predictions are decoded. Received: encoding_format={encoding!r}"
        )


def _image_shape(detector, image_shape):
    """(height, width) as whole numbers."""
    if image_shape is None:
        image_shape = tuple(detector.backbone.image_shape)[:2]
        if None in image_shape:
            raise ValueError(
                "`image_shape` must be (height, width) where the detector's backbone has none. "
                f"Received: image_shape=None, backbone.image_shape={detector.backbone.image_shape}"
            )
    height, width = checks.image_shape(image_shape)
    return checks.count("image_shape", height), checks.count("image_shape", width)


def _loss_of(loss, image_shape):
    """A `BoxLoss` that costs an anchor the same whatever the others are."""
    if isinstance(loss, str):
        name = checks.one_of("loss", loss, losses.names("box"))
        loss = losses.get(name, **({"image_shape": image_shape} if name == "mpdiou" else {}))
    if not isinstance(loss, losses.BoxLoss) or loss.kind != "box":
        raise ValueError(
            f"`loss` must be a BoxLoss of kind 'box', or the name of one. Received: loss={loss!r}"
        )
    if getattr(loss, "uses_batch", False) or getattr(loss, "state", None) is not None:
        raise ValueError(
            "`loss` must cost a box the same in every batch: this detector says only after the "
            f"loss which anchors count. Received: loss={loss!r}"
        )
    return loss


def _anchors(detector, height, width):
    """(A, 4) xyxy in pixels, in the order of the predictions."""
    generator = detector.anchor_generator
    levels = generator(np.zeros((1, height, width, 3), "float32")).values()
    anchors = np.concatenate([ops.convert_to_numpy(level) for level in levels])
    shape = (height, width)
    return ops.convert_to_numpy(boxes.to_xyxy(anchors, generator.bounding_box_format, shape))
