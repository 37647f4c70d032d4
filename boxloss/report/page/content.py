"""What the page is given: rows of an error table, column by column, as JSON."""

import hashlib
import json
import math

import numpy as np

from boxloss.evaluation.kinds import KINDS
from boxloss.evaluation.row import COLUMNS, SIDES, SIZES
from boxloss.report.page.crops import crop_of

COLOUR_LIMIT = 0.15  # share of a side at which colours saturate, as in `drawing`
KNOWN = {
    *COLUMNS,
    *("suspected", "correction", "corrected_class", "corrected_category_id"),
    *(f"corrected_{side}" for side in SIDES),
}


def page_content(report, title, pictured, cropped, compare=None, sort=None):
    """The dict that the page's script reads.

    report: a BoxReport. pictured: for each image whether images/<i>.jpg exists; cropped: the same
    for each row and crops/<i>.jpg. compare: another BoxReport on the same images, joined by image
    and annotation. sort: the column that the page sorts by first.
    """
    rows, images = report.rows, report.images
    image_at = {image["id"]: i for i, image in enumerate(images)}
    class_at = {name: i for i, name in enumerate(report.class_names)}
    terms = list(dict.fromkeys(name for row in rows for name in row.terms))
    errors = [row.box_error for row in rows if _number(row.box_error) is not None]
    placed = [image_at[row.image_id] for row in rows]
    content = {
        "title": title,
        "subtitle": report.subtitle(),
        "loss": report.loss or "none",
        "limit": COLOUR_LIMIT,
        "largest": float(max(errors, default=1.0)) or 1.0,
        "sort": sort or "error",
        "classes": report.class_names,
        "categories": report.category_ids,
        "images": [
            {
                "id": image["id"],
                "file_name": image["file_name"],
                "width": image["width"],
                "height": image["height"],
                "picture": bool(pictured[i]),
            }
            for i, image in enumerate(images)
        ],
        "rows": {
            "image": placed,
            "own": [int(row.about == "truth") for row in rows],
            "annotation": [row.annotation_id for row in rows],
            "detection": [row.detection for row in rows],
            "class": [class_at[row.class_name] for row in rows],
            "predicted": [class_at.get(row.prediction_class, -1) for row in rows],
            "kind": [KINDS.index(row.kind) for row in rows],
            "size": [SIZES.index(row.size) for row in rows],
            "score": [_number(row.score) for row in rows],
            "truth": _flat(row.truth for row in rows),
            "prediction": _flat(row.prediction for row in rows),
            "sides": _flat(row.error for row in rows),
            "iou": [_number(row.iou) for row in rows],
            "error": [_number(row.box_error) for row in rows],
            "crop": [
                number
                for row, i in zip(rows, placed, strict=True)
                for number in crop_of(row, images[i]["width"], images[i]["height"])
            ],
            "picture": [int(here) for here in cropped],
        },
        "terms": {name: [_number(row.terms.get(name)) for row in rows] for name in terms},
        "extra": _extra(rows),
        "proposal": _proposal(rows, class_at),
        "compare": None if compare is None else _aligned(rows, compare),
    }
    # A name for these rows in these images: review marks in the browser are kept under it.
    keys = [[row.file_name, row.annotation_id, row.detection] for row in rows]
    text = json.dumps([title, report.loss, keys], sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    return {"fingerprint": digest.hexdigest()[:16], **content}


def as_json(content):
    """JSON that can stand inside an HTML script element, whatever its texts hold.

    ASCII alone (so no byte of a hostile name reaches the HTML parser as it is); "<", ">" and "&"
    as escapes, so that neither `</script>` nor `<!--` can occur.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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
        box = [_number(corner, 7) for corner in corners or [None]]
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
    return {
        "suspected": [row.extra.get("suspected") for row in rows],
        "action": [row.extra.get("correction") for row in rows],
        "class": [class_at.get(row.extra.get("corrected_class"), -1) for row in rows],
        "box": _flat([row.extra.get(f"corrected_{side}") for side in SIDES] for row in rows),
    }


def _aligned(rows, other):
    """The other report's rows of the same true boxes, in the order of `rows`."""
    found = {
        (str(row.file_name), str(row.annotation_id)): row
        for row in other.rows
        if row.about == "truth"
    }
    pairs = [
        found.get((str(row.file_name), str(row.annotation_id))) if row.about == "truth" else None
        for row in rows
    ]
    return {
        "title": other.title,
        "kind": [None if row is None else KINDS.index(row.kind) for row in pairs],
        "error": [row and _number(row.box_error) for row in pairs],
        "iou": [row and _number(row.iou) for row in pairs],
        "score": [row and _number(row.score) for row in pairs],
        "prediction": _flat(row and row.prediction for row in pairs),
    }
