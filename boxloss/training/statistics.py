"""What the recipe reads of a data set. No Keras here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from boxloss.datasets.record import DataSet

SMALL_QUANTILE = 0.25  # the boxes that are meant by "small"


@dataclass(frozen=True)
class DataStatistics:
    """What the recipe reads of a data set.

    side: median of the longer sides of the images, in pixels. small_box, middle_box: lower quartile
    and median of the size of a box (the root of its area), as a share of the longer side of its
    image; 0 without boxes. boxes, validation_boxes: boxes that count, by class.
    """

    images: int
    validation_images: int
    side: float
    small_box: float
    middle_box: float
    boxes: Mapping[str, int]
    validation_boxes: Mapping[str, int]

    @classmethod
    def of(cls, train_set: DataSet, validation_set: DataSet) -> "DataStatistics":
        """The statistics of two sets with equal classes."""
        sides = [max(record.width, record.height) for record in train_set.records]
        # Of the longer side, by which letterboxing scales: this share times the side of the square
        # is how many pixels the network sees of a box.
        shares = [np.zeros(0)]
        for record, side in zip(train_set.records, sides, strict=True):
            corners = record.boxes[~record.ignored].astype("float64")
            shares.append(np.sqrt(np.prod(corners[:, 2:] - corners[:, :2], axis=1)) / side)
        joined = np.concatenate(shares)
        small, middle = np.quantile(joined, (SMALL_QUANTILE, 0.5)) if len(joined) else (0.0, 0.0)
        return cls(
            images=len(train_set.records),
            validation_images=len(validation_set.records),
            side=float(np.median(sides)) if sides else 0.0,
            small_box=float(small),
            middle_box=float(middle),
            boxes=_boxes_per_class(train_set),
            validation_boxes=_boxes_per_class(validation_set),
        )


def _boxes_per_class(dataset):
    # Boxes that training ignores teach nothing about their class.
    labels = [record.labels[~record.ignored] for record in dataset.records]
    counts = np.bincount(
        np.concatenate([np.zeros(0, "int64"), *labels]), minlength=len(dataset.class_names)
    )
    return dict(zip(dataset.class_names, counts.tolist(), strict=True))
