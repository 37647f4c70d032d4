"""What the detections say about each annotation: one owner each, support for each class.

Each annotation gets at most one detection of any class as its own, and each detection at most one
annotation, such that the sum of IoU * score^(1/4) over the image is the largest (Hungarian). A
shifted box then keeps the detection of its object, although that of a neighbour overlaps it more,
and a box without an object is left with what nobody else wants.
"""

from typing import NamedTuple

import numpy as np

from boxloss.evaluation.grouping import groups
from boxloss.tensors.overlap import pairwise_iou

TOUCH_IOU = 0.2  # a detection that overlaps a box by less is that of another object
SCORE_POWER = 0.25
SAME_PLACE_IOU = 0.5


class Evidence(NamedTuple):
    """For n annotations and m detections.

    owner: int (n,), the own detection, -1 without. iou: (n,) with it, else 0.
    errors: (n, 4), detection - annotation of x1, y1, x2, y2 in sides of the box (geometric mean of
        the two boxes' widths, or heights); 0 without owner.
    support, own_class, other_class: (n,), largest score * IoU of any detection, of one of the
        annotation's class, of one of another. other_label: int (n,), the class of the last.
    neighbour: int (n,), the other annotation of the image that overlaps most, -1 without;
        neighbour_iou: (n,).
    cover: (m,), largest IoU of a detection with any annotation; share of it inside a crowd.
    owned: bool (m,).
    """

    owner: np.ndarray
    iou: np.ndarray
    errors: np.ndarray
    support: np.ndarray
    own_class: np.ndarray
    other_class: np.ndarray
    other_label: np.ndarray
    neighbour: np.ndarray
    neighbour_iou: np.ndarray
    cover: np.ndarray
    owned: np.ndarray


def gather(truth, detections):
    """The Evidence of `evaluation.Detections` about `evaluation.Truth`.

    Ignored annotations (crowds, difficult ones) own nothing, and what lies on them is covered.
    """
    n, m = len(truth), len(detections)
    found = Evidence(
        owner=np.full(n, -1),
        iou=np.zeros(n),
        errors=np.zeros((n, 4)),
        support=np.zeros(n),
        own_class=np.zeros(n),
        other_class=np.zeros(n),
        other_label=truth.label.copy(),
        neighbour=np.full(n, -1),
        neighbour_iou=np.zeros(n),
        cover=np.zeros(m),
        owned=np.zeros(m, bool),
    )
    detection_rows = groups(detections.image)
    for key, rows in groups(truth.image).items():
        _look_at_image(found, truth, detections, rows, detection_rows.get(key))
    has = found.owner >= 0
    found.owned[found.owner[has]] = True
    found.errors[has] = _relative_errors(truth.xyxy[has], detections.xyxy[found.owner[has]])
    return found


def _look_at_image(found, truth, detections, rows, seen):
    counted = rows[~truth.ignored[rows]]
    _neighbours(found, truth, counted)
    if seen is None:
        return
    overlaps = pairwise_iou(detections.xywh[seen], truth.xywh[rows], truth.iscrowd[rows])
    found.cover[seen] = overlaps.max(axis=1)
    overlaps = overlaps[:, ~truth.ignored[rows]].T  # (n, m)
    if not len(counted):
        return
    score = detections.score[seen]
    support = overlaps * score
    same = truth.label[counted][:, None] == detections.label[seen]
    found.support[counted] = support.max(axis=1)
    found.own_class[counted] = np.where(same, support, 0.0).max(axis=1)
    other = np.where(same, 0.0, support)
    found.other_class[counted] = other.max(axis=1)
    strange = other.max(axis=1) > 0
    found.other_label[counted[strange]] = detections.label[seen[other.argmax(axis=1)[strange]]]
    n, m = assign(np.where(overlaps > TOUCH_IOU, overlaps, 0.0) * score**SCORE_POWER)
    found.owner[counted[n]] = seen[m]
    found.iou[counted[n]] = overlaps[n, m]


def _neighbours(found, truth, rows):
    if len(rows) < 2:
        return
    overlaps = pairwise_iou(truth.xywh[rows], truth.xywh[rows])
    np.fill_diagonal(overlaps, 0.0)
    found.neighbour[rows] = rows[overlaps.argmax(axis=1)]
    found.neighbour_iou[rows] = overlaps.max(axis=1)


def assign(value):
    """(rows, columns) of the pairs with value > 0 that have the largest sum, one to one."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ValueError(
            "scipy must be installed for an audit: pip install scipy. "
            "Received: no module named scipy"
        ) from None
    rows, columns = linear_sum_assignment(value, maximize=True)
    good = value[rows, columns] > 0
    return rows[good], columns[good]


def _relative_errors(true, predicted):
    sizes = [np.maximum(box[:, 2:] - box[:, :2], 1e-6) for box in (true, predicted)]
    return (predicted - true) / np.tile(np.sqrt(sizes[0] * sizes[1]), 2)


def uncovered(detections, evidence):
    """Places of detections without an annotation: (positions, best first; (k,) values in [0, 1]).

    The value is the score, less where an annotation covers the place: whole up to IoU 1/4, nothing
    from 3/4 on. Of several detections of one place (IoU above 0.5) only the best one counts; one
    that owns an annotation does not.
    """
    value = detections.score * np.clip(1.5 - 2 * evidence.cover, 0.0, 1.0)
    free = np.flatnonzero(~evidence.owned & (value > 0))
    chosen = []
    for rows in groups(detections.image[free]).values():
        rows = free[rows]
        rows = rows[np.argsort(-value[rows], kind="stable")]
        overlaps = pairwise_iou(detections.xywh[rows], detections.xywh[rows])
        kept = []
        for i in range(len(rows)):
            if not kept or overlaps[i, kept].max() <= SAME_PLACE_IOU:
                kept.append(i)
        chosen += rows[kept].tolist()
    chosen = np.asarray(chosen, "int64")
    chosen = chosen[np.argsort(-value[chosen], kind="stable")]
    return chosen, value[chosen]
