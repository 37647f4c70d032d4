"""Which labels a review, or an audit by itself, changes: `datasets.edits` writes them.

edits = edits_of_marks("boxloss-review.json")
write_labels(edits, "gt.json", images="photos", out="corrected")
"""

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from boxloss.datasets.edits import Edit
from boxloss.evaluation.row import SIDES
from boxloss.files import json_of, one_line
from boxloss.types import PathLike

# What a mark of the page does. "accept" and "wrong label" are the words of older pages.
NOTHING = ("keep", "accept", "skip", "open")
TAKE = ("take", "wrong label")
FIX = "fix"
ACTIONS = ("move", "relabel", "remove", "add")


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


def edits_of_marks(path: PathLike, skipped: list[str] | None = None) -> list[Edit]:
    """The edits of a marks file that the page exported.

    skipped: a list that gets a line for each mark that calls a label wrong where nothing was
    proposed in its place: nobody said what becomes of it, so it stays.

    Raises ValueError that names the file and the mark where one is not as the page writes it.
    """
    path = pathlib.Path(path)
    try:
        content = json_of(path.read_text(encoding="utf-8-sig"))
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
    edits = []
    for i, mark in enumerate(marks, 1):
        where = f"{one_line(path)}: mark {i}"
        word = _word_of(where, mark)
        if word in TAKE and not mark.get("proposal"):
            if skipped is not None:
                label = f"{mark.get('class')!r} in {mark.get('file_name')!r}"
                skipped.append(f"{where}, {word!r}, of {label} has no proposal: the label stays")
        elif word not in NOTHING:
            edits.append(_edit_of_mark(where, mark, word == FIX))
    return edits


def _word_of(where, mark):
    known = (*NOTHING, *TAKE, FIX)
    word = mark.get("mark") if isinstance(mark, dict) else None
    if word not in known:
        raise ValueError(f"{where} must be one of {', '.join(known)}. Received: {word!r}")
    return word


def _edit_of_mark(where, mark, fixed):
    """The Edit of one mark. fixed: it has a box that was drawn by hand."""
    old = _numbers(where, mark, "truth")
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
    values = [mark.get(f"{name}_{side}") for side in SIDES]
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
    return tuple(float(row[f"corrected_{side}"]) for side in SIDES)
