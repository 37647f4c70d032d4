"""From what a dense head predicts to boxes: locations, distances, bins, deltas.

A coder is an object with `encode(boxes)` and `decode(predictions)`, inverse to each other for boxes
with sides above 0; boxes are xyxy. Decoding is differentiable and finite for finite predictions.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np

from boxloss.functional import fine_grained
from boxloss.functional.distribution import by_side
from boxloss.tensors import checks, ops
from boxloss.tensors.config import config_of
from boxloss.types import ArrayLike, Config, Tensor

register = keras.utils.register_keras_serializable(package="boxloss")

# ln(1000 / 16): the largest growth of a side that Faster R-CNN's descendants decode.
CLIP = math.log(1000.0 / 16.0)
# A true side below this share of its reference is encoded as this share: the logarithm of 0.
SMALLEST = 1e-6


def grid(height: int, width: int, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The locations of a pyramid over an image of `height` x `width` pixels.

    Returns float32 numpy arrays: points (A, 2), the x, y of the cell centres in pixels, and their
    strides (A,), level after level in the order of `strides`, row by row.
    """
    points, steps = [], []
    for stride in strides:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[:rows, :columns]
        points.append((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride)
        steps.append(np.full(rows * columns, stride))
    return np.concatenate(points).astype("float32"), np.concatenate(steps).astype("float32")


def _four(x):
    """(..., 4), a tensor or an array, as four tensors (...)."""
    return ops.unstack(x, 4, axis=-1)


def distances_to_boxes(distances: ArrayLike, points: ArrayLike) -> Tensor:
    """Distances (..., A, 4) left, top, right, bottom of points (A, 2) to xyxy boxes, same unit."""
    left, top, right, bottom = _four(distances)
    x, y = ops.unstack(points, 2, axis=-1)
    return ops.stack([x - left, y - top, x + right, y + bottom], axis=-1)


def boxes_to_distances(boxes: ArrayLike, points: ArrayLike) -> Tensor:
    """The inverse of `distances_to_boxes`."""
    x1, y1, x2, y2 = _four(boxes)
    x, y = ops.unstack(points, 2, axis=-1)
    return ops.stack([x - x1, y - y1, x2 - x, y2 - y], axis=-1)


def expected_bins(logits: ArrayLike, bins: int) -> Tensor:
    """Logits (..., 4 * bins), side-major, to the mean bin (..., 4) of each distribution."""
    shape = ops.shape(logits)[:-1]
    probabilities = ops.softmax(ops.reshape(logits, (*shape, 4, bins)), axis=-1)
    return ops.sum(probabilities * ops.arange(bins, dtype=ops.dtype_name(logits)), axis=-1)


def bin_logits(distances: ArrayLike, bins: int) -> Tensor:
    """The inverse of `expected_bins`: all mass on the two bins beside each distance (..., 4).

    Distances are clipped to [0, bins - 1]. Probabilities of 0 get the logit -1e4.
    """
    distances = ops.expand_dims(ops.clip(distances, 0.0, bins - 1.0), -1)
    positions = ops.arange(bins, dtype=ops.dtype_name(distances))
    share = 1.0 - ops.abs(distances - positions)  # of a bin, by its distance
    empty = ops.less_equal(share, ops.zeros_like(share))
    logits = ops.log(ops.where(empty, ops.ones_like(share), share))
    logits = ops.where(empty, -1e4 * ops.ones_like(share), logits)
    return ops.reshape(logits, (*ops.shape(distances)[:-2], 4 * bins))


def _center(boxes):
    """cx, cy, w, h of xyxy boxes (..., 4)."""
    x1, y1, x2, y2 = _four(boxes)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _corners(x, y, w, h):
    return ops.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def _log_ratio(side, reference):
    return ops.log(ops.maximum(side / reference, SMALLEST))


def encode_deltas(
    boxes: ArrayLike, anchors: ArrayLike, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """Boxes (..., A, 4) as deltas (..., A, 4) of anchors (A, 4), both xyxy.

    tx = (x - xa) / wa, ty, tw = ln(w / wa), th, each times its weight.
    Source: Ren et al. 2015, "Faster R-CNN", arXiv:1506.01497, eq. 2.
    """
    x, y, w, h = _center(boxes)
    xa, ya, wa, ha = _center(anchors)
    deltas = ((x - xa) / wa, (y - ya) / ha, _log_ratio(w, wa), _log_ratio(h, ha))
    return ops.stack([d * k for d, k in zip(deltas, weights, strict=True)], axis=-1)


def decode_deltas(
    deltas: ArrayLike,
    anchors: ArrayLike,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    clip: float = CLIP,
) -> Tensor:
    """The inverse of `encode_deltas`; tw and th are at most `clip`, without gradient beyond."""
    tx, ty, tw, th = [d / k for d, k in zip(_four(deltas), weights, strict=True)]
    xa, ya, wa, ha = _center(anchors)
    w, h = ops.exp(ops.minimum(tw, clip)) * wa, ops.exp(ops.minimum(th, clip)) * ha
    return _corners(tx * wa + xa, ty * ha + ya, w, h)


# Coders -------------------------------------------------------------------------------------------


def _rows(argument, value, columns):
    """A float32 array (A, columns) of finite numbers, or (A,) where `columns` is None."""
    array = np.asarray(value, "float32")
    shape = "(A,)" if columns is None else f"(A, {columns})"
    good = array.ndim == 1 if columns is None else array.shape[1:] == (columns,)
    if not good or not len(array) or not np.isfinite(array).all():
        raise ValueError(
            f"`{argument}` must be finite numbers of shape {shape}. "
            f"Received: {argument}.shape={array.shape}"
        )
    return array


def _floats(x):
    """A tensor of its own float dtype, of float32 where it holds whole numbers."""
    x = ops.convert_to_tensor(x)
    return x if "float" in ops.dtype_name(x) else ops.cast(x, "float32")


class Coder:
    """`encode`, `decode`, and a config that holds every argument: each is an attribute."""

    def encode(self, boxes: ArrayLike) -> Tensor:
        """Boxes (..., A, 4) xyxy as what a head should predict for them."""
        return self._encode(_floats(boxes))

    def decode(self, predictions: ArrayLike) -> Tensor:
        """Predictions (..., A, K) as boxes (..., A, 4) xyxy."""
        return self._decode(_floats(predictions))

    def _encode(self, boxes):
        raise NotImplementedError

    def _decode(self, predictions):
        raise NotImplementedError

    def get_config(self) -> Config:
        return config_of(self)

    @classmethod
    def from_config(cls, config: Config) -> "Coder":
        return cls(**config)


@register
class DeltaCoder(Coder):
    """Faster R-CNN's deltas (..., A, 4) of anchors.

    Args: anchors: (A, 4) xyxy. weights: of tx, ty, tw, th; (10, 10, 5, 5) in RoI heads. clip: the
        largest tw and th.
    """

    size = 4

    def __init__(
        self,
        anchors: ArrayLike,
        *,
        weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        clip: float = CLIP,
    ) -> None:
        self.anchors = _rows("anchors", anchors, 4)
        if (self.anchors[:, 2:] <= self.anchors[:, :2]).any():
            raise ValueError("`anchors` must have x1 < x2 and y1 < y2. Received: one that has not")
        self.weights = tuple(checks.positive("weights", weight) for weight in weights)
        if len(self.weights) != 4:
            raise ValueError(f"`weights` must be four numbers. Received: weights={weights!r}")
        self.clip = checks.positive("clip", clip)

    def _encode(self, boxes):
        return encode_deltas(boxes, ops.cast(self.anchors, ops.dtype_name(boxes)), self.weights)

    def _decode(self, predictions):
        anchors = ops.cast(self.anchors, ops.dtype_name(predictions))
        return decode_deltas(predictions, anchors, self.weights, self.clip)


class _Located(Coder):
    """A coder of the locations of a dense head, as `grid` gives them.

    Args: points: (A, 2) x, y of the middles of the cells. strides: (A,).
    """

    size = 4

    def __init__(self, points: ArrayLike, strides: ArrayLike) -> None:
        self.points = _rows("points", points, 2)
        self.strides = _rows("strides", strides, None)
        if len(self.points) != len(self.strides) or (self.strides <= 0).any():
            raise ValueError(
                "`strides` must be numbers above 0, one for each of `points`. "
                f"Received: {len(self.strides)} for {len(self.points)} points"
            )

    def _at(self, like):
        """points (A, 2), strides (A, 1) in the dtype of a tensor."""
        dtype = ops.dtype_name(like)
        return ops.cast(self.points, dtype), ops.cast(self.strides[:, None], dtype)


@register
class DistanceCoder(_Located):
    """Distances (..., A, 4) left, top, right, bottom of the locations, in strides (FCOS)."""

    def _encode(self, boxes):
        points, strides = self._at(boxes)
        return boxes_to_distances(boxes, points) / strides

    def _decode(self, predictions):
        points, strides = self._at(predictions)
        return distances_to_boxes(predictions * strides, points)


@register
class BinCoder(_Located):
    """Logits (..., A, 4 * bins) of distributions over distances in strides (DFL).

    `encode` puts all mass on two bins; `distances` is the truth that `DFLLoss` takes. Boxes whose
    sides are outside [0, bins - 1] strides from their location are clipped.
    """

    def __init__(self, points: ArrayLike, strides: ArrayLike, *, bins: int = 16) -> None:
        super().__init__(points, strides)
        self.bins = checks.count("bins", bins)
        self.size = 4 * self.bins

    def distances(self, boxes: ArrayLike) -> Tensor:
        """(..., A, 4) left, top, right, bottom in strides, not clipped."""
        boxes = _floats(boxes)
        points, strides = self._at(boxes)
        return boxes_to_distances(boxes, points) / strides

    def _encode(self, boxes):
        return bin_logits(self.distances(boxes), self.bins)

    def _decode(self, predictions):
        points, strides = self._at(predictions)
        return distances_to_boxes(expected_bins(predictions, self.bins) * strides, points)


@register
class SideCoder(Coder):
    """Logits (..., A, 4 * bins) of distributions over the sides of a reference box (D-FINE).

    `encode` puts all mass on two bins; `sides` is the truth that `FGLLoss` takes. A side of 0 is
    the reference's own edge, `reg_scale` one whole side of the reference further out; sides beyond
    the last bin are clipped. Decoded boxes can be inverted, as an edge reaches beyond the centre.

    Args: reference: (A, 4) or (B, A, 4) xyxy, an array or a tensor; a constant in the gradient.
        bins, reg_scale, up: as in `FGLLoss`.
    """

    def __init__(
        self,
        reference: ArrayLike,
        *,
        bins: int = 33,
        reg_scale: float = 4.0,
        up: float = 0.5,
    ) -> None:
        shape = checks.shape_of(reference)
        if len(shape) < 2 or shape[-1] != 4:
            raise ValueError(
                "`reference` must be boxes of shape (A, 4) or (B, A, 4). "
                f"Received: reference.shape={tuple(shape)}"
            )
        self.reference = reference if ops.is_tensor(reference) else np.asarray(reference, "float32")
        self.bins, self.reg_scale, self.up = fine_grained.check_bins(
            bins=bins, reg_scale=reg_scale, up=up
        )
        self.size = 4 * self.bins

    def _at(self, like):
        """cx, cy, w, h of the reference in the dtype of a tensor."""
        reference = ops.cast(ops.convert_to_tensor(self.reference), ops.dtype_name(like))
        return _center(ops.stop_gradient(reference))

    def sides(self, boxes: ArrayLike) -> Tensor:
        """(..., A, 4) left, top, right, bottom, not clipped; 0 on a reference without extent."""
        boxes = _floats(boxes)
        x, y, w, h = self._at(boxes)
        x1, y1, x2, y2 = _four(boxes)
        lengths = ((x - x1, w), (y - y1, h), (x2 - x, w), (y2 - y, h))
        half, one = 0.5 * self.reg_scale, ops.ones_like(x1)
        return ops.stack(
            [ops.divide_or(self.reg_scale * d - half * a, a * one, 0.0) for d, a in lengths],
            axis=-1,
        )

    def _encode(self, boxes):
        weights = fine_grained.side_weights(self.sides(boxes), self._values())
        empty = ops.less_equal(weights, ops.zeros_like(weights))
        logits = ops.log(ops.where(empty, ops.ones_like(weights), weights))
        logits = ops.where(empty, -1e4 * ops.ones_like(weights), logits)
        return ops.reshape(logits, (*ops.shape(boxes)[:-1], self.size))

    def _decode(self, predictions):
        x, y, w, h = self._at(predictions)
        sides = fine_grained.expected_sides(by_side(predictions, self.bins), self._values())
        left, top, right, bottom = (
            (0.5 * self.reg_scale + side) / self.reg_scale for side in _four(sides)
        )
        return ops.stack([x - left * w, y - top * h, x + right * w, y + bottom * h], axis=-1)

    def _values(self):
        return fine_grained.bin_values(self.bins, self.reg_scale, self.up)


@register
class GridCoder(_Located):
    """YOLOX: the centre is the cell's corner + (tx, ty) strides, the sides e^tw and e^th strides.

    Args: clip: the largest tw and th.
    """

    def __init__(self, points: ArrayLike, strides: ArrayLike, *, clip: float = 10.0) -> None:
        super().__init__(points, strides)
        self.clip = checks.positive("clip", clip)

    def _encode(self, boxes):
        points, strides = self._at(boxes)
        x, y, w, h = _center(boxes)
        stride = strides[:, 0]
        tx, ty = (x - points[:, 0]) / stride + 0.5, (y - points[:, 1]) / stride + 0.5
        return ops.stack([tx, ty, _log_ratio(w, stride), _log_ratio(h, stride)], axis=-1)

    def _decode(self, predictions):
        points, strides = self._at(predictions)
        tx, ty, tw, th = _four(predictions)
        stride = strides[:, 0]
        x, y = points[:, 0] + (tx - 0.5) * stride, points[:, 1] + (ty - 0.5) * stride
        w, h = [ops.exp(ops.minimum(t, self.clip)) * stride for t in (tw, th)]
        return _corners(x, y, w, h)


@register
class AnchorGridCoder(_Located):
    """YOLOv5: the centre is the cell's corner + 2 s(tx) - 0.5 strides, the side wa (2 s(tw))^2.

    s is the sigmoid: a location reaches from half a cell before its cell to half a cell behind it,
    and sides up to 4 times the anchor's. Other boxes are encoded as the nearest it can express.

    Args: sizes: (A, 2) width and height of the anchor at each location.
    """

    def __init__(self, points: ArrayLike, strides: ArrayLike, sizes: ArrayLike) -> None:
        super().__init__(points, strides)
        self.sizes = _rows("sizes", sizes, 2)
        if len(self.sizes) != len(self.points) or (self.sizes <= 0).any():
            raise ValueError(
                "`sizes` must be numbers above 0, a pair for each of `points`. "
                f"Received: sizes.shape={self.sizes.shape} for {len(self.points)} points"
            )

    def _encode(self, boxes):
        points, strides = self._at(boxes)
        sizes, stride = ops.cast(self.sizes, ops.dtype_name(boxes)), strides[:, 0]
        x, y, w, h = _center(boxes)
        shares = [
            ((x - points[:, 0]) / stride + 1.0) / 2,
            ((y - points[:, 1]) / stride + 1.0) / 2,
            ops.sqrt(ops.maximum(w / sizes[:, 0], 0.0)) / 2,
            ops.sqrt(ops.maximum(h / sizes[:, 1], 0.0)) / 2,
        ]
        share = ops.clip(ops.stack(shares, axis=-1), SMALLEST, 1.0 - SMALLEST)
        return ops.log(share) - ops.log(1.0 - share)

    def _decode(self, predictions):
        points, strides = self._at(predictions)
        sizes, stride = ops.cast(self.sizes, ops.dtype_name(predictions)), strides[:, 0]
        sx, sy, sw, sh = _four(2.0 * ops.sigmoid(predictions))
        x, y = points[:, 0] + (sx - 1.0) * stride, points[:, 1] + (sy - 1.0) * stride
        return _corners(x, y, ops.square(sw) * sizes[:, 0], ops.square(sh) * sizes[:, 1])
