"""The score of Schubert et al. 2024: how much loss a label and its detection cost each other.

"Identifying Label Errors in Object Detection Datasets by Loss Inspection", arXiv:2303.06999, takes
a Faster R-CNN's own classification and regression losses at every label and at every detection.
Here only COCO results are known, so the losses are computed from them with boxloss' tensors:

- The class scores at a label are, per class, the score of the best detection that overlaps it by
  `SAME_PLACE`. The classification loss is the cross-entropy of each class' score, summed.
- The regression loss is smooth L1 of the label in the coordinates of the detection there with the
  best score: offsets by its size, weighted as Faster R-CNN weights them. A label
  without such a detection has the classification loss alone, which is then large.
- A detection that lies on no label costs -ln(1 - score): it should have been background.
"""

import numpy as np

from boxloss import coders, functional
from boxloss.evaluation.grouping import groups
from boxloss.tensors import ops
from boxloss.tensors.overlap import pairwise_iou

SAME_PLACE = 0.5  # IoU from which on Faster R-CNN calls a box and a proposal the same object
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the offsets, as in Faster R-CNN
LEAST = 1e-3  # a score of 0 or 1 would cost infinitely much


def label_losses(truth, detections):
    """(n,) of `Truth`: classification plus regression loss of each label."""
    scores = np.zeros((len(truth), len(truth.category_ids)))
    best = np.full(len(truth), -1)
    found_groups = groups(detections.image)
    for image, rows in groups(truth.image).items():
        found = found_groups.get(image)
        if found is None:
            continue
        overlap = pairwise_iou(detections.xywh[found], truth.xywh[rows]).T >= SAME_PLACE
        reached = np.where(overlap, detections.score[found], 0.0)  # (labels, detections)
        for label in range(scores.shape[1]):
            of_class = reached[:, detections.label[found] == label]
            scores[rows, label] = of_class.max(axis=1, initial=0.0)
        best[rows] = np.where(overlap.any(axis=1), found[reached.argmax(axis=1)], -1)
    return class_losses(truth.label, scores) + box_losses(truth, detections, best)


def class_losses(labels, scores):
    """(n,): the cross-entropies of all classes; labels: int (n,), C is background; (n, C)."""
    scores = np.clip(scores, LEAST, 1 - LEAST)
    logits = np.log(scores / (1 - scores))
    # Focal loss without its two weights: alpha 1/2 halves every class alike.
    half = functional.sigmoid_focal_loss(labels, logits, alpha=0.5, gamma=0.0)
    return 2 * ops.numpy_of(half).astype("float64")


def box_losses(truth, detections, best):
    """(n,): smooth L1 of each label's offsets from detection `best`; 0 where that is -1."""
    has = best >= 0
    losses = np.zeros(len(truth))
    if has.any():
        anchors = detections.xyxy[best[has]]
        offsets = ops.numpy_of(coders.encode_deltas(truth.xyxy[has], anchors, WEIGHTS))
        errors = functional.smooth_l1_loss(offsets, np.zeros_like(offsets))
        losses[has] = ops.numpy_of(errors).reshape(len(offsets), -1).sum(axis=1)
    return losses


def detection_losses(truth, detections):
    """(m,): what a detection costs as background; 0 where a label of any class is."""
    free = np.ones(len(detections), bool)
    true_groups = groups(truth.image)
    for image, rows in groups(detections.image).items():
        true = true_groups.get(image)
        if true is not None:
            overlap = pairwise_iou(detections.xywh[rows], truth.xywh[true], truth.iscrowd[true])
            free[rows] = overlap.max(axis=1) < SAME_PLACE
    cost = class_losses(np.ones(len(detections), int), detections.score[:, None])
    return np.where(free, cost, 0.0)
