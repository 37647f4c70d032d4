"""Transformers' DETR family: any box loss in DETR, Deformable DETR, RT-DETR, D-FINE and alike.

    from boxloss.adapters import transformers

    with transformers.use("ciou"):
        Trainer(model, ...).train()

The loss takes the place of the GIoU loss ("loss_giou", with its weight), or, if it is one of
coordinates, that of the L1 loss ("loss_bbox"). Matching, class loss, D-FINE's distributions and the
losses of the other decoder layers stay what they are, with the new loss in each layer.

Reached are all models whose loss is Transformers' `ImageLoss` (DETR, Conditional DETR, Deformable
DETR, DAB-DETR, Grounding DINO, Table Transformer, YOLOS), `RTDetrLoss` (RT-DETR, RT-DETRv2, D-FINE,
DEIMv2) or `LwDetrImageLoss` (LW-DETR, RF-DETR).

Units: boxes are center_xywh in shares of the image.
"""

from collections.abc import Sequence
from typing import Any

from boxloss.adapters.per_box import PerBoxErrors
from boxloss.adapters.record import Record, id_of
from boxloss.adapters.seam import Library, Seam, Use

__all__ = ["use"]
LIBRARY = Library("transformers", ("5",), "5.24.0")
ARGUMENTS = ("self", "outputs", "targets", "indices", "num_boxes")
SEAMS = (
    Seam("transformers.loss.loss_for_object_detection", "ImageLoss.loss_boxes", ARGUMENTS),
    Seam("transformers.loss.loss_rt_detr", "RTDetrLoss.loss_boxes", ARGUMENTS),
    Seam("transformers.loss.loss_lw_detr", "LwDetrImageLoss.loss_boxes", ARGUMENTS),
)
FORMAT = "rel_center_xywh"


def use(
    loss: Any, *, image_shape: Sequence[float] | None = None, record: Record | None = None
) -> Use:
    """Put `loss` into Transformers' detectors, until `undo()` or the end of a `with` block.

    Args:
        loss: a name of kind "box", or such a loss. "wiou" gets a running mean that moves in
            training. A loss of coordinates measures center_xywh in shares of the image.
        image_shape: (height, width) in pixels by which boxes are multiplied first. Without it,
            DIoU, CIoU, EIoU and SIoU see distances and angles distorted on images that are not
            square, as a relative format does everywhere in boxloss; IoU and GIoU do not change.
            "nwd" needs it: its constant is in pixels.
        record: a `Record` of the training set; each label needs its "image_id", as Transformers'
            image processors give. It takes the last decoder layer. Sides are shares of the image.

    Returns: a `Use`.

    Raises: ValueError for another loss. ImportError for another version of Transformers, and where
    Keras runs on another backend than PyTorch. RuntimeError while another `use` is in place.
    """
    measure = PerBoxErrors(loss, box_format=FORMAT, image_shape=image_shape)
    placed = _Placed(measure, record)
    return Use(LIBRARY, {seam: placed.loss_boxes for seam in SEAMS}, measure)


class _Placed:
    def __init__(self, measure, record):
        self.measure, self.record = measure, record
        self.main = None  # the targets of the newest call for a last layer with further layers

    def loss_boxes(self, original):
        def loss_boxes(criterion, outputs, targets, indices, num_boxes):
            import torch

            place = criterion._get_source_permutation_idx(indices)
            pred, true = matched(outputs, targets, indices, place)
            errors = self.measure(true, pred)
            if self._is_last_layer(outputs, targets) and errors.requires_grad:
                pairs = {"true": corners(true), "pred": corners(pred), "error": errors}
                logits = outputs["logits"][place]
                self._add(criterion, targets, indices, logits, image=place[0], **pairs)
            if self.measure.is_coordinate:
                losses = original(criterion, outputs, targets, indices, num_boxes)
                return {**losses, "loss_bbox": errors.sum() / num_boxes}
            distance = torch.nn.functional.l1_loss(pred, true, reduction="sum")
            return {"loss_bbox": distance / num_boxes, "loss_giou": errors.sum() / num_boxes}

        return loss_boxes

    def _is_last_layer(self, outputs, targets):
        """Whether pairs are to be recorded: a criterion asks for the last layer first.

        Its outputs then hold those of the other layers, which come next with the same targets.
        """
        if self.record is None:
            return False
        if "auxiliary_outputs" in outputs:
            self.main = targets
            return True
        return targets is not self.main

    def _add(self, criterion, targets, indices, logits, **pairs):
        import torch

        # ImageLoss itself has a softmax with a class for "no object", its heirs sigmoids.
        is_softmax = type(criterion).__name__ == "ImageLoss"
        of_image = zip(targets, indices, strict=True)
        self.record.add(
            [id_of(target, "labels") for target in targets],
            [len(target["boxes"]) for target in targets],
            box=torch.cat([row for _, row in indices]),
            scores=logits.softmax(-1) if is_softmax else logits.sigmoid(),
            label=torch.cat([target["class_labels"][row] for target, (_, row) in of_image]),
            **pairs,
        )


def matched(outputs, targets, indices, place):
    """Predicted and true boxes (n, 4) of the matches; `place` are those of the predictions."""
    import torch

    pairs = zip(targets, indices, strict=True)
    true = torch.cat([target["boxes"][row] for target, (_, row) in pairs])
    return outputs["pred_boxes"][place], true


def corners(boxes):
    """center_xywh as xyxy, without a gradient."""
    import torch

    center, size = boxes.detach().chunk(2, -1)
    return torch.cat([center - size / 2, center + size / 2], dim=-1)
