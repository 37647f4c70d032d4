"""Names for the types in public signatures.

A tensor is what the backend in use calls one. No checker knows its shape: the docstring says it.
Words that an argument takes are a `Literal` here, and `get_args` gives them to the check that runs.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike as ArrayLike  # tensors of any backend, arrays, nested lists

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack  # checkers bring their own copy
elif sys.version_info >= (3, 11):
    from typing import Unpack as Unpack
else:

    class Unpack:
        """Python 3.10 has none. There, an annotation is only evaluated, never asked for."""

        def __class_getitem__(cls, item):
            return item


Tensor: TypeAlias = Any  # tf.Tensor, jax.Array, torch.Tensor
Sides: TypeAlias = Sequence[Tensor]  # boxes as four tensors (...), one per side
Terms: TypeAlias = dict[str, Tensor]  # the named addends of a loss
ImageShape: TypeAlias = Sequence[float] | Tensor  # (height, width), or a tensor (B, 2)
Config: TypeAlias = dict[str, Any]  # what Keras saves of an object
PathLike: TypeAlias = str | os.PathLike[str]
Entry: TypeAlias = dict[str, Any]  # a COCO result, or one line of a table
Found: TypeAlias = dict[str, np.ndarray]  # boxes, labels and scores that were found in an image
# uint8 RGB (B, H, W, 3), or a list of (H, W, 3) of any sizes, or of paths.
Pictures: TypeAlias = np.ndarray | Sequence[np.ndarray | PathLike]

# Words ------------------------------------------------------------------------------------------

BoundingBoxFormat: TypeAlias = Literal[
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
]
CoordinateFormat: TypeAlias = BoundingBoxFormat | Literal["encoded"]
NormalizerWord: TypeAlias = Literal["image", "batch", "none"]
Normalizer: TypeAlias = NormalizerWord | float
ClassNormalizer: TypeAlias = Normalizer | Literal["positives"]
BoxReduction: TypeAlias = Literal["sum", "none"]
CoordinateReduction: TypeAlias = Literal["sum", "mean"]
Reduction: TypeAlias = Literal[
    "sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"
]
MiningScope: TypeAlias = Literal["image", "batch"]
Truth: TypeAlias = Literal["boxes", "encoded"]  # what `y_true` of a decoded loss holds
IoUMode: TypeAlias = Literal["linear", "log", "square"]
BaseLoss: TypeAlias = Literal[
    "iou", "giou", "diou", "ciou", "eiou", "siou", "mpdiou", "shape_iou"
]  # an overlap plus penalties, which a modifier can change
GWDFunction: TypeAlias = Literal["log1p", "sqrt"]
KLDDirection: TypeAlias = Literal["pred_to_true", "true_to_pred"]
ProbIoUMode: TypeAlias = Literal["l1", "l2"]
KFIoUMode: TypeAlias = Literal["exp", "log"]
ChangedBase: TypeAlias = BaseLoss | Literal["piou", "wiou"]  # of Inner- and Focaler-IoU
Outlier: TypeAlias = Literal["changed", "plain"]
Balance: TypeAlias = Literal["none", "sqrt"]
Enclosure: TypeAlias = Literal["hull", "smallest", "aligned"]
Origin: TypeAlias = Literal["middle", "bottom"]
