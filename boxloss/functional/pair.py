"""The geometry of a predicted and a true box, in units of the pair's own extent.

Every overlap loss is written in these quantities, so that the rules that keep a loss finite and
scale-free are in one place:

- An inverted side (x2 < x1), predicted or true, is collapsed to its middle.
- Lengths are divided by the longer side of the box that encloses both, rounded down to a power of
  two: that is exact, and a multiplication. The divisor is a constant in the gradient: for a
  scale-free loss the gradient is the same as without it (its value does not change with the scale).
  Areas stay as they are: they and their ratios are in the range of float32 for sides from 1e-18 to
  1e18, and every operation less is felt in the fused loop.
- Divisions are guarded where the denominator is <= 0, never by an added epsilon.
- min and max split their gradient evenly at ties.
"""

from boxloss.tensors import boxes, ops


def once(function):
    """A property that is computed at its first use and kept.

    `functools.cached_property` takes a lock on Python 3.11, into which torch.compile cannot look:
    each would cut a compiled loss in two.
    """
    kept = f"_kept_{function.__name__}"

    def get(self):
        if not hasattr(self, kept):
            setattr(self, kept, function(self))
        return getattr(self, kept)

    get.__doc__ = function.__doc__
    return property(get)


def _side(low, high):
    """One axis of a box with an inverted side collapsed to its middle: low, high."""
    if ops.backend() != "tensorflow":
        inverted, middle = ops.less(high, low), 0.5 * (low + high)
        return ops.where(inverted, middle, low), ops.where(inverted, middle, high)

    # TensorFlow compiles a minimum and a maximum with the middle into fewer instructions than two
    # selections. Their own gradients split at ties, those of a selection do not, so the gradient is
    # written out.
    def collapsed(low, high):
        middle = 0.5 * (low + high)  # between them, whichever is the larger one

        def gradient(first, second):
            inverted, shared = ops.less(high, low), 0.5 * (first + second)
            return ops.where(inverted, shared, first), ops.where(inverted, shared, second)

        return (ops.minimum(low, middle), ops.maximum(high, middle)), gradient

    return ops.custom_gradient(collapsed)(low, high)


def _opening(inverted, true_side):
    """max(inverted, 0), with a gradient also at 0 where the true side is above 0."""
    zero = ops.zeros_like(inverted)
    # Where the true side is 0 as well there is nothing to open.
    ordered = ops.logical_or(ops.less(inverted, zero), ops.less_equal(inverted + true_side, zero))
    return ops.where(ordered, zero, inverted)


def _longest(*lengths):
    longest = lengths[0]
    for length in lengths[1:]:
        longest = ops.maximum(longest, length)
    return longest


def shared(pred, true):
    """The side that two sides (low, high) share: its signed length, below 0 for sides apart, and
    max(length, 0).

    At a tie of two ends each end has half of the gradient, and where two sides touch the shared
    side has half. The exception is a side of length 0 inside the other box: to widen it widens the
    overlap one for one, so it has the full gradient. Half of it would let the union grow inside the
    other box, and a share for the end at which it lies would shrink the enclosing box as the side
    opens to the outside.
    """
    flat = ops.logical_or(ops.equal(*pred), ops.equal(*true))
    half = 0.5 * ops.ones_like(pred[0])
    none, whole = ops.where(flat, 0.0 * half, half), ops.where(flat, 2.0 * half, half)
    length = ops.even_minimum(pred[1], true[1], none) - ops.even_maximum(pred[0], true[0], none)
    return length, ops.even_maximum(length, ops.zeros_like(length), whole)


def scale_of(*lengths):
    """1 / the longest of `lengths` rounded down to a power of two, 1 where it is 0. A constant."""
    return ops.binary_unit(_longest(*lengths))[1]


class Pair:
    """A predicted and a true box, (..., 4) each, in xyxy; every quantity has shape (...).

    Small letters belong to the prediction, capitals to the truth, as in the papers. Lengths (`w`,
    `dx`, `cw`, ...) are in units of `unit`, about the longer side of the enclosing box.
    `image_shape`, (height, width) or a tensor (B, 2), is for losses that measure by the image.
    """

    def __init__(self, y_true, y_pred, image_shape=None):
        self._set(boxes.split(y_true), boxes.split(y_pred), image_shape)

    @classmethod
    def of_sides(cls, true, pred, image_shape=None):
        """The pair of boxes given as four tensors (...) each."""
        pair = cls.__new__(cls)
        pair._set(true, pred, image_shape)
        return pair

    def _set(self, true, pred, image_shape):
        self._true, self._pred, self.image_shape = true, pred, image_shape
        X1, Y1, X2, Y2 = self._true
        x1, y1, x2, y2 = self._pred
        self._x1, self._x2 = _side(x1, x2)
        self._y1, self._y2 = _side(y1, y2)
        self._X1, self._X2 = _side(X1, X2)
        self._Y1, self._Y2 = _side(Y1, Y2)
        # In the boxes' own unit.
        self._w, self._h = self._x2 - self._x1, self._y2 - self._y1
        self._W, self._H = self._X2 - self._X1, self._Y2 - self._Y1

    # Lengths ------------------------------------------------------------------------------------

    @once
    def _shared_sides(self):
        return (
            shared((self._x1, self._x2), (self._X1, self._X2)),
            shared((self._y1, self._y2), (self._Y1, self._Y2)),
        )

    @property
    def _inner(self):
        """Sides of the intersection on both axes; below 0 where the boxes are apart there."""
        return tuple(length for length, _ in self._shared_sides)

    # On each axis the enclosing side and the inner one are together as long as the two sides.

    @once
    def _cw(self):
        return (self._w + self._W) - self._inner[0]

    @once
    def _ch(self):
        return (self._h + self._H) - self._inner[1]

    @once
    def _unit_and_scale(self):
        return ops.binary_unit(ops.maximum(self._cw, self._ch))

    @property
    def unit(self):
        """The longer side of the enclosing box rounded down to a power of two; 1 where it is 0."""
        return self._unit_and_scale[0]

    @property
    def scale(self):
        """1 / `unit`."""
        return self._unit_and_scale[1]

    @once
    def w(self):
        return self._w * self.scale

    @once
    def h(self):
        return self._h * self.scale

    @once
    def W(self):
        return self._W * self.scale

    @once
    def H(self):
        return self._H * self.scale

    @property
    def true_width(self):
        """W in the boxes' own unit, for losses that are not scale-free."""
        return self._W

    @property
    def true_height(self):
        return self._H

    @once
    def cw(self):
        """Width of the enclosing box."""
        return self._cw * self.scale

    @once
    def ch(self):
        return self._ch * self.scale

    @once
    def corner_offsets(self):
        """x1 - X1, y1 - Y1, x2 - X2, y2 - Y2."""
        return (
            (self._x1 - self._X1) * self.scale,
            (self._y1 - self._Y1) * self.scale,
            (self._x2 - self._X2) * self.scale,
            (self._y2 - self._Y2) * self.scale,
        )

    @once
    def dx(self):
        """Offset of the centres; from differences of sides, which cancel less than centres do."""
        left, _, right, _ = self.corner_offsets
        return 0.5 * (left + right)

    @once
    def dy(self):
        _, top, _, bottom = self.corner_offsets
        return 0.5 * (top + bottom)

    @once
    def center_distance(self):
        """Squared distance of the centres over the squared diagonal of the enclosing box."""
        distance = ops.square(self.dx) + ops.square(self.dy)
        # In units of the pair: the square of a length of 1e20 pixels is no float32.
        diagonal = ops.square(self.cw) + ops.square(self.ch)
        return ops.divide_or(distance, diagonal, 0.0)

    # Areas --------------------------------------------------------------------------------------

    @once
    def intersection(self):
        x, y = (side for _, side in self._shared_sides)
        return x * y

    @once
    def union(self):
        return self._w * self._h + self._W * self._H - self.intersection

    @once
    def hull(self):
        """Area of the enclosing box."""
        return self._cw * self._ch

    @once
    def signed_intersection(self):
        """The intersection, continued below 0 for boxes apart, and its union, over the hull's area.

        With the corner of the enclosing box as the origin, a rectangle from the inner to the inner
        far corner whose area counts negative on each axis that is apart (Extended-IoU).
        """
        cw, ch = scale_of(self._cw), scale_of(self._ch)
        left, top = ops.even_minimum(self._x1, self._X1), ops.even_minimum(self._y1, self._Y1)
        x1, x2 = ops.even_maximum(self._x1, self._X1), ops.even_minimum(self._x2, self._X2)
        y1, y2 = ops.even_maximum(self._y1, self._Y1), ops.even_minimum(self._y2, self._Y2)
        a, b, u = (x1 - left) * cw, (x2 - left) * cw, self._inner[0] * cw
        c, d, v = (y1 - top) * ch, (y2 - top) * ch, self._inner[1] * ch
        x_apart = ops.less(u, ops.zeros_like(u))
        y_apart = ops.less(v, ops.zeros_like(v))
        # b d + min(a, b) min(c, d) - a max(c, d) - max(a, b) c, case by case without cancellation.
        signed = ops.where(
            x_apart,
            ops.where(y_apart, 2.0 * (b * v + u * d - u * v), u * (c + d)),
            ops.where(y_apart, v * (a + b), u * v),
        )
        areas = (self._w * cw) * (self._h * ch) + (self._W * cw) * (self._H * ch)
        return signed, areas - signed

    @once
    def equal(self):
        same = ops.equal(self._x1, self._X1)
        for a, b in ((self._y1, self._Y1), (self._x2, self._X2), (self._y2, self._Y2)):
            same = ops.logical_and(same, ops.equal(a, b))
        return same

    @once
    def iou(self):
        """Intersection over union in [0, 1]; where the union is 0: 1 for equal boxes, else 0."""
        # Unscaled areas: the unit cancels in their ratio.
        return ops.divide_or(self.intersection, self.union, self._empty)

    @once
    def plain_iou(self):
        """`iou` as it was before `with_iou`."""
        return self.iou

    @once
    def signed_iou(self):
        """IoU continued below 0 for boxes apart, down to -1; the same rule where the union is 0."""
        return ops.divide_or(*self.signed_intersection, self._empty)

    @once
    def _empty(self):
        return ops.where(self.equal, ops.ones_like(self._w), ops.zeros_like(self._w))

    # Shape --------------------------------------------------------------------------------------

    @once
    def width_change(self):
        """|w - W| / max(w, W) in [0, 1]; 0 where both are 0."""
        change = ops.even_abs(self._w - self._W)
        # By the longer one, so that the change is at most 1; by the true side alone it has no
        # limit.
        return ops.divide_or(change, ops.even_maximum(self._w, self._W), 0.0)

    @once
    def height_change(self):
        change = ops.even_abs(self._h - self._H)
        return ops.divide_or(change, ops.even_maximum(self._h, self._H), 0.0)

    @once
    def aspect(self):
        """CIoU's v = 4/pi^2 (atan(W/H) - atan(w/h))^2 in [0, 1]; 0 where a box is a point.

        One arctangent of the difference of the angles. The sides of each box are divided by its
        longer side first: an angle does not depend on it.
        """
        w, h, W, H = self._w, self._h, self._W, self._H
        true, pred = scale_of(W, H), scale_of(w, h)
        w, h, W, H = w * pred, h * pred, W * true, H * true
        # tan(a - b) = (tan a - tan b) / (1 + tan a tan b) with tan a = W / H and tan b = w / h;
        # above and below are multiplied by H h.
        cross, dot = W * h - w * H, H * h + W * w
        # Both 0 only where a box is a point: the gradient of arctan2 is NaN there.
        point = ops.logical_and(
            ops.equal(cross, ops.zeros_like(cross)), ops.equal(dot, ops.zeros_like(dot))
        )
        angle = ops.angle(cross, ops.where(point, ops.ones_like(dot), dot))
        return (4.0 / 9.869604401089358) * ops.square(angle)

    # Inversion ----------------------------------------------------------------------------------

    @once
    def inversion(self):
        """(x1 - x2) / s + (y1 - y2) / s on the sides that are inverted, 0 for ordered boxes.

        s is the longer side of the box that encloses both, an inverted side at its full length. At
        side 0 against a true side above 0 the value is 0 and the gradient opens the side: a point
        inside the truth is a stationary point of GIoU, DIoU and CIoU otherwise.
        """
        X1, Y1, X2, Y2 = self._true
        x1, y1, x2, y2 = self._pred

        def extent(*ends):
            high = low = ends[0]
            for end in ends[1:]:
                high, low = ops.maximum(high, end), ops.minimum(low, end)
            return high - low

        # With an inverted side at its full length each addend is at most 1.
        extents = ops.maximum(extent(x1, x2, X1, X2), extent(y1, y2, Y1, Y2))
        x, y = _opening(x1 - x2, self._W), _opening(y1 - y2, self._H)
        # Where the extent is 0 nothing is inverted, and 0 is divided by the smallest number.
        return (x + y) * ops.reciprocal(ops.stop_gradient(ops.maximum(extents, ops.SMALLEST)))

    # Other boxes from the same pair -------------------------------------------------------------

    def with_iou(self, iou):
        """The same pair with another measure in the IoU's place, for losses that multiply it."""
        pair = Pair.__new__(Pair)
        # What was computed already serves both.
        known = {**vars(self), "_kept_iou": iou, "_kept_plain_iou": self.iou}
        for name, value in known.items():
            setattr(pair, name, value)
        return pair

    # Written relative to the true box, so that small boxes far from the origin keep their digits.

    def _new(self, true, pred):
        return Pair.of_sides(true, pred, self.image_shape)

    def scaled(self, ratio):
        """The pair with both boxes scaled by `ratio` about their own centres."""
        dx = 0.5 * ((self._x1 - self._X1) + (self._x2 - self._X2))
        dy = 0.5 * ((self._y1 - self._Y1) + (self._y2 - self._Y2))
        w, h, W, H = (ratio * side for side in (self._w, self._h, self._W, self._H))
        pair = self._new(
            (-0.5 * W, -0.5 * H, 0.5 * W, 0.5 * H),
            (dx - 0.5 * w, dy - 0.5 * h, dx + 0.5 * w, dy + 0.5 * h),
        )
        # Not from the rounded ends: the width of a small box that is far off would suffer.
        pair._w, pair._h, pair._W, pair._H = w, h, W, H
        return pair

    def interpolated(self, share):
        """The pair with the prediction moved by `share` (a number or (...)) of the way to truth."""
        # A point on the way to the truth has this share of its error left.
        rest = 1.0 - share
        zero = ops.zeros_like(self._w)
        return self._new(
            (zero, zero, self._W, self._H),
            (
                rest * (self._x1 - self._X1),
                rest * (self._y1 - self._Y1),
                self._W + rest * (self._x2 - self._X2),
                self._H + rest * (self._y2 - self._Y2),
            ),
        )

    def __repr__(self):
        return f"Pair({ops.static_shape(self._w)})"
