"""Loss classes and their registry: `get(name, **arguments)`, `names(kind=None)`."""

from boxloss.losses import registry
from boxloss.losses.base import *
from boxloss.losses.boxes3d import *
from boxloss.losses.classification import *
from boxloss.losses.coordinate import *
from boxloss.losses.decoded import *
from boxloss.losses.fine_grained import *
from boxloss.losses.ltrb import *
from boxloss.losses.measures import *
from boxloss.losses.modifiers import *
from boxloss.losses.overlap import *
from boxloss.losses.penalties import *
from boxloss.losses.registry import *
from boxloss.losses.rotated import *
from boxloss.losses.small_objects import *
from boxloss.losses.state import *
from boxloss.losses.statistical import *
from boxloss.losses.uncertainty import *
from boxloss.losses.weighted import *
from boxloss.losses.weighted_sum import *

LOSSES = registry.registered()

# Written out, though each file has its own: type checkers read it here before they know those.
__all__: list[str] = [
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
    "box_loss",
    "get",
    "names",
]
# One row per registered loss.
__all__ += [
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
    "LTRBL1Loss",
    "SDLoss",
    "GCDLoss",
    "IoU3DLoss",
    "GIoU3DLoss",
    "DIoU3DLoss",
    "FGLLoss",
    "DDFLoss",
    "MALLoss",
]
