"""The error table: kinds of errors against TIDE written out, numbers of a row by hand."""

import csv

import numpy as np
import pytest
from detection_scenes import one_image, pycocotools_evaluation, scene

from boxloss import evaluation


@pytest.mark.parametrize(
    "predictions, kinds",
    [
        ([(1, 0, 0, 100, 50, 0.9)], ["ok"]),
        ([(1, 2, 0, 100, 50, 0.9), (1, 0, 0, 100, 51, 0.8)], ["ok", "dupe"]),
        ([(1, 60, 0, 100, 50, 0.9)], ["loc"]),  # IoU 40 / 160 = 0.25
        ([(2, 1, 0, 100, 50, 0.9)], ["cls"]),
        ([(2, 60, 0, 100, 50, 0.9)], ["miss", "both"]),
        ([(1, 200, 200, 50, 50, 0.9)], ["miss", "bkg"]),
        ([(1, 90, 0, 100, 50, 0.9)], ["miss", "bkg"]),  # IoU 10 / 190 = 0.05
        ([], ["miss"]),
        ([(1, 0, 0, 100, 50, 0.9), (1, 60, 0, 100, 50, 0.8)], ["ok", "loc"]),
        ([(2, 0, 0, 100, 50, 0.9), (1, 60, 0, 100, 50, 0.8)], ["loc", "cls"]),
    ],
    ids=lambda value: "-".join(value) if value and isinstance(value[0], str) else "",
)
def test_kinds_of_one_box_by_hand(predictions, kinds):
    truth, results = one_image([(1, 0, 0, 100, 50)], predictions)
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=0.5)
    assert [row["kind"] for row in rows] == kinds
    assert [row["row"] for row in rows] == ["truth"] + ["prediction"] * (len(kinds) - 1)


def tide_counts(truth, results, matched, score_threshold):
    """TIDE's questions for every false detection, in plain loops; COCO's matching is given."""

    def iou(a, b):
        w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        inner = max(w, 0) * max(h, 0)
        return inner / (a[2] * a[3] + b[2] * b[3] - inner)

    counts = dict.fromkeys(("loc", "cls", "both", "dupe", "bkg"), 0)
    used = {true for number, true in matched.items() if results[number]["score"] >= score_threshold}
    explained = set()
    for number, result in enumerate(results):
        if result["score"] < score_threshold or matched.get(number):
            continue
        near = [t for t in truth["annotations"] if t["image_id"] == result["image_id"]]
        overlap = {t["id"]: iou(result["bbox"], t["bbox"]) for t in near}
        same = {
            t["id"]: overlap[t["id"]] for t in near if t["category_id"] == result["category_id"]
        }
        other = {key: value for key, value in overlap.items() if key not in same}
        taken = {key: value for key, value in same.items() if key in used}
        if same and 0.1 <= max(same.values()) <= 0.5:
            kind = "loc"
            explained.add(max(same, key=same.get))
        elif other and max(other.values()) >= 0.5:
            kind = "cls"
            explained.add(max(other, key=other.get))
        elif taken and max(taken.values()) >= 0.5:
            kind = "dupe"
        elif not overlap or max(overlap.values()) <= 0.1:
            kind = "bkg"
        else:
            kind = "both"
        counts[kind] += 1
    missed = [
        t["id"] for t in truth["annotations"] if t["id"] not in used and t["id"] not in explained
    ]
    return {**counts, "miss": len(missed), "ok": len(used - {0})}


@pytest.mark.parametrize("score_threshold", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_counts_of_kinds_equal_tide(seed, score_threshold):
    truth, results = scene(seed, images=40, crowds=False)
    run = pycocotools_evaluation(truth, results)
    matched = {
        number - 1: int(true)
        for cell in run.evalImgs
        if cell is not None and cell["aRng"] == [0, 1e5**2]
        for number, true in zip(cell["dtIds"], cell["dtMatches"][0], strict=True)
    }
    wanted = tide_counts(truth, results, matched, score_threshold)
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=score_threshold)
    got = {kind: sum(row["kind"] == kind for row in rows) for kind in evaluation.KINDS}
    assert got == wanted
    assert min(wanted[kind] for kind in ("loc", "cls", "dupe", "bkg", "ok")) > 0


def test_every_counted_box_and_detection_has_exactly_one_row():
    truth, results = scene(4, images=40)
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=0.3)
    own = [row["annotation_id"] for row in rows if row["row"] == "truth"]
    assert own == [a["id"] for a in truth["annotations"] if not a["iscrowd"]]
    detections = [row["detection"] for row in rows if row["detection"] is not None]
    assert len(detections) == len(set(detections))
    sides = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(results, sides)
    used = evaluation.match(sides, found).used & (found.score >= 0.3)
    assert set(detections) == set(np.flatnonzero(used).tolist())


def test_the_best_threshold_has_the_best_f1_of_all_scores():
    truth, results = scene(6, images=40)
    sides = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(results, sides)
    matches = evaluation.match(sides, found)

    def f1(threshold):
        kept = [r for r in results if r["score"] >= threshold]
        rows = evaluation.error_table(truth, kept, loss=None, score_threshold=0.0)
        hits = sum(row["kind"] == "ok" for row in rows)
        there = sum(row["detection"] is not None for row in rows)
        return 2 * hits / (there + sum(not a["iscrowd"] for a in truth["annotations"]))

    scores = sorted({r["score"] for r in results})
    best = evaluation.best_threshold(sides, found, matches)
    assert f1(best) == pytest.approx(max(map(f1, scores)), abs=1e-12)


def test_errors_of_a_row_are_prediction_minus_truth_by_hand():
    truth, results = one_image([(2, 10, 20, 40, 30)], [(2, 8, 21, 44, 30, 0.75)])
    (row,) = evaluation.error_table(truth, results, loss="l1", score_threshold=0.5)
    assert [row[f"truth_{side}"] for side in ("x1", "y1", "x2", "y2")] == [10, 20, 50, 50]
    assert [row[f"prediction_{side}"] for side in ("x1", "y1", "x2", "y2")] == [8, 21, 52, 51]
    assert [row[f"error_{side}"] for side in ("x1", "y1", "x2", "y2")] == [-2, 1, 2, 1]
    assert row["box_error"] == 6 and row["term_x1"] == 2 and row["term_y2"] == 1
    assert row["iou"] == pytest.approx(40 * 29 / (40 * 30 + 44 * 30 - 40 * 29))
    assert row["class"] == row["prediction_class"] == "dog" and row["size"] == "medium"


@pytest.mark.parametrize("loss", ["giou", "ciou", "smooth_l1"])
def test_box_errors_and_terms_equal_the_tensors_of_the_loss(loss):
    import boxloss

    truth, results = scene(7, crowds=False)
    rows = evaluation.error_table(truth, results, loss=loss, score_threshold=0.0)
    pairs = [row for row in rows if row["box_error"] is not None]
    true, predicted = (
        np.array([[[row[f"{which}_{side}"] for side in ("x1", "y1", "x2", "y2")] for row in pairs]])
        for which in ("truth", "prediction")
    )
    tensors = boxloss.get(loss).tensors(true, predicted).numpy()
    assert len(pairs) > 30
    np.testing.assert_allclose(
        [row["box_error"] for row in pairs], tensors.box_errors[0], atol=1e-6
    )
    for name, term in tensors.terms.items():
        np.testing.assert_allclose([row[f"term_{name}"] for row in pairs], term[0], atol=1e-6)


def test_a_loss_in_another_format_is_refused():
    import boxloss

    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)])
    with pytest.raises(ValueError, match="^`loss` must be a name or a loss of kind 'box' with"):
        evaluation.error_table(truth, results, boxloss.CIoULoss(bounding_box_format="xywh"))
    with pytest.raises(ValueError, match="^`loss` must be one of .* Did you mean 'ciou'"):
        evaluation.error_table(truth, results, "ciuo")


def test_boxes_csv_holds_every_row_and_hostile_names_unharmed(tmp_path):
    truth, results = one_image(
        [(1, 0, 0, 33.5, 10), (2, 90, 90, 20, 20)], [(1, 0, 0, 33.25, 10, 0.9)]
    )
    truth["images"][0]["file_name"] = 'a,"b"\n<script>.png'
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=0.5)
    evaluation.write_boxes_csv(rows, tmp_path / "boxes.csv")
    with open(tmp_path / "boxes.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["kind"] for row in read] == ["ok", "miss"]
    assert {row["file_name"] for row in read} == {'a,"b"\n<script>.png'}
    assert read[0]["error_x2"] == "-0.2500" and read[1]["error_x2"] == ""
    assert list(read[0]) == list(rows[0])
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.csv"]
