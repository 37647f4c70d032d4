"""The true boxes of an evaluation, as arrays."""

import json
import math
import numbers
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from boxloss.datasets import DataSet
from boxloss.files import one_line, shortened
from boxloss.types import PathLike


@dataclass(eq=False)
class Truth:
    """n true boxes of some images.

    images: list of dicts with id, file_name, width, height (None where unknown).
    class_names, category_ids: name and source id of label i.
    xywh: float64 (n, 4) in pixels. image, label: int (n,), positions in `images` and `class_names`.
    annotation_ids: list of n. area: float64 (n,), as in the source. iscrowd, ignored: bool (n,);
    neither AP nor the table counts an ignored box, and a crowd is ignored. unfindable: list of
    (image, label, area) of boxes that a data set dropped and that AP counts as not found.
    """

    images: list
    class_names: list
    category_ids: list
    xywh: np.ndarray
    image: np.ndarray
    label: np.ndarray
    annotation_ids: list
    area: np.ndarray
    iscrowd: np.ndarray
    ignored: np.ndarray
    unfindable: list = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.xywh)

    @cached_property
    def xyxy(self) -> np.ndarray:
        return corners(self.xywh)

    @classmethod
    def of(cls, truth: "TruthLike") -> "Truth":
        """From a DataSet, a COCO dict, the path of a COCO file, or a Truth."""
        if isinstance(truth, cls):
            return truth
        if isinstance(truth, DataSet):
            built = _truth_of_dict(truth.to_coco(), "truth")
            label_of = {number: label for label, number in enumerate(built.category_ids)}
            built.unfindable = [
                (i, label_of[truth.category_ids[label]], area)
                for i, record in enumerate(truth.records)
                for label, area in record.unfindable
            ]
            return built
        where = "truth"
        if isinstance(truth, (str, os.PathLike)):
            where, truth = one_line(truth), read_json(truth)
        return _truth_of_dict(truth, where)


TruthLike: TypeAlias = Truth | DataSet | dict[str, Any] | PathLike  # a COCO dict, or its path


def corners(xywh):
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def read_json(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{one_line(path)}: file must be valid JSON. Received: {shortened(error)}"
        ) from None


def fail(where, item, rule, received):
    raise ValueError(f"{where}: {item} must {rule}. Received: {shortened(received)}")


def entries(content, where, word):
    for position, entry in enumerate(content):
        if not isinstance(entry, dict):
            fail(where, f"{word} {position}", "be an object", repr(entry))
        yield position, entry


def bbox_of(entry, where, item):
    box = entry.get("bbox")
    try:
        values = [float(value) for value in box]
    except (TypeError, ValueError, OverflowError):
        values = []
    good = len(values) == 4 and all(map(math.isfinite, values))
    if not good or isinstance(box, str) or values[2] < 0 or values[3] < 0:
        rule = "have a bbox of four finite numbers [x, y, width >= 0, height >= 0]"
        fail(where, item, rule, f"bbox={box!r}")
    return values


def key_of(value):
    """Something to look an id up by, also NumPy's: a list or a dict as an id finds nothing."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return value if type(value) is str else None


def _truth_of_dict(content, where):
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
        fail(where, "it", f"be a COCO object with the lists {keys}", type(content).__name__)
    images = []
    for position, image in entries(content["images"], where, "image"):
        if key_of(image.get("id")) is None:
            fail(where, f"image {position}", "have an integer or text id", repr(image.get("id")))
        name = image.get("file_name")
        images.append(
            {
                "id": key_of(image["id"]),
                "file_name": name if isinstance(name, str) else str(image["id"]),
                "width": image.get("width"),
                "height": image.get("height"),
            }
        )
    categories = [entry for _, entry in entries(content["categories"], where, "category")]
    category_ids = [key_of(entry.get("id")) for entry in categories]
    image_of = {image["id"]: i for i, image in enumerate(images)}
    label_of = {number: i for i, number in enumerate(category_ids)}
    if len(image_of) < len(images) or len(label_of) < len(categories):
        fail(where, "ids of images and of categories", "be distinct", "an id that occurs twice")
    xywh, image, label, ids, area, crowd, ignored = [], [], [], [], [], [], []
    for position, entry in entries(content["annotations"], where, "annotation"):
        item = f"annotation {entry.get('id', position)!r}"
        box = bbox_of(entry, where, item)
        for key, known in (("image_id", image_of), ("category_id", label_of)):
            if key_of(entry.get(key)) not in known:
                fail(where, item, f"have a known {key}", f"{key}={entry.get(key)!r}")
        size = entry.get("area")
        usable = isinstance(size, (int, float)) and 0 <= size < math.inf
        xywh.append(box)
        image.append(image_of[entry["image_id"]])
        label.append(label_of[entry["category_id"]])
        number = entry.get("id", position)
        ids.append(number if key_of(number) is None else key_of(number))
        area.append(float(size) if usable else box[2] * box[3])
        crowd.append(bool(entry.get("iscrowd")))
        ignored.append(crowd[-1] or bool(entry.get("ignore")))
    return Truth(
        images,
        [str(entry.get("name", entry.get("id"))) for entry in categories],
        category_ids,
        np.asarray(xywh, "float64").reshape(-1, 4),
        np.asarray(image, "int64"),
        np.asarray(label, "int64"),
        ids,
        np.asarray(area, "float64"),
        np.asarray(crowd, bool),
        np.asarray(ignored, bool),
    )
