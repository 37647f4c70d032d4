"""Examples for training: images fitted to a square with their boxes, alone or in batches.

No Keras here: worker processes import this file, and Keras would take seconds and memory in each.
"""

import dataclasses
import sys

import numpy as np

from boxloss.datasets.augmentation import Augmentation, Example
from boxloss.datasets.cache import Cache
from boxloss.datasets.header import BadImageError
from boxloss.datasets.images import FILL, letterbox_of, read_fitted
from boxloss.datasets.problems import Problem
from boxloss.datasets.record import DataSet

# The (boxes x locations) tensors of assignment grow with the fullest image: 300 boxes hold nearly
# every data set, and one image with 10,000 must not take the memory of all.
MAX_BOXES = 300


class Examples:
    """What `Batches` gives, without Keras; see there for the arguments.

    Everything depends on (seed, epoch, position) alone: whoever sets `epoch` gets the same batches,
    in whatever process.
    """

    def __init__(
        self,
        dataset: DataSet,
        batch_size: int,
        image_size: int,
        augment: bool | Augmentation = False,
        shuffle: bool = False,
        seed: int = 0,
        max_boxes: int | None = None,
        mosaic_epochs: int | None = None,
        cache: Cache | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("image_size", image_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.image_size = image_size
        self.augment = Augmentation() if augment is True else augment
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.mosaic_epochs = mosaic_epochs
        self.unreadable: list[Problem] = []
        self.stopped_by: ValueError | None = None  # what a strict data set raised
        self.max_boxes = max_boxes or self._fullest()
        self._first = np.cumsum([0, *map(len, dataset.records)])  # number of a record's first box
        self._cache = cache or Cache()
        self._reported: dict[int, Problem] = {}
        self._order: tuple[int, np.ndarray] | None = None

    def _fullest(self):
        counts = [len(record) for record in self.dataset.records]
        fullest = max(counts, default=0)
        if fullest > MAX_BOXES:
            name = self.dataset.records[int(np.argmax(counts))].file_name
            print(
                f"{name!r} holds {fullest} boxes: of each image the largest {MAX_BOXES} are used "
                f"in training (`max_boxes` raises that)",
                file=sys.stderr,
            )
        mosaics = self.augment and self.augment.mosaic > 0
        return min(max(fullest * (2 if mosaics else 1), 1), MAX_BOXES)

    def __len__(self) -> int:
        return -(-len(self.dataset.records) // self.batch_size)

    def order(self) -> np.ndarray:
        """The positions of this epoch's images, int (len(dataset.records),)."""
        count = len(self.dataset.records)
        if not self.shuffle:
            return np.arange(count)
        epoch, known = self.epoch, self._order
        if known is None or known[0] != epoch:  # drawing 100,000 positions takes milliseconds
            drawn = np.random.default_rng([self.seed, epoch]).permutation(count)
            known = self._order = (epoch, drawn)
        return known[1]

    def positions(self, index: int) -> np.ndarray:
        """The positions of the images of batch `index` of this epoch, int (b,)."""
        start = index * self.batch_size
        return self.order()[start : start + self.batch_size]

    def batch(
        self, positions: np.ndarray, dtype: str = "float32"
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(x, y) of the images at `positions`, x of `dtype`."""
        size, boxes_per_image = self.image_size, self.max_boxes
        x = np.full((len(positions), size, size, 3), FILL, dtype)
        y = {
            "boxes": np.full((len(positions), boxes_per_image, 4), -1, "float32"),
            "labels": np.full((len(positions), boxes_per_image), -1, "int32"),
            "ignore": np.zeros((len(positions), boxes_per_image), bool),
            "number": np.full((len(positions), boxes_per_image), -1, "int32"),
            "index": positions.astype("int32"),
        }
        for row, position in enumerate(positions):
            image, boxes, labels, ignore, number = self.example(int(position))
            keep = largest(boxes, boxes_per_image)
            x[row] = image
            y["boxes"][row, : len(keep)] = boxes[keep]
            y["labels"][row, : len(keep)] = labels[keep]
            y["ignore"][row, : len(keep)] = ignore[keep]
            y["number"][row, : len(keep)] = number[keep]
        return x, y

    def example(self, position: int) -> Example:
        """(image uint8 (S, S, 3), boxes (n, 4), labels, ignore, number (n,)) of one record."""
        size = self.image_size
        if self.augment:
            rng = np.random.default_rng([self.seed, self.epoch, position])
            count = len(self.dataset.records)
            augment = self.augment
            if self.mosaic_epochs is not None and self.epoch >= self.mosaic_epochs:
                augment = dataclasses.replace(augment, mosaic=0.0)
            return augment.view(rng, self.scaled, position, count, size, self.max_boxes)
        image, boxes, labels, ignore, number = self.scaled(position)
        height, width = image.shape[:2]
        left, top = (size - width) // 2, (size - height) // 2
        square = np.full((size, size, 3), FILL, "uint8")
        square[top : top + height, left : left + width] = image
        shift = np.array([left, top, left, top], "float32")
        return square, boxes + shift, labels, ignore, number

    def scaled(self, position: int) -> Example:
        """The record scaled to fit the square, not yet padded; see `example`."""
        record = self.dataset.records[position]
        image = self._cache.get(position)
        if image is None:
            image = self._read(position)
            if image is None:
                nothing = [np.zeros(0, dtype) for dtype in ("int64", bool, "int64")]
                return np.full((1, 1, 3), FILL, "uint8"), np.zeros((0, 4), "float32"), *nothing
            self._cache.put(position, image)
        scale = letterbox_of(record.width, record.height, self.image_size).scale
        boxes = (record.boxes.astype("float64") * scale).astype("float32")
        number = self._first[position] + np.arange(len(record))
        return image, boxes, record.labels, record.ignored, number

    def _read(self, position):
        record = self.dataset.records[position]
        try:
            image, width, height = read_fitted(record.path, self.image_size)
            if (width, height) == (record.width, record.height):
                return image
            raise BadImageError(
                "have the size it had when the data set was loaded",
                f"{width} x {height}, before {record.width} x {record.height}",
                record.path,
            )
        except BadImageError as error:
            problem = Problem(str(record.path), "image", error.rule, error.received)
        except OSError as error:
            problem = Problem(str(record.path), "image", "be readable", str(error.strerror))
        if self.dataset.strict:
            self.stopped_by = ValueError(str(problem))
            raise self.stopped_by
        self.report(position, problem)
        return None

    def report(self, position: int, problem: Problem) -> None:
        """Name an image that cannot be read, once, on stderr and in `unreadable`."""
        if self._reported.setdefault(position, problem) is problem:
            self.unreadable.append(problem)
            print(f"{problem} (it trains as a grey image without boxes)", file=sys.stderr)


def largest(boxes, count):
    """Positions of the `count` largest boxes, in their own order."""
    if len(boxes) <= count:
        return np.arange(len(boxes))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.sort(np.argsort(-areas, kind="stable")[:count])
