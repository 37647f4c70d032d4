"""What kind of error a detection is: TIDE's six, each detection and each true box in one place."""

import numpy as np

from boxloss.evaluation.grouping import groups
from boxloss.tensors.overlap import pairwise_iou

KINDS = ("ok", "loc", "cls", "both", "dupe", "bkg", "miss")
BACKGROUND_IOU = 0.1  # TIDE's: below it a detection touches nothing


def classify(truth, detections, matches, iou_threshold, score_threshold):
    """[(kind, true box or -1, detection or -1, whether it is the true box's own row)].

    First one for each true box that counts, then one for each false detection that is not already
    beside a true box. A true box that no detection found takes the best detection that nearly did:
    right place with the wrong class, or right class and not quite the place.
    """
    there = matches.used & (detections.score >= score_threshold)
    found_by = np.where(matches.detection_of >= 0, matches.detection_of, 0)
    found = (matches.detection_of >= 0) & np.append(there, False)[found_by]
    kinds, near = _false_kinds(truth, detections, matches, there, iou_threshold)
    beside = _nearly_found(detections, found, kinds, near)
    pairs = []
    for true in np.flatnonzero(~truth.ignored).tolist():
        if found[true]:
            pairs.append(("ok", true, int(matches.detection_of[true]), True))
        elif true in beside:
            pairs.append((kinds[beside[true]], true, beside[true], True))
        else:
            pairs.append(("miss", true, -1, True))
    taken = set(beside.values())
    pairs += [(kinds[d], near[d], d, False) for d in kinds if d not in taken]
    return pairs


def _false_kinds(truth, detections, matches, there, iou_threshold):
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


def _nearly_found(detections, found, kinds, near):
    """{true box: detection} for boxes that nobody found: loc before cls, best score first."""
    order = sorted(
        (d for d in kinds if kinds[d] in ("loc", "cls") and not found[near[d]]),
        key=lambda d: (kinds[d] == "cls", -detections.score[d], d),
    )
    beside = {}
    for d in order:
        beside.setdefault(near[d], d)
    return beside
