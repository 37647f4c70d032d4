"""RF-DETR by Roboflow: any box loss in its own training.

    from boxloss.adapters import rfdetr

    with rfdetr.use("ciou", image_shape=(480, 640)):
        RFDETRNano().train(dataset_dir="data")

The loss takes the place of the GIoU loss ("loss_giou", with its weight), or, if it is one of
coordinates, that of the L1 loss ("loss_bbox"), in the last decoder layer, the others and the
encoder. Matching, class loss, masks and keypoints stay. RF-DETR has the two losses of all layers in
one compiled call on a GPU; while a loss is in place it takes the layers one by one.

Units: boxes are center_xywh in shares of the image.
"""

from collections.abc import Sequence
from typing import Any

from boxloss.adapters.per_box import PerBoxErrors
from boxloss.adapters.record import Record, id_of
from boxloss.adapters.seam import Library, Seam, Use
from boxloss.adapters.transformers import FORMAT, corners, matched

__all__ = ["use"]
LIBRARY = Library("rfdetr", ("1.11",), "1.11.2")
MODULE = "rfdetr.models.criterion"
BOXES = Seam(
    MODULE, "SetCriterion.loss_boxes", ("self", "outputs", "targets", "indices", "num_boxes")
)
BATCHED = Seam(
    MODULE,
    "SetCriterion._can_batch_detection_losses",
    ("self", "matched_outputs", "matched_targets"),
)


def use(
    loss: Any, *, image_shape: Sequence[float] | None = None, record: Record | None = None
) -> Use:
    """Put `loss` into RF-DETR's training, until `undo()` or the end of a `with` block.

    Args:
        loss, image_shape: as `boxloss.adapters.transformers.use` has them.
        record: a `Record` of the training set; each target needs its "image_id", as RF-DETR's data
            sets give. It takes the last decoder layer, of each group of queries. Sides are shares
            of the image.

    Returns: a `Use`.

    Raises: ValueError for another loss. ImportError for another version of RF-DETR, and where Keras
    runs on another backend than PyTorch. RuntimeError while another `use` is in place.
    """
    measure = PerBoxErrors(loss, box_format=FORMAT, image_shape=image_shape)
    placed = _Placed(measure, record)
    return Use(LIBRARY, {BOXES: placed.loss_boxes, BATCHED: _never}, measure)


def _never(original):
    return lambda *arguments, **named: False


class _Placed:
    def __init__(self, measure, record):
        self.measure, self.record = measure, record
        self.main = None  # the targets of the newest call

    def loss_boxes(self, original):
        def loss_boxes(criterion, outputs, targets, indices, num_boxes, matched_targets=None):
            losses = original(criterion, outputs, targets, indices, num_boxes, matched_targets)
            place = criterion._get_src_permutation_idx(indices)
            pred, true = matched(outputs, targets, indices, place)
            errors = self.measure(true, pred)
            if self._is_last_layer(outputs, targets) and errors.requires_grad:
                pairs = {"true": corners(true), "pred": corners(pred), "error": errors}
                scores = outputs["pred_logits"][place].sigmoid()
                self._add(targets, indices, scores=scores, image=place[0], **pairs)
            # Targets of a fixed size are filled up with boxes that count nothing.
            real = criterion._matched_valid_mask(targets, indices)
            total = errors.sum() if real is None else (errors * real).sum()
            key = "loss_bbox" if self.measure.is_coordinate else "loss_giou"
            return {**losses, key: total / num_boxes}

        return loss_boxes

    def _is_last_layer(self, outputs, targets):
        """Whether pairs are to be recorded: the last layer comes first, the others follow.

        It alone holds the outputs of the encoder, where the model has such.
        """
        if self.record is None:
            return False
        is_last = "enc_outputs" in outputs or targets is not self.main
        self.main = targets
        return is_last

    def _add(self, targets, indices, **pairs):
        import torch

        of_image = list(zip(targets, indices, strict=True))
        self.record.add(
            [id_of(target, "targets") for target in targets],
            [len(target["boxes"]) for target in targets],
            box=torch.cat([row for _, row in indices]),
            label=torch.cat([target["labels"][row] for target, (_, row) in of_image]),
            **pairs,
        )
