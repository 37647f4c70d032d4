"""Parts of an epoch's batches: what is left of a broken one, and what several devices can share."""

import threading

import keras

from boxloss.datasets import workers


class RemainingBatches(keras.utils.PyDataset):
    """The batches of `batches` from `first` on: what is left of an epoch that was broken off."""

    def __init__(self, batches, first):
        super().__init__(workers=batches.workers, max_queue_size=batches.max_queue_size)
        self.batches, self.first = batches, first

    def __len__(self):
        return len(self.batches) - self.first

    def __getitem__(self, index):
        return self.batches[index + self.first]

    def on_epoch_end(self):
        self.batches.on_epoch_end()


class EvenBatches(RemainingBatches):
    """The batches for several devices: each cut to a multiple of `devices` images.

    process, processes: the number of this process and how many there are; each makes the images
    of its own devices only.

    A replica without an image has no loss, and Keras averages over replicas: an uneven batch would
    weigh the images of the smaller part more. So at most `devices` - 1 images per epoch are left
    out, other ones in each epoch, as the order is drawn anew.
    """

    def __init__(self, batches, first, devices, process=0, processes=1):
        super().__init__(batches, first)
        self.devices, self.process, self.processes = devices, process, processes

    def __len__(self):
        left = len(self.batches.dataset.records) % self.batches.batch_size
        return super().__len__() - (0 < left < self.devices)

    def __getitem__(self, index):
        positions = self.batches.positions(index + self.first)
        share = (len(positions) - len(positions) % self.devices) // self.processes
        x, y = self.batches.batch(positions[self.process * share :][:share])
        # Keras averages the first batch over the devices to learn its shapes, and cannot average
        # bool.
        return x, y | {"ignore": y["ignore"].astype("float32")}


class WorkerBatches(keras.utils.PyDataset):
    """The same batches as `part`, made by `count` worker processes; a context that ends them.

    part: the `Batches`, RemainingBatches or EvenBatches of an epoch. Keras' threads ask for batches
    by number, in nearly this order, and for the first one twice, to learn its shapes; the workers
    give them in exactly this order. What is asked for once more is made in this process: it depends
    on (seed, epoch, index) alone, so it is the same.
    """

    def __init__(self, part, count):
        super().__init__(workers=part.workers, max_queue_size=part.max_queue_size)
        self.part, self.count = part, count
        self.batches = getattr(part, "batches", part)
        first, even = getattr(part, "first", 0), isinstance(part, EvenBatches)
        self.share = workers.Share()
        if even:
            self.share = workers.Share(part.devices, part.process, part.processes)
        self.steps = first + len(part)  # of an epoch
        self.begin = self.batches.epoch * self.steps + first  # number of the first item
        self.first, self.even = first, even
        self.lock, self.waiting, self.made = threading.Lock(), {}, 0

    def __enter__(self):
        self.items = workers.iterator(self.batches, self.steps, self.first, self.share, self.count)
        return self

    def __exit__(self, *error):
        with self.lock:
            close = getattr(self.items, "close", None)
            if close is not None:
                close()
            self.items = None
            self.waiting.clear()

    def __len__(self):
        return len(self.part)

    def __getitem__(self, index):
        number = self.batches.epoch * self.steps + self.first + index - self.begin
        with self.lock:
            while self.made <= number:
                self.waiting[self.made] = next(self.items)
                self.made += 1
            item = self.waiting.pop(number, None)
        if item is None:
            return self.part[index]
        for position, problem in item[2]:
            self._report(position, problem)
        x, y = workers.as_float(item)
        # As in EvenBatches: Keras cannot average bool.
        return (x, y | {"ignore": y["ignore"].astype("float32")}) if self.even else (x, y)

    def _report(self, position, problem):
        if self.batches.dataset.strict:
            self.batches.stopped_by = ValueError(str(problem))
            raise self.batches.stopped_by
        self.batches.report(position, problem)

    def on_epoch_end(self):
        self.part.on_epoch_end()
