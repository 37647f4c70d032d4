"""A correction is made only where it is likely right: what the detector distinguishes decides."""

import json

import numpy as np
import pytest
from audit_scenes import coco, results

from boxloss import evaluation
from boxloss.audit import LabelAudit, confidence
from boxloss.audit.evidence import gather


def test_the_usual_share_is_that_of_the_nearest_others_of_the_class():
    values = np.array([1, 0, 1, 1, 0, 0.0, 1, 1, 1, 1])
    keys = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    by = np.array([3.0, 1, 2, 5, 4, 6, 0, 0, 0, 0])
    found = confidence.usual_share(values, keys, by)
    # Six of class 0: each without itself. Four of class 1 are too few.
    np.testing.assert_allclose(found[:6], (3 - values[:6]) / 5)
    assert np.isnan(found[6:]).all()
    many = np.concatenate([np.zeros(50), np.ones(50)])
    far = confidence.usual_share(many, np.zeros(100, int), np.arange(100.0))
    assert far[0] == 0 and far[99] == 1 and 0.4 < far[50] < 0.6


def labelled(pairs):
    """(truth, results): one object per image, labelled and seen as the classes of each pair."""
    boxes = [(i, label, 30, 40, 60, 50) for i, (label, _) in enumerate(pairs)]
    found = [(i, seen, 0.9, 31, 40, 60, 50) for i, (_, seen) in enumerate(pairs)]
    return coco(boxes, len(pairs)), results(found)


def test_classes_are_distinguished_by_what_the_detector_calls_them():
    truth, found = labelled([(3, 3)] * 7 + [(3, 1)] * 2 + [(1, 1)] * 5)
    truth = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(found, truth)
    apart = confidence.told_apart(truth, found, gather(truth, found), np.ones(14, bool))
    a, b = (truth.category_ids.index(number) for number in (3, 1))
    np.testing.assert_allclose(apart[a, b], np.log(7.5 / 2.5))
    np.testing.assert_allclose(apart[b, a], np.log(5.5 / 0.5))


@pytest.mark.parametrize("known, changed", [(40, 1), (1, 0)])
def test_a_class_that_the_detector_hardly_knows_is_not_relabelled(known, changed):
    """Motorcycles that a detector takes for vehicles are no errors of the labels."""
    pairs = [(1, 1)] * 60 + [(3, 3)] * known + [(3, 1)]
    truth, found = labelled(pairs)
    audit = LabelAudit(truth, found)
    rows = [row for row in audit.corrections() if row["correction"] == "relabel"]
    assert [row.annotation_id for row in rows] == [10 + 60 + known] * changed


def test_a_sure_swap_is_corrected_and_an_unsure_one_is_not():
    pairs = [(1, 1)] * 40 + [(3, 3)] * 40 + [(3, 1), (1, 3)]
    truth, found = labelled(pairs)
    found[-1]["score"] = 0.2
    audit = LabelAudit(truth, found)
    assert [row.annotation_id for row in audit.corrections()] == [90]
    (row,) = (row for row in audit.rows if row.annotation_id == 91)
    assert row["proposal"] and row["correction"] is None and not row["applied"]
    assert row["probability"] < audit.apply_from


def test_a_box_is_not_moved_to_the_detection_of_another_object():
    names = {*confidence.WEIGHTS["move"]} - {"bias", "iou"}
    features = {name: np.full(3, 3.0) for name in names} | {"iou": np.array([0.2, 0.39, 0.41])}
    found = confidence.probability("move", features)
    assert found[:2].tolist() == [0, 0] and found[2] > 0.9


def test_an_exact_duplicate_is_removed_once():
    truth, found = labelled([(1, 1), (3, 3)] * 20)
    again = {**truth["annotations"][4], "id": 777}
    truth["annotations"].append(again)
    audit = LabelAudit(truth, found)
    assert [(row.annotation_id, row["correction"]) for row in audit.corrections()] == [
        (777, "remove")
    ]
    assert audit.rows[0].annotation_id == 777 and audit.rows[0]["suspicion"] >= 2.5
    fixed = audit.to_coco()
    assert len(fixed["annotations"]) == 40 and len(fixed["boxloss_removed"]) == 1


def test_no_probability_is_outside_0_to_1_and_weights_look_at_what_is_there():
    rng = np.random.default_rng(0)
    truth, found = labelled([(1, 1), (3, 3)] * 20)
    audit = LabelAudit(truth, found)
    for action, weights in confidence.WEIGHTS.items():
        names = {*weights} - {"bias"} | {"iou", "other", "own", "apart", "cover"}
        drawn = confidence.probability(action, {name: rng.normal(0, 99, 500) for name in names})
        assert ((drawn >= 0) & (drawn <= 1)).all()
        assert {*weights} - {"bias"} <= {*audit.features(action)}


def test_what_is_applied_to_real_images_is_right(bccd):
    """Planted errors of BCCD: at least nine of ten corrections are right, few are harmful."""
    from audit_confidence import Trial

    truth = json.loads((bccd / "val.json").read_text())
    found = json.loads((bccd / "yolo11n_val.json").read_text())
    judged = [row for seed in (0, 1, 2) for row in Trial(truth, found, 0.05, seed).judged]
    applied = [row for row in judged if row["applied"]]
    assert len(applied) >= 15
    assert np.mean([row["right"] for row in applied]) >= 0.9
    harmed = [row["applied"] and not row["right"] for row in judged if row["kind"] is None]
    assert np.mean(harmed) <= 0.01
    assert not LabelAudit(truth, found).corrections()


def test_the_benchmark_counts_each_planted_error_once_by_its_kind():
    import argparse

    from audit_confidence import Trial, line_of, measure

    truth, found = labelled([(1, 1), (3, 3), (5, 5)] * 20)
    trial = Trial(truth, found, 0.3, 4)
    args = argparse.Namespace(apply_from=0.0, bootstrap=10)
    row = measure([trial, trial], args)
    assert sum(kind["planted"] for kind in row["kinds"].values()) == 2 * len(trial.planted)
    # By hand: applied from 0 on, every row whose proposal is right mends one planted error.
    mended = {}
    for judged in trial.judged:
        if judged["right"] and judged["annotation"] in trial.planted:
            kind = trial.planted[judged["annotation"]].kind
            mended.setdefault(kind, set()).add(judged["annotation"])
    for kind, counted in row["kinds"].items():
        share, low, high = counted["corrected"]
        expected = 2 * len(mended.get(kind, ())) / counted["planted"]
        assert share == pytest.approx(expected, abs=1e-3) and low <= share <= high
    assert row["kinds"]["missing"]["corrected"][0] > 0  # places bring back deleted boxes
    assert row["kinds"]["swap"]["corrected"][0] > 0.5
    harm = [action["worse"][0] for action in row["actions"].values()]
    assert sum(harm) == pytest.approx(row["worse"][0], abs=3e-4)
    assert "  swap: " in line_of("made up", row) and row["actions"]["relabel"]["right"]
