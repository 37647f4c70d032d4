"""What kind of error a detection is: TIDE's six, each detection and each true box in one place."""

import math
from typing import NamedTuple

import numpy as np

from boxloss.evaluation.grouping import groups
from boxloss.tensors.overlap import pairwise_iou

KINDS = ("ok", "loc", "cls", "both", "dupe", "bkg", "miss")
BACKGROUND_IOU = 0.1  # TIDE's: below it a detection touches nothing


class Candidate(NamedTuple):
    """A row that the table has for every threshold t with low < t <= high.

    true, found: positions of the true box and of the detection, -1 without one. own: whether it is
    the row of the true box.
    """

    kind: str
    true: int
    found: int
    own: bool
    low: float
    high: float


def classify(truth, detections, matches, iou_threshold, score_threshold):
    """The `candidates` that are there at a threshold, each as (kind, true, found, own)."""
    return [
        candidate[:4]
        for candidate in candidates(truth, detections, matches, iou_threshold)
        if candidate.low < score_threshold <= candidate.high
    ]


def candidates(truth, detections, matches, iou_threshold):
    """All rows of all thresholds: of each true box that counts, then of each false detection.

    A threshold never changes what a detection above it is. The matching goes from the best score
    down, so whoever matched a true box had no use for those below; and the kind of a false
    detection follows from its overlaps alone. What a threshold decides is only which detections are
    there. So every row has one range of thresholds, and the error table, the curves and the page,
    whose threshold is dragged, all choose from this one list.

    A true box has up to four rows in turn: the detection that matched it, then the best one that
    nearly found it (right class and nearly the place, then right place with the wrong class), then
    none. A detection in the row of a true box has no row of its own.
    """
    kinds, near = false_kinds(truth, detections, matches, matches.used, iou_threshold)
    nearly = _nearly_found(detections, kinds, near)
    rows, beside = [], {}
    for true in np.flatnonzero(~truth.ignored).tolist():
        found = int(matches.detection_of[true])
        choices = [("ok", found)] if found >= 0 else []
        choices += [(kinds[d], d) for d in nearly.get(true, ())]
        highest = -math.inf  # at thresholds up to here a choice before this one is there
        for kind, d in choices:
            score = float(detections.score[d])
            if score > highest:
                rows.append(Candidate(kind, true, d, True, highest, score))
                if kind != "ok":
                    beside[d] = highest
                highest = score
        rows.append(Candidate("miss", true, -1, True, highest, math.inf))
    for d, kind in kinds.items():
        high = min(float(detections.score[d]), beside.get(d, math.inf))
        if high > -math.inf:
            rows.append(Candidate(kind, near[d], d, False, -math.inf, high))
    return rows


def false_kinds(truth, detections, matches, there, iou_threshold):
    """({detection: kind}, {detection: the true box it is about, or -1}) of false detections."""
    kinds, near = {}, {}
    counted = np.flatnonzero(~truth.ignored)
    true_groups = groups(truth.image[counted])
    false = np.flatnonzero(there & (matches.truth_of < 0))
    for key, rows in groups(detections.image[false]).items():
        true = counted[true_groups.get(key, np.zeros(0, "int64"))]
        rows = false[rows]
        overlaps = pairwise_iou(detections.xywh[rows], truth.xywh[true])
        same = detections.label[rows][:, None] == truth.label[true][None]
        for d, overlap, alike in zip(rows.tolist(), overlaps, same, strict=True):
            kinds[d], g = _kind(overlap, alike, iou_threshold)
            near[d] = int(true[g]) if g >= 0 else -1
    return kinds, near


def _kind(overlap, alike, iou_threshold):
    """Kind of one false detection and the column it is about, in TIDE's order of questions."""
    if not len(overlap):
        return "bkg", -1
    same, other = (int(np.argmax(np.where(among, overlap, -1.0))) for among in (alike, ~alike))
    same_iou = overlap[same] if alike[same] else 0.0
    other_iou = overlap[other] if not alike[other] else 0.0
    if BACKGROUND_IOU <= same_iou <= iou_threshold:
        return "loc", same
    if other_iou >= iou_threshold:
        return "cls", other
    # Every box of its class that it overlaps so much is found by a better score: else the matching
    # would have given it to this detection.
    if same_iou >= iou_threshold:
        return "dupe", same
    best = int(np.argmax(overlap))
    if overlap[best] <= BACKGROUND_IOU:
        return "bkg", -1
    return "both", best


def _nearly_found(detections, kinds, near):
    """{true box: its best loc detection, then its best cls detection}, as far as there are any."""
    order = sorted(
        (d for d in kinds if kinds[d] in ("loc", "cls")),
        key=lambda d: (kinds[d] == "cls", -detections.score[d], d),
    )
    best = {}
    for d in order:
        best.setdefault((near[d], kinds[d]), d)
    nearly = {}
    for (true, _), d in best.items():
        nearly.setdefault(true, []).append(d)
    return nearly
