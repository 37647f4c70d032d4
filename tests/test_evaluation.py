"""Metrics against pycocotools, matching against its loop, kinds against TIDE written out."""

import contextlib
import copy
import csv
import io
import json

import cv2
import numpy as np
import pytest

from boxloss import datasets, evaluation


def scene(seed, images=12, crowds=True, area=None):
    """A COCO dict and results with many overlaps, equal scores and true boxes that stand twice."""
    rng = np.random.default_rng(seed)
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": number, "name": f"class {number}"} for number in (3, 7, 90)]
    results = []
    for image in range(1, images + 1):
        truth["images"].append(
            {"id": image * 5, "file_name": f"{image}.png", "width": 200, "height": 200}
        )
        for place in range(rng.integers(0, 9)):
            side = rng.integers(5, 110, 2)
            box = [*rng.integers(0, 90, 2), *side]
            twice = place > 0 and rng.random() < 0.25
            if twice:
                box = truth["annotations"][-1]["bbox"]
                side = np.array(box[2:])
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image * 5,
                    "category_id": truth["annotations"][-1]["category_id"]
                    if twice
                    else int(rng.choice([3, 7, 90])),
                    "bbox": [int(value) for value in box],
                    "area": int(side[0] * side[1]),
                    "iscrowd": int(crowds and rng.random() < 0.15),
                }
            )
            for _ in range(rng.integers(0, 4)):
                shift = rng.integers(-8, 9, 4) * rng.integers(0, 4)
                found = np.maximum(np.add(box, shift), 1)
                results.append(
                    {
                        "image_id": image * 5,
                        "category_id": int(rng.choice([3, 7, 90]))
                        if rng.random() < 0.2
                        else truth["annotations"][-1]["category_id"],
                        "bbox": [int(value) for value in found],
                        "score": float(np.round(rng.random(), 1)),  # ties on purpose
                    }
                )
    return truth, results


def pycocotools_evaluation(truth, results):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def assert_metrics_equal(truth, results):
    stats = pycocotools_evaluation(truth, results).stats
    metrics = evaluation.coco_metrics(truth, results)
    wanted = [stats[place] for place in (0, 1, 2, 3, 4, 5, 8)]
    got = [-1.0 if value is None else value for value in metrics.values()]
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def assert_matches_equal(truth, results, iou_threshold=0.5):
    run = pycocotools_evaluation(truth, results)
    place = int(round((iou_threshold - 0.5) / 0.05))
    wanted = {}
    for cell in run.evalImgs:
        if cell is not None and cell["aRng"] == [0, 1e5**2]:
            for number, true, ignored in zip(
                cell["dtIds"], cell["dtMatches"][place], cell["dtIgnore"][place], strict=True
            ):
                wanted[number - 1] = (int(true), not ignored)
    sides = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(results, sides)
    matches = evaluation.match(sides, found, iou_threshold, max_detections=100)
    got = {
        int(position): (0 if true < 0 else sides.annotation_ids[true], bool(used))
        for position, true, used in zip(found.position, matches.truth_of, matches.used, strict=True)
    }
    assert {number: got[number] for number in wanted} == wanted
    assert not any(got[number][1] for number in got if number not in wanted)


@pytest.mark.parametrize("seed", range(4))
def test_metrics_equal_pycocotools(seed):
    assert_metrics_equal(*scene(seed))


@pytest.mark.parametrize("iou_threshold", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(4))
def test_matching_equals_pycocotools(seed, iou_threshold):
    assert_matches_equal(*scene(seed), iou_threshold)


def test_detections_beyond_the_hundredth_of_a_class_do_not_count():
    truth, _ = scene(0, images=1)
    rng = np.random.default_rng(1)
    results = [
        {
            "image_id": 5,
            "category_id": 7,
            "bbox": [float(value) for value in (*rng.uniform(0, 90, 2), *rng.uniform(5, 90, 2))],
            "score": float(score),
        }
        for score in rng.random(150)
    ]
    assert_metrics_equal(truth, results)
    assert_matches_equal(truth, results)


def dense(boxes):
    """An image with so many boxes of one class, 4 apart, each found perfectly; another of few."""
    places = [(i, 6.0 * (i % 40), 5.0 * (i // 40)) for i in range(boxes)]
    truth = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "grain"}, {"id": 2, "name": "stone"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": [x, y, 4, 3]}
            for i, x, y in places
        ],
    }
    truth["annotations"].append(
        {"id": boxes + 1, "image_id": 2, "category_id": 2, "bbox": [3, 4, 20, 9]}
    )
    found = [
        {**{key: a[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.2 + i / 1000}
        for i, a in enumerate(truth["annotations"])
    ]
    return truth, found


def test_all_boxes_of_a_dense_image_are_in_the_table():
    truth, found = dense(400)
    rows = evaluation.error_table(truth, found, loss=None)
    assert [row["kind"] for row in rows] == ["ok"] * 401
    found[7]["bbox"] = [900, 900, 4, 3]
    kinds = [row["kind"] for row in evaluation.error_table(truth, found, loss=None)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"ok": 400, "miss": 1, "bkg": 1}


def test_coco_s_limit_of_detections_is_reported_where_it_lowers_ap():
    truth, found = dense(400)
    assert evaluation.coco_metrics(truth, found)["AP"] < 0.7
    sides = evaluation.Truth.of(truth)
    assert evaluation.crowded(sides) == {"images": 1, "boxes": 300}
    assert "300 boxes in 1 crowded images" in evaluation.crowded_lines(sides)[0]
    sides = evaluation.Truth.of(dense(100)[0])
    assert evaluation.crowded(sides)["images"] == 0 and evaluation.crowded_lines(sides) == []


def test_bccd_metrics_and_matching_equal_pycocotools(bccd):
    truth = json.loads((bccd / "val.json").read_text())
    results = json.loads((bccd / "yolo11n_val.json").read_text())
    assert_metrics_equal(truth, results)
    assert_matches_equal(truth, results)
    assert evaluation.coco_metrics(truth, results)["AP"] == pytest.approx(0.548, abs=5e-4)


def assert_metrics_of_a_folder_are_those_of_its_file(folder, annotations, results):
    dataset = datasets.load(folder, annotations)
    assert dataset.dropped["boxes"] > 0
    stats = pycocotools_evaluation(json.loads(annotations.read_text()), results).stats
    got = evaluation.coco_metrics(dataset, results)
    np.testing.assert_allclose(
        list(got.values()), [stats[place] for place in (0, 1, 2, 3, 4, 5, 8)], atol=1e-12
    )


def test_boxes_that_were_dropped_count_as_not_found(tmp_path):
    """Of no width, turned round, outside: no detector finds them, and pycocotools counts them."""
    sizes = [(16, 12), (50, 60), (120, 110)]  # small, medium and large, or a metric is None
    found = [[20.0 + 9 * i, 15.0 + 7 * i, *size] for i, size in enumerate(sizes)]
    broken = [[30, 30, 0, 20], [90, 80, -20, 14], [400, 20, 30, 30], [5, 5, 40, 40]]
    annotations = [
        {"id": i + 1, "image_id": 4, "category_id": 2 + i % 2, "bbox": box}
        | {"area": 0.0, "iscrowd": 0}
        for i, box in enumerate(found + broken)
    ]
    for annotation in annotations[:3]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    annotations[-1] |= {"bbox": [30, 30, 0, 0], "iscrowd": 1}  # a crowd was never to be found
    content = {
        "images": [{"id": 4, "file_name": "a.png", "width": 240, "height": 200}],
        "categories": [{"id": 2, "name": "thing"}, {"id": 3, "name": "animal"}],
        "annotations": annotations,
    }
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 240, 3), "uint8"))
    (tmp_path / "truth.json").write_text(json.dumps(content))
    results = [
        {"image_id": 4, "category_id": 2 + i % 2, "bbox": box, "score": 0.9 - 0.1 * i}
        for i, box in enumerate(found)
    ]
    assert_metrics_of_a_folder_are_those_of_its_file(tmp_path, tmp_path / "truth.json", results)


def test_the_metrics_of_bccd_are_those_of_its_file(bccd):
    results = json.loads((bccd / "yolo11n_val.json").read_text())
    assert_metrics_of_a_folder_are_those_of_its_file(bccd / "val", bccd / "val.json", results)


def test_matching_equals_faster_coco_eval():
    from faster_coco_eval import COCO, COCOeval_faster

    truth, results = scene(5, crowds=False)
    coco = COCO(copy.deepcopy(truth))
    run = COCOeval_faster(coco, coco.loadRes(copy.deepcopy(results)), "bbox", extra_calc=True)
    run.params.iouThrs = np.array([0.5])
    run.evaluate()
    run.accumulate()
    wanted = {
        (int(detection) - 1, int(true))
        for detection, true in (pair.split("_") for pair in run.eval["matched"])
    }
    sides = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(results, sides)
    matches = evaluation.match(sides, found, 0.5)
    got = {
        (int(found.position[i]), sides.annotation_ids[true])
        for i, true in enumerate(matches.truth_of)
        if true >= 0
    }
    assert got == wanted and len(got) > 20


def test_a_box_marked_ignore_is_neither_missed_nor_a_false_detection():
    without, results = scene(2, crowds=False)
    lone = {"id": 999, "image_id": 5, "category_id": 7, "bbox": [300, 300, 40, 30], "area": 1200}
    plain, marked = copy.deepcopy(without), copy.deepcopy(without)
    plain["annotations"].insert(0, lone)
    marked["annotations"].insert(0, {**lone, "ignore": 1})
    found = {key: lone[key] for key in ("image_id", "category_id", "bbox")}
    results.append({**found, "score": 0.99})
    rows = evaluation.error_table(marked, results, loss=None, score_threshold=0.95)
    assert 999 not in {row["annotation_id"] for row in rows}
    assert all(row["detection"] != len(results) - 1 for row in rows)
    counted = evaluation.error_table(without, results, loss=None, score_threshold=0.95)
    # Where the box is gone, what was found on it is false.
    assert len(results) - 1 in {row["detection"] for row in counted}
    metrics = evaluation.coco_metrics(marked, results)
    assert metrics == evaluation.coco_metrics(without, results[:-1])
    assert metrics != evaluation.coco_metrics(plain, results)


def test_text_ids_serve_as_well_as_numbers():
    truth, results = scene(3)
    renamed, named = copy.deepcopy(truth), copy.deepcopy(results)
    for image in renamed["images"]:
        image["id"] = f"picture {image['id']}"
    for entry in (*renamed["annotations"], *named):
        entry["image_id"] = f"picture {entry['image_id']}"
    assert evaluation.coco_metrics(renamed, named) == evaluation.coco_metrics(truth, results)


def test_numbers_of_numpy_serve_as_well_as_python_s():
    truth, results = scene(3)
    plain = evaluation.error_table(truth, results, loss=None)
    for entry in (*truth["images"], *truth["categories"], *truth["annotations"]):
        entry["id"] = np.int64(entry["id"])
    for entry in (*truth["annotations"], *results):
        entry |= {key: np.int32(entry[key]) for key in ("image_id", "category_id")}
    for entry in results:
        entry["score"] = np.float64(entry["score"])
    rows = evaluation.error_table(truth, results, loss=None)
    assert rows == plain and json.dumps(rows) == json.dumps(plain)
    results[0]["score"] = np.float32(0.5)
    assert evaluation.error_table(truth, results, loss=None)


@pytest.mark.parametrize("iou_threshold", [50, 0, -0.5, float("nan"), "0.5", True])
def test_a_senseless_iou_threshold_is_named(iou_threshold):
    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)])
    with pytest.raises(ValueError) as error:
        evaluation.error_table(truth, results, loss=None, iou_threshold=iou_threshold)
    assert str(error.value) == (
        "`iou_threshold` must be a number above 0 and at most 1. "
        f"Received: iou_threshold={iou_threshold!r}"
    )


def test_no_detections_give_zero_and_no_boxes_give_none():
    truth, results = scene(1, crowds=False)
    assert evaluation.coco_metrics(truth, [])["AP50"] == 0.0
    truth["annotations"] = []
    assert set(evaluation.coco_metrics(truth, results).values()) == {None}
    assert {row["kind"] for row in evaluation.error_table(truth, results, loss=None)} == {"bkg"}


# Kinds --------------------------------------------------------------------------------------------


def one_image(boxes, predictions):
    """Truth and results of one image from (category, x, y, w, h) and the same with a score."""
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": box[0], "bbox": list(box[1:])}
            for i, box in enumerate(boxes)
        ],
    }
    results = [
        {"image_id": 1, "category_id": p[0], "bbox": list(p[1:5]), "score": p[5]}
        for p in predictions
    ]
    return truth, results


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


# Numbers in the rows ------------------------------------------------------------------------------


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


# Input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"bbox": [1, 2, 3]},
            "detections: detection 0 must have a bbox of four finite numbers [x, y, width >= 0, "
            "height >= 0]. Received: bbox=[1, 2, 3]",
        ),
        (
            {"bbox": [1, 2, float("nan"), 4]},
            "detections: detection 0 must have a bbox of four finite numbers [x, y, width >= 0, "
            "height >= 0]. Received: bbox=[1, 2, nan, 4]",
        ),
        (
            {"score": None},
            "detections: detection 0 must have a finite score. Received: score=None",
        ),
        (
            {"image_id": [1]},
            "detections: at least half of the detections must have images and categories of the "
            "truth, or --pair-images, --pair-classes or --class-names say how they are meant. "
            "Received: 0 of 1 paired, 1 of unknown images; the first without: category_id=1",
        ),
    ],
)
def test_a_broken_detection_is_named(change, message):
    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)])
    with pytest.raises(ValueError) as error:
        evaluation.coco_metrics(truth, [results[0] | change])
    assert str(error.value) == message


def test_detections_of_unknown_images_and_categories_are_counted():
    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)] * 4)
    results[1]["image_id"] = 99
    results[2]["category_id"] = 99
    found = evaluation.Detections.of(results, evaluation.Truth.of(truth))
    assert len(found) == 2 and found.unknown == {"images": 1, "categories": 1}


def test_a_broken_annotation_is_named_with_its_file(tmp_path):
    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)])
    truth["annotations"][0]["category_id"] = 5
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(ValueError) as error:
        evaluation.coco_metrics(tmp_path / "truth.json", results)
    assert str(error.value) == (
        f"{tmp_path}/truth.json: annotation 1 must have a known category_id. "
        "Received: category_id=5"
    )
