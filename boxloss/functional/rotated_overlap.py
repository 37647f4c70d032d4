"""Areas of two rotated rectangles: their intersection and their convex hull.

Both are integrals over x of heights that are clipped, or of upper and lower envelopes. Such
heights change continuously when corners coincide or edges fall together, where methods that ask
"which vertices, in which order?" count an edge twice or not at all. No sort decides a result, and
an error of rounding stays an error of rounding.
"""

from boxloss.tensors import ops


def _next(x):
    """The values of the following corner, (..., 4)."""
    return ops.concatenate([x[..., 1:], x[..., :1]], axis=-1)


def _clip(x, limit):
    """x within [-limit, limit], gradients split evenly at the ends."""
    return ops.even_maximum(ops.even_minimum(x, limit), -limit)


def _ratio(a, b):
    """a / b, 0 without gradient where b is (almost) 0, of any sign."""
    # 1e-18: the square of a smaller denominator, which gradients divide by, leaves float32.
    bad = ops.less_equal(ops.abs(b), 1e-18 * ops.ones_like(b))
    return ops.where(bad, ops.zeros_like(a), a / ops.where(bad, ops.ones_like(b), b))


def _mean_height(start, end, limit):
    """The mean of clip(y, -limit, limit) along a straight edge from height `start` to `end`."""
    low, high = ops.even_minimum(start, end), ops.even_maximum(start, end)
    rise = high - low
    low_inside, high_inside = _clip(low, limit), _clip(high, limit)
    above = ops.even_maximum(high, limit) - ops.even_maximum(low, limit)
    below = ops.even_minimum(high, -limit) - ops.even_minimum(low, -limit)
    # The shares of the edge above, below and within; a level edge is judged by its middle.
    within = high_inside - low_inside
    middle = 0.5 * (low_inside + high_inside)
    flat = ops.less_equal(rise, 1e-18 * ops.ones_like(rise))
    return ops.where(
        flat, middle, _ratio(above - below, rise) * limit + _ratio(within, rise) * middle
    )


def intersection_area(x, y, half_width, half_height):
    """The area that a convex polygon shares with the box [-W, W] x [-H, H].

    `x`, `y` (..., 4) corners, counter-clockwise for y upwards; `half_width`, `half_height` (...).
    At each x the shared height is clip(upper edge) - clip(lower edge), so that the area is
    the sum over the edges of -clip(y) dx, dx within [-W, W].
    """
    W, H = ops.expand_dims(half_width, -1), ops.expand_dims(half_height, -1)
    W, H = W * ops.ones_like(x), H * ops.ones_like(x)
    end_x, end_y = _next(x), _next(y)
    first, last = _clip(x, W), _clip(end_x, W)
    run, rise = end_x - x, end_y - y
    one = ops.ones_like(x)
    # Where the edge enters and leaves [-W, W], as a share of it; beyond its ends nothing counts.
    enter = ops.minimum(_ratio(first - x, run), one)
    leave = ops.minimum(_ratio(end_x - last, run), one)
    height = _mean_height(y + enter * rise, end_y - leave * rise, H)
    return ops.sum((first - last) * height, axis=-1)


def _turned(x, y, cos=0.8, sin=0.6):
    return cos * x - sin * y, sin * x + cos * y


def hull_area(x, y, X, Y):
    """The area of the convex hull of two rectangles with corners `x`, `y` and `X`, `Y` (..., 4).

    The upper (lower) side of the hull at a corner's x is the highest (lowest) of the straight
    lines between corners there: the edges of each rectangle and all lines from one to the other.
    The gradient is wrong where corners share an x without sharing a place: the axes are turned, so
    that rectangles that are parallel to them or to each other are not such a case.
    """
    if 0 in ops.static_shape(x):  # an empty tensor has no largest element
        return ops.sum(x + y + X + Y, axis=-1)
    x, y = _turned(x, y)
    X, Y = _turned(X, Y)
    count = 4
    left, right = [], []
    for i in range(count):  # 24 lines
        j = (i + 1) % count
        left += [(x[..., i], y[..., i]), (X[..., i], Y[..., i])]
        right += [(x[..., j], y[..., j]), (X[..., j], Y[..., j])]
        for k in range(count):
            left.append((x[..., i], y[..., i]))
            right.append((X[..., k], Y[..., k]))
    ax, ay = (ops.expand_dims(ops.stack(part, axis=-1), -2) for part in zip(*left, strict=True))
    bx, by = (ops.expand_dims(ops.stack(part, axis=-1), -2) for part in zip(*right, strict=True))

    corners = ops.concatenate([x, X], axis=-1)  # (..., 8)
    # Sorted only for the widths between neighbours. Two corners that change places have a width of
    # 0 between them, so that the order decides nothing.
    order = ops.argsort(ops.stop_gradient(corners), axis=-1)
    corners = ops.take_along_axis(corners, order, axis=-1)
    at = ops.expand_dims(corners, -1)  # (..., 8, 1)
    covered = ops.logical_and(
        ops.less_equal(ops.minimum(ax, bx), at), ops.less_equal(at, ops.maximum(ax, bx))
    )
    share = ops.where(covered, at - ax, ops.zeros_like(at - ax))
    height = ay + _ratio(share, (bx - ax) * ops.ones_like(share)) * (by - ay)  # (..., 8, 24)
    # An upright line has no height at its x but two ends, which other lines hold as well.
    far = 4.0 * ops.stop_gradient(ops.max(ops.abs(height), axis=-1, keepdims=True)) + 1.0
    upper = ops.max(ops.where(covered, height, -far * ops.ones_like(height)), axis=-1)
    lower = ops.min(ops.where(covered, height, far * ops.ones_like(height)), axis=-1)
    height = upper - lower
    width = corners[..., 1:] - corners[..., :-1]
    return ops.sum(0.5 * (height[..., 1:] + height[..., :-1]) * width, axis=-1)


def extent(x):
    """max - min of the last axis."""
    if 0 in ops.static_shape(x):  # an empty tensor has no largest element
        return ops.sum(x, axis=-1)
    return ops.max(x, axis=-1) - ops.min(x, axis=-1)


def _lines_between(x, y, X, Y):
    """(..., 16): from every corner of one rectangle to every corner of the other."""
    lines = [ops.expand_dims(X, -2) - ops.expand_dims(x, -1)]
    lines.append(ops.expand_dims(Y, -2) - ops.expand_dims(y, -1))
    shape = (*ops.shape(x)[:-1], 16)
    return tuple(ops.reshape(line, shape) for line in lines)


def smallest_rectangle(x, y, X, Y):
    """The sides of the rectangle of least area around two with corners `x`, `y`, `X`, `Y` (..., 4).

    One of its sides holds an edge of the convex hull. So it is the smallest of those along an edge
    of either rectangle or a line between them: the lines that are not on the hull give no smaller
    one.
    """
    if 0 in ops.static_shape(x):
        return (ops.sum(x + y + X + Y, axis=-1),) * 2
    between_x, between_y = _lines_between(x, y, X, Y)
    own_x = [ops.expand_dims(a[..., 0] - a[..., 1], -1) for a in (x, X)]
    own_y = [ops.expand_dims(b[..., 0] - b[..., 1], -1) for b in (y, Y)]
    across_x = ops.concatenate([between_x, *own_x], axis=-1)  # (..., 18)
    across_y = ops.concatenate([between_y, *own_y], axis=-1)
    squared = ops.square(across_x) + ops.square(across_y)
    # Corners that coincide, and sides of 0, have no direction: any other will do.
    nothing = ops.less_equal(squared, 1e-18 * ops.ones_like(squared))
    length = ops.sqrt(ops.where(nothing, ops.ones_like(squared), squared))
    cos = ops.where(nothing, ops.ones_like(length), across_x / length)
    sin = ops.where(nothing, ops.zeros_like(length), across_y / length)
    cos, sin = ops.expand_dims(cos, -1), ops.expand_dims(sin, -1)
    corners_x = ops.expand_dims(ops.concatenate([x, X], axis=-1), -2)  # (..., 1, 8)
    corners_y = ops.expand_dims(ops.concatenate([y, Y], axis=-1), -2)
    along = extent(corners_x * cos + corners_y * sin)  # (..., 18)
    across = extent(corners_y * cos - corners_x * sin)
    best = ops.expand_dims(ops.argmin(ops.stop_gradient(along * across), axis=-1), -1)
    sides = (ops.take_along_axis(side, best, axis=-1) for side in (along, across))
    return tuple(side[..., 0] for side in sides)


def squared_diameter(x, y, X, Y):
    """The largest squared distance between two corners of two rectangles, (..., 4) each."""
    if 0 in ops.static_shape(x):
        return ops.sum(x + y + X + Y, axis=-1)
    between_x, between_y = _lines_between(x, y, X, Y)
    own = [
        ops.square(a[..., :2] - a[..., 2:]) + ops.square(b[..., :2] - b[..., 2:])
        for a, b in ((x, y), (X, Y))
    ]
    squares = ops.square(between_x) + ops.square(between_y)
    return ops.max(ops.concatenate([squares, *own], axis=-1), axis=-1)
