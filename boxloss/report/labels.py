"""What a label audit says of the boxes of a report."""

COLUMNS = ("suspicion", "suspected", "correction", "corrected_class", "corrected_category_id")
SIDES = ("x1", "y1", "x2", "y2")


def add_labels(report, suspects):
    """See `BoxReport.add_labels`.

    A label that may be missing is about a detection, and at another threshold that detection has
    other rows; so what is said of boxes is kept by box and by detection, for all rows of the page.
    """
    found = {_key(row): _said(row) for row in suspects}
    nothing = dict.fromkeys(_names())
    report.labels = found
    for row in report.rows:
        row.extra |= found.get(_key(row), nothing)
    return sum(_key(row) in found for row in report.rows)


def label_of(report, row):
    """The added columns of a row of another threshold; empty without an audit."""
    if report.labels is None:
        return {}
    return report.labels.get(_key(row), dict.fromkeys(_names()))


def _key(row):
    if row.about == "truth":
        return row.image_id, "box", row.annotation_id
    return row.image_id, "detection", row.detection


def _names():
    return (*COLUMNS, *(f"corrected_{side}" for side in SIDES))


def _said(row):
    return {name: row.extra.get(name) for name in _names()}
