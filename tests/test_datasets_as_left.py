"""Folders as labelling tools, phones and other people leave them load with the right boxes.

Each row is a kind of file that a public report describes, in every format in which it can occur.
"""

import json
import math
import os
import unicodedata

import folders
import numpy as np
import pytest
from folders import JPEG, PNG, XYXY, YOLO_LINE, YOLO_XYXY, put, shown, write

from boxloss import datasets

NAN = float("nan")
CELL = [("cell", XYXY)]
YOLO_CELL = [("cell", YOLO_XYXY)]


@pytest.fixture
def place(tmp_path):
    put(tmp_path, images__a_png=PNG)
    return tmp_path


def load_coco(place, content, **arguments):
    path = write(place / "ann.json", content)
    return datasets.load(place / "images", path, **arguments)


def load_voc(place, text, name="a.xml", **arguments):
    write(place / "ann" / name, text)
    return datasets.load(place / "images", place / "ann", **arguments)


def load_yolo(place, labels=YOLO_LINE, yaml="names: [cell]\n", **arguments):
    write(place / "labels" / "a.txt", labels)
    path = write(place / "data.yaml", yaml)
    return datasets.load(place / "images", path, **arguments)


# Numbers, flags, names, sizes ---------------------------------------------------------------------


@pytest.mark.parametrize("written", [1, 1.0, "1", "1.0", "1e0", " 1 "])
@pytest.mark.parametrize("where", ["image", "image_id", "category_id", "category", "annotation"])
def test_a_coco_id_in_any_notation(place, where, written):
    change = {
        "image": {"image": {"id": written}},
        "image_id": {"annotation": {"image_id": written}},
        "category_id": {"annotation": {"category_id": written}},
        "category": {"category": {"id": written}},
        "annotation": {"annotation": {"id": written}},
    }[where]
    read = load_coco(place, folders.coco(**change), strict=True)
    assert shown(read) == {"a.png": CELL}
    (record,) = read.records
    assert (record.image_id, record.annotation_ids, read.category_ids) == (1, [1], [1])


def test_a_coco_id_with_leading_zeros_is_kept_and_found(place):
    content = folders.coco(image={"id": "0007"}, annotation={"image_id": 7})
    read = load_coco(place, content, strict=True)
    assert shown(read) == {"a.png": CELL} and read.records[0].image_id == "0007"


@pytest.mark.parametrize("written", ["0", "0.0", "0.000e+00", "0e0", "+0", "cell"])
@pytest.mark.parametrize("separator", [" ", "\t", ", ", ",", ";", "  "])
def test_a_yolo_class_and_separators_as_they_are_written(place, written, separator):
    line = separator.join([written, "0.5", "0.5", "0.25", "0.25"]) + " \r\n\r\n"
    assert shown(load_yolo(place, line, strict=True)) == {"a.png": YOLO_CELL}


@pytest.mark.parametrize(
    "line", ["0 0,5 0,5 0,25 0,25", "0 5.0e-1 .5 2.5E-01 +0.25", "0.0 0.50 0.500 0.25 0.25 "]
)
def test_yolo_numbers_as_they_are_written(place, line):
    assert shown(load_yolo(place, line, strict=True)) == {"a.png": YOLO_CELL}


def test_a_yolo_class_may_be_a_name_of_several_words(place):
    read = load_yolo(place, "traffic light 0.5 0.5 0.25 0.25", "names: [dog, traffic light]\n")
    assert shown(read) == {"a.png": [("traffic light", YOLO_XYXY)]}


def test_yolo_class_names_that_no_file_lists(place):
    write(place / "labels" / "a.txt", "cell 0.5 0.5 0.25 0.25\n")
    read = datasets.load(place / "images", place / "labels", strict=True)
    assert shown(read) == {"a.png": YOLO_CELL}


@pytest.mark.parametrize("bbox", [["4", "5", "10", "12"], ["4.0", 5, 10.0, "1.2e1"]])
@pytest.mark.parametrize("area", ["120", None, NAN, ..., "", -1, 0])
def test_coco_numbers_as_text(place, bbox, area):
    read = load_coco(place, folders.coco(annotation={"bbox": bbox, "area": area}), strict=True)
    assert shown(read) == {"a.png": CELL}
    assert read.records[0].areas.tolist() == [120.0]


@pytest.mark.parametrize("corners", [XYXY, "4 5 14 17".split(), (" 4.0 ", "5e0", "14.00", "17")])
def test_voc_numbers_as_text(place, corners):
    assert shown(load_voc(place, folders.voc(corners=corners), strict=True)) == {"a.png": CELL}


@pytest.mark.parametrize("side", [..., None, NAN, 0, 0.0, -1, "", "0", "-1", "unknown", [40]])
def test_a_size_that_says_nothing_is_taken_from_the_picture(place, side):
    read = load_coco(place, folders.coco(image={"width": side, "height": side}), strict=True)
    assert shown(read) == {"a.png": CELL}
    assert (read.records[0].width, read.records[0].height) == (40, 30)
    text = None if side in (..., None) else side
    assert shown(load_voc(place, folders.voc(size=(text, text)), strict=True)) == {"a.png": CELL}
    assert shown(load_voc(place, folders.voc(size=None), strict=True)) == {"a.png": CELL}


@pytest.mark.parametrize("width, height", [("40", "30"), (40.0, 30.0), ("40.0", 30), (40.2, 29.9)])
def test_a_size_in_any_notation_is_that_size(place, width, height):
    read = load_coco(place, folders.coco(image={"width": width, "height": height}), strict=True)
    assert shown(read) == {"a.png": CELL}
    assert shown(load_voc(place, folders.voc(size=(width, height)), strict=True))
    wrong = folders.coco(image={"width": "41"})
    with pytest.raises(ValueError, match=r"40 x 30, annotation 41 x 30"):
        load_coco(place, wrong)


@pytest.mark.parametrize("flag", ["iscrowd", "ignore", "difficult"])
@pytest.mark.parametrize(
    "value, expected",
    [("0", False), ("false", False), (None, False), (..., False), ("", False), (0.0, False)]
    + [("1", True), ("true", True), (1.0, True), (True, True), (1, True)],
)
def test_flags_of_coco(place, flag, value, expected):
    read = load_coco(place, folders.coco(annotation={"iscrowd": ..., flag: value}), strict=True)
    assert read.records[0].ignored.tolist() == [expected]


@pytest.mark.parametrize("value", ["0", "false", "False", "", "Unspecified", None])
def test_flags_of_voc(place, value):
    read = load_voc(place, folders.voc(difficult=value), strict=True)
    assert read.records[0].difficult.tolist() == [False]
    for yes in ("1", "true", "1.0"):
        read = load_voc(place, folders.voc(difficult=yes), strict=True)
        assert read.records[0].difficult.tolist() == [True]


@pytest.mark.parametrize("written, name", [(7, "7"), (7.0, "7"), (" cell ", "cell"), ("7", "7")])
def test_a_name_may_be_a_number_or_have_spaces_around_it(place, written, name):
    read = load_coco(place, folders.coco(category={"name": written}), strict=True)
    assert shown(read) == {"a.png": [(name, XYXY)]}
    read = load_yolo(place, yaml=f"names: [{written}]\n", strict=True)
    assert read.class_names == [str(written).strip()]


def test_two_categories_of_one_name_are_one_class(place):
    root = {"id": 0, "name": "cell", "supercategory": "none"}
    child = {"id": 4, "name": "cell ", "supercategory": "cell"}
    content = folders.coco(annotation={"category_id": 4}, categories=[root, child])
    read = load_coco(place, content, strict=True)
    assert shown(read) == {"a.png": CELL}
    # Results of a detector that was trained on this file say 4.
    assert read.category_ids == [4] and read.label_of_category == {0: 0, 4: 0}
    lines = YOLO_LINE + "1 0.2 0.2 0.1 0.1\n"
    read = load_yolo(place, lines, "names: [cell, 'cell']\n", strict=True)
    assert read.class_names == ["cell"] and len(read.records[0]) == 2


@pytest.mark.parametrize(
    "categories, category_id, name",
    [
        (..., 3, "3"),
        ([], 3, "3"),
        (None, "3", "3"),
        (["cell", "dog"], 0, "cell"),
        (["dog", "cell"], 2, "cell"),
        ({"3": "cell"}, 3, "cell"),
        ({"3": {"name": "cell"}}, 3, "cell"),
        ({"cell": 3}, 3, "cell"),
        ([{"id": 3, "name": "cell"}], "cell", "cell"),
    ],
)
def test_categories_that_are_no_list_of_objects(place, categories, category_id, name):
    content = folders.coco(annotation={"category_id": category_id}, categories=categories)
    assert shown(load_coco(place, content, strict=True)) == {"a.png": [(name, XYXY)]}


def test_a_list_of_names_that_begins_nobody_knows_where_is_refused(place):
    content = folders.coco(annotation={"category_id": 1}, categories=["a", "b", "c"])
    with pytest.raises(ValueError, match="categories must have ids where neither 0 nor"):
        load_coco(place, content)


# Ids that several have ----------------------------------------------------------------------------


def test_annotations_without_ids_or_with_the_same_ids_keep_their_boxes(place):
    one, other = folders.coco()["annotations"][0], [1, 2, 3, 4]
    without = [{k: v for k, v in one.items() if k != "id"}, {**one, "id": None, "bbox": other}]
    read = load_coco(place, folders.coco(annotations=without), strict=True)
    assert [len(record) for record in read.records] == [2]
    twice = [one, {**one, "bbox": other}, dict(one)]
    read = load_coco(place, folders.coco(annotations=twice))
    assert shown(read) == {"a.png": [*CELL, ("cell", [1, 2, 4, 6])]}
    assert read.records[0].annotation_ids == [1, 2]
    assert [problem.action for problem in read.problems] == ["kept", "dropped"]
    assert read.dropped == {"images": 0, "boxes": 1}


def collision(names, ids):
    images = [{"id": key, "file_name": name} for key, name in zip(ids, names, strict=True)]
    boxes = [[i + 1, 2 * i + 1, 8, 6] for i in range(len(names))]
    base = folders.coco()["annotations"][0]
    annotations = [
        {**base, "id": i + 1, "image_id": key, "bbox": box}
        for i, (key, box) in enumerate(zip(ids, boxes, strict=True))
    ]
    return folders.coco(images=images, annotations=annotations)


NAMES = ["dawn/001500.png", "noon/001500.png", "dusk/001500.png", "noon/001501.png"]


@pytest.mark.parametrize("key", [1500, "001500", "1500"])
def test_no_box_of_colliding_ids_lies_on_a_wrong_image(place, key):
    """Three pictures of one name in different folders, ids equal to their stems."""
    for name in NAMES:
        write(place / "images" / name, PNG)
    read = load_coco(place, collision(NAMES, [key, key, key, 1501]))
    assert shown(read) == {"noon/001501.png": [("cell", [4, 7, 12, 13])]}
    assert read.dropped == {"images": 3, "boxes": 3}
    assert len(read.problems) == 6  # each image, and each of their boxes
    path = place / "ann.json"
    assert str(read.problems[0]) == (
        f"{path}: image at position 0 must have an id that no other image has. Received: id={key!r}"
    )
    assert str(read.problems[-1]) == (
        f"{path}: annotation 3 must have the id of an image. Received: image_id={key!r}"
    )


def test_of_colliding_ids_the_one_whose_picture_is_there_is_meant(place):
    write(place / "images" / NAMES[1], PNG)
    read = load_coco(place, collision(NAMES[:2], [1500, 1500]))
    assert list(shown(read)) == ["noon/001500.png"]
    assert read.dropped == {"images": 1, "boxes": 0}


def test_names_that_could_only_be_guessed_to_be_one_picture_have_none(place):
    """The folders are gone: three names end in 001500.png, one picture is left of them."""
    write(place / "images" / "001500.png", PNG)
    write(place / "images" / "001501.png", PNG)
    read = load_coco(place, collision(NAMES, [1, 2, 3, 4]))
    assert list(shown(read)) == ["001501.png"]
    assert read.dropped == {"images": 3, "boxes": 3}
    for i, name in enumerate(("noon", "dusk")):
        write(place / "ann" / name / "001500.xml", folders.voc("001500.png", name=name))
        write(place / "ann" / name / f"00150{i + 7}.xml", folders.voc("none.png"))
    write(place / "ann" / "a.xml", folders.voc())
    read = datasets.load(place / "images", place / "ann")
    assert shown(read) == {"a.png": CELL}
    assert read.dropped == {"images": 4, "boxes": 4}


# File names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "sub/a.jpg",
        "./sub/a.jpg",
        "sub//a.jpg",
        "sub/a.jpg/",
        "sub\\a.jpg",
        ".\\sub\\a.jpg",
        "images/sub/a.jpg",
        "images\\sub\\a.jpg",
        "{root}/sub/a.jpg",
        "/home/user/data/images/sub/a.jpg",
        "C:\\Users\\user\\images\\sub\\a.jpg",
        "train/sub/a.jpg",
        "sub/a%2Ejpg",
        "https://host/bucket/sub/a.jpg",
        "/data/local-files/?d=sub%2Fa.jpg",
        "Sub/A.JPG",
        "sub/a",
        "sub/a.png",
        "a.jpg",
    ],
)
def test_file_names_of_other_machines(tmp_path, written):
    put(tmp_path, images__sub__a_jpg=JPEG, images__b_png=PNG)
    written = written.format(root=tmp_path / "images")
    read = load_coco(tmp_path, folders.coco(image={"file_name": written}), strict=True)
    assert shown(read) == {"sub/a.jpg": CELL}
    read = load_voc(tmp_path, folders.voc(written), "other.xml", strict=True)
    assert shown(read) == {"sub/a.jpg": CELL}


@pytest.mark.parametrize("written", [7, 7.0, "7", "7.png"])
def test_a_file_name_may_be_a_number(tmp_path, written):
    write(tmp_path / "images" / "7.png", PNG)
    read = load_coco(tmp_path, folders.coco(image={"file_name": written}), strict=True)
    assert shown(read) == {"7.png": CELL}


def test_names_of_one_file_are_one_image(place):
    images = [{"id": i, "file_name": name} for i, name in enumerate(("a.png", "./a.png", "a.png/"))]
    read = load_coco(place, folders.coco(images=images, annotation={"image_id": 0}))
    assert shown(read) == {"a.png": CELL}
    assert read.dropped["images"] == 2


def test_accents_in_two_parts_as_a_mac_writes_them(place):
    name = "Zürich é.png"
    write(place / "images" / unicodedata.normalize("NFD", name), PNG)
    content = folders.coco(image={"file_name": unicodedata.normalize("NFC", name)})
    assert len(load_coco(place, content, strict=True).records[0]) == 1


@pytest.mark.parametrize("written", ["a", "b/a.png", "A.png"])
def test_a_name_that_fits_two_pictures_fits_none(place, written):
    put(place, images__a_jpg=JPEG, images__A_jpeg=JPEG, images__A_jpg=JPEG, images__b_png=PNG)
    if written == "A.png":
        write(place / "images" / "A.PNG", PNG)
    if written == "b/a.png":
        assert shown(load_coco(place, folders.coco(image={"file_name": written}))) == {
            "a.png": CELL
        }
        return
    with pytest.raises(ValueError, match="must name one image file. Received: file_name='"):
        load_coco(place, folders.coco(image={"file_name": written}), strict=True)


@pytest.mark.parametrize(
    "written",
    ["/home/user/data/images/a.png", "C:\\Users\\user\\images\\a.png", "../images/a.png"]
    + ["a", "a.jpg", "gone.png", "", None, "..\\x\\a.png", "http://host/x.png"],
)
def test_the_stem_of_a_voc_file_finds_its_picture(place, written):
    assert shown(load_voc(place, folders.voc(written), strict=True)) == {"a.png": CELL}


def test_of_a_shifted_voc_filename_the_stem_wins_and_each_is_reported(place):
    put(place, images__b_png=PNG, images__c_png=PNG)
    for own, other in (("b", "a"), ("c", "b")):
        write(place / "ann" / f"{own}.xml", folders.voc(f"{other}.png", name=own))
    read = datasets.load(place / "images", place / "ann")
    assert shown(read) == {"b.png": [("b", XYXY)], "c.png": [("c", XYXY)]}
    assert [str(problem) for problem in read.problems] == [
        f"{place}/ann/{own}.xml: file must name the image of its own stem. "
        f"Received: file_name='{other}.png'; '{own}.png' is used"
        for own, other in (("b", "a"), ("c", "b"))
    ]
    assert read.dropped == {"images": 0, "boxes": 0}
    with pytest.raises(ValueError, match="of its own stem"):
        datasets.load(place / "images", place / "ann", strict=True)


def test_voc_files_in_folders(place):
    assert shown(load_voc(place, folders.voc(), "sub/a.xml", strict=True)) == {"a.png": CELL}


def test_voc_files_of_one_stem_belong_to_the_picture_in_their_folder(tmp_path):
    for i, name in enumerate(("s1", "s2")):
        write(tmp_path / "images" / name / "a.png", PNG)
        write(tmp_path / "ann" / name / "a.xml", folders.voc(corners=[i, i, 9, 9]))
    read = datasets.load(tmp_path / "images", tmp_path / "ann", strict=True)
    assert shown(read) == {
        "s1/a.png": [("cell", [0, 0, 9, 9])],
        "s2/a.png": [("cell", [1, 1, 9, 9])],
    }


def test_labels_of_nested_pictures_lie_flat_only_where_that_is_clear(tmp_path):
    put(tmp_path, images__s1__a_png=PNG, images__s2__b_png=PNG)
    put(tmp_path, texts__a_txt=YOLO_LINE, texts__b_txt=YOLO_LINE, texts__classes_txt="cell\n")
    read = datasets.load(tmp_path / "images", tmp_path / "texts", strict=True)
    assert shown(read) == {"s1/a.png": YOLO_CELL, "s2/b.png": YOLO_CELL}
    put(tmp_path, images__s2__a_png=PNG)
    with pytest.raises(ValueError, match="must have a label file"):
        datasets.load(tmp_path / "images", tmp_path / "texts")


# Pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [JPEG, PNG], ids=["jpeg", "png"])
@pytest.mark.parametrize("tail", [b"\0" * 100_000, b"ftypmp42" + bytes(range(1, 240)) * 1300])
@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_a_picture_with_something_behind_it(tmp_path, picture, tail, format):
    write(tmp_path / "images" / "a.jpg", picture + tail)
    if format == "coco":
        read = load_coco(tmp_path, folders.coco(image={"file_name": "a.jpg"}), strict=True)
    elif format == "voc":
        read = load_voc(tmp_path, folders.voc("a.jpg"), strict=True)
    else:
        read = load_yolo(tmp_path, strict=True)
    assert [len(record) for record in read.records] == [1]
    assert datasets.read_image(read.records[0].path).shape == (30, 40, 3)


@pytest.mark.parametrize("picture", [JPEG, PNG], ids=["jpeg", "png"])
def test_a_picture_that_is_cut_is_refused_whatever_lies_behind_it(tmp_path, picture):
    path = write(tmp_path / "a.jpg", picture[: len(picture) // 2] + b"\0" * 100_000)
    with pytest.raises(ValueError, match="be complete"):
        datasets.read_image(path)


def test_what_macos_and_jupyter_hide_is_no_picture(place):
    put(place, labels__a_txt=YOLO_LINE)
    for name in ("._a.png", "__MACOSX/a.png", ".ipynb_checkpoints/a-checkpoint.png"):
        write(place / "images" / name, b"Mac OS X")
    write(place / "labels" / "._a.txt", b"Mac OS X")
    assert len(datasets.load(place / "images", place / "labels", strict=True)) == 1
    assert len(datasets.load_images(place / "images", strict=True)) == 1
    write(place / "ann" / "._a.xml", b"Mac OS X")
    assert len(load_voc(place, folders.voc(), strict=True)) == 1


@pytest.mark.parametrize("what", ["pipe", "huge"])
def test_pipes_and_huge_files_are_not_read(place, what):
    path = place / "images" / "b.png"
    if what == "pipe":
        os.mkfifo(path)
        expected = "be a regular file. Received: a pipe, a device or a folder"
    else:
        with open(path, "wb") as file:
            file.write(PNG)
            file.truncate(20 * 2**30)  # sparse: it takes no room
        expected = f"have at most {2**29} bytes. Received: {20 * 2**30} bytes"
    with pytest.raises(ValueError) as error:
        datasets.read_image(path)
    assert str(error.value) == f"{path}: image must {expected}"
    put(place, labels__a_txt=YOLO_LINE, labels__b_txt=YOLO_LINE)
    read = datasets.load(place / "images", place / "labels")
    assert len(read) == 1 and read.dropped["images"] == 1


# Symbolic links -----------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path):
    """Two pictures that are links into a pool, and a folder that is one; labels of all of them."""
    put(tmp_path, pool__a_png=PNG, pool__b_png=PNG, deep__c_png=PNG)
    (tmp_path / "images").mkdir()
    for name in "ab":
        (tmp_path / "images" / f"{name}.png").symlink_to(tmp_path / "pool" / f"{name}.png")
    (tmp_path / "images" / "sub").symlink_to(tmp_path / "deep")
    names = ("a.png", "b.png", "sub/c.png")
    content = collision(names, [1, 2, 3])
    write(tmp_path / "ann.json", content)
    for name in names:
        write(tmp_path / "ann" / name.replace("png", "xml"), folders.voc(name))
        write(tmp_path / "labels" / name.replace("png", "txt"), YOLO_LINE)
    return tmp_path


@pytest.mark.parametrize("annotations", ["ann.json", "ann", "labels"])
def test_links_out_of_the_folder_are_refused_by_name_and_number(linked, annotations):
    with pytest.raises(ValueError) as error:
        datasets.load(linked / "images", linked / annotations)
    assert "3 symbolic links that lead out of it (--follow-links allows them)" in str(error.value)
    with pytest.raises(ValueError, match="a symbolic link out of it"):
        datasets.load(linked / "images", linked / annotations, strict=True)
    write(linked / "images" / "d.png", PNG)
    if annotations != "ann.json":
        write(linked / annotations / ("d.xml" if annotations == "ann" else "d.txt"), "")
    content = collision(("a.png", "d.png"), [1, 2])
    write(linked / "ann.json", content)
    if annotations != "ann":
        read = datasets.load(linked / "images", linked / annotations)
        assert read.summary().endswith("; 3 symbolic links refused (--follow-links allows them)")
        assert any("a symbolic link out of it" in str(problem) for problem in read.problems)


@pytest.mark.parametrize("annotations", ["ann.json", "ann", "labels"])
def test_links_are_followed_where_that_is_allowed(linked, annotations):
    (linked / "deep" / "loop").symlink_to(linked / "deep")
    read = datasets.load(linked / "images", linked / annotations, strict=True, follow_links=True)
    assert list(shown(read)) == ["a.png", "b.png", "sub/c.png"]
    assert read.followed == [str(linked / "deep"), str(linked / "pool")]
    assert datasets.read_image(read.records[2].path).shape == (30, 40, 3)


def test_linked_pictures_without_annotations(linked):
    with pytest.raises(ValueError, match="3 symbolic links"):
        datasets.load_images(linked / "images")
    assert len(datasets.load_images(linked / "images", follow_links=True)) == 3


@pytest.mark.parametrize("annotations", ["ann", "labels"])
def test_an_image_with_linked_labels_is_dropped_unless_allowed(linked, annotations):
    suffix = {"ann": "xml", "labels": "txt"}[annotations]
    for name in "bd":
        write(linked / "plain" / f"{name}.png", PNG)
    (linked / annotations / f"b.{suffix}").unlink()
    (linked / annotations / f"b.{suffix}").symlink_to(
        write(linked / "elsewhere", folders.voc("b.png") if suffix == "xml" else YOLO_LINE)
    )
    (linked / annotations / f"a.{suffix}").unlink()
    good = write(linked / annotations / f"d.{suffix}", folders.voc("d.png"))
    if suffix == "txt":
        write(good, YOLO_LINE)
    (linked / annotations / "sub" / f"c.{suffix}").unlink()
    read = datasets.load(linked / "plain", linked / annotations)
    assert list(shown(read)) == ["d.png"] and read.dropped["images"] == 1
    both = datasets.load(linked / "plain", linked / annotations, follow_links=True, strict=True)
    assert list(shown(both)) == ["b.png", "d.png"]


# Text ---------------------------------------------------------------------------------------------

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts_in_any_unicode(place, encoding):
    name = "Zürich"
    content = json.dumps(folders.coco(category={"name": name}), ensure_ascii=False)
    assert shown(load_coco(place, content.encode(encoding), strict=True)) == {
        "a.png": [(name, XYXY)]
    }
    if encoding != "utf-32":  # one that the XML parser and YOLO's tools never see
        text = folders.voc(name=name).encode(encoding)
        assert shown(load_voc(place, text, strict=True)) == {"a.png": [(name, XYXY)]}
    labels, yaml = YOLO_LINE.encode(encoding), f"names: [{name}]\n".encode(encoding)
    read = load_yolo(place, labels, yaml, strict=True)
    assert shown(read) == {"a.png": [(name, YOLO_XYXY)]}


@pytest.mark.parametrize("encoding", ["gbk", "iso-8859-1", "shift_jis"])
def test_xml_in_the_encoding_that_it_declares(place, encoding):
    name = {"gbk": "细胞", "iso-8859-1": "Zürich", "shift_jis": "細胞"}[encoding]
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + folders.voc(name=name)
    read = load_voc(place, text.encode(encoding), strict=True)
    assert shown(read) == {"a.png": [(name, XYXY)]}


def test_xml_that_declares_another_encoding_than_it_has(place):
    text = '<?xml version="1.0" encoding="utf-16"?>' + folders.voc(name="Zürich")
    assert shown(load_voc(place, text.encode(), strict=True)) == {"a.png": [("Zürich", XYXY)]}


@pytest.mark.parametrize("change", [str.upper, str.title])
def test_tags_in_capitals(place, change):
    tags = "annotation filename size width height object name bndbox xmin ymin xmax ymax".split()
    text = folders.voc()
    for tag in tags:
        text = text.replace(f"<{tag}>", f"<{change(tag)}>").replace(
            f"</{tag}>", f"</{change(tag)}>"
        )
    assert shown(load_voc(place, text, strict=True)) == {"a.png": CELL}


@pytest.mark.parametrize("kind", ["bytes", "pipe", "nothing"])
@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_an_image_whose_labels_cannot_be_read_is_dropped_and_counted(place, kind, format):
    suffix = {"yolo": "txt", "voc": "xml"}[format]
    write(place / "images" / "b.png", PNG)
    labels = place / "labels"
    write(labels / f"b.{suffix}", YOLO_LINE if format == "yolo" else folders.voc("b.png"))
    broken = labels / f"a.{suffix}"
    if kind == "bytes":
        broken.write_bytes(b"0 0.5 \xff\xfe\x00 0.5")
    elif kind == "pipe":
        os.mkfifo(broken)
    else:
        broken.symlink_to(place / "nowhere")
    read = datasets.load(place / "images", labels)
    assert list(shown(read)) == ["b.png"]
    assert read.dropped == {"images": 1, "boxes": 0}
    assert [problem.path for problem in read.problems] == [str(broken)]


# YOLO's lines, names and layouts ------------------------------------------------------------------

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


# Metrics ------------------------------------------------------------------------------------------


def disturbed_coco(rng, place):
    """COCO truth in notations that pycocotools reads too, and results for it."""
    images, annotations, results = [], [], []
    for i in range(6):
        name = f"sub\\{i}.png" if i % 2 else f"./sub/{i}.png"
        write(place / "images" / "sub" / f"{i}.png", PNG)
        size = [{}, {"width": "40"}, {"width": -1, "height": None}][i % 3]
        images.append({"id": i + 1 if i % 2 else float(i + 1), "file_name": name, **size})
        for _ in range(5):
            x, y, w, h = (float(v) for v in rng.uniform([0, 0, 4, 4], [20, 15, 20, 15]).round(2))
            label = int(rng.integers(1, 4))
            crowd = bool(rng.random() < 0.2)
            annotation = {
                "id": float(len(annotations) + 1),
                "image_id": float(i + 1),
                "category_id": [label, float(label)][i % 2],
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": [int(crowd), crowd, float(crowd)][i % 3],
                "segmentation": [],
            }
            annotations.append(annotation)
            if rng.random() < 0.8:
                moved = [x + float(rng.normal()), y + float(rng.normal()), w, h]
                score = round(float(rng.random()), 3)
                results.append([i + 1, int(rng.choice([label, label, 2])), moved, score])
    rng.shuffle(annotations)
    names = ({"id": float(3 - i), "name": name} for i, name in enumerate(("a", 7, "c ")))
    keys = ("image_id", "category_id", "bbox", "score")
    results = [dict(zip(keys, row, strict=True)) for row in results]
    return {"images": images, "annotations": annotations, "categories": list(names)}, results


@pytest.mark.parametrize("seed", range(5))
def test_three_tools_agree_on_disturbed_files(place, seed, capsys):
    from faster_coco_eval import COCO as FasterCOCO
    from faster_coco_eval import COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from boxloss import evaluation

    content, results = disturbed_coco(np.random.default_rng(seed), place)
    path = write(place / "ann.json", content)
    # faster-coco-eval 1.8 refuses ids that are floats: it gets the whole numbers that they are.
    whole = json.loads(
        path.read_text(), parse_float=lambda text: json.loads(text.removesuffix(".0"))
    )
    plain = write(place / "plain.json", whole)
    stats = []
    for tool, evaluator, truth in (
        (COCO, COCOeval, path),
        (FasterCOCO, COCOeval_faster, plain),
    ):
        truth = tool(str(truth))
        run = evaluator(truth, truth.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
        stats.append([run.stats[place] for place in (0, 1, 2, 3, 8)])
    read = datasets.load(place / "images", path, strict=True)
    metrics = evaluation.coco_metrics(read, results)
    ours = [metrics[name] for name in ("AP", "AP50", "AP75", "APs", "AR100")]
    assert 0.1 < ours[0] < 0.9
    np.testing.assert_allclose(stats[1], stats[0], atol=1e-9)
    np.testing.assert_allclose(ours, stats[0], atol=1e-6)
