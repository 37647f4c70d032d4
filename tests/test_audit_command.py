"""`boxloss audit`: the files that it leaves, and calls that it refuses in one line."""

import csv
import json

import numpy as np
import pytest
from audit_scenes import HOSTILE, planted, written

from boxloss import cli, evaluation
from boxloss.audit import KINDS, LabelAudit


def test_the_command_leaves_a_table_a_page_and_a_proposal(tmp_path, capsys):
    truth, found, altered = planted("edge")
    data = written(tmp_path / "data", truth, found, pictures=30)
    words = ["audit", "--truth", data / "gt.json", "--detections", data / "dt.json"]
    words += ["--images", data / "photos", "--out", tmp_path / "audit", "--worst", 20]
    words += ["--apply-from", 0.2, "--correct-from", 2.5]
    assert cli.main([str(word) for word in words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["boxes"] == 360 and printed["suspects"]["edge"] >= 10
    with open(tmp_path / "audit" / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    suspicion = [float(row["suspicion"]) for row in rows]
    assert suspicion == sorted(suspicion, reverse=True)
    assert sum(row["annotation_id"] != "" for row in rows) == 360
    assert len({row["annotation_id"] for row in rows[:20]} & set(map(str, altered))) >= 11
    assert rows[0].keys() >= {f"suspicion_{kind}" for kind in KINDS} | {"corrected_x1"}
    fixed = json.loads((tmp_path / "audit" / "corrected.json").read_text())
    # One number everywhere: in the file, in the table and in what is printed.
    changed = sum("boxloss_correction" in e for e in fixed["annotations"])
    changed += len(fixed["boxloss_removed"])
    assert changed == sum(printed["applied"].values()) >= 8
    assert changed == sum(row["correction"] != "" for row in rows)
    assert changed == sum(row["applied"] == "True" for row in rows)
    assert all(row["proposal"] for row in rows) and changed < 20
    page = (tmp_path / "audit" / "index.html").read_text()
    start = page.index('id="data">') + len('id="data">')
    shown = json.loads(page[start : page.index("</script>", start)])
    assert len(shown["rows"]["image"]) == 20 and shown["sort"] == "extra:suspicion"
    values = shown["extra"]["suspicion"]
    np.testing.assert_allclose(values, suspicion[:20], atol=1e-3)
    assert values == sorted(values, reverse=True)
    assert HOSTILE not in page and len(list((tmp_path / "audit" / "crops").iterdir())) == 20


def test_a_run_folder_is_audited_by_its_own_detections(tmp_path, capsys):
    truth, found, altered = planted("shift")
    rows = evaluation.error_table(truth, found, loss=None)
    run = tmp_path / "run"
    run.mkdir()
    evaluation.write_boxes_csv(rows, run / "boxes.csv")
    (run / "detections.json").write_text(json.dumps(found))
    config = {"class_names": [HOSTILE, "dog"], "category_ids": [3, 1], "loss": "giou"}
    config["val_images"] = str(tmp_path / "moved since")
    (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["audit", str(run), "--loss", "l1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["boxes"] == 360 and printed["suspects"]["shift"] >= 9
    with open(run / "audit" / "audit.csv", newline="") as file:
        first = {row["annotation_id"] for row in list(csv.DictReader(file))[:20]}
    assert len(first & set(map(str, altered))) >= 11
    assert (run / "audit" / "index.html").is_file()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--truth", "gt.json"], "with either --detections or --folds. Received: run=None"),
        (["run", "--truth", "gt.json", "--out", "o"], "must get a run folder, or --truth and"),
        (
            ["--truth", "gt.json", "--detections", "d", "--folds", "3", "--out", "o"],
            "with either --detections or --folds",
        ),
        (["no run"], "`run` must be a run folder with boxes.csv. Received: 'no run'"),
        (
            ["--truth", "none.json", "--detections", "d", "--out", "o"],
            "`truth` must be an existing file or folder. Received: truth='none.json'",
        ),
        (
            ["--truth", "labels", "--detections", "d", "--out", "o"],
            "`images` must be given where `annotations` is neither a data.yaml nor the root of a "
            "data set (parts in train/ and valid/, or images/ with annotations beside it). "
            "Received: annotations='labels'",
        ),
        (
            ["--truth", "gt.json", "--folds", "3", "--out", "o"],
            "`--images` must be given to train with --folds. Received: images=None",
        ),
    ],
)
def test_bad_calls_are_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("labels", "d"):
        (tmp_path / name).mkdir()
    assert cli.main(["audit", *words]) == 2
    printed, stderr = capsys.readouterr()
    assert not printed and message in stderr and len(stderr.splitlines()) == 1


def test_other_formats_are_read_with_their_images(tmp_path):
    from boxloss.datasets import synthetic

    dataset = synthetic.write(tmp_path / "voc", 6, image_size=64, format="voc")
    found = [
        {k: e[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for e in dataset.to_coco()["annotations"]
    ]
    audit = LabelAudit(tmp_path / "voc" / "annotations", found, tmp_path / "voc" / "images")
    assert len(audit.truth) == len(found) and not audit.suspects()
    page = audit.to_html(tmp_path / "page", worst=3, loss=None)
    assert page.is_file() and len(list((tmp_path / "page" / "crops").iterdir())) == 3
