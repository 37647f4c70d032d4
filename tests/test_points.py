"""Points of AP that each kind of error costs, the rows of all thresholds, metrics by class."""

import numpy as np
import pytest
from oracles.tide_points import all_kinds

from boxloss import datasets, evaluation
from boxloss.evaluation.kinds import candidates, classify
from boxloss.evaluation.metrics import coco_details

# Printed by tests/oracles/tide_points.py, which says how; tidecv 1.0.1.
TIDE_OF_SCENE = {
    **{"AP": 38.8712, "cls": 17.9382, "loc": 12.477, "both": 1.7828},
    **{"dupe": 1.3938, "bkg": 1.5698, "miss": 8.4344},
}
TIDE_OF_BCCD = {
    **{"AP": 84.1785, "cls": 0.0016, "loc": 1.6434, "both": 0.2717},
    **{"dupe": 0.3134, "bkg": 10.0196, "miss": 1.1002},
}


@pytest.fixture(scope="module")
def scene():
    truth, results = all_kinds()
    truth = evaluation.Truth.of(truth)
    detections = evaluation.Detections.of(results, truth)
    return truth, detections, results, evaluation.match(truth, detections)


def test_points_are_tides_where_every_kind_occurs(scene):
    truth, detections, _, _ = scene
    points = evaluation.lost_points(truth, detections)
    assert points == pytest.approx(TIDE_OF_SCENE, abs=0.001)
    assert min(points.values()) > 1


@pytest.mark.parametrize("is_read_as", ["file", "data set"])
def test_points_are_tides_on_real_images(bccd, is_read_as):
    """The page reads a data set, which drops the box of zero size that the file has."""
    truth = bccd / "val.json"
    if is_read_as == "data set":
        truth = datasets.load(bccd / "val", truth)
        assert sum(len(record.unfindable) for record in truth.records) == 1
    points = evaluation.lost_points(truth, bccd / "yolo11n_val.json")
    assert points == pytest.approx(TIDE_OF_BCCD, abs=0.001)


def test_four_hundred_right_boxes_in_one_image_lose_nothing():
    boxes = [[12.0 * (i % 20), 9.0 * (i // 20), 10.0, 7.0] for i in range(400)]
    shared = {"image_id": 5, "category_id": 3}
    truth = {
        "images": [{"id": 5, "file_name": "dense.png", "width": 300, "height": 200}],
        "categories": [{"id": 3, "name": "bee"}],
        "annotations": [{"id": i, **shared, "bbox": box} for i, box in enumerate(boxes)],
    }
    results = [{**shared, "bbox": box, "score": 0.9 - i / 1e3} for i, box in enumerate(boxes)]
    points = evaluation.lost_points(truth, results)
    assert points == {"AP": 100.0, **dict.fromkeys(evaluation.KINDS[1:], 0.0)}


def test_a_class_that_is_never_found_counts_as_an_ap_of_nothing():
    truth = {
        "images": [{"id": 5, "file_name": "two.png", "width": 300, "height": 200}],
        "categories": [{"id": 3, "name": "bee"}, {"id": 8, "name": "wasp"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10.0, 20.0, 30.0, 15.0]},
            {"id": 2, "image_id": 5, "category_id": 8, "bbox": [90.0, 60.0, 12.0, 40.0]},
        ],
    }
    results = [{"image_id": 5, "category_id": 3, "bbox": [10.0, 20.0, 30.0, 15.0], "score": 0.7}]
    points = evaluation.lost_points(truth, results)
    assert points["AP"] == evaluation.coco_metrics(truth, results)["AP50"] * 100 == 50.0
    assert points["miss"] == 50.0


@pytest.mark.parametrize("share", [0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1])
def test_rows_at_a_threshold_are_those_without_the_detections_below_it(scene, share):
    truth, detections, results, matches = scene
    threshold = float(np.quantile(detections.score, share))
    kept = [d for d, score in enumerate(detections.score) if score >= threshold]
    fewer = evaluation.Detections.of([results[d] for d in kept], truth)
    want = classify(truth, fewer, evaluation.match(truth, fewer), 0.5, -1.0)
    want = [(kind, true, kept[d] if d >= 0 else -1, own) for kind, true, d, own in want]
    assert sorted(classify(truth, detections, matches, 0.5, threshold)) == sorted(want)


def test_every_true_box_has_one_row_and_every_detection_is_in_one(scene):
    truth, detections, _, matches = scene
    rows = candidates(truth, detections, matches, 0.5)
    kinds = set()
    for threshold in np.append(np.unique(detections.score), 2.0):
        here = [row for row in rows if row.low < threshold <= row.high]
        assert [row.true for row in here if row.own] == list(range(len(truth)))
        found = sorted(row.found for row in here if row.found >= 0)
        assert found == np.flatnonzero(detections.score >= threshold).tolist()
        kinds |= {(row.kind, row.own) for row in here}
    assert {("loc", True), ("loc", False), ("cls", True), ("cls", False)} <= kinds


def test_details_are_the_metrics_divided_by_class_and_size(scene):
    truth, detections, results, _ = scene
    details = coco_details(truth, detections)
    assert details.metrics == evaluation.coco_metrics(truth, detections)
    assert np.mean(details.classes["AP50"]) == pytest.approx(details.metrics["AP50"])
    assert np.mean(details.classes["AP"]) == pytest.approx(details.metrics["AP"])
    assert details.sizes["AP"][1] == pytest.approx(details.metrics["APm"])
    np.testing.assert_allclose(
        [np.mean(curve) for curve in details.curves], details.classes["AP50"]
    )
    assert len(set(details.classes["AP"])) == 4
    # COCO's "large" has no true box here.
    assert details.sizes["AP"][2] is details.sizes["AP50"][2] is None
