"""`scripts/benchmarks/history.py`: who is ranked by what, and what it leaves."""

import json

import history as benchmark
import numpy as np
import pytest
from audit_measures import MEASURES

from boxloss import training
from boxloss.datasets import noise

HEADER = "image_id,file_name,annotation_id,class,epochs,mean_error,std_error,mean_score,mean_iou"
HEADER += ",found,forgotten,first_found\n"
METHODS = [
    *("audit", "audit and history", "audit and mean loss", "mean error alone"),
    *("1 - found alone", "1 - mean score alone", "mean loss alone", "forgotten alone"),
]


def fake_run(dataset, validation, options, out, **_):
    """A run that found every box in nine epochs of ten, but swapped ones in one."""
    out.mkdir(parents=True, exist_ok=True)
    swapped = json.loads((out.parent / "swapped.json").read_text())
    lines = []
    for record in dataset.records:
        for number in record.annotation_ids:
            share, error = (0.1, 0.25) if number in swapped else (0.9, 0.5)
            lines.append(f"{record.image_id},x,{number},a,10,{error},0.1,{share},0.7,{share},1,2\n")
    (out / "box_history.csv").write_text(HEADER + "".join(lines[:-1]))


@pytest.fixture
def result(tmp_path, monkeypatch, capsys):
    """The printed object of a run whose detections are the labels before they were altered."""
    from boxloss.datasets import synthetic

    made = synthetic.write(tmp_path / "before", 40, seed=2, image_size=64)
    _, changes = noise.alter(made, noise.KINDS, 0.3, 3)
    swapped = [change.annotation_id for change in changes if change.kind == "swap"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "swapped.json").write_text(json.dumps(swapped))
    rng = np.random.default_rng(0)
    found = [
        {"image_id": e["image_id"], "category_id": e["category_id"], "score": 0.9}
        | {"bbox": (np.array(e["bbox"]) + rng.normal(0, 0.2, 4)).tolist()}
        for e in made.to_coco()["annotations"]
    ]
    monkeypatch.setattr(training, "train", fake_run)
    monkeypatch.setattr(training, "evaluate", lambda *_: ({}, found))
    monkeypatch.setattr("boxloss.detector.load_detector", lambda path: path.name)
    words = ["--images", 40, "--image-size", 64, "--data-seed", 2, "--noise-seed", 3]
    words += ["--rate", 0.3, "--bootstrap", 10, "--out", tmp_path / "out"]
    assert benchmark.main([*map(str, words)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "history.json").read_text())
    altered = [change for change in changes if change.after]
    return printed, altered, swapped


def test_each_kind_is_ranked_among_the_boxes_that_are_right(result):
    printed, altered, swapped = result
    cells = {(row["kind"], row["method"]): row for row in printed["cells"]}
    kinds = ["all", *dict.fromkeys(change.kind for change in altered)]
    assert list(cells) == [(kind, method) for kind in kinds for method in METHODS]
    assert "missing" not in kinds and printed["altered"] == len(altered)
    for kind in kinds[1:]:
        count = sum(change.kind == kind for change in altered)
        assert {cells[kind, method]["count"] for method in METHODS} == {count}
    assert cells["all", "audit"]["count"] == len(altered)
    for row in printed["cells"]:
        for name in MEASURES:
            value, low, high = row[name]
            assert 0 <= low <= high <= 1 and 0 <= value <= 1


def test_the_history_finds_what_training_did_not(result):
    printed, _, _ = result
    cells = {(row["kind"], row["method"]): row for row in printed["cells"]}
    assert cells["swap", "1 - found alone"]["ap"][0] == pytest.approx(1)
    assert cells["swap", "1 - mean score alone"]["ap"][0] == pytest.approx(1)
    # Swapped boxes, which have it worse, do not count among those that shifted ones stand out from.
    assert cells["shift", "1 - found alone"]["auroc"][0] == pytest.approx(0.5, abs=0.01)
    # Their mean error is the smallest here: this ranking has them last.
    assert cells["swap", "mean error alone"]["auroc"][0] == pytest.approx(0, abs=0.02)
    assert cells["swap", "forgotten alone"]["auroc"][0] == pytest.approx(0.5, abs=0.05)
    gained = cells["swap", "audit and history"]["ap"][0] - cells["swap", "audit"]["ap"][0]
    assert gained > 0
