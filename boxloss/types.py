"""Names for the types in public signatures.

A tensor is what the backend in use calls one. Its shape, which no checker knows, stands in the
docstring.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike as ArrayLike  # tensors of any backend, arrays, nested lists

Tensor: TypeAlias = Any  # tf.Tensor, jax.Array, torch.Tensor
Terms: TypeAlias = dict[str, Tensor]  # the named addends of a loss
ImageShape: TypeAlias = Sequence[float] | Tensor  # (height, width), or a tensor (B, 2)
Config: TypeAlias = dict[str, Any]  # what Keras saves of an object
PathLike: TypeAlias = str | os.PathLike[str]
Entry: TypeAlias = dict[str, Any]  # a COCO result, or one line of a table
Found: TypeAlias = dict[str, np.ndarray]  # boxes, labels and scores that were found in an image
# uint8 RGB (B, H, W, 3), or a list of (H, W, 3) of any sizes, or of paths.
Pictures: TypeAlias = np.ndarray | Sequence[np.ndarray | PathLike]
