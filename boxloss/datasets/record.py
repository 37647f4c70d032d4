"""One record for every data set: a picture's place, its boxes, labels, ids and flags."""

import hashlib
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from boxloss.datasets.groups import groups_of
from boxloss.files import counted


@dataclass(frozen=True, eq=False)
class Record:
    """One image and its n boxes.

    file_name: as in the annotations, the key of everything that is written about the image.
    path: where the image lies. image_id: as in the source; VOC and YOLO have none and get 1, 2, ...
    in the order of file names. width, height: pixels, upright.
    boxes: float32 (n, 4), xyxy in pixels, x1 < x2 and y1 < y2, inside the image.
    labels: int64 (n,), 0..C-1. annotation_ids: n ids as in the source (VOC, YOLO: running from 1,
    broken boxes counted). areas: float32 (n,), COCO's `area` (of the segmentation, where the source
    has one), else width * height. iscrowd, ignore, difficult: bool (n,).
    unfindable: (label, area) of the boxes that were dropped for their size or place: nothing learns
    from them, but COCO's metrics count each as a box that was not found.
    """

    file_name: str
    path: pathlib.Path
    image_id: int | str
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    annotation_ids: list
    areas: np.ndarray
    iscrowd: np.ndarray
    ignore: np.ndarray
    difficult: np.ndarray
    unfindable: tuple = ()

    @property
    def ignored(self) -> np.ndarray:
        """bool (n,): boxes that neither training nor AP counts."""
        return self.iscrowd | self.ignore | self.difficult

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)

    def __hash__(self) -> int:
        return hash((self.file_name, self.image_id))


@dataclass
class DataSet:
    """Records and what was met on the way to them.

    class_names: name of label i. Unless given, they are the names in the source in alphabetical
    order: the one order that COCO, VOC and YOLO folders of the same data agree on.
    category_ids: category of label i as in the source (VOC: i + 1).
    problems: list of Problem. dropped: {"images": count, "boxes": count}, a dropped image's boxes
    included. clipped: boxes that were cut at the border of their image by more than a pixel.
    root: the image folder. label_of_category: {category id of the source: label}, with the ids that
    share a name, which `category_ids` has one of; empty where the source has no ids (VOC).
    refused_links: symbolic links that lead out of `root` and were not followed. followed: the
    folders outside that links led into, where that was allowed.
    format: "coco", "voc" or "yolo", of the annotations; None where they did not come from a file.
    Only COCO has image ids of its own, the others' are made up.
    """

    records: list
    class_names: list
    category_ids: list
    root: pathlib.Path
    problems: list = field(default_factory=list)
    dropped: dict = field(default_factory=lambda: {"images": 0, "boxes": 0})
    clipped: int = 0
    strict: bool = False
    label_of_category: dict = field(default_factory=dict)
    refused_links: int = 0
    followed: list = field(default_factory=list)
    format: str | None = None

    def __len__(self) -> int:
        return len(self.records)

    def subset(self, records: "Sequence[Record]") -> "DataSet":
        """The same classes with other records; problems stay with the whole."""
        nothing = {"images": 0, "boxes": 0}
        return replace(
            self,
            records=list(records),
            problems=[],
            dropped=nothing,
            clipped=0,
            refused_links=0,
            followed=[],
        )

    def counts(self) -> dict[str, Any]:
        """Images, boxes, boxes of each class, ignored boxes, and what was dropped or clipped."""
        labels = [record.labels for record in self.records] or [np.zeros(0, "int64")]
        per_class = np.bincount(np.concatenate(labels), minlength=len(self.class_names))
        return {
            "images": len(self.records),
            "boxes": int(per_class.sum()),
            "boxes_per_class": dict(
                zip(self.class_names, (int(count) for count in per_class), strict=True)
            ),
            "ignored_boxes": sum(int(record.ignored.sum()) for record in self.records),
            "images_without_boxes": sum(len(record) == 0 for record in self.records),
            "dropped_images": self.dropped["images"],
            "dropped_boxes": self.dropped["boxes"],
            "clipped_boxes": self.clipped,
            "refused_links": self.refused_links,
            "problems": len(self.problems),
        }

    def summary(self) -> str:
        """One line for people: what is there, what was dropped."""
        count = self.counts()
        classes = ", ".join(
            f"{name!r} {number}" for name, number in list(count["boxes_per_class"].items())[:12]
        )
        if len(self.class_names) > 12:
            classes += f", and {len(self.class_names) - 12} more"
        line = (
            f"{counted(count['images'], 'images')} "
            f"({count['images_without_boxes']} without boxes), "
            f"{counted(count['boxes'], 'boxes')}, "
            f"{counted(len(self.class_names), 'classes')}: {classes}"
        )
        for key, things, what in (
            ("ignored_boxes", "boxes", "ignored"),
            ("dropped_images", "images", "dropped"),
            ("dropped_boxes", "boxes", "dropped"),
            ("clipped_boxes", "boxes", "clipped"),
            ("refused_links", "symbolic links", "refused (--follow-links allows them)"),
        ):
            if count[key]:
                line += f"; {counted(count[key], things)} {what}"
        return line

    def to_coco(self) -> dict[str, Any]:
        """The truth as a COCO dict: original image and category ids, flags, boxes as read.

        Annotation ids are the source's where those are distinct positive integers, as the COCO
        tools need, else 1, 2, ... `ignore` holds for VOC's `difficult` too.
        """
        numbers = [number for record in self.records for number in record.annotation_ids]
        usable = all(type(number) is int and number > 0 for number in numbers)
        usable = usable and len(set(numbers)) == len(numbers)
        fresh = iter(range(1, len(numbers) + 1))
        annotations = [
            annotation | ({} if usable else {"id": next(fresh)})
            for record in self.records
            for annotation in self._annotations(record)
        ]
        images = [
            {
                "id": record.image_id,
                "file_name": record.file_name,
                "width": record.width,
                "height": record.height,
            }
            for record in self.records
        ]
        categories = [
            {"id": number, "name": name}
            for number, name in sorted(
                zip(self.category_ids, self.class_names, strict=True),
                key=lambda pair: (isinstance(pair[0], str), pair[0]),
            )
        ]
        return {"images": images, "annotations": annotations, "categories": categories}

    def _annotations(self, record):
        for j in range(len(record)):
            x1, y1, x2, y2 = record.boxes[j].tolist()
            yield {
                "id": record.annotation_ids[j],
                "image_id": record.image_id,
                "category_id": self.category_ids[record.labels[j]],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(record.areas[j]),
                "iscrowd": int(record.iscrowd[j]),
                "ignore": int(record.ignore[j] or record.difficult[j]),
                "difficult": int(record.difficult[j]),
            }


def split(
    dataset: DataSet, fraction: float = 0.2, group_by: str | None = None
) -> tuple[DataSet, DataSet]:
    """(train, validation): about `fraction` of the images validate, chosen by their file names.

    An image keeps its side when others are added or removed, on every machine. Two images or more
    give at least one to each side. With `group_by`, a regular expression over file names (see
    `datasets.groups`), the groups are chosen by their names and none is divided.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be between 0 and 1. Received: fraction={fraction!r}")
    names = [record.file_name for record in dataset.records]
    if group_by is not None:
        validate = _whole_groups(groups_of(names, group_by), fraction)
    else:
        places = [_place(name) for name in names]
        validate = [place < fraction for place in places]
        if len(places) > 1 and len(set(validate)) == 1:
            odd = np.argmax(places) if validate[0] else np.argmin(places)
            validate[odd] = not validate[odd]
    sides = [
        [record for record, chosen in zip(dataset.records, validate, strict=True) if chosen is side]
        for side in (False, True)
    ]
    return dataset.subset(sides[0]), dataset.subset(sides[1])


def _whole_groups(groups, fraction):
    """[bool]: which items validate: whole groups, one at least, until there are enough images."""
    sizes = {name: groups.count(name) for name in dict.fromkeys(groups)}
    if len(sizes) < 2:
        raise ValueError(
            f"`group_by` must give two groups or more to divide. Received: {len(sizes)}"
        )
    chosen, held = set(), 0
    for name in sorted(sizes, key=_place):
        # The next group is taken where that comes nearer to the fraction than to stop.
        if chosen and held + sizes[name] / 2 > fraction * len(groups):
            break
        chosen.add(name)
        held += sizes[name]
        if len(chosen) == len(sizes) - 1:
            break
    return [name in chosen for name in groups]


def _place(name):
    """A number in [0, 1) that depends on the name alone, evenly spread."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
