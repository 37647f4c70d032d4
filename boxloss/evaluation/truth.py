"""The true boxes of an evaluation, as arrays."""

import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from boxloss.datasets import DataSet, values
from boxloss.datasets.coco import category_objects, file_name_of, of_several_pictures
from boxloss.datasets.coco_annotations import FLAGS
from boxloss.datasets.problems import Problems
from boxloss.files import one_line, read_json, shortened
from boxloss.types import PathLike

BOX_RULE = "have a bbox of four finite numbers [x, y, width >= 0, height >= 0]"


@dataclass(eq=False)
class Truth:
    """n true boxes of some images.

    images: list of dicts with id, file_name, width, height (None where unknown).
    class_names, category_ids: name and source id of label i.
    xywh: float64 (n, 4) in pixels. image, label: int (n,), positions in `images` and `class_names`.
    annotation_ids: list of n. area: float64 (n,), as in the source. iscrowd, ignored: bool (n,);
    neither AP nor the table counts an ignored box, and a crowd is ignored. position: int (n,),
    place in the list of annotations that was given. unfindable: list of (image, label, area) of
    boxes that a data set dropped and that AP counts as not found.
    label_of_category: {category id: label}, with ids that share a name.
    format: "coco", "voc" or "yolo", the kind of annotations. Only COCO has image ids and category
    ids of its own; those of the others were made up when they were read.
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
    position: np.ndarray
    unfindable: list = field(default_factory=list)
    label_of_category: dict = field(default_factory=dict)
    format: str = "coco"

    def __len__(self) -> int:
        return len(self.xywh)

    @cached_property
    def xyxy(self) -> np.ndarray:
        return corners(self.xywh)

    @classmethod
    def of(
        cls, truth: "TruthLike", problems: Problems | None = None, where: str = "truth"
    ) -> "Truth":
        """From a DataSet, a COCO dict, the path of a COCO file, or a Truth.

        problems: collects the broken items, which are left out; None raises ValueError at the first
        one. A DataSet was checked when it was read. where: the name of a dict in their lines.
        """
        if isinstance(truth, cls):
            return truth
        if isinstance(truth, DataSet):
            return _truth_of_dataset(truth)
        if isinstance(truth, (str, os.PathLike)):
            where, truth = one_line(truth), read_json(truth)
        return _Reading(where, problems or Problems(strict=True)).truth(truth)


TruthLike: TypeAlias = Truth | DataSet | dict[str, Any] | PathLike  # a COCO dict, or its path


def corners(xywh):
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def fail(where, item, rule, received):
    raise ValueError(f"{where}: {item} must {rule}. Received: {shortened(received)}")


def bbox_of(entry):
    """[x, y, width, height] of a COCO object as floats, None where it has no such box."""
    box = entry.get("bbox")
    if not isinstance(box, (list, tuple, np.ndarray)) or len(box) != 4:
        return None
    # Plain floats are by far the commonest, and a million boxes take a second less this way.
    if not all(type(value) is float for value in box):
        box = [values.number(value) for value in box]
    good = all(value is not None and math.isfinite(value) for value in box)
    return list(box) if good and box[2] >= 0 and box[3] >= 0 else None


def _truth_of_dataset(dataset):
    built = _Reading("truth", Problems(strict=True)).truth(dataset.to_coco())
    built.format = getattr(dataset, "format", None) or "coco"
    label_of = {number: label for label, number in enumerate(built.category_ids)}
    label_of_name = {name: label for label, name in enumerate(built.class_names)}
    built.label_of_category = {
        number: label_of_name[dataset.class_names[label]]
        for number, label in dataset.label_of_category.items()
    }
    built.unfindable = [
        (i, label_of[dataset.category_ids[label]], area)
        for i, record in enumerate(dataset.records)
        for label, area in record.unfindable
    ]
    return built


def _ambiguous_ids(content):
    """Ids that several images may have: nobody knows on which of them a box was drawn."""
    names = {}
    for entry in content:
        if isinstance(entry, dict):
            key = values.identifier(entry.get("id"))
            names.setdefault(key, []).append(file_name_of(entry) or "")
    shared = ((key, found) for key, found in names.items() if len(found) > 1)
    return {key for key, found in shared if of_several_pictures(key, found)}


class _Reading:
    """Reads one COCO dict; what is broken goes to `problems`."""

    def __init__(self, where, problems):
        self.where, self.problems = where, problems

    def truth(self, content):
        keys = ("images", "annotations")
        if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
            received = type(content).__name__
            fail(self.where, "it", f"be a COCO object with the lists {keys}", received)
        images, image_of = self.images(content["images"])
        entries = (entry for entry in content["annotations"] if isinstance(entry, dict))
        used = [values.identifier(entry.get("category_id")) for entry in entries]
        objects = category_objects(self.where, content.get("categories"), used)
        names, category_ids, label_of = self.categories(objects)
        columns = self.annotations(content["annotations"], image_of, label_of, names)
        return Truth(images, names, category_ids, **columns, label_of_category=label_of)

    def drop(self, item, rule, received, **cost):
        self.problems.add(self.where, item, rule, received, **cost)

    def entries(self, content, word, **cost):
        for position, entry in enumerate(content):
            if isinstance(entry, dict):
                yield position, entry
            else:
                self.drop(f"{word} {position}", "be an object", repr(entry), **cost)

    def images(self, content):
        """(images, their positions by id)."""
        images, image_of = [], values.Ids()
        ambiguous = _ambiguous_ids(content)
        for position, entry in self.entries(content, "image", images=1):
            number = values.identifier(entry.get("id"))
            item = f"image {position}"
            if number is None:
                received = repr(entry.get("id"))
                self.drop(item, "have an integer or text id", received, images=1)
            elif number in ambiguous or not image_of.add(number, len(images)):
                rule = "have an id that no other image has"
                self.drop(item, rule, f"id={entry['id']!r}", images=1)
            else:
                images.append(
                    {
                        "id": number,
                        "file_name": file_name_of(entry) or str(entry["id"]),
                        "width": values.size(entry.get("width")),
                        "height": values.size(entry.get("height")),
                    }
                )
        return images, image_of

    def categories(self, content):
        """(class names, category ids, labels by id); categories of one name are one class."""
        labels, ids, label_of = {}, [], {}
        for position, entry in self.entries(content, "category"):
            number = values.identifier(entry.get("id"))
            name = values.name(entry.get("name")) or str(number)
            label = labels.get(name, len(labels))
            if number is None or number in label_of:
                rule = "have an id that no other category has"
                self.drop(f"category {position}", rule, f"id={entry.get('id')!r}")
                continue
            label_of[number] = label
            if name not in labels:
                labels[name] = label
                ids.append(number)
        return list(labels), ids, label_of

    def annotations(self, content, image_of, label_of, names):
        """The columns of a Truth."""
        rows, label_of = [], values.Ids(label_of.items())
        by_name = {name: label for label, name in enumerate(names)}
        for position, entry in self.entries(content, "annotation", boxes=1):
            box, number = bbox_of(entry), values.identifier(entry.get("id"))
            image, label = (
                known.get(entry.get(key))
                for key, known in (("image_id", image_of), ("category_id", label_of))
            )
            label = by_name.get(entry.get("category_id")) if label is None else label
            item = f"annotation {entry.get('id', position)!r}"
            if box is None:
                self.drop(item, BOX_RULE, f"bbox={entry.get('bbox')!r}", boxes=1)
            elif image is None or label is None:
                key = "image_id" if image is None else "category_id"
                received = f"{key}={entry.get(key)!r}"
                self.drop(item, f"have a known {key}", received, boxes=1)
            else:
                area = values.number(entry.get("area"))
                usable = area is not None and 0 <= area < math.inf
                crowd, *ignore = (values.flag(entry.get(key)) for key in FLAGS)
                number = entry.get("id", position) if number is None else number
                area = area if usable else box[2] * box[3]
                rows.append(
                    (box, image, label, number, area, crowd, crowd or any(ignore), position)
                )
        boxes, image, label, ids, area, crowd, ignored, places = (
            zip(*rows, strict=True) if rows else [()] * 8
        )
        return {
            "xywh": np.asarray(boxes, "float64").reshape(-1, 4),
            "image": np.asarray(image, "int64"),
            "label": np.asarray(label, "int64"),
            "annotation_ids": list(ids),
            "area": np.asarray(area, "float64"),
            "iscrowd": np.asarray(crowd, bool),
            "ignored": np.asarray(ignored, bool),
            "position": np.asarray(places, "int64"),
        }
