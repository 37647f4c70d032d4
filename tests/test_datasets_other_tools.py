"""More of what labelling tools write: names, numbers and folders that only one of them has."""

import unicodedata

import folders
import numpy as np
import pytest
from folders import (
    CELL,
    JPEG,
    PNG,
    YOLO_CELL,
    YOLO_LINE,
    load_coco,
    load_voc,
    load_yolo,
    put,
    shown,
    write,
)

from boxloss import datasets

NFD, NFC = (unicodedata.normalize(form, "é") for form in ("NFD", "NFC"))


# COCO ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [" a.png", "a.png\n", "images\\a.png \r\n", " /x/images/a.png"])
def test_blanks_around_a_file_name(place, written):
    read = load_coco(place, folders.coco(image={"file_name": written}), strict=True)
    assert shown(read) == {"a.png": CELL}


def test_lvis_names_its_pictures_by_their_addresses(place):
    address = "http://images.cocodataset.org/train2017/a.png"
    content = folders.coco(image={"file_name": ..., "coco_url": address})
    assert shown(load_coco(place, content, strict=True)) == {"a.png": CELL}


def test_boxes_in_shares_of_the_image_are_read_as_such_and_reported(place):
    """As Azure's labelling tool exports them; in pixels, all would lie in the first pixel."""
    entry = folders.coco()["annotations"][0] | {"bbox": [0.1, 0.2, 0.25, 0.4], "area": 0.1}
    content = folders.coco(annotations=[entry, entry | {"id": 2, "bbox": [0.5, 0.5, 0.5, 0.5]}])
    read = load_coco(place, content)
    (record,) = read.records
    np.testing.assert_allclose(record.boxes, [[4, 6, 14, 18], [20, 15, 40, 30]], rtol=1e-6)
    np.testing.assert_allclose(record.areas, [120, 300], rtol=1e-6)
    (problem,) = read.problems
    assert problem.action == "kept" and "boxes in pixels" in problem.rule
    # One box that reaches over a pixel says that all are in pixels.
    content["annotations"][1]["bbox"] = [0.5, 0.5, 1.5, 1]
    read = load_coco(place, content, strict=True)
    np.testing.assert_allclose(read.records[0].boxes[0], [0.1, 0.2, 0.35, 0.6], rtol=1e-6)


def test_a_folder_with_a_json_file_in_capitals(place):
    write(place / "ann" / "INSTANCES.JSON", folders.coco())
    assert shown(datasets.load(place / "images", place / "ann", strict=True)) == {"a.png": CELL}


# VOC ----------------------------------------------------------------------------------------------

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'


@pytest.mark.parametrize(
    "text",
    [
        f"\n{DECLARATION}{folders.voc()}",
        f"\ufeff \r\n{DECLARATION}\n{folders.voc()}\n\n",
        f"{DECLARATION}{folders.voc()}\0\0",
        f"{DECLARATION}<!-- by hand --><?x y?>{folders.voc().replace('ion>', 'ion >', 1)}",
    ],
)
def test_what_stands_before_and_behind_an_xml_file(place, text):
    assert shown(load_voc(place, text, strict=True)) == {"a.png": CELL}


def test_parts_of_an_object_have_boxes_of_their_own(place):
    part = folders.voc(name="head", corners=[1, 1, 3, 3]).partition("<object>")[2]
    part = part.partition("</object>")[0]
    text = folders.voc().replace("<object>", f"<object><part>{part}</part>")
    assert shown(load_voc(place, text, strict=True)) == {"a.png": CELL}


# Spelling of names --------------------------------------------------------------------------------


@pytest.mark.parametrize("picture, label", [("B.JPG", "b"), (f"{NFD}.jpg", NFC), ("b.JPG", "B")])
def test_labels_whose_names_are_spelt_otherwise(tmp_path, picture, label):
    write(tmp_path / "images" / picture, JPEG)
    write(tmp_path / "labels" / f"{label}.txt", YOLO_LINE)
    write(tmp_path / "data.yaml", "names: [cell]\n")
    read = datasets.load(tmp_path / "images", tmp_path / "data.yaml", strict=True)
    assert shown(read) == {picture: YOLO_CELL}
    read = load_voc(tmp_path, folders.voc(None), f"{label}.xml", strict=True)
    assert shown(read) == {picture: CELL}


def test_a_spelling_that_fits_two_pictures_fits_none(tmp_path):
    put(tmp_path, images__B_jpg=JPEG, images__b_png=PNG, images__c_png=PNG)
    put(tmp_path, labels__B_txt=YOLO_LINE, labels__c_txt=YOLO_LINE, classes_txt="cell\n")
    write(tmp_path / "images" / "É.png", PNG)
    write(tmp_path / "images" / "é.jpg", JPEG)
    write(tmp_path / "labels" / f"{unicodedata.normalize('NFD', 'é')}.txt", YOLO_LINE)
    read = datasets.load(tmp_path / "images", tmp_path / "labels")
    found = {name for name, boxes in shown(read).items() if boxes}
    assert found == {"B.jpg", "c.png"}  # as Linux has it: b.png has no labels, é.txt is reported
    assert [problem.rule for problem in read.problems] == ["have an image of the same name"]


# YOLO ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "0 5 5 10 10",  # pixels: of a box 10 times its image, the part inside would be all of it
        "0 50 50 25 25",
        "0 2.5 0.5 0.2 0.2",
        "0 1 1 30 1 30 20",
        "Car 0.00 0 -1.58 5.01 7.33 14.12 20.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59",  # KITTI
    ],
)
def test_a_line_in_pixels_or_percent_is_dropped_and_never_the_whole_image(place, line):
    write(place / "labels" / "a.txt", f"{line}\n0 0.5 0.5 0.25 0.25\n")
    read = datasets.load(place / "images", place / "labels")
    assert shown(read) == {"a.png": [("0", YOLO_CELL[0][1])]}
    assert read.dropped == {"images": 0, "boxes": 1}
    assert "shares of the image, numbers between 0 and 1" in read.problems[0].rule
    with pytest.raises(ValueError, match="line 1 must have a box in shares"):
        datasets.load(place / "images", place / "labels", strict=True)


def test_a_box_that_hangs_out_of_its_image_is_cut(place):
    read = load_yolo(place, "0 1.0 0.5 0.5 1.5\n")
    assert shown(read) == {"a.png": [("cell", [30, 0, 40, 30])]} and read.clipped == 1


@pytest.mark.parametrize(
    "name, text",
    [
        ("Classes.txt", "cell\n"),
        ("labels/CLASSES.TXT", "\ufeffcell\r\n"),
        ("labels/pets.names", "cell\n"),
        ("Data.yaml", "names: [cell]\n"),
        ("labels/pets.yaml", "nc: 1\nnames: [cell]\n"),
        ("labels/pets.yml", "names:\n  0: cell\n"),
    ],
)
def test_class_names_in_files_of_other_names(place, name, text):
    write(place / name, text)
    write(place / "labels" / "a.txt", YOLO_LINE)
    read = datasets.load(place / "images", place / "labels", strict=True)
    assert shown(read) == {"a.png": YOLO_CELL}


def test_of_two_files_that_could_have_the_class_names_none_is_taken(place):
    labels = place / "labels"
    put(labels, a_txt=YOLO_LINE, x_yaml="names: [dog]\n", y_yaml="names: [cat]\n")
    put(labels, x_names="dog\n", y_names="cat\n")
    assert datasets.load(place / "images", labels).class_names == ["0"]
    (labels / "y.yaml").unlink()
    write(labels / "x.yaml", "colour: red\n")  # without class names
    assert datasets.load(place / "images", labels).class_names == ["0"]
    (labels / "x.names").unlink()
    assert datasets.load(place / "images", labels).class_names == ["cat"]


def test_folders_above_the_given_ones_are_asked_for_the_usual_names_only(place):
    put(place, labels__a_txt=YOLO_LINE, pets_yaml="names: [dog]\n", pets_names="dog\n")
    assert datasets.load(place / "images", place / "labels").class_names == ["0"]
    write(place / "OBJ.NAMES", "cell\n")
    assert datasets.load(place / "images", place / "labels").class_names == ["cell"]


# Roots of data sets -------------------------------------------------------------------------------


def loaded(root):
    return {part: shown(dataset) for part, dataset in datasets.load_parts(root).items()}


@pytest.mark.parametrize("word", ["a", "a.jpg", "JPEGImages/a.jpg", "a.JPG  1"])
def test_lists_of_a_voc_root_may_have_suffixes(tmp_path, word):
    for name in "ab":
        write(tmp_path / "JPEGImages" / f"{name}.jpg", JPEG)
        write(tmp_path / "Annotations" / f"{name}.xml", folders.voc(f"{name}.jpg"))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", f"\ufeff{word}\r\n")
    write(tmp_path / "ImageSets" / "Main" / "val.txt", "b\n")
    assert loaded(tmp_path) == {"train": {"a.jpg": CELL}, "val": {"b.jpg": CELL}}


def test_folders_of_a_root_in_capitals(tmp_path):
    put(tmp_path, Images__Train__a_png=PNG, Images__Val__b_png=PNG, classes_txt="cell\n")
    put(tmp_path, Labels__train__a_txt=YOLO_LINE, Labels__val__b_txt=YOLO_LINE)
    assert loaded(tmp_path) == {"train": {"a.png": YOLO_CELL}, "val": {"b.png": YOLO_CELL}}


def test_a_root_whose_yaml_is_called_otherwise(tmp_path):
    for part, name in (("train", "a"), ("val", "b")):
        write(tmp_path / "images" / part / f"{name}.png", PNG)
        write(tmp_path / "labels" / part / f"{name}.txt", YOLO_LINE)
    text = "path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames: [cell]\n"
    write(tmp_path / "pets.yaml", text)
    assert loaded(tmp_path) == {"train": {"a.png": YOLO_CELL}, "val": {"b.png": YOLO_CELL}}


def test_a_root_inside_a_folder_of_its_archive(tmp_path):
    inner = tmp_path / "VOCdevkit" / "VOC2007"
    put(inner, JPEGImages__a_png=PNG, Annotations__a_xml=folders.voc())
    write(tmp_path / "__MACOSX" / "x", b"")
    (tmp_path / ".git").mkdir()
    assert loaded(tmp_path) == {"all": {"a.png": CELL}}
    write(tmp_path / "other" / "x.txt", "")  # one of two: nobody knows which
    with pytest.raises(ValueError, match="`images` must be given"):
        datasets.find_parts(tmp_path)


def test_cvat_lists_its_pictures_from_a_folder_above(tmp_path):
    put(tmp_path, images__train__a_png=PNG, labels__train__a_txt=YOLO_LINE)
    write(tmp_path / "train.txt", "data/images/train/a.png\n")
    write(tmp_path / "data.yaml", "names:\n  0: cell\npath: .\ntrain: train.txt\n")
    assert loaded(tmp_path) == {"all": {"images/train/a.png": YOLO_CELL}}
