"""What to do about each suspected label error, and the proposal as a COCO file."""

import json
import os
import pathlib
from typing import NamedTuple

import numpy as np

from boxloss.datasets.label_files import coco_box
from boxloss.evaluation.row import SIDES
from boxloss.files import one_line, write_atomically

ACTIONS = {
    "shift": "move",
    "resize": "move",
    "edge": "move",
    "swap": "relabel",
    "spurious": "remove",
    "duplicate": "remove",
    "missing": "add",
}


class Correction(NamedTuple):
    """action: one of "move", "relabel", "remove", "add". label: int, box: float64 (4,) xyxy, both
    as they should be."""

    action: str
    label: int
    box: np.ndarray


def correction(kind, label, box, predicted_label, predicted_box, other_label):
    """What mends an error of `kind` in the box (4,) xyxy, as far as the detection shows it.

    Only what the kind says is wrong is taken from the detection: the place of a shifted box, the
    size of a resized one, the one edge that was moved. The rest stays as the annotator drew it,
    who is more exact than the detector.
    """
    action = ACTIONS[kind]
    if action == "add":
        return Correction(action, int(predicted_label), predicted_box)
    if action == "relabel":
        return Correction(action, int(other_label), box)
    if action == "remove" or predicted_box is None:
        return Correction(action, int(label), box)
    error = predicted_box - box
    if kind == "shift":
        return Correction(action, int(label), box + np.tile((error[:2] + error[2:]) / 2, 2))
    if kind == "resize":
        half = (error[2:] - error[:2]) / 2
        return Correction(action, int(label), box + np.concatenate([-half, half]))
    sizes = np.tile(np.maximum(box[2:] - box[:2], 1e-6), 2)
    side = int(np.abs(error / sizes).argmax())
    moved = box.copy()
    moved[side] = predicted_box[side]
    return Correction(action, int(label), moved)


def cut(change, image):
    """The Correction with a box that moved or came cut at the border of its image, if it is known.

    A detection may hang out of its image, and a box moved as a whole may come to.
    """
    size = image["width"], image["height"]
    known = all(isinstance(side, (int, float)) and side > 0 for side in size)
    if change.action not in ("move", "add") or not known:
        return change
    box = np.clip(change.box, 0, np.tile(size, 2))
    return change._replace(box=box) if (box[2:] > box[:2]).all() else change


def corrected(content, rows):
    """The COCO dict with the corrections of `rows` of an audit; the given one stays as it is.

    What was changed carries `boxloss_correction` (the kind of error), `boxloss_suspicion`,
    `boxloss_probability`, and `boxloss_bbox` or `boxloss_category_id` as they were. Annotations
    that were taken out are in the list `boxloss_removed`.
    """
    # What is changed is copied, and no more: a deep copy of a million boxes takes minutes.
    content = dict(content)
    annotations = [dict(entry) for entry in content["annotations"]]
    ids = [entry.get("id") for entry in annotations]
    next_id = max((number for number in ids if type(number) is int), default=0) + 1
    removed, added = {}, []
    for row in rows:
        mark = {
            "boxloss_correction": row["suspected"],
            "boxloss_suspicion": round(row["suspicion"], 3),
            "boxloss_probability": round(row["probability"], 3),
        }
        category = row["corrected_category_id"]
        if row["proposal"] == "add":
            place = {"image_id": row["image_id"], "category_id": category, "iscrowd": 0}
            added.append({"id": next_id + len(added), **place, **_place(row), **mark})
            continue
        entry = annotations[row["position"]]
        if row["proposal"] == "remove":
            removed[row["position"]] = entry | mark
        elif row["proposal"] == "relabel":
            entry |= mark | {"boxloss_category_id": entry["category_id"], "category_id": category}
        else:
            entry |= mark | {"boxloss_bbox": entry["bbox"]} | _place(row)
            entry.pop("segmentation", None)  # it outlines the old place
    kept = [entry for i, entry in enumerate(annotations) if i not in removed]
    content["annotations"] = kept + added
    content["boxloss_removed"] = list(removed.values())
    return content


def _place(row):
    return coco_box(row[f"corrected_{side}"] for side in SIDES)


def write_new(content, path, inputs):
    """Write JSON to `path`, which must be none of the `inputs` (paths or anything else)."""
    path = pathlib.Path(path)
    for given in inputs:
        if isinstance(given, (str, os.PathLike)) and _same_file(path, given):
            raise ValueError(
                "corrections must go to a new file, an input is never overwritten. "
                f"Received: {one_line(path)}"
            )
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _same_file(path, other):
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
