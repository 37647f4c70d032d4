"""Detections against truth: COCO metrics, COCO's matching, one row of errors a box.

Needs numpy alone, and no model: truth is a `datasets.DataSet` or a COCO dict, detections are COCO
results of any detector. `coco_metrics` needs faster-coco-eval; box errors need Keras.
"""

from boxloss.evaluation.boxes_csv import write_boxes_csv
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.metrics import coco_metrics
from boxloss.evaluation.sides import Detections, Truth
from boxloss.evaluation.table import KINDS, best_threshold, error_table

__all__ = [
    "KINDS",
    "Detections",
    "Matches",
    "Truth",
    "best_threshold",
    "coco_metrics",
    "error_table",
    "match",
    "write_boxes_csv",
]
