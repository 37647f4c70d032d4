"""`scripts/benchmarks/losses.py` on few boxes: who takes part and what is written, no times."""

import json

import losses as benchmark
import numpy as np
import peers
import pytest
from gradients import value_and_gradient

from boxloss.tensors import ops

ROW = {"wall_ms", "cpu_ms", "wall_adds", "of_naive", "peak_mb"}


def test_a_small_run_leaves_the_documented_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "WARM", 1)
    path = {"tensorflow": "eager", "jax": "jit", "torch": "eager"}[ops.backend()]
    flags = ["--losses", "l1", "--shapes", "2x10", "--rounds", "2", "--only", path]
    assert benchmark.main([*flags, "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / f"losses-{ops.backend()}.json").read_text())
    assert written == printed
    rows = written["losses"]["l1"]["2x10"]
    assert rows.keys() == {"add", f"{path} boxloss", f"{path} naive"}
    assert all(row.keys() == ROW for row in rows.values())
    assert rows["add"]["wall_adds"] == pytest.approx(1)
    assert rows[f"{path} naive"]["of_naive"] == pytest.approx(1)
    assert rows["add"]["of_naive"] is None


@pytest.mark.parametrize("path", peers.paths())
def test_every_path_of_the_backend_runs(path):
    boxes = peers.example(2, 5)
    peers.paths()[path](peers.naive_loss("l1"))(*boxes)()


def test_a_peer_that_cannot_be_imported_is_named_with_the_reason(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "torchvision", "no_such_module")
    assert "no_such_module" in peers.absent()["torchvision"]
    assert not [name for name in peers.contestants("giou") if "torchvision" in name]


@pytest.mark.parametrize("name", peers.NAIVE)
def test_the_naive_formulas_are_those_of_boxloss(name):
    from boxloss import functional

    y_true, y_pred = peers.example(1, 50)
    y_pred = y_true + 2 * (y_pred - y_true)  # farther off, where addends are not small

    def ours(y_pred):
        arguments = {"image_shape": (640, 640)} if name == "mpdiou" else {}
        errors = getattr(functional, f"{name}_loss")(y_true, y_pred, **arguments)
        return ops.sum(errors, axis=-1) if name == "l1" else errors

    def plain(y_pred):
        return peers.NAIVE[name](peers.operations(), ops.convert_to_tensor(y_true), y_pred)

    for mine, other in zip(
        value_and_gradient(ours, y_pred), value_and_gradient(plain, y_pred), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    # Not the ratio of the medians, which is 5 in the second case.
    assert benchmark._ratio([2.0, 30.0, 6.0], [1.0, 10.0, 2.0]) == 3.0
    assert benchmark._ratio([2.0, 40.0, 30.0], [1.0, 10.0, 6.0]) == 4.0
