"""The Keras model that `fit` trains: a detector, its criterion, and the loss of every image."""

import keras

from boxloss import coders
from boxloss.detector import STRIDES
from boxloss.losses import reduction
from boxloss.losses.state import states_of
from boxloss.tensors import ops
from boxloss.training.box_errors import BoxErrors


class ImageLosses(keras.metrics.Metric):
    """The last loss of each of `count` images: a metric, whose state `fit` keeps everywhere."""

    def __init__(self, count, parts, name="image_losses", **kwargs):
        super().__init__(name=name, **kwargs)
        self.parts = tuple(parts)
        self.values = self.add_variable(
            (count, len(self.parts)), initializer="zeros", name="values"
        )
        self.seen = self.add_variable((count,), initializer="zeros", name="seen")

    def update_state(self, index, parts):
        # By the place in the data set and not in the batch: the order is another one in each epoch.
        index = ops.reshape(ops.cast(index, "int32"), (-1, 1))
        rows = ops.stack([parts[name] for name in self.parts], axis=-1)
        self.values.assign(ops.scatter_update(self.values, index, rows))
        self.seen.assign(ops.scatter_update(self.seen, index, ops.ones_like(rows[:, 0])))

    def result(self):
        """Means over the images seen, one per part."""
        total = ops.maximum(ops.sum(self.seen), 1.0)
        means = ops.sum(self.values * ops.expand_dims(self.seen, -1), axis=0) / total
        return {f"{name}_loss": means[i] for i, name in enumerate(self.parts)}

    def table(self):
        """numpy (count, parts): NaN for images not seen since the last reset."""
        values = ops.numpy_of(self.values).copy()
        values[ops.numpy_of(self.seen) == 0] = float("nan")
        return values


class TrainingModel(keras.Model):
    """A `Detector` with its criterion; `y` is what `datasets.Batches` gives.

    image_count: how many images the data set has. mining: `HardestImages` or another mining object,
    which weighs the images of a batch by their loss, or None. box_count: how many boxes the data
    set has, to keep what each was off in `box_errors`; 0 keeps nothing.
    """

    def __init__(self, detector, criterion, image_count, mining=None, box_count=0, name="training"):
        super().__init__(name=name)
        self.detector = detector
        self.criterion = criterion
        self.mining = mining
        self.parts = ("box", "class", "bins") if detector.bins else ("box", "class")
        self.image_losses = ImageLosses(image_count, self.parts)
        self.box_errors = BoxErrors(box_count) if box_count else None
        # The model owns them: they are in its checkpoints.
        self.loss_states = states_of(criterion.loss)
        # The parts are built; `fit` would else call the model once with symbols to learn its
        # shapes.
        self.built = True

    def call(self, images, training=None):
        return self.detector(images, training=training)

    def costs(self, images, truth, outputs):
        """`Costs` of a batch."""
        points, strides = coders.grid(images.shape[1], images.shape[2], STRIDES)
        return self.criterion(truth, outputs, points, strides)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y = y | {"ignore": ops.cast(y["ignore"], "bool")}
        costs = self.costs(x, y, y_pred)
        # Here and not in `train_step`: this is the one place that all backends call in their own
        # compiled step, with the predictions that the gradient is taken of.
        if training:
            self.image_losses.update_state(y["index"], costs.parts)
            if self.box_errors is not None:
                self.box_errors.update_state(y["number"], y["ignore"], costs, y_pred)
            strides = coders.grid(x.shape[1], x.shape[2], STRIDES)[1]
            self.criterion.move(costs.assignment, y_pred["boxes"], strides)
        return reduction.reduce(
            costs.image_losses, self._image_weights(costs, sample_weight), "sum_over_batch_size"
        )

    def _image_weights(self, costs, sample_weight):
        """(B,) weights, or None; hard images are chosen before other weights act."""
        if self.mining is None:
            return sample_weight
        # Mining of boxes serves for images: an image is a row of one box, and the kept share of
        # images is divided out, so that the scalar stays a mean over those that count.
        losses = ops.expand_dims(costs.image_losses, -1)  # one "box" per image
        mined = self.mining.mine(losses, ops.ones_like(losses, dtype="bool"))
        weights = mined.weights[:, 0]
        if mined.image_share is not None:
            weights = weights / mined.image_share
        return weights if sample_weight is None else weights * sample_weight

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()
