"""`scripts/benchmarks/losses.py` on few boxes: who takes part and what is written, no times."""

import json

import losses as benchmark
import numpy as np
import peers
import pytest
from gradients import value_and_gradient

from boxloss.tensors import ops

pytestmark = pytest.mark.skipif(ops.backend() != "tensorflow", reason="it measures TensorFlow")
ROW = {"wall_ms", "cpu_ms", "wall_adds", "cpu_adds", "peak_mb"}


def test_a_small_run_leaves_the_documented_json_and_a_plot(tmp_path, capsys):
    flags = ["--losses", "l1", "--boxes", "10", "20", "--rounds", "2", "--out", str(tmp_path)]
    assert benchmark.main(flags) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "losses.json").read_text())
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert written.keys() | {"plot"} == printed.keys()
    assert written["losses"].keys() == {"l1"}
    rows = written["losses"]["l1"]["20"]
    named = {"add", "boxloss", "boxloss_functional"}
    named |= {"tensorflow_eager", "tensorflow_graph", "tensorflow_xla"}
    assert rows.keys() >= named
    assert all(row.keys() == ROW for row in rows.values())
    assert rows["add"]["wall_adds"] == pytest.approx(1)
    assert written["call"]["l1"].keys() == {"images", "boxes", "boxloss_us", "empty_us", "ratio"}


def test_a_peer_that_cannot_be_imported_is_named_with_the_reason(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "torchvision", "no_such_module")
    assert "no_such_module" in peers.absent()["torchvision"]
    assert not [name for name in peers.contestants("giou") if "torchvision" in name]


@pytest.mark.parametrize("name", peers.PLAIN)
def test_the_plain_formulas_are_those_of_boxloss(name):
    from boxloss import functional

    y_true, y_pred = peers.example(1, 50)
    y_pred = y_true + 2 * (y_pred - y_true)  # farther off, where addends are not small

    def ours(y_pred):
        arguments = {"image_shape": (640, 640)} if name == "mpdiou" else {}
        errors = getattr(functional, f"{name}_loss")(y_true, y_pred, **arguments)
        return ops.sum(errors, axis=-1) if name == "l1" else errors

    def plain(y_pred):
        return peers.PLAIN[name](y_true, y_pred)

    for mine, other in zip(
        value_and_gradient(ours, y_pred), value_and_gradient(plain, y_pred), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_time_per_box_compares_the_largest_size_with_a_hundred_thousand():
    row = {"wall_ms": 2.0, "cpu_ms": 4.0}
    table = {100_000: {"boxloss": row}, 1_000_000: {"boxloss": {"wall_ms": 30.0, "cpu_ms": 20.0}}}
    result = benchmark._per_box(table)
    assert result == {"boxes": 1_000_000, "wall": pytest.approx(1.5), "cpu": pytest.approx(0.5)}
    assert benchmark._per_box({100: {"boxloss": row}}) is None
