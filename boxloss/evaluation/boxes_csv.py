"""boxes.csv: the error table as a file."""

from boxloss.files import write_csv
from boxloss.types import PathLike, Row

TEXTS = (
    *("row", "image_id", "file_name", "annotation_id", "detection"),
    *("class", "prediction_class", "kind", "size"),
)
CORNERS = tuple(
    f"{box}_{side}" for box in ("truth", "prediction", "error") for side in ("x1", "y1", "x2", "y2")
)
NUMBERS = ("score", *CORNERS, "iou", "box_error")  # terms follow, as the loss has them


def write_boxes_csv(rows: list[Row], path: PathLike) -> None:
    """Write rows of `error_table` as CSV (UTF-8, one header line); None is an empty field.

    Coordinates have 4 decimals, other numbers 9 significant digits.
    """
    names = list(dict.fromkeys([*TEXTS, *NUMBERS, *(name for row in rows for name in row)]))
    write_csv(path, names, ([_text(name, row.get(name)) for name in names] for row in rows))


def _text(name, value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if name in CORNERS else f"{value:.9g}"
    return value
