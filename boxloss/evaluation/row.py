"""Row: one line of the error table, from evaluation to report, audit and page."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

from boxloss.files import shortened

SIDES = ("x1", "y1", "x2", "y2")
SIZES = ("small", "medium", "large")
SMALL, LARGE = 32**2, 96**2  # COCO's limits of area in square pixels

Corners = tuple[float | None, ...]  # x1, y1, x2, y2 in pixels

# Column of the table: field of the class. "row" and "class" would read badly in Python.
TEXT_FIELDS = {
    "row": "about",
    "image_id": "image_id",
    "file_name": "file_name",
    "annotation_id": "annotation_id",
    "detection": "detection",
    "class": "class_name",
    "prediction_class": "prediction_class",
    "kind": "kind",
    "size": "size",
}
NUMBER_FIELDS = {"score": "score", "iou": "iou", "box_error": "box_error"}
FIELDS = TEXT_FIELDS | NUMBER_FIELDS
CORNERS = {
    f"{box}_{side}": (box, place)
    for box in ("truth", "prediction", "error")
    for place, side in enumerate(SIDES)
}
TEXTS = tuple(TEXT_FIELDS)
NUMBERS = ("score", *CORNERS, "iou", "box_error")
COLUMNS = (*TEXTS, *NUMBERS)  # terms and added columns follow


@dataclass(slots=True, eq=False)
class Row(MutableMapping):
    """A true box with the detection that found or nearly found it, or a false detection alone.

    Its mapping interface shows the columns of boxes.csv, so `row["truth_x1"]`, `dict(row)` and
    `row["my_column"] = 1` work as on the plain dict that `error_table` gives.

    about: "truth" for a row of a true box, "prediction" for a false detection (column "row").
    class_name: of the true box, in a row of a detection its own (column "class").
    truth, prediction: corners in pixels, None where there is no such box. A row about a prediction
        may have a truth: the box that it is wrong about.
    terms: the loss's terms by name, columns "term_NAME". extra: columns that others add.
    """

    about: Literal["truth", "prediction"]
    image_id: int | str
    file_name: str
    annotation_id: int | str | None
    detection: int | None  # position in the list of detections
    class_name: str
    prediction_class: str | None
    kind: str
    size: str
    score: float | None = None
    truth: Corners | None = None
    prediction: Corners | None = None
    iou: float | None = None
    box_error: float | None = None
    terms: dict[str, float | None] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> Corners | None:
        """prediction - truth, signed pixels; None where one of the two boxes is missing."""
        if self.truth is None or self.prediction is None:
            return None
        return tuple(
            None if t is None or p is None else p - t
            for t, p in zip(self.truth, self.prediction, strict=True)
        )

    @classmethod
    def of(cls, columns: "Mapping[str, Any]") -> "Row":
        """The row that has these columns; a Row is given back as it is."""
        if isinstance(columns, cls):
            return columns
        # The corners of the errors may be left out, because they follow from the boxes.
        needed = [name for name in COLUMNS if not name.startswith("error_")]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise ValueError(
                "a row must have the columns of an error table. "
                f"Received: a row without {shortened(', '.join(missing))}"
            )
        row = cls(**{of: columns[name] for name, of in FIELDS.items()})
        for box in ("truth", "prediction"):
            corners = tuple(columns[f"{box}_{side}"] for side in SIDES)
            setattr(row, box, None if corners == (None,) * 4 else corners)
        row.update({name: value for name, value in columns.items() if name not in COLUMNS})
        return row

    # The columns ----------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        if name in FIELDS:
            return getattr(self, FIELDS[name])
        if name in CORNERS:
            box, place = CORNERS[name]
            corners = getattr(self, box)
            return None if corners is None else corners[place]
        if name.startswith("term_"):
            return self.terms[name.removeprefix("term_")]
        return self.extra[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name in FIELDS:
            setattr(self, FIELDS[name], value)
        elif name in CORNERS:
            self._set_corner(name, value)
        elif name.startswith("term_"):
            self.terms[name.removeprefix("term_")] = value
        else:
            self.extra[name] = value

    def _set_corner(self, name, value):
        box, place = CORNERS[name]
        if box == "error":
            raise ValueError(
                "the columns error_x1 to error_y2 must be left alone: they are computed from "
                f"truth and prediction. Received: {name}={value!r}"
            )
        corners = list(getattr(self, box) or [None] * 4)
        corners[place] = value
        setattr(self, box, None if corners == [None] * 4 else tuple(corners))

    def __delitem__(self, name: str) -> None:
        if name in COLUMNS:
            raise ValueError(f"a row must keep the column {name}. Received: its deletion")
        if name.startswith("term_"):
            del self.terms[name.removeprefix("term_")]
        else:
            del self.extra[name]

    def __iter__(self) -> Iterator[str]:
        yield from COLUMNS
        for name in self.terms:
            yield f"term_{name}"
        yield from self.extra

    def __len__(self) -> int:
        return len(COLUMNS) + len(self.terms) + len(self.extra)


def size_of(area: float) -> str:
    """COCO's name of an area in square pixels."""
    return "small" if area < SMALL else "medium" if area <= LARGE else "large"
