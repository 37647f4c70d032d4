"""Shared fixtures. The backend is chosen by KERAS_BACKEND before Keras is imported."""

import os
import pathlib
import random
import zlib

import numpy as np
import pytest

from boxloss.cli import tuning

pytest.register_assert_rewrite("broken_folders", "contract")  # they compare for several files
tuning.keep_memory()  # as the commands do that the tests run
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# GPUs would only make rounding differ between machines; the tests are about the mathematics.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


class _FailuresAtOnce:
    """Names a failure when it happens: a run that is stopped by its time has reported it."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.terminal.write_line(f"\nFAILED {report.nodeid}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:  # a worker has none
        config.pluginmanager.register(_FailuresAtOnce(terminal))


def pytest_runtest_setup(item):
    """What a test draws without a seed, and Keras' initial weights, are the same in every run.

    BOXLOSS_SHUFFLE=SEED draws others, see below.
    """
    name = item.nodeid + os.environ.get("BOXLOSS_SHUFFLE", "")
    random.seed(name)
    np.random.seed(zlib.crc32(name.encode()))


def pytest_collection_modifyitems(items):
    """The longest first, by `slow` or `long(seconds)`: no worker sits idle beside the last one.

    BOXLOSS_SHUFFLE=SEED runs them in a random order instead, to find tests that need another one.
    """
    seed = os.environ.get("BOXLOSS_SHUFFLE")
    if seed is not None:
        random.Random(seed).shuffle(items)
    else:
        items.sort(key=_seconds, reverse=True)


def _seconds(item):
    marker = item.get_closest_marker("slow") or item.get_closest_marker("long")
    return marker.args[0] if marker and marker.args else 0


def _real_data(name):
    """The folder of a real data set, where this machine has it."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "data" / name
    variable = f"BOXLOSS_{name.upper()}"
    folder = pathlib.Path(os.environ.get(variable, beside))
    if not (folder / "val.json").is_file():
        pytest.skip(f"{name.upper()} is not here: set {variable} (looked in {folder})")
    return folder


@pytest.fixture(scope="session")
def bccd():
    """Pictures of blood cells."""
    return _real_data("bccd")


@pytest.fixture(scope="session")
def carla():
    """Street scenes of several towns."""
    return _real_data("carla")


@pytest.fixture
def place(tmp_path):
    """A folder with one picture, images/a.png, beside which a test writes annotations."""
    import folders  # not above: it needs OpenCV, which some environments are without

    folders.put(tmp_path, images__a_png=folders.PNG)
    return tmp_path
