"""Corrections of labels: what each kind of error changes, and that the input is left alone."""

import copy
import json

import numpy as np
import pytest
from audit_scenes import planted, scene

from boxloss.audit import LabelAudit


def all_corrected(truth, found, least):
    """The corrected file when everything of at least that suspicion is corrected, sure or not."""
    return LabelAudit(truth, found, apply_from=0.0).to_coco(correct_from=least)


def only(truth, found, kind):
    """The corrected file when every row of `kind` is corrected, and no other."""
    audit = LabelAudit(truth, found)
    audit.corrections = lambda: [row for row in audit.rows if row["suspected"] == kind]
    return audit.to_coco()


@pytest.mark.parametrize("kind", ["shift", "resize", "edge", "swap"])
def test_a_correction_mends_what_the_kind_says_and_nothing_else(kind):
    clean, _ = scene()
    truth, found, altered = planted(kind)
    fixed = {e["id"]: e for e in all_corrected(truth, found, 2.5)["annotations"]}
    before = {e["id"]: e for e in truth["annotations"]}
    right = {e["id"]: e for e in clean["annotations"]}
    mended = 0
    for number in altered:
        entry = fixed[number]
        if entry.get("boxloss_correction") != kind:
            continue
        assert entry["boxloss_suspicion"] > 2
        if kind == "swap":
            assert entry["boxloss_category_id"] == before[number]["category_id"]
            assert entry["bbox"] == before[number]["bbox"]
            mended += entry["category_id"] == right[number]["category_id"]
            continue
        assert entry["boxloss_bbox"] == before[number]["bbox"]
        np.testing.assert_allclose(entry["area"], entry["bbox"][2] * entry["bbox"][3])
        mended += np.abs(np.subtract(entry["bbox"], right[number]["bbox"])).max() < 8
        if kind == "shift":
            np.testing.assert_allclose(entry["bbox"][2:], before[number]["bbox"][2:], atol=2e-3)
        if kind == "edge":  # the upper edge was moved: left, width and bottom stay
            x, y, w, h = entry["bbox"]
            u, v, s, t = before[number]["bbox"]
            np.testing.assert_allclose([x, w, y + h], [u, s, v + t], atol=5e-3)
    assert mended >= 9


@pytest.mark.parametrize("kind", ["shift", "missing"])
def test_no_correction_leads_out_of_the_image(kind):
    truth, found, _ = planted(kind)
    free = only(truth, found, kind)["annotations"]
    for image in truth["images"]:
        image |= {"width": 360, "height": 260}  # through the last column and row of boxes
    was_outside, boxes = 0, only(truth, found, kind)["annotations"]
    for before, entry in zip(free, boxes, strict=True):
        if entry.get("boxloss_correction") != kind:
            assert entry == before
            continue
        x, y, w, h = before["bbox"]
        was_outside += x + w > 360 or y + h > 260
        wanted = [x, y, min(x + w, 360) - x, min(y + h, 260) - y]
        np.testing.assert_allclose(entry["bbox"], wanted, atol=2e-3)
        np.testing.assert_allclose(entry["area"], entry["bbox"][2] * entry["bbox"][3])
    assert was_outside >= 3


def test_of_two_duplicates_one_is_removed_and_listed():
    clean, _ = scene()
    truth, found, altered = planted("duplicate")
    fixed = all_corrected(truth, found, 1.4)
    removed = [e["id"] for e in fixed["boxloss_removed"] if e["boxloss_correction"] == "duplicate"]
    assert 10 <= len(removed) <= 12
    kept = {e["id"] for e in fixed["annotations"]}
    model_of = {9000 + i: None for i in range(12)}
    for e in truth["annotations"][:360]:
        for d in truth["annotations"][360:]:
            if e["image_id"] == d["image_id"] and abs(e["bbox"][0] + 1 - d["bbox"][0]) < 1e-9:
                model_of[d["id"]] = e["id"]
    for copied, model in model_of.items():
        assert copied in kept or model in kept
    assert not kept & set(removed)


def test_a_missing_box_is_added_with_a_new_id_and_a_spurious_one_removed():
    truth, found, gone = planted("missing")
    fixed = all_corrected(truth, found, 1.5)
    added = [e for e in fixed["annotations"] if e.get("boxloss_correction") == "missing"]
    assert len(added) >= 10
    assert {e["id"] for e in truth["annotations"]}.isdisjoint(e["id"] for e in added)
    ids = [e["id"] for e in fixed["annotations"]]
    assert len(set(ids)) == len(ids) and min(e["id"] for e in added) == 370
    truth, found, altered = planted("spurious")
    fixed = all_corrected(truth, found, 2)
    assert len(set(altered) & {e["id"] for e in fixed["boxloss_removed"]}) >= 10


def test_the_rest_of_the_file_is_kept_and_the_input_untouched(tmp_path):
    truth, found, altered = planted("shift")
    truth["info"] = {"year": 2020}
    for e in truth["annotations"]:
        e.update(segmentation=[[1, 2, 3, 4]], score=0.5)
    before = copy.deepcopy(truth)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    stamp = path.stat().st_mtime_ns
    audit = LabelAudit(path, found, apply_from=0.0, correct_from=2.5)
    fixed = audit.to_coco(tmp_path / "corrected.json")
    assert json.loads((tmp_path / "corrected.json").read_text()) == fixed
    assert path.stat().st_mtime_ns == stamp and json.loads(path.read_text()) == before
    assert fixed["info"] == {"year": 2020}
    moved = [e for e in fixed["annotations"] if "boxloss_bbox" in e]
    assert len(moved) >= 10 and not any("segmentation" in e for e in moved)
    assert all(e["score"] == 0.5 for e in moved)
    rest = [e for e in fixed["annotations"] if "boxloss_correction" not in e]
    assert all(e in before["annotations"] for e in rest) and len(rest) > 300


@pytest.mark.parametrize("which", ["truth", "detections", "link"])
def test_an_input_is_never_overwritten(which, tmp_path):
    truth, found = scene(images=3)
    paths = {"truth": tmp_path / "gt.json", "detections": tmp_path / "dt.json"}
    paths["truth"].write_text(json.dumps(truth))
    paths["detections"].write_text(json.dumps(found))
    paths["link"] = tmp_path / "link.json"
    paths["link"].symlink_to(paths["truth"])
    audit = LabelAudit(paths["truth"], paths["detections"])
    with pytest.raises(ValueError) as error:
        audit.to_coco(paths[which])
    rule = "corrections must go to a new file, an input is never overwritten"
    assert str(error.value) == f"{rule}. Received: {paths[which]}"
    assert json.loads(paths["truth"].read_text()) == truth
