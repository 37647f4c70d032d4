"""Losses of rotated boxes (cx, cy, w, h, angle), by matrices and by clipping polygons.

float64 numpy, one pair at a time, nothing simplified; imports nothing from boxloss.
"""

import math

import numpy as np


def _gaussian(box, divisor):
    cx, cy, w, h, angle = map(float, box)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.array([cx, cy]), turn @ np.diag([(w / divisor) ** 2, (h / divisor) ** 2]) @ turn.T


def _root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T


def gwd(y_true, y_pred, function="log1p", tau=1.0, normalize=False):
    (m, a), (n, b) = _gaussian(y_pred, 2), _gaussian(y_true, 2)
    half = _root(a)
    squared = ((m - n) ** 2).sum() + np.trace(a + b - 2 * _root(half @ b @ half))
    squared = max(squared, 0.0)
    if normalize:
        size = (y_true[2] * y_true[3] * y_pred[2] * y_pred[3]) ** 0.25
        value = math.log(1 + math.sqrt(squared) / size)
    else:
        value = math.sqrt(squared) if function == "sqrt" else math.log(1 + squared)
    return 1 - 1 / (tau + value)


def kld(y_true, y_pred, direction="pred_to_true", tau=1.0, sqrt=False):
    (m, a), (n, b) = _gaussian(y_pred, 2), _gaussian(y_true, 2)
    if direction == "true_to_pred":
        m, a, n, b = n, b, m, a
    inverse = np.linalg.inv(b)
    d = (m - n) @ inverse @ (m - n) + np.trace(inverse @ a) - 2
    d = 0.5 * (d + math.log(np.linalg.det(b) / np.linalg.det(a)))
    d = max(d, 0.0)
    return 1 - 1 / (tau + math.log(1 + (math.sqrt(d) if sqrt else d)))


def probiou(y_true, y_pred, mode="l1"):
    (m, a), (n, b) = _gaussian(y_pred, math.sqrt(12)), _gaussian(y_true, math.sqrt(12))
    s = (a + b) / 2
    d = (m - n) @ np.linalg.inv(s) @ (m - n) / 8
    ratio = np.linalg.det(s) / math.sqrt(np.linalg.det(a) * np.linalg.det(b))
    d = max(d + 0.5 * math.log(ratio), 0.0)
    return math.sqrt(1 - math.exp(-d)) if mode == "l1" else d


def kfiou(y_true, y_pred, mode="exp", center_weight=0.0):
    (m, a), (n, b) = _gaussian(y_pred, 2), _gaussian(y_true, 2)

    def area(matrix):
        return 4 * math.sqrt(np.linalg.det(matrix))

    both = area(np.linalg.inv(np.linalg.inv(a) + np.linalg.inv(b)))
    k = both / (area(a) + area(b) - both)
    value = -math.log(k) if mode == "log" else math.exp(1 - k) - 1
    return value + center_weight * math.log(1 + (m - n) @ np.linalg.inv(b) @ (m - n))


def corners(box):
    cx, cy, w, h, angle = map(float, box)
    c, s = math.cos(angle), math.sin(angle)
    return [
        (cx + c * i * w / 2 - s * j * h / 2, cy + s * i * w / 2 + c * j * h / 2)
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


def polygon_area(points):
    x0, y0 = points[0] if points else (0, 0)  # far from the origin products cancel
    points = [(x - x0, y - y0) for x, y in points]
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return 0.5 * sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)


def clip(polygon, clipper):
    """Sutherland and Hodgman: `polygon` within the convex, counter-clockwise `clipper`."""
    for (ax, ay), (bx, by) in zip(clipper, clipper[1:] + clipper[:1], strict=True):
        kept = []

        def side(point, ax=ax, ay=ay, bx=bx, by=by):
            return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)

        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            a, b = side(start), side(end)
            if a >= 0:
                kept.append(start)
            if (a >= 0) != (b >= 0):
                t = a / (a - b)
                kept.append(
                    (start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]))
                )
        polygon = kept
    return polygon


def hull(points):
    """Andrew's monotone chain, counter-clockwise."""
    points = sorted(points)

    def chain(points):
        result = []
        for x, y in points:
            while len(result) > 1:
                (x1, y1), (x2, y2) = result[-2:]
                if (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0:
                    break
                result.pop()
            result.append((x, y))
        return result[:-1]

    return chain(points) + chain(points[::-1])


def _areas(y_true, y_pred):
    a, b = corners(y_true), corners(y_pred)
    shared = polygon_area(clip(a, b))
    return shared, y_true[2] * y_true[3] + y_pred[2] * y_pred[3] - shared, polygon_area(hull(a + b))


def rotated_iou(y_true, y_pred, mode="linear"):
    shared, union, _ = _areas(y_true, y_pred)
    o = shared / union
    return {"linear": 1 - o, "square": 1 - o * o, "log": -math.log(max(o, 1e-6))}[mode]


def rotated_giou(y_true, y_pred, mode="linear"):
    _, union, around = _areas(y_true, y_pred)
    return rotated_iou(y_true, y_pred, mode) + 1 - union / around


ORACLES = {
    "gwd": gwd,
    "kld": kld,
    "probiou": probiou,
    "kfiou": kfiou,
    "rotated_iou": rotated_iou,
    "rotated_giou": rotated_giou,
}
