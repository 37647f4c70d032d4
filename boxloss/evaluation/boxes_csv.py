"""boxes.csv: the error table as a file."""

from collections.abc import Iterable, Mapping
from typing import Any

from boxloss.evaluation.row import COLUMNS, CORNERS, Row
from boxloss.files import write_csv
from boxloss.types import PathLike

IDS = ("image_id", "annotation_id", "detection")


def write_boxes_csv(rows: Iterable[Row | Mapping[str, Any]], path: PathLike) -> None:
    """Write rows of `error_table` as CSV (UTF-8, one header line); None is an empty field.

    Coordinates have 4 decimals, other numbers 9 significant digits.
    """
    rows = [Row.of(row) for row in rows]
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    write_csv(
        path,
        names,
        ([row.get(name) for name in names] for row in rows),
        number=".9g",
        formats=dict.fromkeys(CORNERS, ".4f"),
        ids=IDS,
    )
