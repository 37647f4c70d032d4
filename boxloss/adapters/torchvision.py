"""torchvision's RetinaNet, FCOS and Faster R-CNN (Mask and Keypoint R-CNN too): any box loss.

    from boxloss.adapters import torchvision

    with torchvision.use("ciou"):
        losses = model(images, targets)     # retinanet_resnet50_fpn_v2, fcos_resnet50_fpn, ...

RetinaNet and Faster R-CNN regress deltas of anchors and proposals: they are decoded before a loss
that compares boxes, while a loss of coordinates measures the deltas, as the built-in ones do. FCOS
has boxes. The region proposal network of Faster R-CNN keeps its own smooth L1.

Units: boxes are in pixels of the network's input, after torchvision's resize.
"""

from collections.abc import Sequence
from typing import Any

from boxloss.adapters.per_box import PerBoxErrors
from boxloss.adapters.record import Record, id_of
from boxloss.adapters.seam import Library, Seam, Use

__all__ = ["use"]
LIBRARY = Library(
    "torchvision", tuple(f"0.{minor}" for minor in range(24, 30)), "0.28.0 with torch 2.13"
)
PACKAGE = "torchvision.models.detection"
RETINANET = Seam(
    f"{PACKAGE}.retinanet",
    "_box_loss",
    (
        *("type", "box_coder", "anchors_per_image", "matched_gt_boxes_per_image"),
        *("bbox_regression_per_image", "cnf"),
    ),
)
FCOS = Seam(f"{PACKAGE}.fcos", "generalized_box_iou_loss", ("boxes1", "boxes2", "reduction", "eps"))
FASTER_RCNN = Seam(
    f"{PACKAGE}.roi_heads",
    "fastrcnn_loss",
    ("class_logits", "box_regression", "labels", "regression_targets"),
)
SAMPLES = Seam(
    f"{PACKAGE}.roi_heads", "RoIHeads.select_training_samples", ("self", "proposals", "targets")
)
TARGETS = ("self", "targets", "head_outputs", "anchors", "matched_idxs")
RETINANET_TARGETS = Seam(f"{PACKAGE}.retinanet", "RetinaNetRegressionHead.compute_loss", TARGETS)
FCOS_TARGETS = Seam(f"{PACKAGE}.fcos", "FCOSHead.compute_loss", TARGETS)


def use(
    loss: Any, *, image_shape: Sequence[float] | None = None, record: Record | None = None
) -> Use:
    """Put `loss` into torchvision's detectors, until `undo()` or the end of a `with` block.

    Args:
        loss: a name of kind "box", or such a loss. "wiou" gets a running mean that moves in
            training. A loss of coordinates measures deltas: SmoothL1BoxLoss(beta=1/9) is Faster
            R-CNN's own, L1BoxLoss() RetinaNet's. In FCOS it measures pixels.
        image_shape: (height, width) of the network's input in pixels, for "mpdiou".
        record: a `Record` of the training set; each target needs its "image_id". Sides are in
            pixels of the network's input.

    Returns: a `Use`.

    Raises: ValueError for another loss. ImportError for another version of torchvision, and where
    Keras runs on another backend than PyTorch. RuntimeError while another `use` is in place.
    """
    measure = PerBoxErrors(loss, image_shape=image_shape)
    placed = _Placed(measure, record)
    replacements = {
        RETINANET: placed.retinanet,
        FCOS: placed.fcos,
        FASTER_RCNN: placed.faster_rcnn,
        SAMPLES: placed.samples,
    }
    if record is not None:
        replacements |= {RETINANET_TARGETS: placed.targets, FCOS_TARGETS: placed.targets}
    return Use(LIBRARY, replacements, measure)


class _Placed:
    """The replacements. pairs: (true, pred, errors) of each call since a head began."""

    def __init__(self, measure, record):
        self.measure, self.record = measure, record
        self.pairs = []
        self.sampled = None  # of the newest RoI head: (box_coder, proposals, targets, matched_idxs)

    def _errors(self, boxes, encoded):
        """Errors of what the loss measures; both arguments are functions that give (true, pred)."""
        errors = self.measure(*(encoded() if self.measure.is_coordinate else boxes()))
        if self.record is not None:
            self.pairs.append((*boxes(), errors))
        return errors

    def retinanet(self, original):
        def _box_loss(type, coder, anchors, true, regression, cnf=None):
            return self._errors(
                lambda: (true, coder.decode_single(regression, anchors)),
                lambda: (coder.encode_single(true, anchors), regression),
            ).sum()

        return _box_loss

    def fcos(self, original):
        def generalized_box_iou_loss(pred, true, reduction="none", eps=1e-7):
            errors = self._errors(lambda: (true, pred), lambda: (true, pred))
            return {"sum": errors.sum, "mean": errors.mean}.get(reduction, lambda: errors)()

        return generalized_box_iou_loss

    def samples(self, original):
        def select_training_samples(head, proposals, targets):
            outcome = original(head, proposals, targets)
            self.sampled = head.box_coder, outcome[0], targets, outcome[1]
            return outcome

        return select_training_samples

    def faster_rcnn(self, original):
        def fastrcnn_loss(class_logits, box_regression, labels, regression_targets):
            import torch

            coder, proposals, targets, matched = self.sampled
            self.pairs, self.sampled = [], None
            classification, _ = original(class_logits, box_regression, labels, regression_targets)
            label = torch.cat(labels)
            positive = torch.where(label > 0)[0]
            deltas = box_regression.reshape(len(label), -1, 4)[positive, label[positive]]
            proposal = torch.cat(proposals)[positive]

            encoded = torch.cat(regression_targets)[positive], deltas
            errors = self._errors(
                lambda: tuple(coder.decode_single(x, proposal) for x in encoded), lambda: encoded
            )
            if self.record is not None and errors.requires_grad:
                rows = [m[own > 0] for m, own in zip(matched, labels, strict=True)]
                self._add(targets, rows, class_logits[positive].softmax(-1))
            return classification, errors.sum() / label.numel()

        return fastrcnn_loss

    def targets(self, original):
        def compute_loss(head, targets, head_outputs, anchors, matched_idxs):
            self.pairs = []
            outcome = original(head, targets, head_outputs, anchors, matched_idxs)
            if any(errors.requires_grad for *_, errors in self.pairs):
                import torch

                rows = [matched[matched >= 0] for matched in matched_idxs]
                # RetinaNet's head of boxes is given the classes as well, as FCOS' is.
                scores = [
                    logits[matched >= 0].sigmoid()
                    for logits, matched in zip(
                        head_outputs["cls_logits"], matched_idxs, strict=True
                    )
                ]
                self._add(targets, rows, torch.cat(scores))
            return outcome

        return compute_loss

    def _add(self, targets, rows, scores):
        """rows: of each image, the true boxes of its pairs. scores: (n, C) of all pairs."""
        import torch

        true, pred, error = (torch.cat(part) for part in zip(*self.pairs, strict=True))
        of_image = zip(targets, rows, strict=True)
        self.record.add(
            [id_of(target, "targets") for target in targets],
            [len(target["boxes"]) for target in targets],
            image=torch.cat([torch.full_like(row, i) for i, row in enumerate(rows)]),
            box=torch.cat(rows),
            true=true,
            pred=pred,
            error=error,
            scores=scores,
            label=torch.cat([target["labels"][row] for target, row in of_image]),
        )
