"""The label audit: evidence by hand, planted errors found, files written, inputs left alone."""

import copy
import csv
import json

import numpy as np
import pytest

from boxloss import cli, evaluation
from boxloss.audit import KINDS, LabelAudit, folds, scores
from boxloss.audit.evidence import assign, gather, uncovered

HOSTILE = "<img src=x onerror=alert(1)>"


def coco(annotations, images=2):
    """annotations: (image, category, x, y, w, h)."""
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 400, "height": 300} for i in range(images)
        ],
        "categories": [{"id": 3, "name": HOSTILE}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": 10 + i, "image_id": image, "category_id": category, "bbox": list(box)}
            for i, (image, category, *box) in enumerate(annotations)
        ],
    }


def results(entries):
    """entries: (image, category, score, x, y, w, h)."""
    return [
        {"image_id": image, "category_id": category, "score": score, "bbox": list(box)}
        for image, category, score, *box in entries
    ]


def scene(seed=0, images=30):
    """(truth, results): 12 boxes per image in a grid, seen by a detector that errs by about 3 %."""
    rng = np.random.default_rng(seed)
    annotations, found = [], []
    for image in range(images):
        for cell in range(12):
            width, height = rng.uniform(35, 60, 2)
            x, y = 100 * (cell % 4) + rng.uniform(5, 30), 100 * (cell // 4) + rng.uniform(5, 30)
            category = int(rng.choice([3, 1]))
            annotations.append((image, category, x, y, width, height))
            if rng.uniform() < 0.01:
                continue
            x1, y1, x2, y2 = rng.normal(0, 0.03, 4) * (width, height, width, height)
            box = (x + x1, y + y1, width + x2 - x1, height + y2 - y1)
            found.append((image, category, rng.uniform(0.6, 0.95), *box))
            found.append((image, 4 - category, rng.uniform(0.05, 0.1), *box))
        weak = (*rng.uniform(0, 250, 2), *rng.uniform(20, 60, 2))
        found.append((image, 3, rng.uniform(0.05, 0.3), *weak))
    return coco(annotations, images), results(found)


def alter(entry, kind):
    """The annotation with an error of that kind, without boxloss.noise."""
    x, y, w, h = entry["bbox"]
    if kind == "swap":
        return {**entry, "category_id": 4 - entry["category_id"]}
    boxes = {
        "shift": [x + 0.3 * w, y - 0.25 * h, w, h],
        "resize": [x + 0.2 * w, y + 0.2 * h, 0.6 * w, 0.6 * h],
        "edge": [x, y - 0.35 * h, w, 1.35 * h],
    }
    return {**entry, "bbox": boxes[kind]}


def planted(kind, seed=0):
    """(truth with 12 errors of a kind, results, ids of the altered annotations)."""
    truth, found = scene(seed)
    seen = {(d["image_id"], round(d["bbox"][0] / 100), round(d["bbox"][1] / 100)) for d in found}
    entries = truth["annotations"]
    places = [
        i
        for i, e in enumerate(entries)
        if (e["image_id"], round(e["bbox"][0] / 100), round(e["bbox"][1] / 100)) in seen
    ]
    chosen = np.random.default_rng(seed + 50).permutation(places)[:12].tolist()
    if kind == "missing":
        gone = [entries[i] for i in chosen]
        truth["annotations"] = [e for e in entries if e not in gone]
        return truth, found, [(e["image_id"], *e["bbox"]) for e in gone]
    if kind in ("spurious", "duplicate"):
        new = []
        for number, i in enumerate(chosen):
            x, y, w, h = entries[i]["bbox"]
            # Between the cells there is nothing; upon the box there is its own detection.
            box = [x + 1, y + 2, w - 2, h + 1] if kind == "duplicate" else [x + 55, y + 55, 30, 25]
            new.append({**entries[i], "id": 9000 + number, "bbox": box})
        truth["annotations"] = entries + new
        return truth, found, [e["id"] for e in new]
    for i in chosen:
        entries[i] = alter(entries[i], kind)
    return truth, found, [entries[i]["id"] for i in chosen]


# Evidence -----------------------------------------------------------------------------------------


def evidence_of(truth, found):
    truth = evaluation.Truth.of(truth)
    return gather(truth, evaluation.Detections.of(found, truth))


def test_a_shifted_box_keeps_the_detection_of_its_own_object():
    # Two objects side by side; the left box is drawn 30 too far right, upon the right object.
    truth = coco([(0, 1, 40, 10, 50, 40), (0, 1, 62, 10, 50, 40)])
    found = results([(0, 1, 0.9, 10, 10, 50, 40), (0, 1, 0.9, 60, 10, 50, 40)])
    evidence = evidence_of(truth, found)
    # Each box alone would choose the right detection: IoU 3/7 against 1/4 for the left box.
    assert evidence.owner.tolist() == [0, 1]
    np.testing.assert_allclose(evidence.iou, [20 / 80, 48 / 52])
    np.testing.assert_allclose(evidence.errors[0], [-30 / 50, 0, -30 / 50, 0])
    np.testing.assert_allclose(evidence.support, 0.9 * np.array([30 / 70, 48 / 52]))


@pytest.mark.parametrize("score, width, owner", [(0.1, 34, 0), (0.5, 34, 1)])
def test_a_vague_detection_owns_a_box_only_where_it_fits_much_better(score, width, owner):
    truth = coco([(0, 1, 0, 0, 40, 20)])
    found = results([(0, 1, 0.9, 0, 0, 20, 20), (0, 1, score, 0, 0, width, 20)])
    # IoU 0.5 and 0.85; fourth roots of 0.9, 0.5 and 0.1: 0.974, 0.841 and 0.562, so 0.487 stands
    # against 0.715 or 0.478.
    assert evidence_of(truth, found).owner.tolist() == [owner]


def test_one_to_one_is_the_best_of_all_pairings():
    import itertools

    rng = np.random.default_rng(3)
    for _ in range(20):
        value = np.where(rng.uniform(size=(3, 4)) < 0.3, 0, rng.uniform(size=(3, 4)))
        best = max(
            sum(value[row, column] for row, column in enumerate(columns))
            for columns in itertools.permutations(range(4), 3)
        )
        rows, columns = assign(value)
        assert value[rows, columns].sum() == pytest.approx(best)
        assert (value[rows, columns] > 0).all()


def test_support_is_kept_apart_by_class():
    truth = coco([(0, 1, 0, 0, 40, 20)])
    found = results([(0, 3, 0.8, 0, 0, 40, 20), (0, 1, 0.5, 0, 0, 20, 20), (1, 1, 0.9, 0, 0, 9, 9)])
    evidence = evidence_of(truth, found)
    assert evidence.other_class.tolist() == [0.8] and evidence.own_class.tolist() == [0.25]
    assert evidence.other_label.tolist() == [0] and evidence.owner.tolist() == [0]
    assert evidence.owned.tolist() == [True, False, False]


def test_errors_are_in_sides_of_both_boxes():
    truth = coco([(0, 1, 100, 100, 40, 20)])
    evidence = evidence_of(truth, results([(0, 1, 0.9, 90, 105, 90, 20)]))
    # Widths 40 and 90: geometric mean 60; heights 20 and 20.
    np.testing.assert_allclose(evidence.errors, [[-10 / 60, 5 / 20, 40 / 60, 5 / 20]])


def test_a_neighbour_is_the_other_box_of_the_image_that_overlaps_most():
    boxes = [(0, 1, 0, 0, 40, 20), (0, 3, 10, 0, 40, 20), (0, 1, 30, 0, 40, 20), (1, 1, 0, 0, 9, 9)]
    evidence = evidence_of(coco(boxes), results([(1, 1, 0.9, 0, 0, 9, 9)]))
    assert evidence.neighbour.tolist() == [1, 0, 1, -1]
    np.testing.assert_allclose(evidence.neighbour_iou, [3 / 5, 3 / 5, 1 / 3, 0])


def test_places_without_a_box_are_counted_once_and_not_under_a_crowd():
    truth = coco([(0, 1, 0, 0, 50, 50), (1, 1, 0, 0, 200, 200), (1, 1, 300, 200, 40, 40)])
    truth["annotations"][1]["iscrowd"] = 1
    found = results(
        [
            (0, 1, 0.9, 0, 0, 50, 50),  # owned
            (0, 1, 0.8, 0, 0, 50, 40),  # not owned, lies on the box: IoU 4/5
            (0, 1, 0.6, 200, 100, 50, 40),  # a place without a box
            (0, 3, 0.5, 202, 100, 50, 40),  # the same place
            (0, 1, 0.7, 25, 0, 100, 50),  # IoU 1/5 with the box
            (0, 1, 0.4, 0, 20, 50, 50),  # IoU 3/7 with it
            (1, 1, 0.9, 50, 50, 40, 40),  # in the crowd
            (1, 1, 0.9, 320, 200, 40, 40),  # owned, though IoU 1/3 only
        ]
    )
    told = evaluation.Truth.of(truth)
    detections = evaluation.Detections.of(found, told)
    places, values = uncovered(detections, gather(told, detections))
    assert places.tolist() == [4, 2, 5]
    np.testing.assert_allclose(values, [0.7, 0.6, 0.4 * (1.5 - 6 / 7)])


# Scores -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "errors, expected",
    [
        ([0.3, -0.2, 0.3, -0.2], {"shift": 1.0, "resize": 0.0, "edge": 0.09 / 0.26}),
        ([-0.2, -0.2, 0.2, 0.2], {"shift": 0.0, "resize": 1.0, "edge": 0.25}),
        ([0.0, 0.0, 0.0, 0.4], {"shift": 0.5, "resize": 0.25, "edge": 1.0}),
    ],
)
def test_each_kind_explains_its_own_signed_errors(errors, expected):
    shares = scores.shares(np.array([errors]))
    assert {kind: share.item() for kind, share in shares.items()} == pytest.approx(expected)


def test_surprise_is_in_decades_of_ordinary_boxes():
    values = np.arange(101.0)  # median 50, 80 % quantile 80: every 30 more is 2.5 times as rare
    decades = scores.surprise(values)
    assert decades[50] == pytest.approx(np.log10(2)) and decades[80] == pytest.approx(np.log10(5))
    assert decades[100] == pytest.approx(np.log10(2) + 5 / 3 * np.log10(2.5))
    assert decades[0] == 0 and (np.diff(decades) >= 0).all()


def test_what_one_box_in_twenty_reaches_is_no_more_surprising_than_one_in_four_hundred():
    values = np.linspace(0, 1, 100)
    values[-5:] = 1e9
    np.testing.assert_allclose(scores.surprise(values)[-5:], np.log10(400))


def test_surprise_of_what_few_boxes_have_counts_those_boxes():
    values = np.zeros(999)
    values[[3, 500, 700]] = 0.4, 0.8, 0.6
    decades = scores.surprise(values)
    assert np.count_nonzero(decades) == 3
    assert decades[3] == pytest.approx(-np.log10(4 / 1000) + 0.4 / 0.6 * np.log10(2))


def test_a_few_wrong_boxes_hardly_move_the_scale():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=2000)
    with_errors = np.concatenate([values, np.full(100, 1e6)])
    order = np.argsort(values)
    before, after = scores.surprise(values)[order], scores.surprise(with_errors)[:2000][order]
    # An exponential tail is what it assumes: e^-4.6 is one in a hundred, two decades.
    at = np.searchsorted(values[order], 4.6)
    assert before[at] == pytest.approx(2, abs=0.15)
    # One wrong box in twenty moves the 80 % quantile to where 79 % were.
    assert after[at] == pytest.approx(before[at], abs=0.35)


def test_sure_detections_count_more_than_vague_ones_for_the_same_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.1, 1, 1000)
    errors = rng.normal(0, 1, (1000, 4)) * (0.3 - 0.25 * confidence)[:, None]
    errors[:2], confidence[:2] = [[0.3, 0, 0, 0]] * 2, (0.15, 0.95)
    evidence = evidence_of(coco([(0, 1, 0, 0, 9, 9)]), results([(0, 1, 0.9, 0, 0, 9, 9)]))
    evidence = evidence._replace(errors=errors, owner=np.zeros(1000, int))
    size = scores.move_size(evidence, confidence, np.ones(1000, bool))
    assert size[1] > 1.5 * size[0] > 0


# Planted errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["shift", "resize", "edge", "swap", "spurious", "duplicate"])
def test_planted_errors_are_the_most_suspicious_and_named(kind):
    truth, found, altered = planted(kind)
    rows = LabelAudit(truth, found).table()
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    # A duplicate and its model cannot be told apart for certain, so twice as many count there; and
    # the detector misses a few boxes altogether.
    many = 24 if kind == "duplicate" else 12
    first = {row["annotation_id"]: row for row in rows[: many + 8]}
    hits = [first[number] for number in altered if number in first]
    assert len(hits) >= 11
    assert sum(row["suspected"] == kind for row in hits) >= 8
    for row in hits:
        assert row["suspicion"] == max(row[f"suspicion_{kind}"] for kind in KINDS)


def test_a_box_that_nothing_supports_is_not_called_swapped():
    truth, found, _ = planted("spurious")
    bare = evidence_of(truth, found).support == 0
    assert np.count_nonzero(bare) >= 8
    audit = LabelAudit(truth, found)
    assert (audit.scores["swap"][bare] == 0).all() and (audit.scores["spurious"][bare] > 2).all()


def test_missing_objects_are_found_where_a_detection_has_no_box():
    truth, found, gone = planted("missing")
    rows = LabelAudit(truth, found).table()[:30]
    rows = [row for row in rows if row["suspected"] == "missing"]
    places = [(row["image_id"], row["prediction_x1"], row["prediction_y1"]) for row in rows]
    hits = 0
    for image, x, y, _, _ in gone:
        hits += any(i == image and abs(u - x) < 15 and abs(v - y) < 15 for i, u, v in places)
    assert hits >= 11
    row = rows[0]
    assert row["row"] == "prediction" and row["annotation_id"] is None and row["truth_x1"] is None


def test_a_clean_set_has_hardly_a_suspect():
    truth, found = scene(seed=9)
    audit = LabelAudit(truth, found)
    assert len(audit) >= 360
    assert len(audit.suspects()) <= 12  # those that the detector misses altogether


def test_a_set_with_few_boxes_and_exact_detections_is_not_suspicious():
    truth = coco([(0, 1, 10, 10, 50, 40), (0, 1, 100, 10, 50, 40), (1, 3, 10, 10, 50, 40)])
    found = [
        {**{k: e[k] for k in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for e in truth["annotations"]
    ]
    assert LabelAudit(truth, found).suspicion.max() < 1


def test_ignored_boxes_are_not_audited():
    truth, found = scene(images=3)
    truth["annotations"][5].update(iscrowd=1)
    truth["annotations"][6].update(ignore=1)
    audit = LabelAudit(truth, found)
    ids = {row["annotation_id"] for row in audit.rows}
    assert not {15, 16} & ids and len(ids - {None}) == 34
    assert audit.suspicion[[5, 6]].tolist() == [0, 0]


def test_detections_below_the_threshold_do_not_exist():
    truth = coco([(0, 1, 10, 10, 50, 40)])
    found = results([(0, 1, 0.04, 10, 10, 50, 40), (0, 3, 0.5, 10, 10, 50, 40)])
    row = LabelAudit(truth, found).table()[0]
    assert row["detection"] == 1 and row["prediction_class"] == HOSTILE
    assert LabelAudit(truth, found, score_threshold=0.01).table()[0]["detection"] in (0, 1)
    with pytest.raises(ValueError) as error:
        LabelAudit(truth, found, score_threshold=0.6)
    assert str(error.value) == (
        "`detections` must hold a detection with a score of at least 0.6. "
        "Received: 2 detections, the best at 0.5"
    )


def test_an_image_is_as_suspicious_as_its_worst_row():
    truth, found, altered = planted("shift")
    audit = LabelAudit(truth, found)
    worst = audit.image_scores()
    assert len(worst) == 30
    image_of = {e["id"]: e["image_id"] for e in truth["annotations"]}
    bad = {image_of[number] for number in altered}
    assert min(worst[i] for i in bad) > np.median(list(worst.values()))


# Corrections --------------------------------------------------------------------------------------


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


# Training history ---------------------------------------------------------------------------------

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


# Files and commands -------------------------------------------------------------------------------


def written(folder, truth, found, pictures=0):
    folder.mkdir()
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "dt.json").write_text(json.dumps(found))
    (folder / "photos").mkdir()
    for i in range(pictures):
        import cv2

        cv2.imwrite(str(folder / "photos" / f"{i}.png"), np.full((300, 400, 3), 90, "uint8"))
    return folder


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
    printed, told = capsys.readouterr()
    assert not printed and message in told and len(told.splitlines()) == 1


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


# Folds --------------------------------------------------------------------------------------------


def test_folds_are_even_repeatable_and_independent_of_order():
    names = [f"{i}.png" for i in range(11)]
    places = folds.fold_of(names, 3, seed=5)
    assert sorted(np.bincount(places)) == [3, 4, 4]
    mixed = names[::-1]
    assert dict(zip(mixed, folds.fold_of(mixed, 3, seed=5), strict=True)) == dict(
        zip(names, places, strict=True)
    )
    assert not np.array_equal(places, folds.fold_of(names, 3, seed=6))


@pytest.mark.parametrize("count", [1, 12, 2.5, True])
def test_a_senseless_number_of_folds_is_named(count):
    with pytest.raises(ValueError) as error:
        folds.fold_of([f"{i}.png" for i in range(11)], count)
    assert str(error.value) == (
        "`folds` must be a whole number from 2 to the number of images, 11. "
        f"Received: folds={count!r}"
    )


def test_images_of_a_group_share_a_fold():
    names = [f"drive{i % 7}_{i:03d}.png" for i in range(70)]
    places = folds.fold_of(names, 3, seed=5, group_by=r"^drive\d")
    of_drive = [set(places[[i for i in range(70) if i % 7 == drive]]) for drive in range(7)]
    assert all(len(found) == 1 for found in of_drive)
    assert sorted(np.bincount(places)) == [20, 20, 30]


def test_every_image_is_predicted_by_a_detector_that_did_not_see_it(tmp_path, monkeypatch):
    from boxloss.datasets import synthetic

    dataset = synthetic.write(tmp_path / "data", 9, image_size=64)
    learnt = {}

    def train(train_set, validation_set, options, out, **_):
        names = {record.file_name for record in train_set.records}
        assert {record.file_name for record in validation_set.records} <= names
        out.mkdir(parents=True)
        learnt[out] = names

    def evaluate(detector, held, out, loss):
        held = {record.file_name: record.image_id for record in held.records}
        assert not held.keys() & learnt[detector_of[-1]]
        box = {"category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
        return {}, [{"image_id": number, **box} for number in held.values()]

    detector_of = []
    monkeypatch.setattr(folds, "train", train)
    monkeypatch.setattr(folds, "load_detector", lambda path: detector_of.append(path.parent))
    monkeypatch.setattr(folds, "evaluate", evaluate)
    found = folds.out_of_sample(dataset, tmp_path / "out", 3)
    numbers = [record.image_id for record in dataset.records]
    assert sorted(row["image_id"] for row in found) == sorted(numbers)
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == found
    assert [len(names) for names in learnt.values()] == [6, 6, 6]
    # A second call trains nothing; other labels train anew.
    assert folds.out_of_sample(dataset, tmp_path / "out", 3) == found and len(learnt) == 3
    dataset.records[0].boxes[:] += 1
    folds.out_of_sample(dataset, tmp_path / "out", 3)
    assert len(learnt) == 5  # the fold without that image is still good


# The real set -------------------------------------------------------------------------------------


def auroc(values, bad):
    """Share of (bad, good) pairs in which the bad one has the larger value; ties count half."""
    low, high = values[~bad][None], values[bad][:, None]
    return float(np.mean((high > low) + 0.5 * (high == low)))


@pytest.mark.parametrize(
    "kind, least", [("shift", 0.95), ("resize", 0.96), ("edge", 0.92), ("swap", 0.99)]
)
def test_altered_boxes_of_real_images_stand_out(bccd, kind, least):
    from boxloss.datasets import noise

    truth = json.loads((bccd / "val.json").read_text())
    reached = []
    for seed in (50, 51, 52):
        altered, changes = noise.alter(truth, kind, 0.05, seed)
        audit = LabelAudit(altered, bccd / "yolo11n_val.json")
        numbers = {change.annotation_id for change in changes}
        bad = np.array([number in numbers for number in audit.truth.annotation_ids])
        reached.append(auroc(audit.suspicion, bad))
    assert np.mean(reached) >= least
