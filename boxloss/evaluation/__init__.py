"""Detections against truth: COCO metrics, COCO's matching, one row of errors per box.

Needs numpy alone, and no model: truth is a `datasets.DataSet` or a COCO dict, detections are COCO
results of any detector. `coco_metrics` needs faster-coco-eval; box errors need Keras.
"""

from boxloss.evaluation.box_history import (
    HISTORY_COLUMNS,
    add_history,
    read_box_history,
    write_box_history,
)
from boxloss.evaluation.boxes_csv import write_boxes_csv
from boxloss.evaluation.by_class import metrics_by_class
from boxloss.evaluation.detections import Detections
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.metrics import coco_metrics, crowded, crowded_lines
from boxloss.evaluation.opened import OpenTruth, open_truth
from boxloss.evaluation.points import lost_points
from boxloss.evaluation.row import Row
from boxloss.evaluation.table import KINDS, best_threshold, error_rows, error_table
from boxloss.evaluation.truth import Truth

__all__ = [
    "HISTORY_COLUMNS",
    "KINDS",
    "Detections",
    "Matches",
    "OpenTruth",
    "Row",
    "Truth",
    "add_history",
    "best_threshold",
    "coco_metrics",
    "crowded",
    "crowded_lines",
    "error_rows",
    "error_table",
    "lost_points",
    "match",
    "metrics_by_class",
    "open_truth",
    "read_box_history",
    "write_box_history",
    "write_boxes_csv",
]
