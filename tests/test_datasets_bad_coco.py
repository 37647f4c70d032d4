"""Broken COCO files: one line with file, item and rule for each; the rest is used."""

import numpy as np
import pytest
from broken_folders import GOOD, annotation, content, expect, image, write_coco

from boxloss import datasets

FOUR = "must have a bbox of four numbers [x, y, width, height]. Received: bbox="
POSITIVE = "must have width > 0 and height > 0. Received: bbox="


@pytest.mark.parametrize(
    "broken, line",
    [
        (annotation(bbox=[4, 5, 0, 12]), f"2 of 'a.png' {POSITIVE}[4, 5, 0, 12]"),
        (annotation(bbox=[4, 5, 3, -1]), f"2 of 'a.png' {POSITIVE}[4, 5, 3, -1]"),
        (
            annotation(bbox=[4, 5, 3, 1e-9]),
            f"2 of 'a.png' {POSITIVE}[4, 5, 3, 1e-09] in 40 x 30 pixels",
        ),
        (annotation(bbox=[4, 5, 3]), f"2 of 'a.png' {FOUR}[4, 5, 3]"),
        (annotation(bbox=None), f"2 of 'a.png' {FOUR}None"),
        (annotation(bbox="4 5 6 7"), f"2 of 'a.png' {FOUR}'4 5 6 7'"),
        (annotation(bbox=[4, 5, "6 px", 7]), f"2 of 'a.png' {FOUR}[4, 5, '6 px', 7]"),
        (annotation(bbox=[True, 5, 6, 7]), f"2 of 'a.png' {FOUR}[True, 5, 6, 7]"),
        (
            annotation(bbox=[4, float("nan"), 6, 7]),
            "2 of 'a.png' must have finite coordinates. Received: bbox=[4, nan, 6, 7]",
        ),
        (
            annotation(bbox=[4, 5, float("inf"), 7]),
            "2 of 'a.png' must have finite coordinates. Received: bbox=[4, 5, inf, 7]",
        ),
        (
            annotation(bbox=[4, 5, 10**400, 7]),
            f"2 of 'a.png' must have finite coordinates. Received: bbox=[4, 5, 1{'0' * 147}…",
        ),
        (
            annotation(bbox=[40, 5, 6, 7]),
            "2 of 'a.png' must overlap its image. Received: bbox=[40, 5, 6, 7] in 40 x 30 pixels",
        ),
        (
            annotation(bbox=[-9, -9, 6, 7]),
            "2 of 'a.png' must overlap its image. Received: bbox=[-9, -9, 6, 7] in 40 x 30 pixels",
        ),
        (annotation(image_id=9), "2 must have the id of an image. Received: image_id=9"),
        (annotation(image_id=None), "2 must have the id of an image. Received: image_id=None"),
        (annotation(image_id=[1]), "2 must have the id of an image. Received: image_id=[1]"),
        (
            annotation(category_id=6),
            "2 of 'a.png' must have a known category. Received: category=6",
        ),
        (
            annotation(category_id={"x": 1}),
            "2 of 'a.png' must have a known category. Received: category=None",
        ),
        (
            annotation(id=1),
            "at position 1 must have an id that no other annotation has. Received: id=1",
        ),
        (
            annotation(id=None),
            "at position 1 must be an object with an integer or text id. Received: id=None",
        ),
        (7, "at position 1 must be an object with an integer or text id. Received: 7"),
    ],
)
def test_a_broken_coco_annotation_is_dropped(place, broken, line):
    path = write_coco(place, content(annotations=[GOOD, broken]))
    read = expect(place, path, [f"{path}: annotation {line}"], dropped=(0, 1))
    np.testing.assert_array_equal(read.records[0].boxes, [[4, 5, 14, 17]])


def test_a_box_that_hangs_out_is_cut_and_by_more_than_a_pixel_reported(place):
    boxes = [[-0.5, 0, 10, 12], [30, 20, 11, 10.9], [-2, 20, 12, 14]]
    annotations = [annotation(id=i, bbox=bbox) for i, bbox in enumerate(boxes)]
    path = write_coco(place, content(annotations=annotations))
    line = (
        f"{path}: annotation 2 of 'a.png' must lie inside its image. "
        "Received: bbox=[-2, 20, 12, 14] in 40 x 30 pixels"
    )
    read = expect(place, path, [line], boxes=3)
    expected = np.float32([[0, 0, 9.5, 12], [30, 20, 40, 30], [0, 20, 10, 30]])
    np.testing.assert_array_equal(read.records[0].boxes, expected)
    assert read.clipped == 1 and read.problems[0].action == "clipped"
    assert read.summary().endswith("; 1 box clipped")


@pytest.mark.parametrize(
    "broken, line",
    [
        (image(), "2 must name an existing image file. Received: file_name='b.png'"),
        (
            image(file_name="\ud800"),
            r"2 must name an existing image file. Received: file_name='\ud800'",
        ),
        (image(file_name=None), "2 must have a file name. Received: file_name=None"),
        (image(file_name=["b"]), "2 must have a file name. Received: file_name=['b']"),
        (
            image(file_name="a.png"),
            "2 must name a file that image 1 does not name. Received: file_name='a.png'",
        ),
        (
            image(id=1, file_name="./a.png"),
            "at position 1 must have an id that no other image has. Received: id=1",
        ),
        (
            image(id=1.5),
            "at position 1 must be an object with an integer or text id. Received: id=1.5",
        ),
    ],
)
def test_a_broken_coco_image_is_dropped(place, broken, line):
    path = write_coco(place, content(images=[*content()["images"], broken]))
    expect(place, path, [f"{path}: image {line}"], dropped=(1, 0))


def test_the_boxes_of_a_dropped_image_are_counted(place):
    extra = [annotation(id=number, image_id=2) for number in (2, 3)]
    path = write_coco(
        place, content(images=[*content()["images"], image()], annotations=[GOOD, *extra])
    )
    line = f"{path}: image 2 must name an existing image file. Received: file_name='b.png'"
    read = expect(place, path, [line], dropped=(1, 2))
    assert read.summary().endswith("; 1 image dropped; 2 boxes dropped")


@pytest.mark.parametrize(
    "broken, lines",
    [
        (
            {"id": 5, "name": "other"},
            ["at position 1 must have an id that no other category has. Received: id=5"],
        ),
        ({"id": 6}, ["6 must have a name. Received: name=None"]),
        ({"id": 6, "name": ""}, ["6 must have a name. Received: name=''"]),
    ],
)
def test_a_broken_coco_category_is_dropped(place, broken, lines):
    path = write_coco(place, content(categories=[*content()["categories"], broken]))
    read = expect(place, path, [f"{path}: category {line}" for line in lines])
    assert read.class_names == ["cell"]


def test_classes_beyond_the_given_ones_are_dropped(place):
    path = write_coco(
        place,
        content(
            categories=[{"id": 5, "name": "cell"}, {"id": 6, "name": "<b>'other'</b>"}],
            annotations=[GOOD, annotation(category_id=6)],
        ),
    )
    line = (
        f"{path}: annotation 2 of 'a.png' must have one of the given classes. "
        "Received: category=\"<b>'other'</b>\""
    )
    expect(place, path, [line], dropped=(0, 1), class_names=["cell"])


@pytest.mark.parametrize(
    "text, line",
    [
        (
            '{"images": [',
            "file must be valid JSON. Received: Expecting value: line 1 column 13 (char 12)",
        ),
        ("", "file must be valid JSON. Received: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 200_000, "file must be valid JSON. Received: too deeply nested"),
        (
            "[]",
            "file must be a COCO object with the lists 'images', 'annotations' and 'categories'. "
            "Received: a file that holds a list",
        ),
        (
            '{"images": []}',
            "file must be a COCO object with the lists 'images', 'annotations' and 'categories'. "
            "Received: no 'annotations'",
        ),
        (
            '{"images": [], "annotations": {}, "categories": []}',
            "file must be a COCO object with the lists 'images', 'annotations' and 'categories'. "
            "Received: annotations of type dict",
        ),
    ],
    ids="cut empty nested list missing type".split(),
)
def test_a_file_that_is_no_coco_json_stops_with_one_line(place, text, line):
    path = write_coco(place, text)
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == f"{path}: {line}"


def test_json_that_is_no_text_stops_with_one_line(place):
    path = place / "truth.json"
    path.write_bytes(b'{"images": "\xff"}')
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == (
        f"{path}: file must be valid JSON. Received: 'utf-8' codec can't decode byte 0xff in "
        "position 12: invalid start byte"
    )
