"""The same training on JAX on one device, on two devices and in two processes (keras.distribution).

JAX fixes its devices when it starts, so each setting is a process of its own.
"""

import json
import socket
import subprocess

import children
import numpy as np
import pytest

from boxloss.tensors import ops

pytest.importorskip("jax")
pytestmark = pytest.mark.skipif(not ops.KERAS_3, reason="keras.distribution belongs to Keras 3")

NORMALIZERS = ("image", "batch", "none", "3.0")


def start(*arguments):
    return children.start("jax_distribution_child.py", *arguments, stdout=subprocess.PIPE)


def answer(process, seconds=600):
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, err[-4000:]
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def devices():
    return answer(start("devices"))


@pytest.mark.slow(25)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_two_devices_give_the_weights_and_losses_of_one(devices, normalizer):
    one, two = devices["one"][normalizer], devices["two"][normalizer]
    np.testing.assert_allclose(two["weights"], one["weights"], atol=1e-6)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_normalizers_train_differently(devices):
    weights = [np.array(devices["one"][n]["weights"]) for n in NORMALIZERS]
    for i, a in enumerate(weights):
        for b in weights[:i]:
            assert np.abs(a - b).max() > 1e-4


@pytest.mark.slow(35)
def test_two_processes_give_the_weights_and_losses_of_one(devices):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [start("process", port, index) for index in (0, 1)]
    for got in [answer(process) for process in processes]:
        for normalizer in NORMALIZERS:
            one, two = devices["one"][normalizer], got[normalizer]
            np.testing.assert_allclose(two["weights"], one["weights"], atol=1e-6)
            np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5, atol=1e-6)
