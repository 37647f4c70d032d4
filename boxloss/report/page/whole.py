"""The numbers of all rows, for a page that is too large to hold them all."""

import copy
import math
import sys
from collections import Counter

import numpy as np

from boxloss.evaluation.kinds import KINDS
from boxloss.evaluation.row import SIDES, SIZES

MOST_ROWS = 100_000  # of a page: with a million a browser takes gigabytes and half a minute
CAUSES = 6  # those of causes.js, in its order
WEAKEST, ONE_SIDE = 0.05, 0.6  # as in causes.js
OK, MISS, BKG, LOC = (KINDS.index(kind) for kind in ("ok", "miss", "bkg", "loc"))


def limited(report, worst_rows):
    """(the report that the page shows, None or the numbers of all rows; see `whole_of`).

    A report of more than `MOST_ROWS` rows is shown with the worst of them, in their own order.
    """
    total = len(report.rows)
    if total <= MOST_ROWS:
        return report, None
    print(
        f"the page shows the worst {MOST_ROWS:,} of {total:,} rows ({total - MOST_ROWS:,} are not "
        "on it); its Diagnosis counts all of them",
        file=sys.stderr,
    )
    shown = copy.copy(report)
    shown.rows = [report.rows[i] for i in sorted(worst_rows(report.rows, MOST_ROWS))]
    return shown, whole_of(report)


def check_comparable(*reports):
    """ValueError where one has more rows than a page: parts of both say nothing of a change."""
    most = max(len(report.rows) for report in reports)
    if most > MOST_ROWS:
        raise ValueError(
            f"`compare` must be of reports of at most {MOST_ROWS:,} rows. Received: {most:,} rows"
        )


def whole_of(report):
    """The dict `PAGE.whole`: what the Diagnosis would count if the page had all rows.

    rows: how many there are. kinds: of each kind how many, and how many of each cause. groups: of
    each class and size [class, size, boxes, found, missed, false, sum of the IoUs of the found].
    cells: [code, count] of the matrix of confusions. sides: of all found boxes, then of each class,
    what `sideErrors` gives. border: how many true boxes touch the border. suspected: how many
    labels look wrong, by what is suspected.
    """
    table = _table(report)
    return {
        "rows": len(report.rows),
        "kinds": _kinds(report, table),
        "groups": _groups(table),
        "cells": _cells(table, len(report.class_names)),
        "sides": _sides(table, len(report.class_names)),
        "border": int(np.count_nonzero(table["own"] & _touches(table["truth"], table["image"]))),
        "suspected": _suspected(report.rows),
    }


def _table(report):
    """{name: array}: the columns of the rows that are counted by; NaN where a box is missing."""
    rows = report.rows
    class_at = {name: i for i, name in enumerate(report.class_names)}
    sizes = {image["id"]: (image["width"], image["height"]) for image in report.images}

    def column(values, dtype="int64"):
        return np.fromiter(values, dtype, len(rows))

    def corners(box):
        values = [v for row in rows for v in (getattr(row, box) or (None,) * 4)]
        return np.array(values, "float64").reshape(-1, 4)  # None becomes NaN

    return {
        "own": column((row.about == "truth" for row in rows), bool),
        "kind": column(KINDS.index(row.kind) for row in rows),
        "size": column(SIZES.index(row.size) for row in rows),
        "class": column(class_at[row.class_name] for row in rows),
        "predicted": column(class_at.get(row.prediction_class, -1) for row in rows),
        "scored": column((row.score is not None for row in rows), bool),
        "iou": np.array([row.iou for row in rows], "float64"),
        "truth": corners("truth"),
        "prediction": corners("prediction"),
        "image": np.array([sizes[row.image_id] for row in rows], "float64").reshape(-1, 2),
    }


def _touches(boxes, images):
    """bool (n,): see `touchesBorder` of causes.js; False without a box."""
    far = np.maximum(2, 0.005 * images.max(axis=1, initial=0))[:, None]
    return (boxes[:, :2] <= far).any(axis=1) | (boxes[:, 2:] >= images - far).any(axis=1)


def _shares(table):
    """Signed errors in shares of the true width and height, (n, 4), NaN where a box is missing."""
    truth = table["truth"]
    extent = np.maximum(truth[:, 2:] - truth[:, :2], 1e-9)
    return (table["prediction"] - truth) / np.concatenate([extent, extent], axis=1)


def _kinds(report, table):
    kind, causes = table["kind"], np.full(len(report.rows), -1)
    false = kind == BKG
    causes[false] = 1 - _touches(table["prediction"], table["image"])[false]
    causes[kind == MISS] = 3 - _unsure(report)[kind == MISS]
    sizes = np.abs(_shares(table))
    total, largest = sizes.sum(axis=1), sizes.max(axis=1, initial=0)
    one = (total > 0) & (largest >= ONE_SIDE * total)
    causes[kind == LOC] = 5 - one[kind == LOC]
    return [
        {
            "count": int(np.count_nonzero(kind == code)),
            "causes": [int(np.count_nonzero(causes[kind == code] == c)) for c in range(CAUSES)],
        }
        for code in range(len(KINDS))
    ]


def _unsure(report):
    """bool (n,): whether a row's true box is found rightly by a detection, however weak."""
    unsure = np.zeros(len(report.rows), bool)
    # Without a threshold there is nothing below one, as in `rows_of_all_thresholds`.
    if report.source is None or report.score_threshold is None:
        return unsure
    truth, detections, _, matches = report.source
    found = matches.detection_of
    scores = np.where(found >= 0, detections.score[found], -math.inf)
    right = scores >= WEAKEST
    keys = zip(truth.image[right].tolist(), np.flatnonzero(right).tolist(), strict=True)
    sure = {(truth.images[i]["id"], truth.annotation_ids[n]) for i, n in keys}
    for i, row in enumerate(report.rows):
        unsure[i] = row.about == "truth" and (row.image_id, row.annotation_id) in sure
    return unsure


def _groups(table):
    code = table["class"] * len(SIZES) + table["size"]
    own, ok = table["own"], table["kind"] == OK
    chosen = (
        own,
        own & ok,
        own & (table["kind"] == MISS),
        ~ok & table["scored"],
    )
    columns = [np.bincount(code[rows], minlength=code.max() + 1) for rows in chosen]
    iou = np.bincount(code[own & ok], table["iou"][own & ok], code.max() + 1)
    return [
        [*divmod(int(g), len(SIZES)), *(int(column[g]) for column in columns), float(iou[g])]
        for g in np.unique(code)
    ]


def _cells(table, classes):
    """See `cells` of groups.js: rows of true boxes by what they were taken for, then the false."""
    named = np.isin(table["kind"], (OK, KINDS.index("cls")))
    taken = np.where(~table["own"] | named, table["predicted"], classes)
    true = np.where(table["own"], table["class"], classes)
    codes, counts = np.unique(true * (classes + 1) + taken, return_counts=True)
    return [[int(code), int(count)] for code, count in zip(codes, counts, strict=True)]


def _sides(table, classes):
    shares = 100 * _shares(table)
    found = (table["kind"] == OK) & ~np.isnan(shares).any(axis=1)
    chosen = [found, *(found & (table["class"] == c) for c in range(classes))]
    return [_side_errors(shares[rows]) for rows in chosen]


def _side_errors(shares):
    """See `sideErrors` of statistics.js."""
    count = len(shares)
    if count < 6:
        return None
    step = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))
    ordered = np.sort(shares, axis=0)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return [
        {
            "median": float(middle[side]),
            "low": float(ordered[step, side]),
            "high": float(ordered[count - 1 - step, side]),
            "count": count,
        }
        for side in range(len(SIDES))
    ]


def _suspected(rows):
    """{what is suspected: how many rows that look wrong}."""
    names = (row.extra.get("suspected") for row in rows)
    wrong = (row.extra.get("looks_wrong", True) for row in rows)
    return Counter(name for name, one in zip(names, wrong, strict=True) if name and one)
