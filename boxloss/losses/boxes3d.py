"""Loss classes of upright 3-D boxes."""

from boxloss.functional import box3d_pair, boxes3d
from boxloss.functional.box3d_pair import Box3DPair
from boxloss.losses.arguments import Box3DArguments, EnclosureArguments, TensorArguments
from boxloss.losses.base import Errors, TensorLoss
from boxloss.losses.registry import register
from boxloss.tensors import ops
from boxloss.types import Enclosure, ImageShape, Origin, Tensor, Terms, Unpack

__all__ = ["DIoU3DLoss", "GIoU3DLoss", "IoU3DLoss"]


class Box3DLoss(TensorLoss):
    """A loss of 3-D boxes (B, N, 7) = x, y, z, w, l, h, heading in radians; all -1 for padding.

    w is along the box's own x, l along its own y, h along z; the heading turns its x from the
    scene's x towards y. It may be of any size, and (w, l, heading), (w, l, heading + pi) and (l, w,
    heading + pi/2) are one box. `residuals` (B, N, 7) are y_pred - y_true with the heading's
    difference wrapped to [-pi/2, pi/2), `coordinate_errors` their absolute values. Every loss has
    the term `inversion`, 0 for extents of at least 0, which opens negative and flat predictions.

    Args (all keyword-only), beside those of `TensorLoss`:
        origin: what z is: "middle" or "bottom" of the box.
        clockwise: whether headings turn y towards x instead.
    """

    kind = "box3d"
    minimum: float | None = 0.0
    recovers_inverted = True
    true_shape = predicted_shape = (None, None, 7)

    def __init__(
        self,
        *,
        origin: Origin = "middle",
        clockwise: bool = False,
        **arguments: Unpack[TensorArguments],
    ) -> None:
        super().__init__(**arguments)
        self.origin, self.clockwise = boxes3d.check_boxes(origin=origin, clockwise=clockwise)

    def pair_terms(self, pair: Box3DPair) -> Terms:
        """The named addends (B, N) of a `Box3DPair`."""
        raise NotImplementedError

    def errors(
        self, y_true: Tensor, y_pred: Tensor, image_shape: ImageShape | None = None
    ) -> Errors:
        residuals = box3d_pair.difference(y_true, y_pred)
        terms = self.pair_terms(Box3DPair(y_true, y_pred, self.origin, self.clockwise))
        return Errors(terms, residuals, ops.even_abs(residuals))


@register
class IoU3DLoss(Box3DLoss):
    """IoU loss of 3-D boxes: 1 - o. Terms: overlap, inversion. Blind to boxes apart.

    Mathematics: `boxloss.functional.iou3d_loss`.
    """

    name = "iou3d"
    recovers_inverted = False

    def pair_terms(self, pair: Box3DPair) -> Terms:
        return boxes3d.iou3d_terms(pair)


class _EnclosureLoss(Box3DLoss):
    recovers_disjoint = True

    def __init__(
        self, *, enclosure: Enclosure = "hull", **arguments: Unpack[Box3DArguments]
    ) -> None:
        super().__init__(**arguments)
        self.enclosure = boxes3d.check_enclosure(enclosure)


@register
class GIoU3DLoss(_EnclosureLoss):
    """GIoU loss of 3-D boxes: 1 - o + (C - V) / C. Terms: overlap, hull, inversion.

    Mathematics: `boxloss.functional.giou3d_loss`.

    Args (all keyword-only), beside those of `Box3DLoss`:
        enclosure: what has the volume C: "hull", "smallest" or "aligned" (not 0 for equal boxes).
            Only with "hull" do boxes that start apart or inverted arrive.
    """

    name = "giou3d"

    def __init__(self, **arguments: Unpack[EnclosureArguments]) -> None:
        super().__init__(**arguments)
        # A turned box does not fill a rectangle along x and y: even equal boxes have a penalty.
        if self.enclosure == "aligned":
            self.minimum = None
        # Of boxes that start apart, all arrive with the hull, 93 % with the smallest rectangle and
        # 5 % with the aligned one.
        self.recovers_disjoint = self.recovers_inverted = self.enclosure == "hull"

    def pair_terms(self, pair: Box3DPair) -> Terms:
        return boxes3d.giou3d_terms(pair, self.enclosure)


@register
class DIoU3DLoss(_EnclosureLoss):
    """DIoU loss of 3-D boxes: 1 - o + d^2 / c^2. Terms: overlap, center, inversion.

    Mathematics: `boxloss.functional.diou3d_loss`.

    Args (all keyword-only), beside those of `Box3DLoss`:
        enclosure: what has the diagonal c: "hull", "smallest" or "aligned".
    """

    name = "diou3d"

    def pair_terms(self, pair: Box3DPair) -> Terms:
        return boxes3d.diou3d_terms(pair, self.enclosure)
