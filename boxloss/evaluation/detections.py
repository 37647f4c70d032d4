"""The detections of an evaluation, as arrays, each with its image and class of the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from boxloss.evaluation.pairing import Reading, pair_classes, pair_images, pixels
from boxloss.evaluation.truth import Truth, corners, fail
from boxloss.evaluation.unpaired import Unpaired
from boxloss.files import counted
from boxloss.types import Entry, PathLike

LEAST_PAIRED = 0.5


@dataclass(eq=False)
class Detections:
    """m predicted boxes: xywh float64 (m, 4), image, label int (m,), score float64 (m,).

    position: int (m,), place in the list that was given. unknown: how many were left out because
    the truth does not have their image or category, {"images": count, "categories": count}.
    images_by, classes_by: how images and classes were paired, "id", "stem" and so on.
    unseen: positions of the truth's images that the source has no detection in, whatever its score.
    """

    xywh: np.ndarray
    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    position: np.ndarray
    unknown: dict = field(default_factory=lambda: {"images": 0, "categories": 0})
    images_by: str = "id"
    classes_by: str = "id"
    unseen: list = field(default_factory=list)
    examples: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xywh)

    @cached_property
    def xyxy(self) -> np.ndarray:
        return corners(self.xywh)

    @classmethod
    def of(
        cls,
        detections: "DetectionsLike",
        truth: Truth,
        pair_images: str | None = None,
        pair_classes: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> "Detections":
        """From results of any detector, or Detections.

        detections: a list of COCO results or the path of one (Ultralytics' predictions.json too);
            a COCO dict whose annotations have scores, or its path; a folder of YOLO result files
            with confidences (`save_txt`, `save_conf`).
        pair_images: "id", "file_name" or "stem", how an image is known. None takes what fits: ids
            of a COCO truth, file names and stems otherwise.
        pair_classes: "id", "name", or "0" or "1", the number of the first class in the detector's
            class list. None takes what fits.
        class_names: the detector's class list, where it is in another order than the truth's.

        Detections of images and categories that the truth does not have are left out and counted
        in `unknown`. ValueError where two readings fit, and where most detections would be left
        out although no argument says how to read them.
        """
        if isinstance(detections, cls):
            return detections
        unpaired = Unpaired.of(detections)
        images = _pair_images(unpaired, truth, pair_images)
        classes = _pair_classes(unpaired, truth, images, pair_classes, class_names)
        decided = pair_images is not None or pair_classes is not None or class_names is not None
        _check_paired(unpaired, images, classes, decided)
        return _paired(unpaired, truth, images, classes)

    def pairing(self) -> dict[str, Any]:
        """What was paired and how, as numbers and words for JSON."""
        return {
            "images_by": self.images_by,
            "classes_by": self.classes_by,
            "detections": len(self),
            "of_unknown_images": self.unknown["images"],
            "of_unknown_classes": self.unknown["categories"],
            "images_without_detections": len(self.unseen),
        }

    def told(self, truth: Truth) -> list[str]:
        """Lines for people: how it was paired, and what could not be."""
        base = {"0": "class list from 0", "1": "class list from 1"}
        lines = [
            f"{counted(len(self), 'detections')}, images paired by {self.images_by}, "
            f"classes by {base.get(self.classes_by, self.classes_by)}"
        ]
        for key, what in (("images", "unknown images"), ("categories", "unknown classes")):
            if self.unknown[key]:
                lines.append(
                    f"dropped: {counted(self.unknown[key], 'detections')} of {what} "
                    f"(first: {self.examples[key]})"
                )
        if self.unseen:
            first = ", ".join(truth.images[i]["file_name"] for i in self.unseen[:3])
            lines.append(
                f"{len(self.unseen)} of {len(truth.images)} images have no detection "
                f"(first: {first})"
            )
        return lines


# COCO results, COCO predictions, or the path of such a file or of a folder of YOLO results.
DetectionsLike: TypeAlias = Detections | list[Entry] | dict[str, Any] | PathLike
# The methods' arguments of the same names hide the functions.
_pair_images, _pair_classes = pair_images, pair_classes


def _check_paired(unpaired, images, classes, decided):
    """ValueError where too few detections are paired to say anything by."""
    known = images.places[unpaired.image] >= 0
    whole = known & (classes.places[unpaired.label] >= 0)
    enough = whole.any() if decided else whole.sum() >= LEAST_PAIRED * len(unpaired)
    if not enough and len(unpaired):
        first = int(np.argmin(whole))
        fail(
            unpaired.where,
            "at least half of the detections",
            "have images and categories of the truth, or --pair-images, --pair-classes or "
            "--class-names say how they are meant",
            f"{whole.sum()} of {len(unpaired)} paired, {np.sum(~known)} of unknown images; the "
            f"first without: {_described(unpaired, first)}",
        )


def _described(unpaired, row):
    image, category = (
        unpaired.image_keys[unpaired.image[row]],
        unpaired.class_keys[unpaired.label[row]],
    )
    words = {"image_id": image[0], "file_name": image[1], "category_id": category[0]}
    words["category_name"] = category[1]
    return ", ".join(f"{key}={value!r}" for key, value in words.items() if value is not None)


def _paired(unpaired: Unpaired, truth: Truth, images: Reading, classes: Reading) -> Detections:
    image, label = images.places[unpaired.image], classes.places[unpaired.label]
    lost = {"images": image < 0, "categories": (image >= 0) & (label < 0)}
    keep = (image >= 0) & (label >= 0)
    seen = np.zeros(len(truth.images), bool)
    seen[image[image >= 0]] = True
    return Detections(
        pixels(unpaired, truth, image)[keep],
        image[keep],
        label[keep],
        unpaired.score[keep],
        unpaired.position[keep],
        {key: int(rows.sum()) for key, rows in lost.items()},
        images.by,
        classes.by,
        np.flatnonzero(~seen).tolist(),
        {k: _described(unpaired, int(np.argmax(rows))) for k, rows in lost.items() if rows.any()},
    )
