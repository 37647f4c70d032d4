"""`scripts/benchmarks/gpu.py`, run on the CPU: what it compares, what it calls a failure."""

import json

import gpu as gpu_check
import numpy as np
import pytest

import boxloss
from boxloss.tensors import ops

GOOD = {
    "losses": {"l1": {"error": 0.0}, "giou": {"error": 1e-5}},
    "training": {"first_loss": 4.0, "last_loss": 2.0},
}


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(capsys):
    words = "--device cpu --boxes 100000 --losses l1 giou wiou --rounds 2"
    small = "--image-size 64 --batch-size 8 --epochs 6"
    assert gpu_check.main([*words.split(), *small.split()]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["backend"], printed["device"]) == (ops.backend(), "cpu")
    assert printed["failed"] == [] and printed["copy_gb_per_s"] > 0
    for name in ("l1", "giou", "wiou"):
        row = printed["losses"][name]
        assert row["error"] <= 1e-5 and row["milliseconds"] > 0
        # Nothing that reads and writes 48 bytes per box is much faster than one pass over 32.
        assert 0 < row["share_of_copy"] < 10
    assert printed["training"]["images_per_second"] > 0


@pytest.mark.parametrize(
    "change, failed",
    [
        ({}, []),
        ({"losses": {"l1": {"error": 1.1e-5}, "giou": {"error": float("nan")}}}, ["l1", "giou"]),
        ({"training": {"first_loss": 4.0, "last_loss": 3.9}}, ["training"]),
        ({"training": {"first_loss": 4.0, "last_loss": float("nan")}}, ["training"]),
    ],
    ids=["all is well", "losses", "training", "no number"],
)
def test_what_failed_is_named(change, failed):
    assert gpu_check.failures(GOOD | change) == failed


@pytest.fixture(scope="module")
def compiled_step():
    """A step of GIoU, called as often as compiles it."""
    loss = gpu_check.loss_of("giou", reduction=None)
    step = gpu_check.step_of(loss, *gpu_check.example(1, gpu_check.PAIRS))
    for _ in range(4):
        step()
    return lambda: tuple(map(ops.convert_to_numpy, step()))


@pytest.mark.parametrize(
    "spoil, least, most",
    [
        (lambda value, gradient: (value, gradient), 0, 0),
        (lambda value, gradient: (value + 0.5, gradient), 0.3, 0.51),
        (lambda value, gradient: (value, gradient * 0.9), 0.09, 0.11),
        (lambda value, gradient: (value, gradient * np.nan), np.nan, np.nan),
    ],
    ids=["nothing", "value", "gradient", "no number"],
)
def test_a_device_that_computes_something_else_is_seen(
    spoil, least, most, monkeypatch, compiled_step
):
    calls = []

    def step_of(*arguments):
        calls.append(None)  # the first is that of the device, the second that of the CPU
        return compiled_step if len(calls) == 2 else lambda: spoil(*compiled_step())

    monkeypatch.setattr(gpu_check, "step_of", step_of)
    found = gpu_check.difference("giou", "cpu")
    assert np.isnan(found) == np.isnan(least)
    assert np.isnan(found) or least <= found <= most


def test_values_and_gradients_are_those_of_the_loss():
    boxes = gpu_check.example(3, 2)
    value, gradient = gpu_check.step_of(gpu_check.loss_of("l1", reduction=None), *boxes)()
    np.testing.assert_allclose(value, np.abs(boxes[1] - boxes[0]).sum(-1).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.sign(boxes[1] - boxes[0]) / 3, rtol=1e-6)


@pytest.mark.parametrize("name", boxloss.names("box"))
def test_every_box_loss_can_be_checked(name):
    assert gpu_check.loss_of(name).name


def test_the_share_is_that_of_the_bytes_and_not_of_the_time(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "time_copy", lambda args: 0.002)
    monkeypatch.setattr(gpu_check, "time_loss", lambda name, args: 0.012)
    monkeypatch.setattr(gpu_check, "train", lambda args: GOOD["training"] | {"last_loss": 5.0})
    assert gpu_check.main(["--device", "cpu", "--losses", "l1", "--boxes", "1000000"]) == 1
    printed = json.loads(capsys.readouterr().out)
    # 32 MB in 2 ms are 16 GB/s, 48 MB in 12 ms are 4.
    assert printed["copy_gb_per_s"] == 16
    assert printed["losses"]["l1"]["share_of_copy"] == 0.25
    assert printed["failed"] == ["training"]


def test_without_a_gpu_it_says_what_works(capsys):
    # conftest.py hides GPUs.
    assert gpu_check.main(["--losses", "l1"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"scripts/benchmarks/gpu.py: `--device` must be there: {ops.backend()} sees no GPU; "
        "--device cpu runs the same checks on the CPU. Received: 'gpu'"
    )
