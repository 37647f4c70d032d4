"""Who is responsible for which true box: batched, fixed shapes, padded truth, no gradient.

`task_aligned` (TOOD, YOLOv8), `max_iou` (RetinaNet), `atss`, `simota` (YOLOX), `hungarian` (DETR).
"""

from boxloss.assignment.aligned import Assignment, inside, real_rows, targets, task_aligned
from boxloss.assignment.anchors import atss, max_iou
from boxloss.assignment.matching import hungarian, hungarian_cost, simota

__all__ = [
    "Assignment",
    "atss",
    "hungarian",
    "hungarian_cost",
    "inside",
    "max_iou",
    "real_rows",
    "simota",
    "targets",
    "task_aligned",
]
