"""`scripts/benchmarks/audit.py`: its measures by hand, who takes part, and what it leaves."""

import json

import audit as benchmark
import audit_methods
import numpy as np
import pytest
from audit_loss_method import detection_losses, label_losses
from audit_measures import MEASURES, cell
from audit_scenes import scene

from boxloss import evaluation
from boxloss.datasets import noise


def once(values, bad):
    measured = cell(np.array(values, float), np.array(bad, bool), np.ones((1, len(values))))
    return {name: value.item() for name, value in measured.items()}


def test_measures_of_a_short_ranking_by_hand():
    # Ranked: bad, good, bad, good, good. Pairs (bad, good): 3 + 2 of 6 in order.
    measured = once([9, 7, 8, 1, 2], [1, 1, 0, 0, 0])
    assert measured["auroc"] == pytest.approx(5 / 6)
    assert measured["ap"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    # 10 % of 5 boxes is half of the first one, which is bad: a quarter of both.
    assert measured["recall_10"] == pytest.approx(0.25)
    assert measured["recall_1"] == pytest.approx(0.025)


def test_a_tie_counts_half_and_no_order_within_it():
    for bad in ([1, 0, 0, 1], [0, 1, 1, 0]):
        measured = once([5, 5, 5, 5], bad)
        assert measured["auroc"] == pytest.approx(0.5)
        assert measured["ap"] == pytest.approx(0.5)
        assert measured["recall_10"] == pytest.approx(0.1)


def test_a_weight_of_two_is_the_item_twice():
    rng = np.random.default_rng(0)
    values, bad = rng.integers(0, 8, 40).astype(float), rng.uniform(size=40) < 0.3
    weights = rng.integers(0, 3, (4, 40))
    measured = cell(values, bad, weights)
    for row, weight in enumerate(weights):
        copies = np.repeat(np.arange(40), weight)
        alone = once(values[copies], bad[copies])
        assert {name: measured[name][row] for name in MEASURES} == pytest.approx(alone)


def test_a_small_run_leaves_cells_with_intervals_and_a_table(tmp_path, capsys):
    truth, found = scene(images=8)
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    words = ["--truth", tmp_path / "gt.json", "--detections", tmp_path / "dt.json"]
    words += ["--kinds", "edge", "missing", "--seeds", 3, 4, "--rates", 0.1, "--bootstrap", 20]
    words = [*words, "--out", tmp_path / "out"]
    assert benchmark.main([str(word) for word in words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "audit.json").read_text())
    entry = printed["sets"]["dt"]
    assert entry["boxes"] == len(truth["annotations"]) and entry["images"] == 8
    cells = {(row["kind"], row["unit"], row["method"]): row for row in entry["cells"]}
    for method in ("boxloss", "1 - IoU", "confidence", "random"):
        assert ("edge", "box", method) in cells and ("edge", "image", method) in cells
        assert ("missing", "detection", method) in cells
        assert entry["seconds"][method] > 0
    for row in entry["cells"]:
        for name in MEASURES:
            mean, low, high = row[name]
            assert 0 <= low <= high <= 1 and 0 <= mean <= 1
    best, chance = cells["edge", "box", "boxloss"], cells["edge", "box", "random"]
    assert best["auroc"][0] > 0.95 > 0.75 > chance["auroc"][0]
    table = (tmp_path / "out" / "audit.md").read_text()
    shown = f"| edge | boxloss | {best['auroc'][0]:.3f} ({best['auroc'][1]:.3f}–"
    assert shown in table


def test_a_deleted_box_is_found_by_its_best_detection_and_the_others_do_not_count():
    truth, found = scene(images=4)
    altered, changes = noise.alter(truth, "missing", 0.1, seed=1)
    trial = audit_methods.Trial(altered, found, changes, "missing", 1)
    bad, image, use = trial.wanted("detection")
    assert bad.sum() == len(changes) and (use | ~bad).all()
    assert use.sum() == len(found)  # one detection of its class for each box in this scene
    again = [{**found[np.flatnonzero(bad)[0]], "score": 0.01}, *found]
    trial = audit_methods.Trial(altered, again, changes, "missing", 1)
    bad, image, use = trial.wanted("detection")
    assert bad.sum() == len(changes) and not use[0] and not bad[0]


def test_a_peer_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(audit_methods.importlib.util, "find_spec", lambda name: None)
    assert audit_methods.absent() == {"cleanlab": "not installed: pip install cleanlab"}
    truth, found = scene(images=3)
    altered, changes = noise.alter(truth, "swap", 0.1)
    trial = audit_methods.Trial(altered, found, changes, "swap", 0)
    assert not [method for _, method, _ in trial.rankings({}) if "cleanlab" in method]


def test_cleanlab_scores_stand_at_their_own_boxes():
    pytest.importorskip("cleanlab")
    truth, found = scene(images=6)
    altered, changes = noise.alter(truth, "shift", 0.1, seed=2)
    trial = audit_methods.Trial(altered, found, changes, "shift", 2)
    bad, _, _ = trial.wanted("box")
    ranked = {method: values for unit, method, values in trial.rankings({}) if unit == "box"}
    measured = cell(ranked["cleanlab badloc"], bad, np.ones((1, len(bad))))
    assert measured["auroc"][0] > 0.8  # far from the 0.5 of scores at other boxes
    assert ranked.keys() >= {"cleanlab swap", "boxloss", "boxloss shift"}


def test_synthetic_detectors_are_trained_on_folds_once(tmp_path, monkeypatch):
    from boxloss.audit import folds

    asked = []

    def out_of_sample(dataset, out, count, options, verbose):
        asked.append((out.name, options.size, options.epochs, count, dataset.to_coco()))
        return [
            {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.8}
            for entry in dataset.to_coco()["annotations"]
        ]

    monkeypatch.setattr(folds, "out_of_sample", out_of_sample)
    words = ["--synthetic", "6", "--image-size", "64", "--epochs", "2", "--kinds", "shift"]
    words += ["--seeds", "0", "--rates", "0.1", "0.2", "--bootstrap", "5"]
    assert benchmark.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert [row[:4] for row in asked] == [
        ("nano", "nano", 2, 3),
        ("small", "small", 2, 3),
        ("noisy", "nano", 2, 3),
    ]
    assert asked[0][4] == asked[1][4] != asked[2][4]
    result = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert list(result["sets"]) == [f"synthetic, {name}" for name in ("nano", "small", "noisy")]


@pytest.mark.parametrize("words", [[], ["--truth", "a"], ["--synthetic", "5"]])
def test_bad_calls_are_one_line(words, capsys):
    assert benchmark.main([*words]) == 2
    printed, stderr = capsys.readouterr()
    assert not printed and len(stderr.splitlines()) == 1
    assert "must get --truth and --detections, or --synthetic and --out. Received: " in stderr


def test_intervals_are_of_the_mean_over_seeds():
    measured = [
        {name: np.array([0.5, 0.4, 0.6]) for name in MEASURES},
        {name: np.array([0.7, 0.8, 0.8]) for name in MEASURES},
    ]
    summary = benchmark._summary(measured)
    assert summary["auroc"] == pytest.approx([0.6, 0.6 + 0.1 * 0.025, 0.7 - 0.1 * 0.025], abs=1e-4)


# The score of Schubert et al. ---------------------------------------------------------------------


def one_label(*found):
    """Truth and Detections: a label at (10, 20, 50, 40), and detections (category, box, score)."""
    truth = {
        "images": [{"id": 1, "file_name": "a", "width": 99, "height": 99}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 20]}],
    }
    results = [
        {"image_id": 1, "category_id": number, "bbox": box, "score": score}
        for number, box, score in found
    ]
    truth = evaluation.Truth.of(truth)
    return truth, evaluation.Detections.of(results, truth)


def test_the_loss_of_a_label_by_hand():
    moved = [14, 20, 40, 20]  # 4 of 40 to the right: offset -0.1, by its spread -1
    truth, found = one_label((1, moved, 0.8), (2, moved, 0.3))
    cross_entropy = -np.log(0.8) - np.log(0.7)
    assert label_losses(truth, found) == pytest.approx([cross_entropy + 0.5], rel=1e-5)
    wider = [10, 20, 60, 20]  # offsets -10/60 and ln(40/60), by their spreads -5/3 and -2.027
    truth, found = one_label((1, wider, 0.8))
    smooth = (10 / 6 - 0.5) + (np.log(60 / 40) / 0.2 - 0.5)
    expected = -np.log(0.8) - np.log(1 - 1e-3) + smooth
    assert label_losses(truth, found) == pytest.approx([expected], rel=1e-5)


def test_the_loss_of_a_label_that_nothing_finds_and_of_a_wrong_class():
    truth, found = one_label((1, [70, 70, 9, 9], 0.9))
    nothing = label_losses(truth, found)
    beside = one_label((1, [40, 20, 40, 20], 0.9))  # IoU 1/7
    assert label_losses(*beside) == pytest.approx(nothing)
    assert nothing == pytest.approx([-np.log(1e-3) - np.log(1 - 1e-3)], rel=1e-5)
    truth, found = one_label((2, [10, 20, 40, 20], 0.9))
    assert label_losses(truth, found) == pytest.approx([-np.log(1e-3) - np.log(0.1)], rel=1e-5)


def test_a_detection_on_a_label_costs_nothing_and_elsewhere_its_score():
    truth, found = one_label((2, [12, 20, 40, 20], 0.9), (1, [40, 20, 40, 20], 0.75))
    assert detection_losses(truth, found) == pytest.approx([0, -np.log(0.25)], rel=1e-5)


def test_best_f1_of_a_short_ranking_by_hand():
    # bad, good, bad, good, good: 1 of 1, 1 of 2, 2 of 3 ... of 2 bad ones; best 2 * 2 / (3 + 2).
    assert once([9, 7, 8, 1, 2], [1, 1, 0, 0, 0])["best_f1"] == pytest.approx(0.8)
    assert once([1, 2, 3], [1, 0, 0])["best_f1"] == pytest.approx(0.5)


def test_the_other_protocol_has_its_kinds_and_rates(tmp_path, capsys):
    truth, found = scene(images=6)
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    words = ["--truth", tmp_path / "gt.json", "--detections", tmp_path / "dt.json", "--seeds", 1]
    words += ["--protocol", "loss-inspection", "--bootstrap", 3]
    assert benchmark.main([str(word) for word in words]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["sets"].values()
    cells = {(row["kind"], row["rate"], row["unit"], row["method"]): row for row in entry["cells"]}
    assert {key[0] for key in cells} == {"flip", "shift_normal", "spawn", "drop", "mixed"}
    assert {key[1] for key in cells} == {0.05, 0.2}
    assert ("flip", 0.05, "box", "boxloss swap") in cells
    assert cells["flip", 0.05, "box", "label loss"]["auroc"][0] > 0.9
    assert cells["drop", 0.05, "detection", "label loss"]["auroc"][0] > 0.9
