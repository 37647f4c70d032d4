"""Shared fixtures. The backend is chosen by KERAS_BACKEND before Keras is imported."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# GPUs would only make rounding differ between machines; the tests are about the mathematics.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(scope="session")
def bccd():
    """The folder of real images, where this machine has it."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "data" / "bccd"
    folder = pathlib.Path(os.environ.get("BOXLOSS_BCCD", beside))
    if not (folder / "val.json").is_file():
        pytest.skip(f"BCCD is not here: set BOXLOSS_BCCD (looked in {folder})")
    return folder
