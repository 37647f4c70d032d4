"""Broken VOC and YOLO files: one line with file, item and rule for each; the rest is used."""

import pytest
from broken_folders import PICTURE, expect, thing, xml

from boxloss import datasets, files


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
