"""The geometry of a predicted and a true rotated box: cx, cy, w, h, angle in radians.

As for upright boxes (`pair.py`): lengths are in units of the pair's own extent, a constant in the
gradient, and divisions are guarded where the denominator is 0.
"""

from boxloss.functional import rotated_overlap
from boxloss.functional.pair import once
from boxloss.tensors import ops

# A side counts as at least this share of the pair's extent where a formula divides by it.
SIDE_FLOOR = 1e-6
# Angles that differ by less are taken as equal, where only equality is asked.
SAME_ANGLE = 1e-6


def wrap_angle(angle):
    """To [-pi/2, pi/2): a rectangle turned by pi is the same."""
    # A number of half turns jumps and has no slope to follow.
    half_turns = ops.stop_gradient(ops.floor(angle / 3.141592653589793 + 0.5))
    return angle - 3.141592653589793 * half_turns


def difference(y_true, y_pred):
    """y_pred - y_true (..., 5), the difference of the angles wrapped."""
    d = ops.unstack(y_pred - y_true, 5, axis=-1)
    return ops.stack([*d[:4], wrap_angle(d[4])], axis=-1)


def collapsed(side):
    """A negative side is 0, as `inversion` explains."""
    return ops.where(ops.less(side, ops.zeros_like(side)), ops.zeros_like(side), side)


def _floored(side):
    """At least SIDE_FLOOR, without gradient below: it would be 1 / SIDE_FLOOR or more."""
    low = ops.less(side, SIDE_FLOOR * ops.ones_like(side))
    return ops.where(low, SIDE_FLOOR * ops.ones_like(side), side)


class RotatedPair:
    """A predicted and a true box, (..., 5) each; every quantity has shape (...).

    Small letters belong to the prediction, capitals to the truth. Lengths are in units of `unit`.
    """

    def __init__(self, y_true, y_pred):
        cx, cy, w, h, angle = ops.unstack(y_pred, 5, axis=-1)
        CX, CY, W, H, ANGLE = ops.unstack(y_true, 5, axis=-1)
        dx, dy = cx - CX, cy - CY
        # The longest of offsets and sides, and not the enclosing box, whose corners would need
        # sines before anything is scaled.
        unit = ops.abs(dx)
        for length in (dy, w, h, W, H):
            unit = ops.maximum(unit, ops.abs(length))
        unit = ops.stop_gradient(unit)
        nothing = ops.equal(unit, ops.zeros_like(unit))
        #: The longest of the sides and of the offsets of the centres (1 where all are 0).
        self.unit = ops.where(nothing, ops.ones_like(unit), unit)
        self.dx, self.dy = dx / self.unit, dy / self.unit
        self._w, self._h = w / self.unit, h / self.unit
        self._W, self._H = W / self.unit, H / self.unit
        self._angle, self._ANGLE = angle, ANGLE
        self.cos, self.sin = ops.cos(angle - ANGLE), ops.sin(angle - ANGLE)

    # Sides ----------------------------------------------------------------------------------------

    @once
    def half(self):
        """Half sides p, q of the prediction, at least half of SIDE_FLOOR."""
        return 0.5 * _floored(self._w), 0.5 * _floored(self._h)

    @once
    def true_half(self):
        return 0.5 * _floored(self._W), 0.5 * _floored(self._H)

    @once
    def _swapped(self):
        p, q = self.half
        P, Q = self.true_half
        return ops.less((p - q) * (P - Q), ops.zeros_like(p))

    @once
    def like_half(self):
        """The truth's half sides in the order of the prediction's: long with long.

        (w, h, angle) and (h, w, angle + pi/2) are one rectangle. In the order that fits, every
        addend of the Gaussian losses is at least 0, and nothing cancels between equal boxes.
        """
        P, Q = self.true_half
        return ops.where(self._swapped, Q, P), ops.where(self._swapped, P, Q)

    @once
    def like_cos2_sin2(self):
        """cos^2 and sin^2 of the angle between the like sides."""
        cos2, sin2 = ops.square(self.cos), ops.square(self.sin)
        return ops.where(self._swapped, sin2, cos2), ops.where(self._swapped, cos2, sin2)

    # Offsets --------------------------------------------------------------------------------------

    @once
    def offset(self):
        """The offset of the centres along the sides of the prediction."""
        cos, sin = ops.cos(self._angle), ops.sin(self._angle)
        return self.dx * cos + self.dy * sin, self.dy * cos - self.dx * sin

    @once
    def true_offset(self):
        """The offset of the centres along the sides of the truth."""
        cos, sin = ops.cos(self._ANGLE), ops.sin(self._ANGLE)
        return self.dx * cos + self.dy * sin, self.dy * cos - self.dx * sin

    # Areas ----------------------------------------------------------------------------------------

    @once
    def areas(self):
        """Of the prediction and of the truth."""
        predicted = collapsed(self._w) * collapsed(self._h)
        return predicted, collapsed(self._W) * collapsed(self._H)

    @once
    def _corners(self):
        """x, y (..., 4) of the prediction's corners in the truth's own axes."""
        # In the axes of the truth the truth is an upright box about 0: clipping at its sides is a
        # comparison with two numbers.
        u, v = self.true_offset
        p, q = 0.5 * collapsed(self._w), 0.5 * collapsed(self._h)
        xs, ys = [], []
        for i, j in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
            xs.append(u + i * p * self.cos - j * q * self.sin)
            ys.append(v + i * p * self.sin + j * q * self.cos)
        return ops.stack(xs, axis=-1), ops.stack(ys, axis=-1)

    @once
    def intersection(self):
        x, y = self._corners
        W, H = collapsed(self._W), collapsed(self._H)
        area = rotated_overlap.intersection_area(x, y, 0.5 * W, 0.5 * H)
        return ops.where(ops.less(area, ops.zeros_like(area)), ops.zeros_like(area), area)

    @once
    def union(self):
        predicted, true = self.areas
        return predicted + true - self.intersection

    @once
    def _true_corners(self):
        """x, y (..., 4) of the truth's corners in its own axes."""
        P, Q = 0.5 * collapsed(self._W), 0.5 * collapsed(self._H)
        return ops.stack([P, -P, -P, P], axis=-1), ops.stack([Q, Q, -Q, -Q], axis=-1)

    @once
    def hull(self):
        """Area of the convex hull of both."""
        area = rotated_overlap.hull_area(*self._corners, *self._true_corners)
        # Both areas are rounded: a hull below the union would be a reward.
        return ops.maximum(area, self.union)

    @once
    def smallest_rectangle(self):
        """The two sides of the rectangle of least area, of any angle, around both."""
        return rotated_overlap.smallest_rectangle(*self._corners, *self._true_corners)

    @once
    def upright_rectangle(self):
        """The two sides of the rectangle along x and y around both."""
        cos, sin = (ops.expand_dims(f(self._ANGLE), -1) for f in (ops.cos, ops.sin))
        turned = [
            (x * cos - y * sin, x * sin + y * cos) for x, y in (self._corners, self._true_corners)
        ]
        return tuple(
            rotated_overlap.extent(ops.concatenate(ends, axis=-1))
            for ends in zip(*turned, strict=True)
        )

    @once
    def squared_diameter(self):
        """The largest squared distance between two corners: the diameter of the convex hull."""
        return rotated_overlap.squared_diameter(*self._corners, *self._true_corners)

    @once
    def equal(self):
        """The same rectangle, however its angle is written."""
        zero = ops.zeros_like(self.dx)
        w, h, W, H = (collapsed(side) for side in (self._w, self._h, self._W, self._H))

        def small(x):
            return ops.less_equal(ops.abs(x), SAME_ANGLE * ops.ones_like(x))

        def both(*conditions):
            result = conditions[0]
            for condition in conditions[1:]:
                result = ops.logical_and(result, condition)
            return result

        point = ops.equal(ops.maximum(w, h), zero)
        straight = both(ops.equal(w, W), ops.equal(h, H), ops.logical_or(point, small(self.sin)))
        turned = both(ops.equal(w, H), ops.equal(h, W), small(self.cos))
        return both(
            ops.equal(self.dx, zero), ops.equal(self.dy, zero), ops.logical_or(straight, turned)
        )

    @once
    def iou(self):
        """Intersection over union in [0, 1]; where the union is 0: 1 for equal boxes, else 0."""
        empty = ops.where(self.equal, ops.ones_like(self.dx), ops.zeros_like(self.dx))
        iou = ops.divide_or(self.intersection, self.union, empty)
        # Equal boxes are a kink whose even gradient is 0: the sum over the edges would leave what
        # rounding does not cancel.
        return ops.where(self.equal, ops.stop_gradient(iou), iou)

    # Inversion ------------------------------------------------------------------------------------

    @once
    def inversion(self):
        """-w / unit for a negative w, likewise h; 0 for boxes with sides of at least 0.

        A negative side is measured as 0. From 0 to SIDE_FLOOR, against a truth with a longer side,
        the value is 0 and the gradient opens the side.
        """
        zero = ops.zeros_like(self.dx)
        total = zero
        extended = ops.greater(ops.maximum(self._W, self._H), SIDE_FLOOR + zero)
        for side in (self._w, self._h):
            negative = ops.less(side, zero)
            flat = ops.logical_and(ops.less_equal(side, SIDE_FLOOR + zero), extended)
            opening = ops.where(flat, ops.stop_gradient(side) - side, zero)
            total = total + ops.where(negative, -side, opening)
        return total

    def __repr__(self):
        return f"RotatedPair({ops.static_shape(self.dx)})"
