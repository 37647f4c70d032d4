"""From what a dense head predicts to boxes: locations, distances, bins."""

import numpy as np

from boxloss import ops


def grid(height, width, strides):
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


def distances_to_boxes(distances, points):
    """Distances (..., A, 4) left, top, right, bottom of points (A, 2) to xyxy boxes, same unit."""
    left, top, right, bottom = ops.unstack(distances, 4, axis=-1)
    x, y = points[:, 0], points[:, 1]
    return ops.stack([x - left, y - top, x + right, y + bottom], axis=-1)


def boxes_to_distances(boxes, points):
    """The inverse of `distances_to_boxes`."""
    x1, y1, x2, y2 = ops.unstack(boxes, 4, axis=-1)
    x, y = points[:, 0], points[:, 1]
    return ops.stack([x - x1, y - y1, x2 - x, y2 - y], axis=-1)


def expected_bins(logits, bins):
    """Logits (..., 4 * bins), side-major, to the mean bin (..., 4) of each distribution."""
    shape = ops.shape(logits)[:-1]
    probabilities = ops.softmax(ops.reshape(logits, (*shape, 4, bins)), axis=-1)
    return ops.sum(probabilities * ops.arange(bins, dtype=ops.dtype_name(logits)), axis=-1)
