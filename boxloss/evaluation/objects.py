"""Truth and detections that a program holds: detection objects, dicts of tensors, tables.

They are known by their attributes and columns, so that none of the libraries is imported:
supervision.Detections has xyxy, class_id and confidence, torchvision's dicts have boxes, labels
and scores, and a pandas table has columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

FILE_COLUMNS = ("file_name", "filename", "image_id", "image")
CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
CLASS_COLUMNS = ("class_name", "category_name", "class", "label", "name", "class_id", "category_id")
SCORE_COLUMNS = ("score", "confidence", "conf")


def coco_of_objects(truth: Any, detections: Any, class_names: Any = None) -> tuple[dict, list]:
    """(COCO dict, COCO results) of truth and detections held in memory.

    truth, detections: {file name: object}, a list of objects in one order of images, or a table
    with one row per box. class_names: names of the whole numbers that are classes; without them
    the numbers are the names. ValueError where something is of another kind.
    """
    true = _by_image("truth", truth)
    found = _by_image("detections", detections)
    ids = {name: number for number, name in enumerate(true, 1)}
    annotations: list[dict] = []
    results: list[dict] = []
    classes: dict[str, int] = {}
    for name, (boxes, labels, _) in true.items():
        for box, label in zip(boxes, labels, strict=True):
            category = _class(label, class_names)
            number = classes.setdefault(category, len(classes) + 1)
            entry = {"image_id": ids[name], "category_id": number, "bbox": _xywh(box)}
            annotations.append({"id": len(annotations) + 1, **entry})
    for name, (boxes, labels, scores) in found.items():
        if scores is None and len(boxes):
            _fail("detections", "have scores", f"none for {name!r}")
        for j, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            category = _class(label, class_names)
            number = classes.setdefault(category, len(classes) + 1)
            entry = {"image_id": ids.get(name, name), "category_id": number, "bbox": _xywh(box)}
            results.append({**entry, "score": float(scores[j])})
    return {
        "images": [{"id": number, "file_name": name} for name, number in ids.items()],
        "categories": [{"id": number, "name": name} for name, number in classes.items()],
        "annotations": annotations,
    }, results


def _fail(argument, rule, received):
    raise ValueError(f"`{argument}` must {rule}. Received: {received}")


def _by_image(argument, given):
    """{file name: (boxes (n, 4) xyxy, n labels, n scores or None)}."""
    if hasattr(given, "columns") and hasattr(given, "__getitem__"):
        return _of_table(argument, given)
    if isinstance(given, Mapping):
        return {str(name): _of_object(argument, one) for name, one in given.items()}
    if isinstance(given, (list, tuple)):
        return {str(i): _of_object(argument, one) for i, one in enumerate(given)}
    rule = "be a dict of file names, a list in the order of the images, or a table"
    return _fail(argument, rule, type(given).__name__)


def _array(values):
    """NumPy of an array or tensor; PyTorch gives its own only off the graph and the device."""
    for method in ("detach", "cpu"):
        values = getattr(values, method)() if hasattr(values, method) else values
    return np.asarray(values)


def _of_object(argument, one):
    if isinstance(one, Mapping) and {"boxes", "labels"} <= set(one):
        boxes, labels, scores = one["boxes"], one["labels"], one.get("scores")
    elif hasattr(one, "xyxy") and hasattr(one, "class_id"):
        boxes, labels, scores = one.xyxy, one.class_id, getattr(one, "confidence", None)
    else:
        rule = "hold dicts with boxes and labels, or objects with xyxy and class_id"
        return _fail(argument, rule, type(one).__name__)
    boxes = _array(boxes).astype("float64").reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else _array(labels).reshape(-1)
    scores = None if scores is None else _array(scores).astype("float64").reshape(-1)
    if len(labels) != len(boxes) or (scores is not None and len(scores) != len(boxes)):
        _fail(argument, "have one label and one score per box", f"{len(boxes)} boxes")
    return boxes, labels.tolist(), scores


def _of_table(argument, table):
    columns = list(table.columns)

    def column(names, needed=True):
        name = next((name for name in names if name in columns), None)
        if name is None and needed:
            _fail(argument, f"have a column {' or '.join(names)}", f"the columns {columns[:12]}")
        return None if name is None else _array(table[name])

    corners = next((names for names in CORNERS if set(names) <= set(columns)), None)
    if corners is None:
        _fail(argument, "have the columns x1, y1, x2 and y2", f"the columns {columns[:12]}")
    boxes = np.stack([_array(table[name]).astype("float64") for name in corners], axis=1)
    names, labels = column(FILE_COLUMNS), column(CLASS_COLUMNS)
    scores = column(SCORE_COLUMNS, needed=False)
    found = {}
    for i, name in enumerate(names.tolist()):
        found.setdefault(str(name), []).append(i)
    return {
        name: (boxes[rows], labels[rows].tolist(), None if scores is None else scores[rows])
        for name, rows in found.items()
    }


def _class(label, class_names):
    """The name of a class that is a name, or a number."""
    if isinstance(label, str):
        return label
    number = int(label)
    if class_names is None:
        return str(number)
    if not 0 <= number < len(class_names):
        _fail("class_names", "have a name for each class", f"class {number} of {len(class_names)}")
    return str(class_names[number])


def _xywh(box):
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]
