"""Broken truths and detections are named in one line."""

import json

import pytest
from detection_scenes import one_image

from boxloss import evaluation


@pytest.mark.parametrize("iou_threshold", [50, 0, -0.5, float("nan"), "0.5", True])
def test_a_senseless_iou_threshold_is_named(iou_threshold):
    truth, results = one_image([(1, 0, 0, 10, 10)], [(1, 0, 0, 10, 10, 0.9)])
    with pytest.raises(ValueError) as error:
        evaluation.error_table(truth, results, loss=None, iou_threshold=iou_threshold)
    assert str(error.value) == (
        "`iou_threshold` must be a number above 0 and at most 1. "
        f"Received: iou_threshold={iou_threshold!r}"
    )


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


@pytest.mark.parametrize(
    "written, area",
    [(37.5, 37.5), ("37.5", 37.5), (None, 240), (float("nan"), 240), (-1, 240), ("", 240)],
)
def test_the_area_is_that_of_the_annotation_where_it_has_one(written, area):
    """A segmentation covers less than its box, and COCO's sizes go by its area."""
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 90, "height": 60}],
        "categories": [{"id": 4, "name": "cell"}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 4, "bbox": [3, 4, 20, 12], "area": written}
        ],
    }
    assert evaluation.Truth.of(coco).area.tolist() == [area]
