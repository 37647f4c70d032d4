"""box_history.csv: how each box of the training set fared over the epochs of a run."""

import os
import pathlib
from collections.abc import Iterable, MutableMapping
from typing import Any

from boxloss.files import one_line, plain_text, read_csv, shortened, write_csv
from boxloss.types import Entry, PathLike

NAMES = ("image_id", "file_name", "annotation_id", "class")
NUMBERS = (
    *("epochs", "mean_error", "std_error", "mean_score", "mean_iou"),
    *("found", "forgotten", "first_found"),
)
HISTORY_COLUMNS = (*NAMES, *NUMBERS)


def write_box_history(rows: Iterable[Entry], path: PathLike) -> None:
    """Write dicts with the keys of `HISTORY_COLUMNS` as CSV; None is an empty field.

    Numbers have 6 significant digits.
    """
    write_csv(
        path,
        HISTORY_COLUMNS,
        ([row[name] for name in HISTORY_COLUMNS] for row in rows),
        number=".6g",
        ids=("image_id", "annotation_id"),
    )


def read_box_history(path: PathLike) -> dict[tuple[str, str], Entry]:
    """{(image id, annotation id), both as text: {"history_epochs": ..., ...}} of a run.

    path: a box_history.csv, or the run folder that holds one. Numbers are floats, None where the
    field is empty. ValueError for a file of another kind.
    """
    path = pathlib.Path(path)
    path = path / "box_history.csv" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            "`history` must be a box_history.csv or a run folder with one. "
            f"Received: history={os.fspath(path)!r}"
        )
    return {
        (plain_text(record["image_id"]), plain_text(record["annotation_id"])): {
            f"history_{name}": _number(path, line, name, record[name]) for name in NUMBERS
        }
        for line, record in read_csv(path, HISTORY_COLUMNS, "a box history")
    }


def _number(path, line, name, text):
    try:
        return float(text) if text else None
    except ValueError:
        raise ValueError(
            f"{one_line(path)}: line {line} must have a number as {name}. "
            f"Received: {shortened(text)}"
        ) from None


def add_history(
    rows: Iterable[MutableMapping[str, Any]], history: dict[tuple[str, str], Entry]
) -> int:
    """Give the rows of true boxes the numbers of `read_box_history`; returns how many had any.

    Every row gets the keys, None where the run did not see the box.
    """
    nothing = {f"history_{name}": None for name in NUMBERS}
    known = 0
    for row in rows:
        found = history.get((str(row["image_id"]), str(row["annotation_id"])))
        found = found if row["row"] == "truth" else None
        known += found is not None
        row.update(found or nothing)
    return known
