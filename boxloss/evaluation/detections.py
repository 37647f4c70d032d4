"""The detections of an evaluation, as arrays."""

import math
import numbers
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from boxloss.evaluation.truth import Truth, bbox_of, corners, entries, fail, key_of, read_json
from boxloss.files import one_line
from boxloss.types import Entry, PathLike


@dataclass(eq=False)
class Detections:
    """m predicted boxes: xywh float64 (m, 4), image, label int (m,), score float64 (m,).

    position: int (m,), place in the list that was given. unknown: how many were left out because
    the truth has not their image or category, {"images": count, "categories": count}.
    """

    xywh: np.ndarray
    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    position: np.ndarray
    unknown: dict = field(default_factory=lambda: {"images": 0, "categories": 0})

    def __len__(self) -> int:
        return len(self.xywh)

    @cached_property
    def xyxy(self) -> np.ndarray:
        return corners(self.xywh)

    @classmethod
    def of(cls, detections: "DetectionsLike", truth: Truth) -> "Detections":
        """From a list of COCO results, the path of such a file, or Detections.

        A detector may know more images and categories than the truth: those detections are left
        out and counted in `unknown`. If no detection is left, the two do not belong together and
        ValueError says so.
        """
        if isinstance(detections, cls):
            return detections
        where = "detections"
        if isinstance(detections, (str, os.PathLike)):
            where, detections = one_line(detections), read_json(detections)
        return _detections_of_list(detections, truth, where)


DetectionsLike: TypeAlias = Detections | list[Entry] | PathLike  # COCO results, or their path


def _detections_of_list(content, truth, where):
    if not isinstance(content, list):
        fail(where, "it", "be a list of COCO results", type(content).__name__)
    image_of = {image["id"]: i for i, image in enumerate(truth.images)}
    label_of = {number: i for i, number in enumerate(truth.category_ids)}
    unknown = {"images": 0, "categories": 0}
    xywh, image, label, score, places = [], [], [], [], []
    for position, entry in entries(content, where, "detection"):
        item = f"detection {position}"
        box = bbox_of(entry, where, item)
        confidence = entry.get("score")
        if not isinstance(confidence, numbers.Real) or not math.isfinite(confidence):
            fail(where, item, "have a finite score", f"score={confidence!r}")
        if key_of(entry.get("image_id")) not in image_of:
            unknown["images"] += 1
        elif key_of(entry.get("category_id")) not in label_of:
            unknown["categories"] += 1
        else:
            xywh.append(box)
            image.append(image_of[entry["image_id"]])
            label.append(label_of[entry["category_id"]])
            score.append(float(confidence))
            places.append(position)
    if content and not places:
        rule = "have images and categories of the truth"
        first = {key: content[0].get(key) for key in ("image_id", "category_id")}
        fail(where, "at least one detection", rule, f"none of {len(content)}, first {first}")
    return Detections(
        np.asarray(xywh, "float64").reshape(-1, 4),
        np.asarray(image, "int64"),
        np.asarray(label, "int64"),
        np.asarray(score, "float64"),
        np.asarray(places, "int64"),
        unknown,
    )
