"""COCO metrics and matching, against pycocotools and faster-coco-eval."""

import copy
import json

import cv2
import numpy as np
import pytest
from detection_scenes import pycocotools_evaluation, scene

from boxloss import datasets, evaluation


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


def test_no_detections_give_zero_and_no_boxes_give_none():
    truth, results = scene(1, crowds=False)
    assert evaluation.coco_metrics(truth, [])["AP50"] == 0.0
    truth["annotations"] = []
    assert set(evaluation.coco_metrics(truth, results).values()) == {None}
    assert {row["kind"] for row in evaluation.error_table(truth, results, loss=None)} == {"bkg"}
