"""How likely a correction brings a label nearer to the truth.

A suspicion says that a label looks odd. That is no reason yet to change it: the detector may be the
one that is wrong. The probability here is of the proposal, not of the label: that the moved box has
the larger IoU with the true one, that the new class is right, that nothing is where a box is taken
out, that an object of that class is where one is added.

It is a logistic model of what decides that, one for each action. Besides the label's own evidence
it looks at what the detector is able to do in this very set:

- move: how far the box is off in units of what is usual, how sure the detection is, and how well
  one shift, resize or edge explains all four errors.
- relabel: how much supports either class, and whether the detector can distinguish them: a
  detector that calls most motorcycles vehicles says nothing about the label of a motorcycle.
- remove: whether boxes of that class and size are usually found. Nothing supports a box where the
  detector finds half of such boxes; that is no sign.
- add: whether detections of that class and score usually have a label.

The weights were fitted by `python scripts/benchmarks/audit_confidence.py` to planted errors (5 % of
the labels, all kinds) of BCCD, CARLA and synthetic images; docs/audit.md has what they reach on
seeds that took no part.
"""

import numpy as np

from boxloss.audit.scores import SOFT, SURE, shares
from boxloss.evaluation.grouping import groups

APPLY_FROM = 0.8  # the probability from which a correction is made by default
WINDOW = 31  # boxes of about the same size, or detections of about the same score
LEAST = 0.02  # added to shares whose logarithm is taken
FOUND_IOU = 0.5
FOUND_SUPPORT = 0.1  # score * IoU from which on a detection speaks for a box of its class
# A class is changed only where the new one is that sure and the old one that absent, both as
# score * IoU, and where the detector has called boxes of the old class by their name five times as
# often as by the new one.
SURE_SUPPORT, ABSENT_SUPPORT, APART = 0.3, 0.1, np.log(5.0)
# A box is moved only to a detection that overlaps it by this much. One that overlaps it by less is
# often of another object: of 12 wrong moves in ten trials on BCCD, 11 were below 0.4.
SAME_OBJECT_IOU = 0.4
EXACT_IOU = 0.99  # of two labels of one class: one of them is there twice
EXACT = 0.99  # the probability that to remove one of them is right
# Of two labels that nearly agree one is too many, but nothing says which was drawn well.
EITHER = 0.5

WEIGHTS = {
    "move": {
        "bias": -3.405,
        "decades": 1.17,
        "off": 0.744,
        "share": 5.934,
        "sure": 1.212,
        "iou": -8.902,
        "lost": -0.124,
    },
    "relabel": {
        "bias": -6.348,
        "own": -2.812,
        "other": 5.147,
        "iou": 10.154,
        "apart": -0.626,
    },
    "remove": {
        "bias": -18.527,
        "support": -4.771,
        "lost": -1.773,
    },
    "add": {
        "bias": -5.341,
        "sure": 0.546,
        "cover": -5.738,
        "bare": -1.642,
    },
}


def eligible(action, features):
    """bool (n,): the corrections that may be made at all; the others have probability 0."""
    if action == "move":
        return features["iou"] >= SAME_OBJECT_IOU
    if action == "relabel":
        shown = features["other"] >= np.log(SURE_SUPPORT + SOFT)
        shown &= features["own"] <= np.log(ABSENT_SUPPORT + SOFT)
        return shown & (features["apart"] >= APART)
    return np.ones(len(next(iter(features.values()))), bool)


def probability(action, features):
    """(n,): how likely corrections of one action are right, by their features."""
    weights = WEIGHTS[action]
    names = [name for name in weights if name != "bias"]
    logit = weights["bias"] + sum(weights[name] * features[name] for name in names)
    found = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return np.where(eligible(action, features), found, 0.0)


def exact_duplicates(truth, evidence):
    """bool (n,): annotations that another one before them in the file already gives exactly."""
    other = evidence.neighbour
    later = (other >= 0) & (np.arange(len(truth)) > other)
    return later & (evidence.neighbour_iou >= EXACT_IOU) & (truth.label == truth.label[other])


def usual_share(values, keys, by):
    """(n,): the mean of `values` (n,) over the `WINDOW` items of the same key nearest in `by`.

    The item itself does not count. NaN where a key has fewer than five items.
    """
    out = np.full(len(values), np.nan)
    for rows in groups(keys).values():
        order = rows[np.argsort(by[rows], kind="stable")]
        count = len(order)
        if count < 5:
            continue
        total = np.concatenate([[0.0], np.cumsum(values[order])])
        start = np.clip(np.arange(count) - WINDOW // 2, 0, max(count - WINDOW, 0))
        end = np.minimum(start + WINDOW, count)
        out[order] = (total[end] - total[start] - values[order]) / (end - start - 1)
    return out


def told_apart(truth, detections, evidence, counted):
    """(classes, classes): log odds that a sure detection of a box labelled a says a, not b.

    Both counts start at one half: of a class that is hardly ever seen nothing is known.
    """
    classes = len(truth.class_names)
    sure = counted & (evidence.owner >= 0) & (evidence.iou >= FOUND_IOU)
    sure[sure] = detections.score[evidence.owner[sure]] >= SURE
    seen = np.full((classes, classes), 0.5)
    np.add.at(seen, (truth.label[sure], detections.label[evidence.owner[sure]]), 1.0)
    return np.log(np.diag(seen)[:, None] / seen)


def box_features(truth, detections, evidence, scores, confidence, counted):
    """{name: (n,)} of each annotation."""
    found = shares(evidence.errors)
    moves = np.stack([scores[kind] for kind in found])
    recall = usual_share(
        (evidence.own_class > FOUND_SUPPORT).astype("float64"),
        truth.label,
        np.log(truth.area + 1e-9),
    )
    apart = told_apart(truth, detections, evidence, counted)
    return {
        "decades": moves.max(axis=0),
        "off": np.log(np.abs(evidence.errors).max(axis=1, initial=0.0) + LEAST),
        "share": np.stack(list(found.values())).max(axis=0),
        "sure": np.log(confidence + SOFT),
        "iou": evidence.iou,
        "crowd": evidence.neighbour_iou,
        "own": np.log(evidence.own_class + SOFT),
        "other": np.log(evidence.other_class + SOFT),
        "support": np.log(evidence.support + SOFT),
        "lost": np.log(1 - np.nan_to_num(recall, nan=0.5) + LEAST),
        "apart": apart[truth.label, evidence.other_label],
    }


def place_features(detections, evidence, places):
    """{name: (k,)} of each place where an object may be missing."""
    labelled = (evidence.cover >= FOUND_IOU).astype("float64")
    usual = usual_share(labelled, detections.label, detections.score)
    return {
        "sure": np.log(detections.score[places] + SOFT),
        "cover": evidence.cover[places],
        "bare": np.log(1 - np.nan_to_num(usual[places], nan=0.5) + LEAST),
    }
