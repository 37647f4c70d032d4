"""AP, precision and recall of every class, at the threshold of a run."""

from typing import TypeAlias

import numpy as np

from boxloss.evaluation.detections import Detections
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.metrics import coco_details
from boxloss.evaluation.table import best_threshold
from boxloss.evaluation.truth import Truth

Number: TypeAlias = int | float | None


def metrics_by_class(
    truth: Truth, detections: Detections, score_threshold: float | None = None
) -> dict[str, Number | dict[str, dict[str, Number]]]:
    """`coco_metrics` with "threshold", "precision", "recall", and "classes": {name: numbers}.

    A class has "boxes" (how many true ones count), "AP" and "AP50" as COCO counts them, and
    "precision" and "recall" at IoU 0.5 of the detections of at least `score_threshold` (None takes
    `best_threshold`): precision is None without such detections, recall without true boxes.
    """
    details = coco_details(truth, detections)
    matches = match(truth, detections)
    if score_threshold is None:
        score_threshold = best_threshold(truth, detections, matches)
    columns = _counts(truth, detections, matches, score_threshold)
    classes = {
        name: {
            "boxes": int(boxes),
            "AP": details.classes["AP"][label],
            "AP50": details.classes["AP50"][label],
            "precision": _share(hits, found),
            "recall": _share(hits, boxes),
        }
        for label, (name, boxes, found, hits) in enumerate(
            zip(truth.class_names, *columns, strict=True)
        )
    }
    boxes, found, hits = (column.sum() for column in columns)
    return {
        **details.metrics,
        "threshold": score_threshold,
        "precision": _share(hits, found),
        "recall": _share(hits, boxes),
        "classes": classes,
    }


def _counts(truth: Truth, detections: Detections, matches: Matches, score_threshold: float):
    """(true boxes, detections, right detections) of each class: three int (classes,)."""
    length = len(truth.class_names)
    there = matches.used & (detections.score >= score_threshold)
    chosen = (
        truth.label[~truth.ignored],
        detections.label[there],
        detections.label[there & (matches.truth_of >= 0)],
    )
    return [np.bincount(labels, minlength=length) for labels in chosen]


def _share(part, whole):
    return float(part / whole) if whole else None
