"""What training saw of each box, as evidence of the label audit."""

import csv
import json

import numpy as np
import pytest
from audit_scenes import planted, scene, written

from boxloss import cli
from boxloss.audit import LabelAudit

HEADER = "image_id,file_name,annotation_id,class,epochs,mean_error,std_error,mean_score,mean_iou"
HEADER += ",found,forgotten,first_found\n"


def history_file(folder, truth, found):
    """box_history.csv of a run; found: {annotation id: share}, the others are not in it."""
    folder.mkdir(exist_ok=True)
    lines = [
        f"{e['image_id']},x.png,{e['id']},dog,20,0.25,0.0625,0.5,0.75,{found[e['id']]},3,2\n"
        for e in truth["annotations"]
        if e["id"] in found
    ]
    (folder / "box_history.csv").write_text(HEADER + "".join(lines))
    return folder


def test_boxes_that_training_seldom_found_are_more_suspicious(tmp_path):
    truth, found = scene()
    ids = [entry["id"] for entry in truth["annotations"]]
    rng = np.random.default_rng(3)
    shares = {number: round(rng.uniform(0.8, 1.0), 3) for number in ids[:300]}
    shares[ids[7]] = 0.1
    plain = LabelAudit(truth, found)
    run = history_file(tmp_path / "run", truth, shares)
    audit = LabelAudit(truth, found, history=run)
    gained = audit.suspicion - plain.suspicion
    # A decade of the history counts half; what the run did not see stays as it was.
    np.testing.assert_allclose(gained, audit.history / 2, atol=1e-9)
    assert not gained[300:].any() and gained.argmax() == 7
    # The exponential tail through the median and the 80 % quantile of 1 - found; at most twice the
    # decades of the share 1 / 300.
    values = 1 - np.array(list(shares.values()))
    middle, high = np.quantile(values, (0.5, 0.8))
    decades = np.log10(2) + (values - middle) / max(high - middle, 0.1) * np.log10(2.5)
    expected = np.clip(decades, 0, None)
    np.testing.assert_allclose(audit.history[:7], expected[:7], atol=1e-6)
    assert audit.history[7] == pytest.approx(min(expected[7], 2 * np.log10(300)), abs=1e-6)
    row = next(row for row in audit.rows if row["annotation_id"] == ids[7])
    assert row["suspicion_history"] == audit.history[7]
    assert (row["history_found"], row["history_forgotten"]) == (0.1, 3)
    assert not any("history" in name for name in plain.rows[0])


def test_the_loss_of_each_box_over_the_epochs_is_evidence_of_its_own(tmp_path):
    truth, found = scene(images=4)
    numbers = [entry["id"] for entry in truth["annotations"]]
    run = history_file(tmp_path, truth, dict.fromkeys(numbers, 0.5))
    path = run / "box_history.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["mean_error"], row["mean_score"] = "0.3", "0.8"
        if i == 5:
            row["mean_error"], row["mean_score"] = "0.75", "0.05"
        if i == 6:
            row["mean_error"] = row["mean_score"] = ""  # no location ever answered for it
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    audit = LabelAudit(truth, found, history=run)
    high = 0.75 - np.log(0.05)
    expected = np.full(len(numbers), 0.3 - np.log(0.8))
    expected[5:7] = high
    np.testing.assert_allclose(audit.mean_losses, expected)
    assert audit.loss_scores[5] == audit.loss_scores[6] > 1 > audit.loss_scores[0]
    row = next(row for row in audit.rows if row["position"] == 5)
    assert row["history_mean_loss"] == pytest.approx(high)
    assert row["suspicion_loss"] == audit.loss_scores[5]
    plain = LabelAudit(truth, found)
    assert "suspicion_loss" not in plain.rows[0].extra
    # Found in as many epochs as the others: the suspicion is that of without a history.
    share = audit.suspicion - plain.suspicion
    np.testing.assert_allclose(share, share[0])


def test_a_history_of_other_boxes_is_refused(tmp_path):
    truth, found = scene(images=3)
    history_file(tmp_path, {"annotations": [{"image_id": 0, "id": 5}]}, {5: 1.0})
    with pytest.raises(ValueError) as error:
        LabelAudit(truth, found, history=tmp_path)
    assert str(error.value) == (
        "`history` must be of a run that was trained on these boxes. "
        "Received: 1 boxes, none of which is among the 36"
    )


def test_the_command_writes_and_draws_the_history(tmp_path, capsys):
    truth, found, _ = planted("edge")
    data = written(tmp_path / "data", truth, found)
    shares = {entry["id"]: 0.875 for entry in truth["annotations"]}
    run = history_file(tmp_path / "run", truth, shares)
    words = ["audit", "--truth", data / "gt.json", "--detections", data / "dt.json"]
    words += ["--history", run, "--out", tmp_path / "audit"]
    assert cli.main([str(word) for word in words]) == 0
    capsys.readouterr()
    with open(tmp_path / "audit" / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    boxes = [row for row in rows if row["annotation_id"]]
    assert {row["history_found"] for row in boxes} == {"0.875"}
    assert {row["history_found"] for row in rows if not row["annotation_id"]} == {""}
    page = (tmp_path / "audit" / "index.html").read_text()
    start = page.index('id="data">') + len('id="data">')
    extra = json.loads(page[start : page.index("</script>", start)])["extra"]
    assert set(extra["history_mean_error"]) <= {0.25, None}
    assert set(extra["history_std_error"]) <= {0.0625, None}
