"""The rows of every confidence threshold, for a page whose threshold can be dragged.

A page that had to match boxes anew at each threshold would repeat the evaluation in JavaScript. It
need not: each row of the error table is there in one range of thresholds (see `kinds.candidates`).
So all rows are written into the page with their ranges, and dragging only chooses among them.
"""

import math
from typing import NamedTuple

from boxloss.evaluation.matching import match
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


def rows_of_all_thresholds(report):
    """`RowsOfAll` of a BoxReport; its own rows alone where it does not know all detections."""
    if report.source is None or report.score_threshold is None:
        return RowsOfAll(report.rows, [(-math.inf, math.inf)] * len(report.rows), None)
    truth, detections, loss = report.source
    matches = match(truth, detections, report.iou_threshold)
    rows, ranges = all_rows(truth, detections, matches, report.iou_threshold)
    rows, ranges, floor = _without_the_weakest(rows, ranges)
    range_of = {_key(row): span for row, span in zip(rows, ranges, strict=True)}
    own = {_key(row) for row in report.rows}
    others = [(row, span) for row, span in zip(rows, ranges, strict=True) if _key(row) not in own]
    measure([row for row, _ in others], loss)
    _complete([row for row, _ in others], report)
    always = (-math.inf, math.inf)
    return RowsOfAll(
        report.rows + [row for row, _ in others],
        [range_of.get(_key(row), always) for row in report.rows] + [span for _, span in others],
        floor,
    )


def _without_the_weakest(rows, ranges):
    """The rows, but of false detections the best `MOST_OTHERS` alone, and the floor."""
    highs = sorted((high for row, (_, high) in zip(rows, ranges, strict=True) if _false(row)))
    floor = highs[-MOST_OTHERS - 1] if len(highs) > MOST_OTHERS else -math.inf
    kept = [
        (row, span)
        for row, span in zip(rows, ranges, strict=True)
        if not _false(row) or span[1] > floor
    ]
    return [row for row, _ in kept], [span for _, span in kept], floor


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
