"""What the Diagnosis says beyond the rows: what does not depend on a threshold, and the curves."""

import numpy as np

from boxloss.evaluation.metrics import coco_details
from boxloss.evaluation.points import lost_points
from boxloss.evaluation.table import best_threshold

GRID = np.arange(101) / 100  # confidence thresholds of the curves


def diagnosis_of(report):
    """The dict `PAGE.diagnosis`, or None where the report does not know all detections.

    best: the confidence with the best F1. points: see `lost_points`. metrics, classes, sizes,
    curves: see `coco_details`; None where faster-coco-eval is not installed. precision,
    recall: at the confidences 0, 0.01, ... 1.
    """
    if report.source is None:
        return None
    truth, detections, _, matches = report.source
    try:
        details = coco_details(truth, detections)._asdict()
    except ValueError:
        details = dict.fromkeys(("metrics", "classes", "sizes", "curves"))
    precision, recall = over_confidence(truth, detections, matches)
    return {
        "best": best_threshold(truth, detections, matches),
        "points": lost_points(truth, detections, report.iou_threshold, matches),
        **details,
        "precision": precision,
        "recall": recall,
    }


def over_confidence(truth, detections, matches):
    """(precision, recall) at each threshold of `GRID`; precision is None without detections."""
    scores = detections.score[matches.used]
    right = np.sort(scores[matches.truth_of[matches.used] >= 0])
    scores = np.sort(scores)
    hits = len(right) - np.searchsorted(right, GRID)
    there = len(scores) - np.searchsorted(scores, GRID)
    boxes = np.count_nonzero(~truth.ignored)
    precision = [
        hit / n if n else None for hit, n in zip(hits.tolist(), there.tolist(), strict=True)
    ]
    return precision, [hit / boxes if boxes else None for hit in hits.tolist()]
