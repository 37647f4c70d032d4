"""NMS with box voting as a layer, so that an exported file can hold it."""

import keras
import numpy as np

from boxloss.detector.inference import CANDIDATES, VOTERS_SCORE


@keras.utils.register_keras_serializable(package="boxloss")
class Suppression(keras.layers.Layer):
    """The same as `inference.suppress`, of one image, in operations of fixed shapes.

    Called with boxes (1, A, 4) and scores (1, A, C), it gives "boxes" (1, limit, 4), "scores"
    (1, limit), falling, and "labels" (1, limit) int32. Rows without a detection have a score of 0,
    a label of -1 and an empty box. Every score from 0.001 is kept.
    """

    def __init__(self, nms_threshold=0.6, limit=100, **kwargs):
        super().__init__(**kwargs)
        self.nms_threshold, self.limit = nms_threshold, limit

    def call(self, boxes, scores):
        ops, classes = keras.ops, scores.shape[-1]
        count = min(CANDIDATES, scores.shape[1] * classes)
        # One list of (location, class), as in `inference.suppress`; location and class are found
        # again from the place in it.
        score, place = ops.top_k(ops.reshape(scores, (-1,)), count)
        place = ops.cast(place, "int32")
        location = ops.floor_divide(place, classes)
        label = place - location * classes
        box = ops.take(boxes[0], location, axis=0)  # (K, 4), by falling score
        real = ops.cast(ops.greater_equal(score, VOTERS_SCORE), "float32")
        rivals = self._rivals(box, label) * real[:, None] * real[None, :]  # (K, K)
        kept = _kept(rivals, real)
        limit = min(self.limit, count)
        # -1 is below every score: what NMS dropped comes last, and its sign says so below.
        best, rows = ops.top_k(ops.where(ops.greater(kept, 0.5), score, -1.0), limit)
        found = ops.greater(best, 0.0)
        # A box votes for itself also where it has no area.
        votes = ops.take(rivals, rows, axis=0) + ops.one_hot(rows, count, dtype="float32")
        votes = votes * ops.maximum(score, np.finfo("float32").tiny)[None, :]
        moved = ops.matmul(votes, box) / ops.sum(votes, axis=1, keepdims=True)
        padding = [[0, self.limit - limit]]
        return {
            "boxes": ops.pad(ops.where(found[:, None], moved, 0.0), [*padding, [0, 0]])[None],
            "scores": ops.pad(ops.where(found, best, 0.0), padding)[None],
            "labels": ops.pad(
                ops.where(found, ops.take(label, rows), -1), padding, constant_values=-1
            )[None],
        }

    def _rivals(self, box, label):
        """(K, K): 1 where two boxes of a class overlap by more than the threshold; 0 on itself."""
        ops = keras.ops
        low = ops.maximum(box[:, None, :2], box[None, :, :2])
        high = ops.minimum(box[:, None, 2:], box[None, :, 2:])
        sides = ops.maximum(high - low, 0.0)
        shared = sides[..., 0] * sides[..., 1]
        area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        near = ops.greater(shared, self.nms_threshold * (area[:, None] + area[None, :] - shared))
        same = ops.equal(label[:, None], label[None, :])
        other = 1.0 - np.eye(box.shape[0], dtype="float32")
        return ops.cast(ops.logical_and(near, same), "float32") * other

    def get_config(self):
        return {
            **super().get_config(),
            "nms_threshold": self.nms_threshold,
            "limit": self.limit,
        }


def _kept(rivals, real):
    """(K,): 1 where no kept box of higher score is a rival: greedy NMS, all boxes at once.

    One pass drops whatever has a kept rival before it. What the best box of a chain decides is
    right after one pass, what the second decides after two, and so on: when a pass changes nothing,
    every box is right. That takes as many passes as the longest chain has boxes, a handful.
    """
    ops = keras.ops
    before = rivals * np.tril(np.ones(rivals.shape, "float32"), -1)

    def drop(kept, changed):
        has_rival = ops.greater(ops.matmul(before, kept[:, None])[:, 0], 0.5)
        new = ops.where(has_rival, 0.0, real)
        return new, ops.sum(ops.absolute(new - kept))

    def goes_on(kept, changed):
        return ops.greater(changed, 0.5)

    return ops.while_loop(goes_on, drop, (real, ops.ones((), "float32")))[0]
