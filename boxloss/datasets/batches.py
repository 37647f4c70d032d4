"""Batches of letterboxed images and padded boxes for Keras' `fit`, on every backend."""

from typing import Any

import keras
import numpy as np

from boxloss.datasets.augmentation import Augmentation
from boxloss.datasets.cache import LIMIT, Cache
from boxloss.datasets.examples import Examples
from boxloss.datasets.record import DataSet

# Two threads at least: for one Keras makes a tf.data pipeline with autotuning. When an epoch ends
# it waits for a thread asleep, for 10 ms * 2^n, n growing: for up to as long as the epoch took.
WORKERS, QUEUED = 2, 4


class Batches(Examples, keras.utils.PyDataset):
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
    An image that cannot be decoded becomes grey without boxes, is added to `unreadable` and
    reported once on stderr; a strict data set raises its ValueError instead.
    Scaled images are kept up to `cache_bytes`, where `cache` says: "ram", "disk" (a temporary
    folder) or "none". workers, max_queue_size: how many threads of Keras' make batches ahead, and
    how many batches may wait.
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
        cache_bytes: int = LIMIT,
        workers: int = WORKERS,
        max_queue_size: int = QUEUED,
        cache: str = "ram",
        **kwargs: Any,
    ) -> None:
        keras.utils.PyDataset.__init__(
            self, workers=workers, max_queue_size=max_queue_size, **kwargs
        )
        Examples.__init__(
            self,
            dataset,
            batch_size,
            image_size,
            augment,
            shuffle,
            seed,
            max_boxes,
            mosaic_epochs,
            Cache(cache, cache_bytes),
        )

    # Named here too: the written interface lists what a class itself has.
    order, example, scaled = Examples.order, Examples.example, Examples.scaled

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return self.batch(self.positions(index))

    def on_epoch_end(self) -> None:
        self.epoch += 1
