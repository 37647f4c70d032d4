"""Batches of letterboxed images and padded boxes for Keras' `fit`, on every backend."""

import dataclasses
import sys
from typing import Any

import keras
import numpy as np

from boxloss.datasets.augmentation import Augmentation, Example
from boxloss.datasets.header import BadImageError
from boxloss.datasets.images import FILL, fit, letterbox_of, read_image
from boxloss.datasets.problems import Problem
from boxloss.datasets.record import DataSet

# The (boxes x locations) tensors of assignment grow with the fullest image: 300 boxes hold nearly
# every data set, and one image with 10,000 must not take the memory of all.
MAX_BOXES = 300
CACHE_BYTES = 2**29
# Two threads at least: for one Keras makes a tf.data pipeline with autotuning. When an epoch ends
# it waits for a thread asleep, for 10 ms * 2^n, n growing: for up to as long as the epoch took.
WORKERS, QUEUED = 2, 4


class Batches(keras.utils.PyDataset):
    """(x, y) of `batch_size` images each; the last batch may be smaller.

    x: float32 (b, S, S, 3), RGB in [0, 255], letterboxed to S = `image_size`.
    y: "boxes" float32 (b, N, 4), xyxy in pixels of the square; "labels" int32 (b, N); both -1 at
    padding. "ignore" bool (b, N): crowd, ignore and difficult boxes. "number" int32 (b, N): which
    of all boxes of the data set it is, counted through `dataset.records`; -1 at padding. "index"
    int32 (b,): position in `dataset.records` (of a mosaic: of the image it was made for). N is the
    same for all batches:
    the fullest image's count, twice that with mosaics, at most 300; or `max_boxes`. Of an image
    with more, the largest N are used (a line on stderr says so).

    augment: True, False or an Augmentation; may be set between epochs. mosaic_epochs: epochs after
    which no mosaics are made, None for never. Order and augmentation depend on (seed, epoch,
    position) alone: set `epoch` to resume.
    An image that cannot be decoded becomes grey without boxes, is added to `unreadable` and told
    once on stderr; a strict data set raises its ValueError instead.
    Scaled images are kept in memory up to `cache_bytes`. workers, max_queue_size: how many threads
    of Keras' make batches ahead, and how many batches may wait.
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
        cache_bytes: int = CACHE_BYTES,
        workers: int = WORKERS,
        max_queue_size: int = QUEUED,
        **kwargs: Any,
    ) -> None:
        super().__init__(workers=workers, max_queue_size=max_queue_size, **kwargs)
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
        self._cache: dict[int, Any] = {}
        self._told: dict[int, Problem] = {}
        self._room = cache_bytes

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
        return np.random.default_rng([self.seed, self.epoch]).permutation(count)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        start = index * self.batch_size
        positions = self.order()[start : start + self.batch_size]
        size, boxes_per_image = self.image_size, self.max_boxes
        x = np.full((len(positions), size, size, 3), FILL, "float32")
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

    def on_epoch_end(self) -> None:
        self.epoch += 1

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
            image = fit(image, self.image_size)
            # Threads may read the same image at once: one of them keeps it.
            if image.nbytes <= self._room and self._cache.setdefault(position, image) is image:
                self._room -= image.nbytes
        scale = letterbox_of(record.width, record.height, self.image_size).scale
        boxes = (record.boxes.astype("float64") * scale).astype("float32")
        number = self._first[position] + np.arange(len(record))
        return image, boxes, record.labels, record.ignored, number

    def _read(self, position):
        record = self.dataset.records[position]
        try:
            image = read_image(record.path)
            if image.shape[:2] == (record.height, record.width):
                return image
            raise BadImageError(
                "have the size it had when the data set was loaded",
                f"{image.shape[1]} x {image.shape[0]}, before {record.width} x {record.height}",
                record.path,
            )
        except BadImageError as error:
            problem = Problem(str(record.path), "image", error.rule, error.received)
        except OSError as error:
            problem = Problem(str(record.path), "image", "be readable", str(error.strerror))
        if self.dataset.strict:
            self.stopped_by = ValueError(str(problem))
            raise self.stopped_by
        if self._told.setdefault(position, problem) is problem:
            self.unreadable.append(problem)
            print(f"{problem} (it trains as a grey image without boxes)", file=sys.stderr)
        return None


def largest(boxes, count):
    """Positions of the `count` largest boxes, in their own order."""
    if len(boxes) <= count:
        return np.arange(len(boxes))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.sort(np.argsort(-areas, kind="stable")[:count])
