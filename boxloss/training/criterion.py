"""The cost of a dense head: assignment, then one ladder for boxes, classes and bins.

Every level stays a tensor over the A locations until images are reduced: errors (B, A), image
losses (B,), and at last the scalar.
"""

from typing import NamedTuple

from boxloss import assignment, coders, losses
from boxloss.losses.coordinate import CoordinateLoss
from boxloss.tensors import boxes, checks, ops

# The criterion decides these; a loss that brought its own would reduce twice.
RESERVED = ("bounding_box_format", "box_reduction", "normalizer", "reduction", "mining")


class Costs(NamedTuple):
    """What one batch costs: `assignment`, errors of each location, losses of each image.

    errors: {"box": (B, A), "class": (B, A), "bins": (B, A)}, unweighted, 0 where none applies.
    parts: the same names -> (B,), weighted; they sum to `image_losses` (B,).
    """

    assignment: assignment.Assignment
    errors: dict
    parts: dict
    image_losses: object


def measuring_loss(name, arguments=None, image_size=None):
    """The registry's box loss `name`, as a run trains with it and measures its boxes by it.

    image_size: side in pixels of the detector's square, which MPDIoU measures by unless `arguments`
    hold another `image_shape`.
    """
    arguments = dict(arguments or {})
    for argument in RESERVED:
        if argument in arguments:
            raise ValueError(
                f"`loss_args` must leave `{argument}` to the detector. "
                f"Received: {argument}={arguments[argument]!r}"
            )
    checks.one_of("loss", name, losses.names("box"))
    owner = next(loss for loss in losses.LOSSES if loss.name == name)
    checks.arguments_of("loss_args", arguments, owner, RESERVED)
    # MPDIoU divides by the diagonal of the picture. What the network sees is the square, with its
    # padding.
    if image_size and "mpdiou" in (name, arguments.get("base")):
        arguments.setdefault("image_shape", (image_size, image_size))
    return losses.get(name, normalizer="none", **arguments)


def box_loss(name, arguments=None, image_size=None):
    """The same loss, to be summed over locations whose weights sum to 1.

    WIoU's running mean and GHM-R's histogram are updated, unless `arguments` give their state.
    """
    loss = measuring_loss(name, arguments, image_size)
    arguments = dict(arguments or {})
    # A running mean that nobody moves stays at 1. Every box is then better than the mean, and
    # version 3 looks at the worst boxes most, where the paper looks at those of medium quality.
    if name == "wiou" and loss.version > 1 and "running_mean" not in arguments:
        arguments["running_mean"] = losses.RunningMean()
    elif name == "ghm_r" and loss.momentum > 0 and loss.histogram is None:
        arguments["histogram"] = losses.GradientHistogram(bins=loss.bins)
    else:
        return loss
    return losses.get(name, normalizer="none", **arguments)


def soft_cross_entropy(target, logits):
    """Binary cross-entropy (..., C) with targets in [0, 1], from logits, finite for all of them."""
    return ops.maximum(logits, 0.0) - logits * target + ops.softplus(-ops.absolute(logits))


class Criterion:
    """Box, class and bin losses of a `Detector`'s outputs.

    loss: a box loss of the registry over (B, A, 4). bins: the detector's.
    box_weight, class_weight, bin_weight: the shares in the sum; class to box as in PP-YOLOE (1 to
        2.5).

    Coordinate losses measure in units of the stride of the location, so that L1 and its family are
    of order 1 on every level; overlap losses in pixels of the square, which is their own unit where
    they have one (`image_shape` of MPDIoU, `constant` of NWD). Each image is divided by the sum of
    its qualities (at least 1): each image counts once, and the scalar is the mean over images, on
    however many devices and in however many accumulated steps.
    """

    def __init__(self, loss, bins=0, box_weight=1.5, class_weight=0.6, bin_weight=0.3):
        self.loss, self.bins = loss, bins
        self.box_weight, self.class_weight = box_weight, class_weight
        self.bin_weight = bin_weight
        if bins:
            # The mean of the four sides: their sum with the paper's weight of 1/4.
            arguments = {"coordinate_reduction": "mean", "normalizer": "none"}
            self.bin_loss = losses.get("dfl", bins=bins, **arguments)

    def assign(self, truth, outputs, points):
        """Task-aligned targets, see `assignment.task_aligned`."""
        return assignment.task_aligned(
            ops.sigmoid(outputs["logits"]),
            outputs["boxes"],
            points,
            truth["boxes"],
            truth["labels"],
            truth["ignore"],
            smallest=8.0,
        )

    def __call__(self, truth, outputs, points, strides):
        """`Costs` of `outputs` at `points` (A, 2) with `strides` (A,) for the padded `truth`."""
        target = self.assign(truth, outputs, points)
        # Targets come from the predictions themselves (scores, IoU). A gradient through them would
        # teach the head to ask for easier targets.
        target = assignment.Assignment(*[ops.stop_gradient(field) for field in target])
        distribution = outputs.get("distribution")
        errors, parts = self._measure(
            target, outputs["boxes"], outputs["logits"], distribution, points, strides
        )
        return Costs(target, errors, parts, sum(parts.values()))

    def move(self, target, predicted, strides):
        """One step of the box loss's states by the boxes of a batch; see `losses.state`.

        target: the `Assignment`. predicted (B, A, 4) in pixels.
        """
        if not self.loss.is_pure:
            self.loss.move(*self._in_unit(target, predicted, strides)[:2])

    def _in_unit(self, target, predicted, strides):
        """Truths, -1 where none is assigned, and predictions as the loss measures them; found."""
        found = ops.greater_equal(target.index, 0)
        true = target.boxes
        # A pixel is much on the finest level and little on the coarsest. In strides the same `beta`
        # serves on all of them; overlaps are ratios and need no unit.
        if isinstance(self.loss, CoordinateLoss):
            steps = ops.expand_dims(ops.convert_to_tensor(strides), -1)  # (A, 1)
            true, predicted = true / steps, predicted / steps
        return boxes.fill(true, found, -1.0), predicted, found

    def _measure(self, target, predicted, logits, distribution, points, strides):
        true, pred, found = self._in_unit(target, predicted, strides)
        # At least 1: at the beginning all qualities are near 0, and dividing by them would blow up
        # what the few assigned locations cost.
        total = ops.maximum(ops.sum(target.quality, axis=-1, keepdims=True), 1.0)
        weights = target.quality / total  # (B, A)
        errors = {
            "box": self.loss.box_errors(true, pred),
            "class": self._class_errors(target, logits),
        }
        parts = {
            "box": self.box_weight * ops.sum(weights * errors["box"], axis=-1),
            "class": self.class_weight * ops.sum(errors["class"] / total, axis=-1),
        }
        if self.bins:
            steps = ops.expand_dims(ops.convert_to_tensor(strides), -1)  # (A, 1)
            sides = coders.boxes_to_distances(target.boxes, points) / steps
            # A mask, since a side of -1 is a distance like any other here and no padding.
            errors["bins"] = self.bin_loss.box_errors(sides, distribution, mask=found)
            parts["bins"] = self.bin_weight * ops.sum(weights * errors["bins"], axis=-1)
        return errors, parts

    def _class_errors(self, target, logits):
        """(B, A): soft cross-entropy summed over the classes, 0 at ignored locations."""
        chosen = ops.one_hot(target.labels, ops.shape(logits)[-1], dtype="float32")
        # The score learns the quality of the box: NMS then keeps the box that lies best.
        soft = chosen * ops.expand_dims(target.quality, -1)
        summed = ops.sum(soft_cross_entropy(soft, logits), axis=-1)
        return ops.where(ops.equal(target.labels, -1), ops.zeros_like(summed), summed)
