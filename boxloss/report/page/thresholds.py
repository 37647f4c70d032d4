"""The rows of every confidence threshold, for a page whose threshold can be dragged.

A page that had to match boxes anew at each threshold would repeat the evaluation in JavaScript. It
need not: each row of the error table is there in one range of thresholds (see `kinds.candidates`).
So all rows are written into the page with their ranges, and dragging only chooses among them.
"""

import math
from typing import NamedTuple

import numpy as np

from boxloss.evaluation.row import Row
from boxloss.evaluation.table import all_rows, measure
from boxloss.report.labels import label_of

MOST_OTHERS = 20_000  # rows of other thresholds, beside those of the true boxes: about 3 MB


class RowsOfAll(NamedTuple):
    """rows: those of the report, then those that only other thresholds have. ranges: of each row
    the thresholds low < t <= high at which it is there. floor: the page has all rows of thresholds
    above it; None where the threshold cannot move."""

    rows: list[Row]
    ranges: list[tuple[float, float]]
    floor: float | None


def rows_of_all_thresholds(report, movable=True):
    """`RowsOfAll` of a BoxReport; its own rows alone where it does not know all detections.

    movable: False where the page has a part of the rows, so that its threshold stays: of others it
    then needs only those that say why one of its true boxes is missed.
    """
    if report.source is None or report.score_threshold is None:
        return RowsOfAll(report.rows, [(-math.inf, math.inf)] * len(report.rows), None)
    truth, detections, loss, matches = report.source
    choice = _Choice(None if movable else _boxes_of(report, truth))
    rows, ranges = all_rows(truth, detections, matches, report.iou_threshold, choice)
    range_of = {_key(row): span for row, span in zip(rows, ranges, strict=True)}
    own = {_key(row) for row in report.rows}
    others = [(row, span) for row, span in zip(rows, ranges, strict=True) if _key(row) not in own]
    measure([row for row, _ in others], loss)
    _complete([row for row, _ in others], report)
    always = (-math.inf, math.inf)
    return RowsOfAll(
        report.rows + [row for row, _ in others],
        [range_of.get(_key(row), always) for row in report.rows] + [span for _, span in others],
        choice.floor if movable else None,
    )


class _Choice:
    """Which candidates become rows: of false detections the best `MOST_OTHERS` alone.

    boxes: bool (n,), the true boxes whose rows are wanted, with no row of a false detection; None
    for all. floor: of thresholds above it every row is there.
    """

    def __init__(self, boxes):
        self.boxes, self.floor = boxes, -math.inf

    def __call__(self, candidates):
        if self.boxes is not None:
            return [one for one in candidates if one.own and self.boxes[one.true]]
        highs = sorted(one.high for one in candidates if not one.own)
        if len(highs) > MOST_OTHERS:
            self.floor = highs[-MOST_OTHERS - 1]
        return [one for one in candidates if one.own or one.high > self.floor]


def _boxes_of(report, truth):
    """bool (n,): the boxes of the truth that have a row in the report."""
    shown = {_box(row) for row in report.rows if not _false(row)}
    ids = [image["id"] for image in truth.images]
    keys = zip((ids[i] for i in truth.image.tolist()), truth.annotation_ids, strict=True)
    return np.fromiter((key in shown for key in keys), bool, len(truth))


def _false(row):
    return row.about == "prediction"


def _key(row):
    return row.about, row.image_id, row.annotation_id, row.detection, row.kind


def _complete(others, report):
    """Give the rows of other thresholds the terms and added columns that the report's rows have."""
    added = {_box(row): row.extra for row in report.rows if not _false(row)}
    terms = next((row.terms for row in report.rows), {})
    for row in others:
        row.terms = {name: row.terms.get(name) for name in terms}
        row.extra = {} if _false(row) else dict(added.get(_box(row), {}))
        row.extra |= label_of(report, row)


def _box(row):
    return row.image_id, row.annotation_id
