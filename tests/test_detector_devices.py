"""Training the detector on two devices, or in two processes, ends with the weights of one."""

import importlib.util
import socket

import children
import numpy as np
import pytest

from boxloss.tensors import ops

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ops.KERAS_3, reason="training needs Keras 3"),
]


def start(*arguments):
    return children.start("detector_devices_child.py", *arguments)


def wait(process, seconds=900):
    try:
        err = process.communicate(timeout=seconds)[1]
    finally:
        process.kill()
    assert process.returncode == 0, err[-4000:]


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def outcome(request, tmp_path_factory):
    """(backend, the arrays of one device and of two)."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    out = tmp_path_factory.mktemp("devices") / "out.npz"
    wait(start(request.param, out))
    return request.param, dict(np.load(out))


def assert_same(one, two):
    moved = np.abs(one["one_weights"] - one["one_start"]).max()
    assert moved > 1e-2  # it has trained
    np.testing.assert_allclose(two["two_weights"], one["one_weights"], atol=1e-3 * moved)
    np.testing.assert_allclose(two["two_losses"], one["one_losses"], rtol=1e-4)


def test_two_devices_end_with_the_weights_of_one(outcome):
    _, arrays = outcome
    assert_same(arrays, arrays)


def test_two_processes_end_with_the_weights_of_one(outcome, tmp_path):
    backend, arrays = outcome
    if backend != "jax":
        pytest.skip("several processes train on JAX")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outs = [tmp_path / f"{index}.npz" for index in (0, 1)]
    processes = [start("process", out, port, index) for index, out in enumerate(outs)]
    for process in processes:
        wait(process)
    for out in outs:
        assert_same(arrays, dict(np.load(out)))
