"""Per true box: the summed errors of the locations assigned to it, over one epoch."""

import keras

from boxloss import functional
from boxloss.evaluation.box_statistics import COLUMNS
from boxloss.tensors import ops


class BoxErrors(keras.metrics.Metric):
    """Sums over the locations of each of `count` boxes since the last reset.

    A box is named by its number in the data set, see `datasets.Batches`. Its locations weigh as
    in the box loss, by their quality. The sums add up over the views of a box (an image is in
    the mosaics of others too) and over devices.
    """

    def __init__(self, count, name="box_errors", **kwargs):
        super().__init__(name=name, **kwargs)
        self.count = count
        self.sums = self.add_variable((count, len(COLUMNS)), initializer="zeros", name="sums")

    def update_state(self, number, ignore, costs, outputs):
        """number, ignore: (B, N). costs: `Costs`. outputs: of the detector, (B, A, ...)."""
        target = costs.assignment
        number = ops.where(ignore, -ops.ones_like(number), number)
        views = self._summed(number, ops.ones_like(number, dtype="float32")[..., None])
        # A location that is assigned to no box adds to box 0, with a quality of 0: nothing.
        own = ops.take_along_axis(number, ops.maximum(target.index, 0), axis=1)  # (B, A)
        logits = outputs["logits"]
        # Background and ignored locations have no class of their own, and no weight either.
        label = ops.clip(target.labels, 0, logits.shape[-1] - 1)
        score = ops.take_along_axis(ops.sigmoid(logits), ops.expand_dims(label, -1), axis=-1)
        right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), ops.cast(label, "int32"))
        values = (
            ops.ones_like(target.quality),
            costs.errors["box"],
            score[..., 0],
            1.0 - functional.iou_loss(target.boxes, outputs["boxes"]),
            ops.cast(right, "float32"),
        )
        columns = ops.stack([target.quality * value for value in values], axis=-1)  # (B, A, 5)
        sums = ops.concatenate([views, self._summed(own, columns)], axis=-1)
        self.sums.assign_add(ops.stop_gradient(sums))

    def _summed(self, number, columns):
        """(count, k) sums of the rows of (..., k) with the same number; -1 is nobody's."""
        number = ops.reshape(number, (-1,))
        number = ops.where(ops.less(number, 0), self.count * ops.ones_like(number), number)
        columns = ops.reshape(columns, (-1, columns.shape[-1]))
        return ops.segment_sum(columns, number, self.count + 1)[:-1]

    def result(self):
        """Nothing that a progress bar could show."""
        return {}

    def table(self):
        """numpy (count, 6): the sums, in the order of `COLUMNS`."""
        return ops.numpy_of(self.sums)
