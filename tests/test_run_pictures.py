"""The pictures of a run and its table of classes; judged by their pixels and numbers."""

import math

import cv2
import numpy as np
import pytest

from boxloss import datasets, evaluation
from boxloss.cli import run_pictures
from boxloss.datasets import Record
from boxloss.datasets.batches import Batches
from boxloss.report import curves, drawing, pictures

GREY = np.full((240, 320, 3), 100, "uint8")


def has(image, colour):
    """Whether a pixel has about this colour."""
    return bool((np.abs(image.astype(int) - colour).max(axis=-1) <= 12).any())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """20 grey images of 160 x 120; in image i one box of class i % 2, ignored in image 4."""
    folder = tmp_path_factory.mktemp("pictures")
    records = []
    for i in range(20):
        path = folder / f"{i:02d}.png"
        cv2.imwrite(str(path), np.full((120, 160, 3), 100, "uint8"))
        records.append(
            Record(
                image_id=i,
                file_name=path.name,
                path=path,
                width=160,
                height=120,
                boxes=np.array([[20, 60, 90, 110]], "float32"),
                labels=np.array([i % 2]),
                annotation_ids=[i],
                areas=np.array([3500.0]),
                iscrowd=np.zeros(1, bool),
                ignore=np.array([i == 4]),
                difficult=np.zeros(1, bool),
            )
        )
    return datasets.DataSet(
        records=records, class_names=["cat", "dog"], category_ids=[3, 7], root=folder
    )


def tile(sheet, row, column, above=0, height=pictures.TILE):
    top = pictures.GAP + row * (height + pictures.GAP + above) + above
    left = pictures.GAP + column * (pictures.TILE + pictures.GAP)
    return sheet[top : top + height, left : left + pictures.TILE]


def test_the_batch_picture_shows_16_images_as_the_network_gets_them(dataset):
    sheet = pictures.batch_picture(Batches(dataset, 3, 96))
    side = 4 * (pictures.TILE + pictures.GAP) + pictures.GAP
    assert sheet.shape == (side, side, 3)
    cat, dog = (drawing.class_colour(label) for label in (0, 1))
    first, second = tile(sheet, 0, 0), tile(sheet, 0, 1)
    assert has(first, cat) and not has(first, dog)
    assert has(second, dog) and not has(second, cat)
    assert has(tile(sheet, 3, 3), dog)  # the 16th
    # 160 x 120 fitted to 96: the box begins at x = 12, y = 12 + 36 of the square.
    scale = pictures.TILE / 96
    left = first[
        round(60 * scale) : round(70 * scale), round(12 * scale) - 2 : round(12 * scale) + 2
    ]
    assert has(left, cat)
    ignored = tile(sheet, 1, 0)
    assert has(ignored, pictures.IGNORED) and not has(ignored, cat)


def test_the_batch_picture_of_a_small_set_has_fewer_tiles(dataset):
    few = dataset.subset(dataset.records[:3])
    sheet = pictures.batch_picture(Batches(few, 8, 64))
    assert sheet.shape[1] == 3 * (pictures.TILE + pictures.GAP) + pictures.GAP


def test_the_validation_picture_shows_truth_and_beside_it_what_was_found(dataset):
    def result(image, category, score):
        box = [100, 10, 40, 30]
        return {"image_id": image, "category_id": category, "bbox": box, "score": score}

    # The 19 images that have a box that counts or not, evenly spread: the first is image 0.
    results = [result(0, 7, 0.9), result(0, 3, 0.3)]
    sheet = pictures.validation_picture(dataset, results, 0.5)
    height, above = 240, pictures.CAPTION
    truth, found = (tile(sheet, 0, column, above, height) for column in (0, 1))
    cat, dog = (drawing.class_colour(label) for label in (0, 1))
    assert has(truth, cat) and not has(truth, dog)
    assert has(found, dog) and not has(found, cat)  # 0.3 is below the threshold
    assert sheet.shape[0] == 8 * (height + pictures.GAP + above) + pictures.GAP
    # The box of the detection: x is 100 to 140, y is 10 to 40, both twice as large.
    edge = found[40:70, 198:203]
    assert has(edge, dog) and not has(found[140:200, 38:43], dog)
    assert has(found[40:70, 278:283], dog)


def test_an_image_that_is_gone_is_left_out_of_the_validation_picture(dataset, tmp_path):
    records = [*dataset.records[:2]]
    gone = datasets.Record(**{**vars(records[0]), "path": tmp_path / "gone.png"})
    sheet = pictures.validation_picture(dataset.subset([gone, records[1]]), [], 0.5)
    assert sheet.shape[1] == 2 * (pictures.TILE + pictures.GAP) + pictures.GAP


def test_a_curve_goes_through_its_values():
    history = [
        {"epoch": 0, "loss": 4.0, "learning_rate": 0.1, "val_AP": math.nan},
        {"epoch": 1, "loss": 2.0, "learning_rate": 0.1, "val_AP": 0.5},
        {"epoch": 2, "loss": 1.0, "learning_rate": 0.1, "val_AP": 1.0},
    ]
    picture = curves.curves_picture(history)
    assert picture.shape == (curves.HEIGHT, 3 * curves.WIDTH, 3)
    colour = drawing.CLASS_COLOURS[0]
    height = curves.HEIGHT - curves.TOP - curves.BOTTOM
    width = curves.WIDTH - curves.LEFT - curves.RIGHT

    def drawn(chart, epoch, share):
        x = chart * curves.WIDTH + curves.LEFT + epoch / 2 * width
        y = curves.TOP + (1 - share) * height
        return has(picture[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3], colour)

    # The axis of the loss ends at 4, that of AP at 1.
    assert drawn(0, 0, 1.0) and drawn(0, 1, 0.5) and drawn(0, 2, 0.25)
    assert not drawn(0, 0, 0.25) and not drawn(0, 2, 1.0)
    assert drawn(1, 1, 0.5) and drawn(1, 2, 1.0) and not drawn(1, 0, 0.5)


def test_a_first_loss_that_dwarfs_the_rest_is_cut_and_nothing_measured_is_said():
    assert curves.highest([np.array([1000.0, 2.0, 2.0, 1.0])]) == 10.0
    assert curves.highest([np.array([0.0, 0.0])]) > 0
    assert curves.highest([np.array([1e-30, 5e-31])]) > 0  # a learning rate may be that small
    picture = curves.curves_picture([{"epoch": 0, "loss": 1.0, "learning_rate": 0.1}])
    assert picture.shape[1] == 3 * curves.WIDTH


# The table of classes ----------------------------------------------------------------------------


def test_precision_and_recall_of_each_class_by_hand():
    box = [10, 10, 20, 30]
    truth = {
        "images": [{"id": 1, "file_name": "a", "width": 99, "height": 99}],
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}, {"id": 7, "name": "ox"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": box},
            {"id": 2, "image_id": 1, "category_id": 5, "bbox": [50, 50, 20, 30]},
            {"id": 3, "image_id": 1, "category_id": 6, "bbox": [50, 10, 20, 30]},
        ],
    }

    def result(category, bbox, score):
        return {"image_id": 1, "category_id": category, "bbox": bbox, "score": score}

    results = [
        result(5, box, 0.9),
        result(5, [70, 70, 9, 9], 0.8),  # nothing there
        result(6, [50, 10, 20, 30], 0.3),  # right, below the threshold
    ]
    truth = evaluation.Truth.of(truth)
    found = evaluation.Detections.of(results, truth)
    metrics = evaluation.metrics_by_class(truth, found, 0.5)
    numbers = [
        [row[name] for name in ("boxes", "precision", "recall")]
        for row in metrics["classes"].values()
    ]
    assert numbers == [[2, 0.5, 0.5], [1, None, 0.0], [0, None, None]]
    assert metrics["precision"] == 1 / 2 and metrics["recall"] == 1 / 3
    # 51 of the 101 recalls are reached by one of two boxes, and precision is 1 there.
    assert metrics["classes"]["cat"]["AP50"] == pytest.approx(51 / 101)
    assert metrics["AP"] == evaluation.coco_metrics(truth, found)["AP"]
    assert list(run_pictures.class_lines(metrics)) == [
        "class   boxes     AP   AP50  precision  recall",
        "cat         2  0.505  0.505      0.500   0.500",
        "dog         1  1.000  1.000          -   0.000",
        "ox          0      -      -          -       -",
    ]


def test_of_many_classes_the_worst_are_on_the_screen():
    row = {"boxes": 1, "AP50": 1.0, "precision": None, "recall": 0.0}
    classes = {f"c{i}": {**row, "AP": i / 300} for i in range(299, -1, -1)} | {
        "none": {**row, "AP": None}
    }
    lines = list(run_pictures.class_lines({"classes": classes}))
    assert [line.split()[0] for line in lines[1:-1]] == [f"c{i}" for i in range(20)]
    assert lines[-1] == "and 281 classes more in metrics.json"


# Drawings of `predict` ----------------------------------------------------------------------------


def test_texts_of_crowded_boxes_do_not_cover_each_other(monkeypatch):
    plates = []
    boxes = np.array([[100, 100, 160, 150]]) + np.arange(12)[:, None] * [3, 2, 3, 2]
    canvas = drawing.Canvas(GREY)
    canvas.boxes(boxes, [f"cat 0.{i}" for i in range(12)], [(255, 0, 0)] * 12)
    plates = np.array(canvas.plates)
    assert 4 <= len(plates) < 12
    for i, a in enumerate(plates):
        for b in plates[:i]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_boxes_are_solid_and_each_class_has_its_colour():
    colours = [drawing.class_colour(label) for label in range(300)]
    assert len(set(colours)) == 300
    picture = drawing.draw_boxes(
        GREY, [[20, 20, 90, 90], [120, 20, 200, 90]], None, colours[:2], dashed=False, min_side=0
    )
    for left, colour in ((20, colours[0]), (120, colours[1])):
        edge = picture[24:86, left - 2 : left + 2].astype(int)
        assert (np.abs(edge - colour).max(axis=2).min(axis=1) <= 12).all()
