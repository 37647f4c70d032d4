"""Parts of an epoch's batches: what is left of a broken one, and what several devices can share."""

import keras


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
