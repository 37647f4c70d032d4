"""audit.csv: the ranked table as a file."""

import csv

from boxloss.audit.scores import KINDS
from boxloss.files import write_atomically

SIDES = ("x1", "y1", "x2", "y2")
BOXES = tuple(
    f"{box}_{side}" for box in ("truth", "prediction", "error", "corrected") for side in SIDES
)
COLUMNS = (
    *("rank", "suspicion", "suspected", "correction"),
    *("image_id", "file_name", "annotation_id", "detection"),
    *("class", "prediction_class", "corrected_class", "score", "iou", "size"),
    *(f"suspicion_{kind}" for kind in KINDS),
    *BOXES,
)


def write_audit_csv(rows, path):
    """Write rows of `LabelAudit.table` as CSV (UTF-8, one header line); None is an empty field.

    Coordinates are pixels with 2 decimals, other numbers have 3 decimals.
    """
    with (
        write_atomically(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogatepass") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([_text(name, row[name]) for name in COLUMNS])


def _text(name, value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if name in BOXES else f"{value:.3f}"
    return value
