"""Batches made in worker processes by grain: the same batches in the same order as without.

A batch is a function of (seed, epoch, index), so it does not matter which process makes it. No
Keras here: the workers import this file.
"""

import copy
import dataclasses
from typing import NamedTuple

import numpy as np

from boxloss.datasets.examples import Examples

BUFFERED = 2  # batches that each worker makes ahead
ENDLESS = 2**40  # grain wants a length; a run ends when its epochs are over


class Share(NamedTuple):
    """What of each batch a process makes: cut to a multiple of `devices` images, then its part."""

    devices: int = 1
    process: int = 0
    processes: int = 1

    def __call__(self, positions):
        count = (len(positions) - len(positions) % self.devices) // self.processes
        return positions[self.process * count :][:count]


class Source:
    """Item n is batch n of all epochs, counted from batch `first` of the first epoch.

    An item is (x uint8, y, problems): images travel between processes as bytes, and what could not
    be read goes with them, to be reported where the run is.
    """

    def __init__(self, examples, steps, first, share):
        self.examples, self.steps, self.share = examples, steps, share
        self.begin = examples.epoch * steps + first

    def __len__(self):
        return ENDLESS

    def __getitem__(self, number):
        examples = self.examples
        examples.epoch, index = divmod(self.begin + number, self.steps)
        x, y = examples.batch(self.share(examples.positions(index)), "uint8")
        found, examples.found = examples.found, []
        return x, y, found


class WorkerExamples(Examples):
    """Examples in a worker process, which keeps what it would report."""

    @classmethod
    def of(cls, batches, workers):
        """Those of `batches`, for one of `workers` processes."""
        own = cls.__new__(cls)
        names = ("batch_size", "image_size", "augment", "shuffle", "seed", "epoch", "mosaic_epochs")
        for name in (*names, "max_boxes", "_first"):
            setattr(own, name, copy.copy(getattr(batches, name)))
        # A strict data set stops where the run is, and not in a worker.
        own.dataset = dataclasses.replace(batches.dataset, strict=False)
        own.unreadable, own.stopped_by, own.found = [], None, []
        own._cache, own._reported, own._order = batches._cache.divided(max(workers, 1)), {}, None
        return own

    def report(self, position, problem):
        if self._reported.setdefault(position, problem) is problem:
            self.found.append((position, problem))


def installed_grain(workers):
    """The module grain. Raises ValueError that says how to install it."""
    try:
        import grain
    except ImportError:
        raise ValueError(
            '`workers` must be 0 without grain: pip install "boxloss[workers]". '
            f"Received: workers={workers!r}, no module named grain"
        ) from None
    return grain


def iterator(batches, steps, first, share, workers):
    """Endless (x uint8, y, problems) from batch `first` of the epoch of `batches` on.

    workers: how many processes; 0 makes them in this one. ValueError where grain is missing.
    """
    grain = installed_grain(workers)
    from absl import flags

    # grain reads flags of absl, which refuses them in a program that parses its own arguments.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    source = Source(WorkerExamples.of(batches, workers), steps, first, share)
    made = grain.MapDataset.source(source).to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    )
    if workers:
        made = made.mp_prefetch(
            grain.multiprocessing.MultiprocessingOptions(
                num_workers=workers, per_worker_buffer_size=BUFFERED
            )
        )
    return iter(made)


def as_float(item):
    """(x float32, y) of an item."""
    x, y, _ = item
    return np.asarray(x).astype("float32"), {name: np.asarray(value) for name, value in y.items()}
