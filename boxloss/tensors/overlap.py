"""IoU in NumPy, for evaluation, audit and data: they run without a backend."""

import numpy as np


def iou(a, b, crowd=None):
    """IoU of boxes xywh (..., 4) in float64, broadcast; 0 where they do not overlap.

    The operations are those of pycocotools and in its order, so that ties fall alike. crowd: bool,
    broadcast with the result, where the union is the area of `a` alone.
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    sides = np.maximum(high - low, 0.0)
    intersection = sides[..., 0] * sides[..., 1]
    area = a[..., 2] * a[..., 3]
    # An intersection is subtracted from the sum of areas, in this order, because pycocotools does:
    # another order differs in the last bit, and a tie between two detections falls otherwise.
    union = area + b[..., 2] * b[..., 3] - intersection
    if crowd is not None:
        union = np.where(crowd, area, union)
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=intersection > 0)


def pairwise_iou(detections, truth, crowd=None):
    """IoU (m, n) of each of m boxes xywh with each of n."""
    return iou(detections[:, None], truth[None], crowd)


def iou_xyxy(a, b):
    """IoU (n,) of boxes (n, 4) by their corners, row by row; an inverted box is empty."""
    return iou(*(np.concatenate([x[:, :2], np.maximum(x[:, 2:] - x[:, :2], 0)], 1) for x in (a, b)))
