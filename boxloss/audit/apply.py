"""Write corrected labels in the format they came in: marks of a review, or an audit's proposals.

    edits = edits_of_marks("boxloss-review.json")
    changes = write_labels(edits, "gt.json", images="photos", out="corrected")

A change names the label by what it was (image, class and box), not by its place in a file. So it
finds its label in COCO, VOC and YOLO alike, and finds nothing where it was applied before: applying
the same marks to the corrected labels changes nothing. The labels that are read stay as they are.
"""

import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from boxloss.audit import formats
from boxloss.files import one_line, write_json
from boxloss.types import Entry, PathLike

# What a mark of the page does. "accept" and "wrong label" are the words of older pages.
NOTHING = ("keep", "accept", "skip", "open")
TAKE = ("take", "wrong label")
FIX = "fix"
ACTIONS = ("move", "relabel", "remove", "add")


class Edit(NamedTuple):
    """One change of one label.

    action: "move", "relabel", "remove" or "add". class_name, box: the label as it is, xyxy in
    pixels; None for "add". new_class, new_box: as it should be; None for "remove".
    """

    action: str
    file_name: str
    class_name: str | None
    box: tuple | None
    new_class: str | None
    new_box: tuple | None


def edits_of_rows(rows: Iterable[Any]) -> list[Edit]:
    """The edits of rows of a `LabelAudit`, each as its row proposes."""
    return [
        Edit(
            row["proposal"],
            row.file_name,
            None if row.truth is None else row.class_name,
            row.truth,
            row["corrected_class"],
            None if row["proposal"] == "remove" else _box(row),
        )
        for row in rows
    ]


def edits_of_marks(path: PathLike) -> list[Edit]:
    """The edits of a marks file that the page exported.

    Raises ValueError that names the file and the mark where one is not as the page writes it.
    """
    path = pathlib.Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{one_line(path)}: file must be readable JSON. Received: {error}"
        ) from None
    marks = content.get("marks") if isinstance(content, dict) else None
    if not isinstance(marks, list):
        raise ValueError(
            f"{one_line(path)}: file must be the export of marks of a page, a JSON object with a "
            f"list 'marks'. Received: {type(content).__name__}"
        )
    edits = [_edit_of_mark(f"{one_line(path)}: mark {i}", mark) for i, mark in enumerate(marks, 1)]
    return [edit for edit in edits if edit is not None]


def _edit_of_mark(where, mark):
    """The Edit of one mark, or None where the label stays."""
    known = (*NOTHING, *TAKE, FIX)
    word = mark.get("mark") if isinstance(mark, dict) else None
    if word not in known:
        raise ValueError(f"{where} must be one of {', '.join(known)}. Received: {word!r}")
    if word in NOTHING:
        return None
    old = _numbers(where, mark, "truth")
    fixed = word == FIX
    action = ("add" if old is None else "move") if fixed else mark.get("proposal")
    if action not in ACTIONS:
        raise ValueError(
            f"{where} must have a proposal, one of {', '.join(ACTIONS)}. Received: {action!r}"
        )
    new = None if action == "remove" else _numbers(where, mark, "fixed" if fixed else "corrected")
    file_name, kind = mark.get("file_name"), mark.get("class")
    wanted = mark.get("corrected_class") or kind
    lacks = {
        "file_name": not isinstance(file_name, str),
        "truth_x1 ... truth_y2": old is None and action != "add",
        "class": old is not None and not isinstance(kind, str),
        "the new box": new is None and action != "remove",
        "the new class": action != "remove" and not isinstance(wanted, str),
    }
    if any(lacks.values()):
        raise ValueError(
            f"{where} must say which label it is about and what becomes of it. "
            f"Received: no {', '.join(name for name, absent in lacks.items() if absent)}"
        )
    if action == "add":
        old = kind = None
    return Edit(action, file_name, kind, old, None if action == "remove" else wanted, new)


def _numbers(where, mark, name):
    """The four sides `name`_x1 ... of a mark, or None where all are absent."""
    values = [mark.get(f"{name}_{side}") for side in ("x1", "y1", "x2", "y2")]
    if all(value is None for value in values):
        return None
    good = all(type(value) in (int, float) and np.isfinite(value) for value in values)
    if not good or values[0] >= values[2] or values[1] >= values[3]:
        raise ValueError(
            f"{where} must have a box with {name}_x1 < {name}_x2 and {name}_y1 < {name}_y2. "
            f"Received: {values}"
        )
    return tuple(map(float, values))


def _box(row):
    return tuple(float(row[f"corrected_{side}"]) for side in ("x1", "y1", "x2", "y2"))


def write_labels(
    edits: Sequence[Edit],
    truth: PathLike,
    images: PathLike | None,
    out: PathLike,
    voc_one_based: bool = False,
) -> dict[str, Any]:
    """Write the labels of `truth`, with `edits`, into the new folder `out`; what was changed.

    Args:
        edits: the changes; one whose label is not there as described is not made and is listed.
        truth: a COCO file, a folder of VOC files, a YOLO `data.yaml` or folder of label files.
        images: the image folder; needed for VOC and YOLO.
        out: a folder that does not exist yet, or is empty.
        voc_one_based: the VOC files count pixels from 1, as in `datasets.load`.

    Returns:
        {"labels": what to give as annotations from now on, "changes": [...], "not_found": [...]}:
        also written as `changes.json`. An entry of both lists has the fields of its `Edit`.

    Raises:
        ValueError: `out` holds files, `images` is missing, or the labels cannot be read.
    """
    truth, out = pathlib.Path(truth), pathlib.Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            "`out` must be a new or empty folder, labels are never overwritten. "
            f"Received: {one_line(out)}"
        )
    labels = formats.open_labels(truth, images, voc_one_based)
    made: list[Any] = []
    not_found: list[Any] = []
    for edit in edits:
        (made if labels.change(edit) else not_found).append(edit)
    out.mkdir(parents=True, exist_ok=True)
    result = {
        "labels": str(labels.write(out)),
        "changes": [_entry(edit) for edit in made],
        "not_found": [_entry(edit) for edit in not_found],
    }
    write_json(out / "changes.json", result)
    return result


def _entry(edit) -> Entry:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in edit._asdict().items()}


__all__ = ["Edit", "edits_of_marks", "edits_of_rows", "write_labels"]
