"""IoU, GIoU and DIoU of 3-D boxes (x, y, z, w, l, h, heading), by clipping polygons.

float64, one pair at a time; imports nothing from boxloss.
"""

import math

from oracles.rotated import clip, corners, hull, polygon_area


def _outline(box, clockwise):
    x, y, _, w, length, _, heading = map(float, box)
    return corners((x, y, w, length, -heading if clockwise else heading))


def _heights(box, origin):
    z, h = float(box[2]), float(box[5])
    return (z, z + h) if origin == "bottom" else (z - h / 2, z + h / 2)


def _rectangle(points, angle):
    """The sides of the rectangle at `angle` around the points."""
    c, s = math.cos(angle), math.sin(angle)
    along = [x * c + y * s for x, y in points]
    across = [y * c - x * s for x, y in points]
    return max(along) - min(along), max(across) - min(across)


def _rectangle_of(points, enclosure):
    if enclosure == "aligned":
        return _rectangle(points, 0.0)
    around = hull(points)
    edges = zip(around, around[1:] + around[:1], strict=True)
    angles = [math.atan2(y2 - y1, x2 - x1) for (x1, y1), (x2, y2) in edges]
    return min((_rectangle(points, angle) for angle in angles), key=lambda sides: math.prod(sides))


def _measure(y_true, y_pred, origin, clockwise):
    a, b = _outline(y_true, clockwise), _outline(y_pred, clockwise)
    (low, high), (LOW, HIGH) = _heights(y_pred, origin), _heights(y_true, origin)
    shared = polygon_area(clip(a, b)) * max(0.0, min(high, HIGH) - max(low, LOW))
    volumes = [math.prod(map(float, box[3:6])) for box in (y_true, y_pred)]
    union = sum(volumes) - shared
    middles = (low + high) / 2, (LOW + HIGH) / 2
    offset = [y_pred[0] - y_true[0], y_pred[1] - y_true[1], middles[0] - middles[1]]
    return a + b, shared, union, max(high, HIGH) - min(low, LOW), offset


def iou3d(y_true, y_pred, origin="middle", clockwise=False):
    _, shared, union, _, _ = _measure(y_true, y_pred, origin, clockwise)
    return 1 - shared / union


def giou3d(y_true, y_pred, enclosure="hull", origin="middle", clockwise=False):
    points, shared, union, height, _ = _measure(y_true, y_pred, origin, clockwise)
    if enclosure == "hull":
        area = polygon_area(hull(points))
    else:
        area = math.prod(_rectangle_of(points, enclosure))
    return 1 - shared / union + (area * height - union) / (area * height)


def diou3d(y_true, y_pred, enclosure="hull", origin="middle", clockwise=False):
    points, shared, union, height, offset = _measure(y_true, y_pred, origin, clockwise)
    if enclosure == "hull":
        squared = max((x - X) ** 2 + (y - Y) ** 2 for x, y in points for X, Y in points)
    else:
        squared = sum(side**2 for side in _rectangle_of(points, enclosure))
    return 1 - shared / union + sum(d**2 for d in offset) / (squared + height**2)


ORACLES = {"iou3d": iou3d, "giou3d": giou3d, "diou3d": diou3d}
