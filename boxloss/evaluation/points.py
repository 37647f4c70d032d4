"""Points of AP that each kind of error costs, as TIDE counts them."""

import numpy as np

from boxloss.evaluation.detections import Detections, DetectionsLike
from boxloss.evaluation.kinds import KINDS, false_kinds
from boxloss.evaluation.matching import Matches, match
from boxloss.evaluation.truth import Truth, TruthLike

MAX_DETECTIONS = 100  # per image, as TIDE; more where an image has more true boxes
RECALLS = np.arange(101) / 100


def lost_points(
    truth: TruthLike,
    detections: DetectionsLike,
    iou_threshold: float = 0.5,
    matches: Matches | None = None,
) -> dict[str, float]:
    """{"AP": percent, "loc": points, "cls": ..., "both", "dupe", "bkg", "miss"}.

    points: by how much AP at `iou_threshold` would rise, in per cent, if only the errors of this
    kind were mended and the rest stayed. A loc or cls error whose true box nobody found becomes a
    right detection, the best one of each box; other false detections are taken away; a missed box
    is no longer counted as there. The kinds do not add up to 100 - AP: each mends alone.

    All detections count, whatever their score, because AP has no threshold. As in TIDE the best 100
    of an image do, where it has not more true boxes than that. A class without true boxes is left
    out as COCO leaves it out; TIDE counts it as 0 as soon as it is detected. A box of zero size,
    which a data set drops, counts as missed, so that "AP" is COCO's.
    matches: those of `match` at `iou_threshold`, where they are known already.

    Source: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors",
    arXiv:2008.08115, section 2.3.
    """
    truth = Truth.of(truth)
    detections = Detections.of(detections, truth)
    if matches is None:
        matches = match(truth, detections, iou_threshold)
    matches = matches._replace(used=matches.used & _among_the_best(truth, detections))
    kinds, near = false_kinds(truth, detections, matches, matches.used, iou_threshold)
    return _lost(truth, detections, matches, kinds, near)


def _among_the_best(truth, detections):
    """bool (m,): detections that are among the best of their image."""
    limits = np.maximum(np.bincount(truth.image, minlength=len(truth.images)), MAX_DETECTIONS)
    order = np.lexsort((-detections.score, detections.image))
    images = detections.image[order]
    place = np.arange(len(order)) - np.searchsorted(images, images)
    kept = np.zeros(len(order), bool)
    kept[order] = place < limits[images]
    return kept


def _lost(truth, detections, matches: Matches, kinds, near):
    counted = ~truth.ignored
    found = np.zeros(len(truth), bool)
    right = np.flatnonzero(matches.used & (matches.truth_of >= 0))
    found[matches.truth_of[right]] = True
    false = np.array(sorted(kinds), int)
    of_kind = np.array([KINDS.index(kinds[d]) for d in false.tolist()], int)
    # Each detection as AP sees it: its class, whether it is right.
    rows = np.concatenate([false, right])
    label, hit = detections.label[rows], np.repeat([False, True], [len(false), len(right)])
    score = detections.score[rows]
    # No row and no detection is about these, but they are in the denominator of recall.
    unfindable = np.array([label for _, label, _ in truth.unfindable], int)
    labels = np.concatenate([truth.label[counted], unfindable])
    positives = np.bincount(labels, minlength=len(truth.class_names))
    ap = _mean_ap(label, score, hit, positives)
    mended, usable = _mended(detections, found, kinds, near)
    lost = {"AP": 100 * ap}
    for kind in KINDS[1:-1]:
        here = np.concatenate([of_kind == KINDS.index(kind), np.zeros(len(right), bool)])
        new_label, new_hit = label.copy(), hit.copy()
        becomes = np.array([d in mended for d in rows.tolist()], bool) & here
        new_hit[becomes] = True
        new_label[becomes] = [truth.label[mended[d]] for d in rows[becomes].tolist()]
        keep = ~here | becomes
        fixed = _mean_ap(new_label[keep], score[keep], new_hit[keep], positives)
        lost[kind] = 100 * max(fixed - ap, 0.0)
    missed = counted & ~found & ~usable
    labels = np.concatenate([truth.label[missed], unfindable])
    left = positives - np.bincount(labels, minlength=len(positives))
    lost["miss"] = 100 * max(_mean_ap(label, score, hit, left) - ap, 0.0)
    return lost


def _mended(detections, found, kinds, near):
    """({detection: the true box it would find}, bool (n,): boxes that some detection would find).

    Several detections may be about the same box; the one with the best score finds it.
    """
    mended, usable = {}, np.zeros(len(found), bool)
    for d in sorted(kinds, key=lambda d: (-detections.score[d], d)):
        if kinds[d] in ("loc", "cls") and not found[near[d]] and not usable[near[d]]:
            usable[near[d]] = True
            mended[d] = near[d]
    return mended, usable


def _mean_ap(label, score, hit, positives):
    """COCO's AP at one IoU, as a share: the mean over classes that have true boxes."""
    values = []
    for number, count in enumerate(positives.tolist()):
        if count:
            rows = np.flatnonzero(label == number)
            rows = rows[np.argsort(-score[rows], kind="stable")]
            values.append(_ap(hit[rows], count))
    return float(np.mean(values)) if values else 0.0


def _ap(hit, positives):
    """Mean precision at 101 recalls, of one class whose detections come best first."""
    if not len(hit):
        return 0.0
    hits = np.cumsum(hit)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hit) + 1))[::-1])[::-1]
    places = np.searchsorted(hits / positives, RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())
