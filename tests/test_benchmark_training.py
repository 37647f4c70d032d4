"""`scripts/benchmarks/training.py`: one training per loss and seed; its intervals."""

import csv
import json

import pytest
import training as benchmark

from boxloss import training
from boxloss.datasets import synthetic

SMALL = ["--image-size", "64", "--epochs", "1", "--batch-size", "4", "--seeds", "0", "1"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    synthetic.write(folder, 6, seed=3, image_size=64)
    return folder


def words(folder, out, *losses):
    data = ["--images", folder / "images", "--annotations", folder / "annotations.json"]
    return [str(w) for w in [*data, *SMALL, "--out", out, "--losses", *losses]]


def fake(calls):
    """`training.train` that writes AP 0.5 and costs nothing."""

    def train(train_set, validation_set, options, out, resume=False, verbose="auto"):
        calls.append((out.name, options.loss, options.bins, options.seed, resume))
        out.mkdir(parents=True)
        (out / "config.json").write_text(json.dumps(options.as_dict()))
        metrics = dict.fromkeys(benchmark.COLUMNS, 0.5) | {"AP75": None}
        (out / "metrics.json").write_text(json.dumps(metrics))
        return metrics

    return train


def test_every_loss_and_seed_is_trained_once(shapes, tmp_path, capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(training, "train", fake(calls))
    assert benchmark.main(words(shapes, tmp_path, "giou", "dfl+ciou")) == 0
    assert calls == [
        ("giou-0", "giou", 0, 0, True),
        ("dfl+ciou-0", "ciou", 16, 0, True),
        ("giou-1", "giou", 0, 1, True),
        ("dfl+ciou-1", "ciou", 16, 1, True),
    ]
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "training.json").read_text())
    with open(tmp_path / "training.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss"], row["seed"]) for row in rows][:2] == [("giou", "0"), ("dfl+ciou", "0")]
    assert {row["AP75"] for row in rows} == {"0.0"}
    # Again, with one loss more: what is there is read.
    assert benchmark.main(words(shapes, tmp_path, "giou", "dfl+ciou", "l1")) == 0
    assert [call[0] for call in calls[4:]] == ["l1-0", "l1-1"]


def test_runs_with_other_options_are_refused(shapes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training, "train", fake([]))
    assert benchmark.main(words(shapes, tmp_path, "giou")) == 0
    assert benchmark.main([*words(shapes, tmp_path, "giou"), "--epochs", "7"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"scripts/benchmarks/training.py: {tmp_path / 'runs' / 'giou-0'}: run must have been "
        "trained with the options of this command. Received: another epochs, evaluate_every"
    )


def test_the_reference_must_be_one_of_the_losses(shapes, tmp_path, capsys):
    assert benchmark.main([*words(shapes, tmp_path, "giou"), "--reference", "l1"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith("`--reference` must be one of --losses (giou). Received: 'l1'")


def rows(**values):
    return [
        {"loss": name, "seed": seed, "AP": ap, "AP50": 2 * ap, "cpu_seconds": 10 + seed}
        for name, aps in values.items()
        for seed, ap in enumerate(aps)
    ]


def test_intervals_by_hand():
    summary = benchmark.summarize(rows(a=[0.1, 0.2, 0.3], b=[0.3, 0.2, 0.4]), "a")
    assert summary["a"]["AP"] == pytest.approx(0.2)
    # t of 97.5 % and 2 degrees of freedom is 4.302653, the spread 0.1, the root of 3 seeds 1.732.
    assert summary["a"]["AP_interval"] == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert "difference" not in summary["a"]
    assert summary["b"]["difference"] == pytest.approx(0.1)
    # With two losses the interval is that of the paired differences 0.2, 0.0, 0.1: spread 0.1.
    expected = 4.302653 * 0.1 / 3**0.5
    assert summary["b"]["difference_interval"] == pytest.approx(expected, rel=1e-6)
    assert summary["b"]["cpu_seconds"] == 11 and summary["b"]["AP50"] == pytest.approx(0.6)


def test_all_losses_share_one_spread_and_one_confidence():
    # Residuals of loss and seed: of the means 0.2, 0.4, 0.3 and 0.3, 0.3 remain
    # -0.05 0.05 | 0.05 -0.05 | 0 0: a sum of squares of 0.01 on 2 degrees of freedom.
    summary = benchmark.summarize(rows(a=[0.15, 0.25], b=[0.45, 0.35], c=[0.3, 0.3]), "a")
    # Two comparisons: t of 1 - 0.025 / 2 and 2 degrees of freedom is 6.205347.
    expected = 6.205347 * (2 * 0.005 / 2) ** 0.5
    for name in "bc":
        assert summary[name]["difference_interval"] == pytest.approx(expected, rel=1e-6)


def test_one_seed_has_no_interval():
    summary = benchmark.summarize(rows(a=[0.1], b=[0.3]), "b")
    assert summary["a"]["AP_interval"] is None and summary["a"]["difference_interval"] is None
    text = benchmark.table({"summary": summary, "reference": "b"}).splitlines()
    assert text[0] == "| loss | AP | AP50 | AP − b | CPU seconds |"
    assert text[2:] == ["| b | 0.300 | 0.600 |  | 10 |", "| a | 0.100 | 0.200 | -0.200 | 10 |"]


def test_seeds_that_one_loss_has_are_not_compared():
    summary = benchmark.summarize(rows(a=[0.1, 0.9], b=[0.3]), "a")
    assert summary["b"]["difference"] == pytest.approx(0.2)
    assert summary["a"]["seeds"] == 2 and summary["b"]["difference_interval"] is None


@pytest.mark.slow
def test_a_real_table_of_two_losses(shapes, tmp_path, capsys):
    assert benchmark.main([*words(shapes, tmp_path, "l1", "dfl+ciou"), "--seeds", "0"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["loss"] for row in printed["runs"]] == ["l1", "dfl+ciou"]
    assert (tmp_path / "training.md").read_text().startswith("| loss | AP |")
