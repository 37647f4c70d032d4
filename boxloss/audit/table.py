"""audit.csv: the ranked table as a file."""

from boxloss.audit.scores import KINDS
from boxloss.evaluation.row import SIDES
from boxloss.files import write_csv

BOXES = tuple(
    f"{box}_{side}" for box in ("truth", "prediction", "error", "corrected") for side in SIDES
)
COLUMNS = (
    *("rank", "suspicion", "suspected", "proposal", "probability", "applied", "correction"),
    *("image_id", "file_name", "annotation_id", "detection"),
    *("class", "prediction_class", "corrected_class", "score", "iou", "size"),
    *(f"suspicion_{kind}" for kind in KINDS),
    *BOXES,
)


def write_audit_csv(rows, path):
    """Write rows of `LabelAudit.table` as CSV (UTF-8, one header line); None is an empty field.

    Rows of an audit with a history have its columns at the end.

    Coordinates are pixels with 2 decimals, other numbers have 3 decimals.
    """
    added = dict.fromkeys(name for row in rows for name in row if "history" in name)
    columns = (*COLUMNS, *added)
    write_csv(
        path,
        columns,
        ([row.get(name) for name in columns] for row in rows),
        number=".3f",
        formats=dict.fromkeys(BOXES, ".2f"),
        ids=("image_id", "annotation_id", "detection"),
    )
