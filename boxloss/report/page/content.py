"""What the page is given: rows of an error table, column by column, as JSON."""

import hashlib
import json
import math

import numpy as np

from boxloss.report.page.crops import crop_of

KINDS = ("ok", "loc", "cls", "both", "dupe", "bkg", "miss")
SIZES = ("small", "medium", "large")
SIDES = ("x1", "y1", "x2", "y2")
COLOUR_LIMIT = 0.15  # share of a side at which colours saturate, as in `drawing`
KNOWN = {
    *("row", "image_id", "file_name", "annotation_id", "detection", "class", "prediction_class"),
    *("kind", "size", "score", "iou", "box_error"),
    *("suspected", "correction", "corrected_class", "corrected_category_id"),
    *(f"{p}_{side}" for p in ("truth", "prediction", "error", "corrected") for side in SIDES),
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
    terms = list(dict.fromkeys(name for row in rows for name in row if name.startswith("term_")))
    errors = [row["box_error"] for row in rows if _number(row.get("box_error")) is not None]
    placed = [image_at[row["image_id"]] for row in rows]
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
            "own": [int(row["row"] == "truth") for row in rows],
            "annotation": [row["annotation_id"] for row in rows],
            "detection": [row["detection"] for row in rows],
            "class": [class_at[row["class"]] for row in rows],
            "predicted": [class_at.get(row["prediction_class"], -1) for row in rows],
            "kind": [KINDS.index(row["kind"]) for row in rows],
            "size": [SIZES.index(row["size"]) for row in rows],
            "score": [_number(row["score"]) for row in rows],
            "truth": _boxes(rows, "truth"),
            "prediction": _boxes(rows, "prediction"),
            "sides": _boxes(rows, "error"),
            "iou": [_number(row["iou"]) for row in rows],
            "error": [_number(row["box_error"]) for row in rows],
            "crop": [
                number
                for row, i in zip(rows, placed, strict=True)
                for number in crop_of(row, images[i]["width"], images[i]["height"])
            ],
            "picture": [int(here) for here in cropped],
        },
        "terms": {name[5:]: [_number(row.get(name)) for row in rows] for name in terms},
        "extra": _extra(rows, terms),
        "proposal": _proposal(rows, class_at),
        "compare": None if compare is None else _aligned(rows, compare),
    }
    # A name for these rows in these images: review marks in the browser are kept under it.
    keys = [[row["file_name"], row["annotation_id"], row["detection"]] for row in rows]
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


def _boxes(rows, prefix):
    """Corners one after another; four None where one is missing."""
    names = [f"{prefix}_{side}" for side in SIDES]
    flat = []
    for row in rows:
        box = [_number(row[name], 7) for name in names]
        flat += [None] * 4 if None in box else box
    return flat


def _extra(rows, terms):
    """Columns of numbers that a caller added to the rows, such as the scores of an audit."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    extra = {}
    for name in names:
        values = [row.get(name) for row in rows]
        numeric = (int, float, np.integer, np.floating, type(None))
        if name in KNOWN or name in terms or not all(isinstance(v, numeric) for v in values):
            continue
        extra[name] = [_number(value) for value in values]
    return extra


def _proposal(rows, class_at):
    """What an audit suspects and proposes, column by column; None where the rows have no such."""
    if not any("suspected" in row for row in rows):
        return None
    names = [f"corrected_{side}" for side in SIDES]
    boxes = [{name: row.get(name) for name in names} for row in rows]
    return {
        "suspected": [row.get("suspected") for row in rows],
        "action": [row.get("correction") for row in rows],
        "class": [class_at.get(row.get("corrected_class"), -1) for row in rows],
        "box": _boxes(boxes, "corrected"),
    }


def _aligned(rows, other):
    """The other report's rows of the same true boxes, in the order of `rows`."""
    found = {
        (str(row["file_name"]), str(row["annotation_id"])): row
        for row in other.rows
        if row["row"] == "truth"
    }
    nothing = dict.fromkeys((*KNOWN, "box_error"))
    pairs = [
        found.get((str(row["file_name"]), str(row["annotation_id"])), nothing)
        if row["row"] == "truth"
        else nothing
        for row in rows
    ]
    return {
        "title": other.title,
        "kind": [None if row["kind"] is None else KINDS.index(row["kind"]) for row in pairs],
        "error": [_number(row["box_error"]) for row in pairs],
        "iou": [_number(row["iou"]) for row in pairs],
        "score": [_number(row["score"]) for row in pairs],
        "prediction": _boxes(pairs, "prediction"),
    }
