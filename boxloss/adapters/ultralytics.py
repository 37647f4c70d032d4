"""Ultralytics (YOLOv8, YOLO11, YOLO12, YOLO26 and alike): any box loss in `model.train`.

    from boxloss.adapters import ultralytics

    with ultralytics.use("wiou"):
        YOLO("yolo11n.yaml").train(data="data.yaml")

The loss takes the place of CIoU in detection, segmentation and pose models, or, if it is one of
rotated boxes, that of ProbIoU in OBB models. Assignment, class loss, DFL and all gains stay.

Units: Ultralytics measures boxes in strides of their own level. Here the loss gets them in pixels
of the network's input, so that NWD's constant is in pixels and MPDIoU's image is the input.

Ultralytics is AGPL-3.0: it is imported when `use` is called, and nothing of it is in boxloss.
"""

from typing import Any

from boxloss.adapters.per_box import PerBoxErrors, use_torch
from boxloss.adapters.record import Record
from boxloss.adapters.seam import Library, Seam, Use

__all__ = ["use"]
LIBRARY = Library("ultralytics", ("8.4",), "8.4.190")
MODULE = "ultralytics.utils.loss"
FORWARD = (
    *("self", "pred_dist", "pred_bboxes", "anchor_points", "target_bboxes", "target_scores"),
    *("target_scores_sum", "fg_mask", "imgsz", "stride"),
)
OVERLAP = Seam(MODULE, "bbox_iou", ("box1", "box2", "xywh", "GIoU", "DIoU", "CIoU", "eps"))
BOX_LOSS = Seam(MODULE, "BboxLoss.forward", FORWARD)
ROTATED_OVERLAP = Seam(MODULE, "probiou", ("obb1", "obb2", "CIoU", "eps"))
ROTATED_BOX_LOSS = Seam(MODULE, "RotatedBboxLoss.forward", FORWARD)
BATCH = Seam(MODULE, "v8DetectionLoss.get_assigned_targets_and_loss", ("self", "preds", "batch"))
UNITS = ("pixels", "strides")


def use(loss: Any, *, units: str = "pixels", record: Record | None = None) -> Use:
    """Put `loss` into Ultralytics' training, until `undo()` or the end of a `with` block.

    Args:
        loss: a name of kind "box" or "rotated", or such a loss. "wiou" gets a running mean that
            moves in training and stays in validation.
        units: "pixels" of the network's input, or "strides", as Ultralytics has them. Losses that
            are scale-free do not depend on it; a loss of coordinates is some 8 to 32 times smaller
            in strides.
        record: a `Record` of the training set, for upright boxes. With mosaic (on by default until
            the last ten epochs) pictures hold boxes of several images, which it leaves out: train
            with `mosaic=0` for a whole history. Sides are in pixels of the network's input.

    Returns: a `Use`.

    Raises: ValueError for another loss. ImportError for another version of Ultralytics, and where
    Keras runs on another backend than PyTorch. RuntimeError while another `use` is in place.
    """
    use_torch()
    from boxloss.tensors import checks

    # MPDIoU by name measures by the input, whose size comes with every batch.
    image_shape = (1.0, 1.0) if loss == "mpdiou" else None
    measure = PerBoxErrors(loss, kinds=("box", "rotated"), image_shape=image_shape, encoded=False)
    checks.one_of("units", units, UNITS)
    placed = _Placed(measure, units, image_shape is not None)
    if measure.kind == "rotated":
        if record is not None:
            raise ValueError(
                "`record` must be None for a loss of rotated boxes, which no report is about. "
                f"Received: record={record!r} with loss={measure.name!r}"
            )
        replacements = {ROTATED_BOX_LOSS: placed.forward, ROTATED_OVERLAP: placed.overlap}
    else:
        replacements = {BOX_LOSS: placed.forward, OVERLAP: placed.overlap}
    if record is not None:
        replacements[BATCH] = _Recorded(placed, record).batch
    return Use(LIBRARY, replacements, measure)


class _Placed:
    """The two seams of a box loss: `forward` knows strides and foreground, `overlap` the pairs.

    place: (stride, fg_mask, imgsz) while `forward` runs. pairs: the newest (true, pred, errors,
    weight) of training, in pixels.
    """

    def __init__(self, measure, units, has_input_shape):
        self.measure, self.units, self.has_input_shape = measure, units, has_input_shape
        self.place = self.pairs = None
        self.keeps_pairs = False

    def forward(self, original):
        def forward(module, *arguments, **named):
            # Ultralytics gives all nine by position; by name they mean the same.
            given = dict(zip(FORWARD[1:], arguments, strict=False)) | named
            self.place = given["stride"], given["fg_mask"], given["imgsz"]
            try:
                outcome = original(module, *arguments, **named)
                if self.pairs is not None:
                    self.pairs["weight"] = given["target_scores"][given["fg_mask"]].sum(-1)
                return outcome
            finally:
                self.place = None

        return forward

    def overlap(self, original):
        def overlap(pred, true, *arguments, **named):
            if self.place is None:
                return original(pred, true, *arguments, **named)
            # What is subtracted from 1 there: an overlap as large as the error is small.
            floor = named.get("floor", 0.0) if self.measure.name == "probiou" else 0.0
            return 1.0 - self._errors(*(_widened(x, floor) for x in (true, pred)))[:, None]

        return overlap

    def _errors(self, true, pred):
        import torch

        stride, foreground, shape = self.place
        anchor = foreground.nonzero(as_tuple=True)[1]
        scale = stride[anchor].to(pred.dtype)  # (n, 1)
        if pred.shape[-1] == 5:  # an angle has no unit
            scale = torch.cat([scale.expand(-1, 4), torch.ones_like(scale)], dim=-1)
        pixels = true * scale, pred * scale
        true, pred = pixels if self.units == "pixels" else (true, pred)
        shape = tuple(shape.tolist()) if self.has_input_shape else None
        errors = self.measure(true, pred, shape)
        is_training = torch.is_grad_enabled() and pred.requires_grad
        self.pairs = None
        if self.keeps_pairs and is_training:
            self.pairs = {"true": pixels[0], "pred": pixels[1], "error": errors}
        return errors


def _widened(boxes, floor):
    """Rotated boxes in strides with `floor` added to the variances w^2 / 12 and h^2 / 12.

    Ultralytics' ProbIoU does so, which bounds the gradient of boxes smaller than a stride.
    """
    if not floor:
        return boxes
    import torch

    sides = torch.sqrt(boxes[:, 2:4].square() + 12.0 * floor)
    return torch.cat([boxes[:, :2], sides, boxes[:, 4:]], dim=-1)


class _Recorded:
    """Adds the pairs of every batch to a record."""

    def __init__(self, placed, record):
        self.placed, self.record = placed, record
        placed.keeps_pairs = True
        # An end-to-end model measures each batch by two criteria: two calls, one step.
        self.newest, self.asked = None, []

    def batch(self, original):
        def get_assigned_targets_and_loss(criterion, preds, batch, *arguments, **named):
            self.placed.pairs = None
            outcome = original(criterion, preds, batch, *arguments, **named)
            if self.placed.pairs is not None:
                foreground, index, *_ = outcome[0]
                is_new = batch is not self.newest or criterion in self.asked
                self.newest, self.asked = batch, [] if is_new else self.asked
                self.asked.append(criterion)
                scores = preds["scores"]
                self._add(is_new, scores, batch, foreground, index, **self.placed.pairs)
            return outcome

        return get_assigned_targets_and_loss

    def _add(self, is_new_step, scores, batch, foreground, index, **pairs):
        """scores (B, C, A) logits; foreground, index (B, A); pairs (n, ...)."""
        import torch

        image, anchor = foreground.nonzero(as_tuple=True)
        box = index[image, anchor]
        counts = torch.bincount(batch["batch_idx"].long(), minlength=len(scores))
        first = (torch.cumsum(counts, 0) - counts).to(box.device)
        label = batch["cls"].view(-1).to(box.device).long()[first[image] + box]
        self.record.add(
            batch["im_file"],
            counts.tolist(),
            image=image,
            box=box,
            scores=scores[image, :, anchor].sigmoid(),
            label=label,
            is_new_step=is_new_step,
            **pairs,
        )
