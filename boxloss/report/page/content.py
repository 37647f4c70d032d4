"""What the page is given: rows of an error table, column by column, as JSON."""

import hashlib
import json
import math

import numpy as np

from boxloss.evaluation.kinds import KINDS
from boxloss.evaluation.row import COLUMNS, SIDES, SIZES
from boxloss.report.page.crops import crop_of
from boxloss.report.page.diagnosis import diagnosis_of
from boxloss.report.page.thresholds import rows_of_all_thresholds

EXACT = 17  # significant digits that keep every float64
COLOUR_LIMIT = 0.15  # share of a side at which colours saturate, as in `drawing`
KNOWN = {
    *COLUMNS,
    *("suspected", "looks_wrong", "proposal", "applied", "correction"),
    *("corrected_class", "corrected_category_id"),
    *(f"corrected_{side}" for side in SIDES),
}


def page_content(report, title, pictured, cropped, compare=None, sort=None, whole=None):
    """The dict that the page's script reads.

    report: a BoxReport. pictured: for each image whether images/<i>.jpg exists; cropped: for each
    row of the report whether crops/<i>.jpg does. compare: another BoxReport on the same images,
    joined by file name and annotation. sort: the column that the page sorts by first. whole: the
    numbers of all rows, where the report has a part of them.
    """
    rows, ranges, floor = rows_of_all_thresholds(report, movable=whole is None)
    terms = list(dict.fromkeys(name for row in rows for name in row.terms))
    class_at = {name: i for i, name in enumerate(report.class_names)}
    content = {
        "title": title,
        "subtitle": report.heading,
        "threshold": _number(report.score_threshold, EXACT),
        "floor": _number(floor, EXACT),
        "iou_threshold": report.iou_threshold,
        "loss": report.loss or "none",
        "limit": COLOUR_LIMIT,
        "largest": _largest(report.rows),
        "sort": sort or "error",
        "classes": report.class_names,
        "categories": report.category_ids,
        "dropped": report.dropped,
        "images": [
            {
                "id": _exact(image["id"]),
                **{key: image[key] for key in ("file_name", "width", "height")},
                "picture": bool(pictured[i]),
            }
            for i, image in enumerate(report.images)
        ],
        "rows": {
            **_columns(rows, ranges, {image["id"]: i for i, image in enumerate(report.images)}),
            "class": [class_at[row.class_name] for row in rows],
            "predicted": [class_at.get(row.prediction_class, -1) for row in rows],
            "truth": _flat(row.truth for row in rows),
            # Of the report's own rows alone: the others are cut out of the image by the browser.
            "crop": _crops(report),
            "picture": [int(here) for here in cropped] + [0] * (len(rows) - len(cropped)),
        },
        "terms": {name: [_number(row.terms.get(name)) for row in rows] for name in terms},
        "extra": _extra(rows),
        "proposal": _proposal(rows, class_at),
        "audit": report.audit,
        "whole": whole,
        "diagnosis": diagnosis_of(report),
        "compare": None if compare is None else _other(report, compare, class_at),
    }
    # A name for these rows in these images: review marks in the browser are kept under it.
    keys = [[row.file_name, row.annotation_id, row.detection] for row in report.rows]
    text = json.dumps([title, report.loss, keys], sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    return {"fingerprint": digest.hexdigest()[:16], **content}


def _crops(report):
    """[x, y, width, height] of each row of the report, one after another."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in report.images}
    return [n for row in report.rows for n in crop_of(row, *sizes[row.image_id])]


def _largest(rows):
    """The length of a full bar: the largest box error, 1 where there is none."""
    errors = [row.box_error for row in rows if _number(row.box_error) is not None]
    return float(max(errors, default=1.0)) or 1.0


def _columns(rows, ranges, image_at):
    """What the rows of this report and of one that it is compared with have in common."""
    return {
        "image": [image_at[row.image_id] for row in rows],
        "own": [int(row.about == "truth") for row in rows],
        "annotation": [_exact(row.annotation_id) for row in rows],
        "detection": [row.detection for row in rows],
        "kind": [KINDS.index(row.kind) for row in rows],
        "size": [SIZES.index(row.size) for row in rows],
        "score": [_number(row.score) for row in rows],
        "prediction": _flat(row.prediction for row in rows),
        "iou": [_number(row.iou) for row in rows],
        "error": [_number(row.box_error) for row in rows],
        # To the last bit: a rounded end would move a row to the other side of its own score.
        "low": [_number(low, EXACT) for low, _ in ranges],
        "high": [_number(high, EXACT) for _, high in ranges],
    }


def _other(report, other, class_at):
    """The rows of all thresholds of another report, in the images of this one."""
    place = {str(image["file_name"]): i for i, image in enumerate(report.images)}
    image_at = {image["id"]: place.get(str(image["file_name"]), -1) for image in other.images}
    rows, ranges, _ = rows_of_all_thresholds(other)
    return {
        "title": other.title,
        "threshold": _number(other.score_threshold, EXACT),
        "diagnosis": diagnosis_of(other),
        "rows": {
            **_columns(rows, ranges, image_at),
            "class": [class_at.get(row.class_name, -1) for row in rows],
            "predicted": [class_at.get(row.prediction_class, -1) for row in rows],
        },
    }


def as_json(content):
    """JSON that can stand inside an HTML script element, whatever its texts hold.

    ASCII alone (so no byte of a hostile name reaches the HTML parser as it is); "<", ">" and "&"
    as escapes, so that neither `</script>` nor `<!--` can occur.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _exact(identity):
    """An id as it is; as text where JavaScript, whose numbers are doubles, would round it."""
    return str(identity) if isinstance(identity, int) and abs(identity) >= 2**53 else identity


def _number(value, digits=9):
    """A finite float with 9 significant digits; None for everything else (JSON knows no NaN)."""
    if value is None or isinstance(value, (str, bool)) or not math.isfinite(value):
        return None
    value = float(f"{value:.{digits}g}")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _flat(boxes):
    """Corners one after another; four None where one is missing."""
    flat = []
    for corners in boxes:
        # Ten digits: the page subtracts corners, and the difference shows six.
        box = [_number(corner, 10) for corner in corners or [None]]
        flat += [None] * 4 if None in box else box
    return flat


def _extra(rows):
    """Columns of numbers that a caller added to the rows, such as the scores of an audit."""
    names = list(dict.fromkeys(name for row in rows for name in row.extra))
    extra = {}
    for name in names:
        values = [row.extra.get(name) for row in rows]
        numeric = (int, float, np.integer, np.floating, type(None))
        if name in KNOWN or not all(isinstance(v, numeric) for v in values):
            continue
        extra[name] = [_number(value) for value in values]
    return extra


def _proposal(rows, class_at):
    """What an audit suspects and proposes, column by column; None where the rows have no such."""
    if not any("suspected" in row.extra for row in rows):
        return None
    suspected = [row.extra.get("suspected") for row in rows]
    return {
        "suspected": suspected,
        # An audit names a kind for every box: which of them look wrong, it says besides.
        "wrong": [
            bool(row.extra.get("looks_wrong", name is not None))
            for row, name in zip(rows, suspected, strict=True)
        ],
        "action": [row.extra.get("proposal") for row in rows],
        "applied": [bool(row.extra.get("applied")) for row in rows],
        "class": [class_at.get(row.extra.get("corrected_class"), -1) for row in rows],
        "box": _flat([row.extra.get(f"corrected_{side}") for side in SIDES] for row in rows),
    }
