"""Loss classes and their registry: `get(name, **arguments)`, `names(kind=None)`."""

from typing import Any

from boxloss.losses.base import BoxLoss, TensorLoss, Tensors
from boxloss.losses.classification import (
    QualityFocalLoss,
    SigmoidFocalLoss,
    SoftmaxLoss,
    VarifocalLoss,
)
from boxloss.losses.coordinate import (
    BalancedL1BoxLoss,
    HuberBoxLoss,
    L1BoxLoss,
    L2BoxLoss,
    LogCoshBoxLoss,
    SmoothL1BoxLoss,
)
from boxloss.losses.decoded import DecodedBoxLoss
from boxloss.losses.measures import BoundedIoULoss, ExtendedIoULoss, NWDLoss
from boxloss.losses.modifiers import AlphaIoULoss, FocalerIoULoss, InnerIoULoss, UnifiedIoULoss
from boxloss.losses.overlap import CIoULoss, DIoULoss, GIoULoss, IoULoss
from boxloss.losses.penalties import EIoULoss, MPDIoULoss, PIoULoss, ShapeIoULoss, SIoULoss
from boxloss.losses.rotated import (
    GWDLoss,
    KFIoULoss,
    KLDLoss,
    ProbIoULoss,
    RotatedGIoULoss,
    RotatedIoULoss,
)
from boxloss.losses.state import GradientHistogram, LossState, MoveLossState, RunningMean
from boxloss.losses.statistical import GHMRBoxLoss, WIoULoss
from boxloss.losses.uncertainty import DFLLoss, GaussianNLLBoxLoss, KLBoxLoss, LaplaceNLLBoxLoss
from boxloss.losses.weighted import FocalEIoULoss, InterpIoULoss
from boxloss.losses.weighted_sum import WeightedSum
from boxloss.tensors import checks

LOSSES = (
    L1BoxLoss,
    SmoothL1BoxLoss,
    IoULoss,
    GIoULoss,
    DIoULoss,
    CIoULoss,
    L2BoxLoss,
    HuberBoxLoss,
    BalancedL1BoxLoss,
    LogCoshBoxLoss,
    EIoULoss,
    SIoULoss,
    MPDIoULoss,
    ShapeIoULoss,
    PIoULoss,
    BoundedIoULoss,
    ExtendedIoULoss,
    NWDLoss,
    GWDLoss,
    KLDLoss,
    ProbIoULoss,
    KFIoULoss,
    RotatedIoULoss,
    RotatedGIoULoss,
    AlphaIoULoss,
    InnerIoULoss,
    FocalerIoULoss,
    UnifiedIoULoss,
    FocalEIoULoss,
    InterpIoULoss,
    WIoULoss,
    GHMRBoxLoss,
    KLBoxLoss,
    GaussianNLLBoxLoss,
    LaplaceNLLBoxLoss,
    DFLLoss,
    QualityFocalLoss,
    VarifocalLoss,
    SoftmaxLoss,
    SigmoidFocalLoss,
)
_BY_NAME = {loss.name: loss for loss in LOSSES}
KINDS = ("box", "uncertainty", "distribution", "rotated", "class")


def names(kind: str | None = None) -> list[str]:
    """The names of all losses, or of one kind, sorted."""
    if kind is not None:
        checks.one_of("kind", kind, KINDS)
    return sorted(loss.name for loss in LOSSES if kind in (None, loss.kind))


def get(name: str, /, **arguments: Any) -> TensorLoss:
    """The loss called `name`, with its arguments; a misspelt name gets a near match.

    >>> boxloss.get("ciou", bounding_box_format="xywh")
    """
    return _BY_NAME[checks.one_of("name", name, _BY_NAME)](**arguments)


# Written out: checkers do not run code.
__all__ = [
    "BoxLoss",
    "DecodedBoxLoss",
    "GradientHistogram",
    "KINDS",
    "LOSSES",
    "LossState",
    "MoveLossState",
    "RunningMean",
    "TensorLoss",
    "Tensors",
    "WeightedSum",
    "get",
    "names",
    "L1BoxLoss",
    "SmoothL1BoxLoss",
    "IoULoss",
    "GIoULoss",
    "DIoULoss",
    "CIoULoss",
    "L2BoxLoss",
    "HuberBoxLoss",
    "BalancedL1BoxLoss",
    "LogCoshBoxLoss",
    "EIoULoss",
    "SIoULoss",
    "MPDIoULoss",
    "ShapeIoULoss",
    "PIoULoss",
    "BoundedIoULoss",
    "ExtendedIoULoss",
    "NWDLoss",
    "GWDLoss",
    "KLDLoss",
    "ProbIoULoss",
    "KFIoULoss",
    "RotatedIoULoss",
    "RotatedGIoULoss",
    "AlphaIoULoss",
    "InnerIoULoss",
    "FocalerIoULoss",
    "UnifiedIoULoss",
    "FocalEIoULoss",
    "InterpIoULoss",
    "WIoULoss",
    "GHMRBoxLoss",
    "KLBoxLoss",
    "GaussianNLLBoxLoss",
    "LaplaceNLLBoxLoss",
    "DFLLoss",
    "QualityFocalLoss",
    "VarifocalLoss",
    "SoftmaxLoss",
    "SigmoidFocalLoss",
]
