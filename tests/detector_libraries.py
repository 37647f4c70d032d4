"""Whether the detectors of other libraries are here, for the tests of their adapters."""

import importlib.util

import pytest

from boxloss.tensors import ops

HERE = ops.backend() == "torch" and all(
    map(importlib.util.find_spec, ("ultralytics", "torchvision", "transformers"))
)
MARKS = [
    pytest.mark.torch,
    pytest.mark.skipif(not HERE, reason="needs KERAS_BACKEND=torch and the three libraries"),
]
