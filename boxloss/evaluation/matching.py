"""Which prediction found which true box: COCO's greedy rule, for one IoU threshold."""

import numbers
from typing import NamedTuple

import numpy as np

from boxloss.evaluation.detections import Detections
from boxloss.evaluation.grouping import groups
from boxloss.evaluation.truth import Truth
from boxloss.tensors.overlap import pairwise_iou

COCO_LIMIT = 100  # detections per image and class that COCO's metrics count


class Matches(NamedTuple):
    """truth_of: int (m,), the true box of each detection, -1 without. detection_of: int (n,), the
    reverse; of several detections in one crowd the last. iou: float64 (m,), with the matched box,
    else 0. used: bool (m,), False for detections that do not count: those on an ignored box and
    those beyond `max_detections`."""

    truth_of: np.ndarray
    detection_of: np.ndarray
    iou: np.ndarray
    used: np.ndarray


def match(
    truth: Truth,
    detections: Detections,
    iou_threshold: float = 0.5,
    max_detections: int | None = None,
) -> Matches:
    """Match `Detections` to `Truth` as COCO does, class by class; gives `Matches`.

    Best scores choose first, each the free true box of its class that it overlaps most, if by
    `iou_threshold` or more; boxes that count go before ignored ones; a crowd stays free.
    max_detections: only the best so many of each image and class count. COCO's metrics take 100;
    None takes all, because a dense image holds more boxes than that.
    """
    good = isinstance(iou_threshold, numbers.Real) and not isinstance(iou_threshold, bool)
    if not good or not 0 < iou_threshold <= 1:
        raise ValueError(
            "`iou_threshold` must be a number above 0 and at most 1. "
            f"Received: iou_threshold={iou_threshold!r}"
        )
    truth_of = np.full(len(detections), -1)
    detection_of = np.full(len(truth), -1)
    iou = np.zeros(len(detections))
    used = np.ones(len(detections), bool)
    true_groups = groups(truth.image, truth.label)
    for key, rows in groups(detections.image, detections.label).items():
        rows = rows[np.argsort(-detections.score[rows], kind="stable")]
        if max_detections is not None:
            used[rows[max_detections:]] = False
            rows = rows[:max_detections]
        true_rows = true_groups.get(key)
        if true_rows is None:
            continue
        ignored = truth.ignored[true_rows]
        crowd = truth.iscrowd[true_rows]
        overlaps = pairwise_iou(detections.xywh[rows], truth.xywh[true_rows], crowd)
        free = np.ones(len(true_rows), bool)
        for d in np.flatnonzero(overlaps.max(axis=1) >= min(iou_threshold, 1 - 1e-10)):
            g = _choice(overlaps[d], free | crowd, ignored, min(iou_threshold, 1 - 1e-10))
            if g >= 0:
                free[g] = False
                truth_of[rows[d]], detection_of[true_rows[g]] = true_rows[g], rows[d]
                iou[rows[d]] = overlaps[d, g]
                used[rows[d]] = not ignored[g]
    return Matches(truth_of, detection_of, iou, used)


def _choice(overlaps, available, ignored, threshold):
    """The column that COCO's loop ends on: the last of the best, boxes that count first."""
    for allowed in (available & ~ignored, available & ignored):
        allowed = allowed & (overlaps >= threshold)
        if allowed.any():
            reached = np.where(allowed, overlaps, -1.0)
            return len(reached) - 1 - int(np.argmax(reached[::-1]))
    return -1
