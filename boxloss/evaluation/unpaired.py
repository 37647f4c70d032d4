"""Detections as a file has them: before it is known which image and which class they mean."""

import math
import os
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxloss.datasets import values
from boxloss.evaluation.truth import BOX_RULE, bbox_of, fail
from boxloss.evaluation.yolo_results import add_folder
from boxloss.files import one_line, read_json

NAME_KEYS = ("category_name", "class_name")  # SAHI writes the first, pandas tables often the second
FILE_KEYS, SCORE_KEYS = ("file_name", "filename"), ("score", "confidence")


@dataclass(eq=False)
class Unpaired:
    """m detections with what their source says of their images and classes.

    where: how errors name the source. xywh: float64 (m, 4) in pixels, or shares of the image where
    `relative`. score: float64 (m,). image, label: int (m,), positions in `image_keys` and
    `class_keys`. position: int (m,), place in the source.
    image_keys: distinct (image_id, file_name), as written, None where absent.
    class_keys: distinct (category_id, name), likewise.
    class_base: what the number of the first class is, where the kind of source fixes it.
    in_memory: whether a program handed it over, whose ids are most likely those of the truth that
    it handed over too.
    """

    where: str
    xywh: np.ndarray
    score: np.ndarray
    image: np.ndarray
    label: np.ndarray
    position: np.ndarray
    image_keys: list[tuple[Any, str | None]]
    class_keys: list[tuple[Any, str | None]]
    relative: bool = False
    class_base: int | None = None
    in_memory: bool = False

    def __len__(self) -> int:
        return len(self.xywh)

    @classmethod
    def of(cls, source: Any) -> "Unpaired":
        """From COCO results (list or path), a COCO dict whose annotations have scores, or a folder
        of YOLO result files."""
        where, in_memory = "detections", not isinstance(source, (str, os.PathLike))
        if not in_memory:
            where = one_line(source)
            if pathlib.Path(source).is_dir():
                rows = Rows(where)
                add_folder(rows, pathlib.Path(source))
                return rows.table(relative=True, class_base=0)
            source = read_json(source)
        if isinstance(source, dict):
            source = _results_of_dict(source, where)
        if not isinstance(source, list):
            fail(where, "it", "be a list of COCO results", type(source).__name__)
        rows = Rows(where)
        for position, entry in enumerate(source):
            if not isinstance(entry, dict):
                fail(where, f"detection {position}", "be an object", repr(entry))
            rows.add_result(position, entry)
        return rows.table(in_memory=in_memory)


class Rows:
    """Collects detections row by row."""

    def __init__(self, where):
        self.where = where
        self.images, self.classes, self.rows = {}, {}, []

    def add_result(self, position, entry):
        """One COCO result."""
        box, score = bbox_of(entry), values.number(_first(entry, SCORE_KEYS))
        item = f"detection {position}"
        if box is None:
            fail(self.where, item, BOX_RULE, f"bbox={entry.get('bbox')!r}")
        if score is None or not math.isfinite(score):
            fail(self.where, item, "have a finite score", f"score={entry.get('score')!r}")
        name = _first(entry, FILE_KEYS)
        image = (_key(entry.get("image_id")), name if isinstance(name, str) else None)
        names = (values.name(entry[key]) for key in NAME_KEYS if entry.get(key) is not None)
        self.add(position, image, (_key(entry.get("category_id")), next(names, None)), box, score)

    def add(self, position, image, category, box, score):
        image = self.images.setdefault(image, len(self.images))
        label = self.classes.setdefault(category, len(self.classes))
        self.rows.append((box, score, image, label, position))

    def table(self, **more):
        boxes, score, image, label, place = zip(*self.rows, strict=True) if self.rows else [()] * 5
        return Unpaired(
            self.where,
            np.asarray(boxes, "float64").reshape(-1, 4),
            np.asarray(score, "float64"),
            *(np.asarray(column, "int64") for column in (image, label, place)),
            list(self.images),
            list(self.classes),
            **more,
        )


def _first(entry, keys):
    """The value of the first of these keys that has one, None where none has."""
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _key(value):
    """An id as a key of a dict: 1, 1.0 and "1" are one key; what is no id is None."""
    return value if type(value) is int else values.identifier(value)


def _results_of_dict(content, where):
    """COCO results from a COCO dict whose annotations have scores, as some tools export them.

    Its own images and categories say which file and which class each id means.
    """
    lists = [content.get(key) for key in ("annotations", "images", "categories")]
    if not isinstance(lists[0], list):
        rule = "be a list of COCO results, or a COCO object whose annotations have scores"
        fail(where, "it", rule, f"an object with {sorted(map(str, content))[:6]}")
    names = [
        values.Ids((e.get("id"), e.get(key)) for e in entries or [] if isinstance(e, dict))
        for entries, key in ((lists[1], "file_name"), (lists[2], "name"))
    ]
    results = []
    for entry in lists[0]:
        if isinstance(entry, dict):
            file_name, name = (
                known.get(entry.get(key))
                for known, key in zip(names, ("image_id", "category_id"), strict=True)
            )
            entry = {"file_name": file_name, "category_name": name} | entry
        results.append(entry)
    return results
