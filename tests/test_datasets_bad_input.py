"""Dirty folders: every broken item is one line with its file, item and rule; the rest is used."""

import json
import os
import sys

import cv2
import numpy as np
import pytest

from boxloss import datasets, files
from boxloss.datasets import voc

PICTURE = cv2.imencode(".png", np.full((30, 40, 3), 90, "uint8"))[1].tobytes()
GOOD = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [4, 5, 10, 12]}


@pytest.fixture
def place(tmp_path):
    """A folder with one good picture, 40 x 30, in `images`."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(PICTURE)
    return tmp_path


def content(**changes):
    base = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [dict(GOOD)],
        "categories": [{"id": 5, "name": "cell"}],
    }
    return base | changes


def write_coco(place, value, name="truth.json"):
    path = place / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def expect(place, annotations, lines, dropped=(0, 0), boxes=1, **arguments):
    """Load: the rest is used and the report is `lines`; strict: the first line, raised."""
    read = datasets.load(place / "images", annotations, **arguments)
    assert [str(problem) for problem in read.problems] == lines
    assert read.dropped == {"images": dropped[0], "boxes": dropped[1]}
    assert sum(len(record) for record in read.records) == boxes
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", annotations, strict=True, **arguments)
    assert str(error.value) == lines[0]
    assert "\n" not in lines[0]
    return read


def annotation(**changes):
    return {**GOOD, "id": 2, **changes}


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


def image(**changes):
    return {"id": 2, "file_name": "b.png", **changes}


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


def xml(objects="", name="a.png", head="", root="annotation"):
    return f"{head}<{root}><filename>{name}</filename>{objects}</{root}>"


def thing(name="cell", corners=("4", "5", "14", "17")):
    inner = "".join(
        f"<{key}>{text}</{key}>" for key, text in zip(voc.CORNERS, corners, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def write_voc(place, text):
    (place / "labels").mkdir()
    (place / "labels" / "a.xml").write_text(xml(thing()))
    path = place / "labels" / "b.xml"
    path.write_text(text)
    (place / "images" / "b.png").write_bytes(PICTURE)
    return path


CORNERS = "must have a bndbox of four numbers xmin, ymin, xmax, ymax. Received: "


@pytest.mark.parametrize(
    "broken, line",
    [
        (
            thing(corners="9 5 9 7".split()),
            "must have xmin < xmax and ymin < ymax. Received: xmin=9, ymin=5, xmax=9, ymax=7",
        ),
        (
            thing(corners="1 5 nan 7".split()),
            "must have finite coordinates. Received: xmin=1, ymin=5, xmax=nan, ymax=7",
        ),
        (
            thing(corners="50 5 60 7".split()),
            "must overlap its image. Received: xmin=50, ymin=5, xmax=60, ymax=7 in 40 x 30 pixels",
        ),
        (
            thing(corners="1 2 x 7".split()),
            f"{CORNERS}xmin=1, ymin=2, xmax=x, ymax=7",
        ),
        (
            "<object><name>cell</name></object>",
            f"{CORNERS}xmin=None, ymin=None, xmax=None, ymax=None",
        ),
        (thing(name=" "), "must have a name. Received: name=''"),
    ],
)
def test_a_broken_voc_object_is_dropped(place, broken, line):
    path = write_voc(place, xml(thing() + broken, name="b.png"))
    read = expect(place, place / "labels", [f"{path}: object 2 {line}"], dropped=(0, 1), boxes=2)
    assert len(read) == 2


def test_broken_voc_objects_keep_their_number(place):
    write_voc(place, xml(thing(corners="1 1 1 1".split()) + thing(), name="b.png"))
    (place / "labels" / "c.xml").write_text(xml(thing(), name="c.png"))
    (place / "images" / "c.png").write_bytes(PICTURE)
    read = datasets.load(place / "images", place / "labels")
    assert [record.annotation_ids for record in read.records] == [[1], [3], [4]]
    assert [record.image_id for record in read.records] == [1, 2, 3]


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
XXE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
READABLE = "must be a readable XML file without a document type. Received: "


@pytest.mark.parametrize(
    "text, line",
    [
        (xml(thing("&c;"), head=LAUGHS), f"{READABLE}a document type 'lolz'"),
        (xml(thing("&f;"), head=XXE), f"{READABLE}a document type 'x'"),
        (xml(thing("&c;")), f"{READABLE}undefined entity: line 1, column 52"),
        (xml()[:30], f"{READABLE}unclosed token: line 1, column 27"),
        ("", f"{READABLE}no element found: line 1, column 0"),
        (
            '<?xml version="1.0" encoding="klingon"?>' + xml(),
            f"{READABLE}unknown encoding: klingon",
        ),
        (xml(root="html"), "must have the root element 'annotation'. Received: 'html'"),
    ],
    ids="laughs external undefined cut empty encoding root".split(),
)
def test_a_broken_voc_file_is_dropped(place, text, line):
    path = write_voc(place, text)
    expect(place, place / "labels", [f"{path}: file {line}"], dropped=(1, 0))


def test_of_two_voc_files_of_one_image_the_second_is_dropped(place):
    labels = place / "labels"
    labels.mkdir()
    for name in ("a.xml", "b.xml"):
        (labels / name).write_text(xml(thing()))
    line = f"{labels / 'b.xml'}: file must name a file that {labels / 'a.xml'} does not name. "
    expect(place, labels, [f"{line}Received: file_name='a.png'"], dropped=(1, 1))


def test_a_voc_file_of_a_missing_image_is_dropped(place):
    path = write_voc(place, xml(thing(), name="c.png"))
    (place / "images" / "b.png").unlink()
    line = f"{path}: file must name an existing image file. Received: file_name='c.png'"
    expect(place, place / "labels", [line], dropped=(1, 1))


def test_a_huge_voc_file_is_dropped_unread(place, monkeypatch):
    path = write_voc(place, xml(" " * 5000))
    monkeypatch.setattr(files.reading, "TEXT_LIMIT", 2000)
    line = f"{path}: file {READABLE}more than 2000 bytes"
    expect(place, place / "labels", [line], dropped=(1, 0))


def write_yolo(place, text, name="a.txt"):
    (place / "labels").mkdir(exist_ok=True)
    path = place / "labels" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (place / "data.yaml").write_text("names: [cell]\n")
    return path


FIELDS = "must have a class number, then x_center y_center width height. Received: "


@pytest.mark.parametrize(
    "broken, line",
    [
        ("0 0.5 0.5 0 0.5", "must have width > 0 and height > 0. Received: 0 0.5 0.5 0 0.5"),
        ("0 nan 0.5 0.1 0.5", "must have finite coordinates. Received: 0 nan 0.5 0.1 0.5"),
        (
            "0 1.9 0.5 0.4 0.4",
            "must overlap its image. Received: 0 1.9 0.5 0.4 0.4 in 40 x 30 pixels",
        ),
        ("0 0.5 0.5 0.1", f"{FIELDS}0 0.5 0.5 0.1"),
        ("0 0.5 0.5 0.1 0.1 0.9", f"{FIELDS}0 0.5 0.5 0.1 0.1 0.9"),
        ("dog 0.5 0.5 0.1 0.1", f"{FIELDS}dog 0.5 0.5 0.1 0.1"),
        ("0.5 0.5 0.5 0.1 0.1", f"{FIELDS}0.5 0.5 0.5 0.1 0.1"),
        ("3 0.5 0.5 0.1 0.1", "must have a known category. Received: category=3"),
        ("-1 0.5 0.5 0.1 0.1", "must have a known category. Received: category=-1"),
    ],
)
def test_a_broken_yolo_line_is_dropped(place, broken, line):
    path = write_yolo(place, f"0 0.5 0.5 0.25 0.25\n\n{broken}\n")
    expect(place, place / "data.yaml", [f"{path}: line 3 {line}"], dropped=(0, 1))


def test_yolo_labels_of_missing_images_are_reported(place):
    write_yolo(place, "0 0.5 0.5 0.25 0.25\n")
    path = write_yolo(place, "0 0.5 0.5 0.25 0.25\n", "b.txt")
    line = f"{path}: file must have an image of the same name. Received: no such image"
    expect(place, place / "data.yaml", [line], dropped=(1, 0))


def test_a_yolo_file_that_is_no_text_is_reported(place):
    (place / "images" / "b.png").write_bytes(PICTURE)
    write_yolo(place, "0 0.5 0.5 0.25 0.25\n", "b.txt")
    path = write_yolo(place, b"0 0.5 \xff\xfe 0.25 0.25\n")
    line = (
        f"{path}: file must be a readable text file. Received: 'utf-8' codec can't decode byte "
        "0xff in position 6: invalid start byte"
    )
    read = expect(place, place / "data.yaml", [line], dropped=(1, 0), boxes=1)
    assert [record.file_name for record in read.records] == ["b.png"]


@pytest.mark.parametrize("kind", ["yaml", "list"])
def test_a_yolo_class_without_a_name_is_refused(place, kind):
    write_yolo(place, "1 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.25 0.25\n")
    path = place / "data.yaml"
    path.write_text("names: ['', cell]\n")
    if kind == "list":
        path.unlink()
        path = place / "labels" / "classes.txt"
        path.write_text("\ncell\n\n")
    lines = [
        f"{path}: class 0 must have a name. Received: name=''",
        f"{place / 'labels' / 'a.txt'}: line 2 must have a known category. Received: category=0",
    ]
    annotations = path if kind == "yaml" else place / "labels"
    read = expect(place, annotations, lines, dropped=(0, 1), format="yolo")
    assert read.class_names == ["cell"]


def test_yolo_without_any_label_file_stops_with_one_line(place):
    (place / "data.yaml").write_text("names: [cell]\n")
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", place / "data.yaml")
    assert str(error.value) == (
        f"{place / 'images'}: folder must have a label file for one of its images, in `labels` in "
        "place of `images`, or beside the image. Received: 1 images without"
    )


def corrupt(name):
    jpeg = cv2.imencode(".jpg", np.full((30, 40, 3), 90, "uint8"))[1].tobytes()
    turned = (
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    )
    return {
        "empty": b"",
        "cut": jpeg[: len(jpeg) // 2],
        "text": b"no picture, but called one",
        "huge": PICTURE[:16] + (10_000).to_bytes(4, "big") * 2 + PICTURE[24:],
        "turned": jpeg[:2] + turned + jpeg[2:],
        "small": cv2.imencode(".png", np.zeros((3, 4), "uint8"))[1].tobytes(),
    }[name]


@pytest.mark.parametrize(
    "kind, rest",
    [
        ("empty", "hold data. Received: 0 bytes"),
        ("cut", f"be complete. Received: a JPEG of {len(corrupt('cut'))} bytes without its end"),
        (
            "text",
            "be a JPEG, PNG, BMP, WebP or TIFF file. Received: first bytes b'no picture, '",
        ),
        ("huge", "have at most 64000000 pixels. Received: 10000 x 10000"),
        (
            "turned",
            "have the size of its annotation. Received: 30 x 40, annotation 40 x 30 "
            "(upright by EXIF orientation 6)",
        ),
        ("small", "have the size of its annotation. Received: 4 x 3, annotation 40 x 30"),
    ],
)
def test_a_picture_that_cannot_be_used_is_dropped_with_its_boxes(place, kind, rest):
    picture = place / "images" / "b.jpg"
    picture.write_bytes(corrupt(kind))
    images = [*content()["images"], image(file_name="b.jpg", width=40, height=30)]
    path = write_coco(place, content(images=images, annotations=[GOOD, annotation(image_id=2)]))
    expect(place, path, [f"{picture}: image must {rest}"], dropped=(1, 1))


def test_a_pipe_is_no_picture(place):
    os.mkfifo(place / "images" / "b.png")
    path = write_coco(place, content(images=[*content()["images"], image()]))
    line = f"{path}: image 2 must name an existing image file. Received: file_name='b.png'"
    expect(place, path, [line], dropped=(1, 0))


def test_an_empty_data_set_stops_with_one_line(place):
    path = write_coco(place, content(images=[], annotations=[]))
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == (
        f"{place / 'images'}: data set must hold at least one usable image. "
        "Received: 0 images, 0 problems"
    )
    path = write_coco(place, content(images=[image()], annotations=[]))
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", path)
    assert str(error.value) == (
        f"{place / 'images'}: data set must hold at least one usable image. Received: 0 images, 1 "
        f"problems; the first: {path}: image 2 must name an existing image file. "
        "Received: file_name='b.png'"
    )


def test_images_without_boxes_are_kept(place):
    path = write_coco(place, content(annotations=[]))
    read = datasets.load(place / "images", path, strict=True)
    assert len(read) == 1 and len(read.records[0]) == 0
    assert read.records[0].boxes.shape == (0, 4)
    assert read.summary() == "1 image (1 without boxes), 0 boxes, 1 class: 'cell' 0"


def test_ten_thousand_boxes_in_one_image_are_read(place):
    rng = np.random.default_rng(0)
    many = [
        annotation(id=i + 1, bbox=[*rng.uniform(0, 20, 2), *rng.uniform(1, 10, 2)])
        for i in range(10_000)
    ]
    read = datasets.load(
        place / "images", write_coco(place, content(annotations=many)), strict=True
    )
    assert len(read.records[0]) == 10_000


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"images": "none"},
            "`images` must be an existing folder. Received: images='none'",
        ),
        (
            {"annotations": "none.json"},
            "`annotations` must be an existing file or folder. Received: annotations='none.json'",
        ),
        (
            {"format": "pascal"},
            "`format` must be one of 'coco', 'voc', 'yolo'. Received: format='pascal'",
        ),
        (
            {},
            "`annotations` must be given where neither the image folder nor its parent holds any "
            "(annotations.json, XML files, data.yaml). Received: images='images'",
        ),
        (
            {"annotations": "images"},
            "`annotations` must be a COCO .json file, a folder of VOC .xml files, a YOLO data.yaml "
            "or a folder of YOLO .txt files (`format` says which where the names do not). "
            "Received: annotations='images'",
        ),
        (
            {"annotations": "images", "format": "coco"},
            "`annotations` must be a COCO file or a folder with one. "
            "Received: annotations='images' with 0 .json files",
        ),
    ],
)
def test_wrong_arguments_of_load_are_named(place, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    with pytest.raises(ValueError) as error:
        datasets.load(**{"images": "images", **arguments})
    assert str(error.value) == message


OPENED = []
WATCHING = []


def watch(event, arguments):
    if WATCHING and event in ("open", "os.listdir", "os.scandir"):
        OPENED.append((event, arguments[0]))


sys.addaudithook(watch)  # for good: Python has no way to take one away


@pytest.fixture
def trap(place):
    """Names that lead out of the folder, by themselves or through a symbolic link."""
    secret = place / "secret"
    secret.mkdir()
    (secret / "s.png").write_bytes(PICTURE)
    (secret / "s.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (secret / "s.xml").write_text(xml(thing(), name="a.png"))
    (place / "images" / "link.png").symlink_to(secret / "s.png")
    (place / "images" / "linked").symlink_to(secret)
    (place / "images" / "up").symlink_to("..")
    return [
        "../secret/s.png",
        "../images/a.png",
        str(secret / "s.png"),
        "linked/s.png",
        "link.png",
        "../secret/s.png",
        "../images/a.png",
        "x/../../secret/s.png",
        "./../secret/s.png",
        "..\\secret\\s.png",
        "../secret/s.png",
        "../images/a.png",
        "~/s.png",
        "",
        "a\0.png",
    ]


def opened_while(action):
    OPENED.clear()
    WATCHING.append(True)
    try:
        result = action()
    finally:
        WATCHING.clear()
    return result, [(event, os.path.realpath(os.fsdecode(p))) for event, p in OPENED if p != "."]


def train_on(read):
    batches = datasets.Batches(read, 2, 32, augment=False)
    return [batches[i] for i in range(len(batches))]


def import_everything(place):
    """Python opens files too when it imports: let that be over before the watch begins."""
    train_on(datasets.load(place / "images", write_coco(place, content(), "first.json")))


def test_the_watch_sees_a_file_that_is_opened(place):
    _, opened = opened_while(lambda: datasets.read_image(place / "images" / "a.png"))
    assert opened == [("open", os.path.realpath(place / "images" / "a.png"))]


def test_no_image_outside_the_folder_is_opened_whatever_coco_says(place, trap):
    entries = [image(id=i + 2, file_name=name) for i, name in enumerate(trap)]
    path = write_coco(place, content(images=[*content()["images"], *entries]))
    import_everything(place)

    def action():
        read = datasets.load(place / "images", path)
        train_on(read)
        return read

    read, opened = opened_while(action)
    assert [record.file_name for record in read.records] == ["a.png"]
    images = os.path.realpath(place / "images")
    assert {name for _, name in opened} <= {os.path.realpath(path), images, f"{images}/a.png"}
    assert ("open", f"{images}/a.png") in opened
    assert [str(problem) for problem in read.problems] == [
        f"{path}: image {i + 2} must name a file inside the image folder. "
        f"Received: file_name={name!r}{', a symbolic link out of it' * name.startswith('link')}"
        for i, name in enumerate(trap)
    ]


@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_nothing_outside_the_folders_is_opened_whatever_voc_and_yolo_say(place, trap, format):
    labels = place / "labels"
    labels.mkdir()
    if format == "voc":
        names = [name for name in trap if name and "\0" not in name]
        for number, name in enumerate(names):
            (labels / f"{number}.xml").write_text(xml(thing(), name=name))
        (labels / "a.xml").write_text(xml(thing()))
        (labels / "z.xml").symlink_to(place / "secret" / "s.xml")
        expected = len(names) + 1
    else:
        (labels / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
        (labels / "b.txt").symlink_to(place / "secret" / "s.txt")
        (labels / "linked").symlink_to(place / "secret")
        (place / "images" / "b.png").write_bytes(PICTURE)
        expected = 4  # link.png, linked, up, b.txt
    inside = [os.path.realpath(place / name) for name in ("images", "labels")]

    def action():
        read = datasets.load(place / "images", labels, format=format)
        train_on(read)
        return read

    import_everything(place)
    read, opened = opened_while(action)
    assert len(read.problems) == expected
    assert opened
    for event, name in opened:
        outside = not any(os.path.commonpath([name, root]) == root for root in inside)
        assert not outside, (event, name)
    lines = [str(problem) for problem in read.problems]
    if format == "voc":
        assert lines[0] == (
            f"{labels}/z.xml: file must lie inside its folder. Received: a symbolic link out of it"
        )
    else:
        folder = "folder must lie inside the image folder. Received: a symbolic link out of it"
        assert lines == [
            f"{place}/images/link.png: image 'link.png' must name a file inside the image folder. "
            "Received: file_name='link.png', a symbolic link out of it",
            f"{place}/images/linked: {folder} (--follow-links allows it)",
            f"{place}/images/up: {folder} (--follow-links allows it)",
            f"{labels}/b.txt: file must lie inside its folder. Received: a symbolic link out of it",
        ]


def test_a_label_folder_that_is_a_link_is_followed_only_when_named(place):
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (place / "labels").symlink_to(place / "elsewhere")
    (place / "data.yaml").write_text("names: [cell]\n")
    with pytest.raises(ValueError, match="must have a label file"):
        datasets.load(place / "images", place / "data.yaml")
    assert len(datasets.load(place / "images", place / "labels").records[0]) == 1


def test_links_inside_the_folder_are_used(place):
    (place / "images" / "b.png").symlink_to(place / "images" / "a.png")
    path = write_coco(place, content(images=[*content()["images"], image()]))
    assert len(datasets.load(place / "images", path, strict=True)) == 2
