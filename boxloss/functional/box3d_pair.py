"""The geometry of a predicted and a true upright 3-D box: ground plane times height.

A box is x, y, z, w, l, h, heading: its centre, its extents along its own x, its own y and z, and
the angle by which its x is turned from the scene's x towards y. Its outline on the ground is a
rotated rectangle, so everything in the plane comes from `RotatedPair`, in units of the pair's own
extent there; heights are in units of the pair's extent in z. So a volume is a product of two
numbers near 1, which does not leave the range of float32.
"""

from boxloss.functional.pair import once, shared
from boxloss.functional.rotated_pair import SIDE_FLOOR, RotatedPair, collapsed, wrap_angle
from boxloss.tensors import ops

ORIGINS = ("bottom", "middle")
ENCLOSURES = ("aligned", "hull", "smallest")


def difference(y_true, y_pred):
    """y_pred - y_true (..., 7), the difference of the headings wrapped."""
    d = ops.unstack(y_pred - y_true, 7, axis=-1)
    return ops.stack([*d[:6], wrap_angle(d[6])], axis=-1)


class Box3DPair:
    """A predicted and a true box, (..., 7) each; every quantity has shape (...).

    Small letters belong to the prediction, capitals to the truth.

    `origin`: whether z is the "middle" or the "bottom" of a box. `clockwise`: whether headings turn
    y towards x instead.
    """

    def __init__(self, y_true, y_pred, origin="middle", clockwise=False):
        x, y, z, w, length, h, heading = ops.unstack(y_pred, 7, axis=-1)
        X, Y, Z, W, LENGTH, H, HEADING = ops.unstack(y_true, 7, axis=-1)
        if clockwise:
            heading, HEADING = -heading, -HEADING
        self.ground = RotatedPair(
            ops.stack([X, Y, W, LENGTH, HEADING], axis=-1),
            ops.stack([x, y, w, length, heading], axis=-1),
        )
        dz = z - Z
        if origin == "bottom":
            # From the bottoms to the middles, with heights as they are measured: a negative one
            # counts as 0.
            dz = dz + 0.5 * (collapsed(h) - collapsed(H))
        unit = ops.stop_gradient(ops.maximum(ops.abs(dz), ops.maximum(ops.abs(h), ops.abs(H))))
        nothing = ops.equal(unit, ops.zeros_like(unit))
        #: The longest of the heights and of the offset of the middles (1 where all are 0).
        self.height_unit = ops.where(nothing, ops.ones_like(unit), unit)
        self.dz = dz / self.height_unit
        self._h, self._H = h / self.height_unit, H / self.height_unit
        self.h, self.H = collapsed(self._h), collapsed(self._H)

    # Heights --------------------------------------------------------------------------------------

    @once
    def _shared_height(self):
        """The height that both share, below 0 for boxes apart; and max(that, 0)."""
        ends = self.dz - 0.5 * self.h, self.dz + 0.5 * self.h
        return shared(ends, (-0.5 * self.H, 0.5 * self.H))

    @once
    def height_range(self):
        """From the lower of the two bottoms to the higher of the two tops."""
        return self.h + self.H - self._shared_height[0]

    # Volumes --------------------------------------------------------------------------------------

    @once
    def intersection(self):
        return self.ground.intersection * self._shared_height[1]

    @once
    def union(self):
        area, AREA = self.ground.areas
        return area * self.h + AREA * self.H - self.intersection

    @once
    def equal(self):
        """The same solid, however its heading is written."""
        same = ops.logical_and(ops.equal(self.dz, ops.zeros_like(self.dz)), self.ground.equal)
        return ops.logical_and(same, ops.equal(self.h, self.H))

    @once
    def iou(self):
        """Intersection over union in [0, 1]; where the union is 0: 1 for equal boxes, else 0."""
        empty = ops.where(self.equal, ops.ones_like(self.dz), ops.zeros_like(self.dz))
        iou = ops.divide_or(self.intersection, self.union, empty)
        # Equal boxes are a kink whose even gradient is 0, as for rotated boxes.
        return ops.where(self.equal, ops.stop_gradient(iou), iou)

    # Enclosures -----------------------------------------------------------------------------------

    def _rectangle(self, enclosure):
        smallest = enclosure == "smallest"
        return self.ground.smallest_rectangle if smallest else self.ground.upright_rectangle

    def enclosing_volume(self, enclosure):
        """The area around both outlines ("hull", "smallest" or "aligned") times `height_range`."""
        if enclosure == "hull":
            return self.ground.hull * self.height_range
        x, y = self._rectangle(enclosure)
        return x * y * self.height_range

    def center_distance(self, enclosure):
        """Squared distance of the centres over the squared diagonal of what encloses both.

        The diagonal on the ground is the rectangle's, or the hull's longest inner distance.
        """
        if enclosure == "hull":
            diagonal = self.ground.squared_diameter
        else:
            x, y = self._rectangle(enclosure)
            diagonal = ops.square(x) + ops.square(y)
        # Both planes in one unit, whose square stays in the range of float32.
        unit = ops.maximum(self.ground.unit, self.height_unit)
        ground, height = (ops.square(own / unit) for own in (self.ground.unit, self.height_unit))
        distance = ops.square(self.ground.dx) + ops.square(self.ground.dy)
        return ops.divide_or(
            ground * distance + height * ops.square(self.dz),
            ground * diagonal + height * ops.square(self.height_range),
            0.0,
        )

    # Inversion ------------------------------------------------------------------------------------

    @once
    def inversion(self):
        """That of the outlines, and -h / unit for a negative h; 0 for extents of at least 0.

        From 0 to SIDE_FLOOR, against a higher truth, the value is 0 and the gradient opens h.
        """
        zero = ops.zeros_like(self.dz)
        floor = SIDE_FLOOR + zero
        flat = ops.logical_and(ops.less_equal(self._h, floor), ops.greater(self._H, floor))
        opening = ops.where(flat, ops.stop_gradient(self._h) - self._h, zero)
        negative = ops.less(self._h, zero)
        return self.ground.inversion + ops.where(negative, -self._h, opening)

    def __repr__(self):
        return f"Box3DPair({ops.static_shape(self.dz)})"
