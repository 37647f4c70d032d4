"""YOLO's lines, class names and folder layouts as its tools leave them."""

import json
import math

import folders
import numpy as np
import pytest
from folders import PNG, XYXY, YOLO_CELL, YOLO_LINE, YOLO_XYXY, load_coco, load_yolo, shown, write

from boxloss import datasets

NAN = float("nan")


POSE = "0 0.5 0.5 0.25 0.25 0.4 0.4 2 0.6 0.6 2\n"


@pytest.mark.parametrize(
    "line, shape",
    [
        (POSE, "[2, 3]"),
        ("0 0.5 0.5 0.25 0.25 0.4 0.4 0.6 0.6\n", "[2, 2]"),
        ("0 0.5 0.5 0.25 0.25 0.4 0.4 1\n", "[1, 3]"),
        (YOLO_LINE, "[17, 3]"),
    ],
)
def test_with_kpt_shape_the_first_four_numbers_are_the_box(place, line, shape):
    read = load_yolo(place, line, f"names: [cell]\nkpt_shape: {shape}\n", strict=True)
    assert shown(read) == {"a.png": YOLO_CELL}
    read = load_yolo(place, line + "0 .1 .1 .2 .1 .2 .2\n", f"names: [cell]\nkpt_shape: {shape}\n")
    assert read.dropped["boxes"] == 1


@pytest.mark.parametrize("line", [POSE, "0 0.5 0.5 0.25 0.25 0.4 0.4 0.6 0.6\n"])
def test_without_kpt_shape_a_line_that_could_be_a_pose_is_reported(place, line):
    read = load_yolo(place, line)
    (problem,) = read.problems
    assert problem.action == "kept" and "kpt_shape" in problem.rule
    assert (problem.item, problem.received) == ("line 1", line.strip())
    with pytest.raises(ValueError, match="kpt_shape"):
        load_yolo(place, line, strict=True)


def test_outlines_are_not_taken_for_poses(place):
    corner = "0 0.1 0.1 0.3 0.1 0.3 0.4\n"
    middle = "0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6\n"
    read = load_yolo(place, middle + corner, strict=True)
    boxes = np.float32([[0.4, 0.4, 0.6, 0.6], [0.1, 0.1, 0.3, 0.4]]) * [40, 30, 40, 30]
    np.testing.assert_allclose(read.records[0].boxes, boxes, rtol=1e-6)


def test_a_yaml_with_the_number_of_classes_alone(place):
    read = load_yolo(place, "1 0.5 0.5 0.25 0.25\n", "train: images\nval: images\nnc: 2\n")
    assert shown(read) == {"a.png": [("1", YOLO_XYXY)]} and read.class_names == ["0", "1"]


@pytest.mark.parametrize(
    "images, labels, names, given",
    [
        ("obj_train_data", "obj_train_data", "obj.names", "obj_train_data"),
        ("train", "train", "train/_darknet.labels", "train"),
        ("images", "labels", "classes.txt", "labels"),
        ("images", "labels", "classes.txt", "."),
        ("images", "labels", "labels/classes.txt", "labels"),
        ("images", "Labels", "Labels/classes.txt", "Labels"),
        ("images/train", "labels/train", "classes.txt", "labels/train"),
        ("images/train", "labels/train", "data.yaml", "data.yaml"),
        ("train/images", "train/labels", "data.yml", "."),
        ("Images", "labels", "classes.txt", None),
    ],
)
def test_where_tools_leave_labels_and_class_names(tmp_path, images, labels, names, given):
    write(tmp_path / images / "a.png", PNG)
    write(tmp_path / labels / "a.txt", "1 0.5 0.5 0.25 0.25\n")
    text = "names: [dog, cell]\n" if "data" in names.rsplit("/")[-1] else "dog\ncell\n"
    write(tmp_path / names, text)
    write(tmp_path / "notes.json", {"categories": [{"id": 0, "name": "dog"}], "info": {}})
    write(tmp_path / labels / "README.txt", "Exported by a tool.\n")
    annotations = given and tmp_path / given
    read = datasets.load(tmp_path / images, annotations, strict=True)
    assert shown(read) == {"a.png": YOLO_CELL}
    assert read.class_names == ["cell", "dog"] and read.category_ids == [1, 0]


@pytest.mark.parametrize("name", ["a.TXT", "a.png.txt"])
def test_label_files_as_they_are_called(place, name):
    write(place / "labels" / name, YOLO_LINE)
    write(place / "labels" / "classes.txt", "cell\n")
    read = datasets.load(place / "images", place / "labels", strict=True)
    assert shown(read) == {"a.png": YOLO_CELL}


def test_class_names_that_windows_wrote(place):
    write(place / "labels" / "a.txt", YOLO_LINE)
    write(place / "labels" / "classes.txt", "Bäume\r\n".encode("cp1252"))
    read = datasets.load(place / "images", place / "labels", strict=True)
    assert read.class_names == ["Bäume"]


def test_an_empty_label_file_is_an_image_without_boxes(place):
    write(place / "images" / "b.png", PNG)
    write(place / "labels" / "b.txt", "\n \n")
    read = load_yolo(place, strict=True)
    assert shown(read) == {"a.png": YOLO_CELL, "b.png": []}


def test_many_classes_and_a_name_for_each(place):
    count = 40_000
    names = [f"class {i}" for i in range(count)]
    read = load_yolo(place, f"{count - 1} .5 .5 .25 .25\n", f"names: {json.dumps(names)}\n")
    assert shown(read) == {"a.png": [(names[-1], YOLO_XYXY)]}
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    content = folders.coco(annotation={"category_id": count - 1}, categories=categories)
    assert shown(load_coco(place, content)) == {"a.png": [(names[-1], XYXY)]}


def test_a_not_a_number_is_no_coordinate(place):
    for four in ([NAN, 1, 2, 3], ["nan", 1, 2, 3], [math.inf, 1, 2, 3]):
        read = load_coco(place, folders.coco(annotation={"bbox": four}))
        assert read.dropped == {"images": 0, "boxes": 1}
