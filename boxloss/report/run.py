"""A report of a run folder: boxes.csv, and config.json for the place of the images."""

import math

from boxloss.datasets.header import read_header
from boxloss.evaluation.boxes_csv import IDS
from boxloss.evaluation.row import COLUMNS, TEXTS, Row
from boxloss.files import id_of, inside, one_line, plain_text, read_csv, read_object, shortened
from boxloss.report.coco import PictureFiles, sized_images


def report_of_run(folder, images, title):
    """The parts of a BoxReport; arguments as `BoxReport.from_run` says."""
    config = read_object(folder / "config.json")
    rows = read_boxes_csv(folder / "boxes.csv")
    images = images or config.get("val_images") or config.get("images")
    names = {row.image_id: row.file_name for row in rows}
    entries = [{"id": key, "file_name": name, **_size(images, name)} for key, name in names.items()]

    def path_of(i):
        return inside(images, entries[i]["file_name"])

    picture = (lambda i: None) if images is None else PictureFiles(path_of)
    class_names, category_ids = _classes(config, rows)
    return {
        "rows": rows,
        "images": sized_images(entries, rows, picture),
        "pictures": picture,
        "class_names": class_names,
        "category_ids": category_ids,
        "loss": str(config.get("loss", "box error")),
        "title": title or f"Box errors of {folder.resolve().name}",
        "iou_threshold": 0.5,
        "score_threshold": None,
    }


def _size(folder, name):
    """Width and height from the image's header; None where it cannot be read."""
    try:
        with open(inside(folder, name), "rb") as file:
            header = read_header(file)
        return {"width": header.width, "height": header.height}
    except (ValueError, OSError, TypeError):
        return {"width": None, "height": None}


def _classes(config, rows):
    """(names, category ids): those of the run's config, then what else the rows name."""
    known, ids = config.get("class_names"), config.get("category_ids")
    if not isinstance(known, list) or not all(isinstance(name, str) for name in known):
        known = []
    known = list(dict.fromkeys(known))
    found = {name for row in rows for name in (row.class_name, row.prediction_class)}
    names = known + sorted(found - {*known, None})
    if not isinstance(ids, list) or len(ids) != len(names):
        ids = list(range(1, len(names) + 1))
    return names, ids


def read_boxes_csv(path):
    """The rows of the error table that `write_boxes_csv` wrote."""
    return [_row(path, *found) for found in read_csv(path, COLUMNS, "an error table")]


def _row(path, line, record):
    row = {}
    for name, text in record.items():
        if name in IDS:
            row[name] = id_of(text)
        elif name in TEXTS:
            row[name] = plain_text(text) or None
        else:
            row[name] = _number(path, line, name, text)
    return Row.of(row)


def _number(path, line, name, text):
    try:
        value = float(text) if text else None
    except ValueError:
        raise ValueError(
            f"{one_line(path)}: line {line} must have a number as {name}. "
            f"Received: {shortened(text)}"
        ) from None
    return None if value is not None and math.isnan(value) else value
