"""A data.yaml, or the root of an export, is enough: parts, images and labels are found from it."""

import argparse
import json
import os
import pathlib

import folders
import pytest
from folders import JPEG, PNG, YOLO_LINE, put, shown, write

from boxloss import datasets

YOLO_CELL = [("cell", folders.YOLO_XYXY)]
CELL = [("cell", folders.XYXY)]


def yolo_parts(root, layout, parts=("train", "val")):
    """Pictures a1.png ... of each part, with labels: `layout` has {kind} and {part}."""
    for part in parts:
        stem = f"{part[0]}1"
        write(root / layout.format(kind="images", part=part) / f"{stem}.png", PNG)
        write(root / layout.format(kind="labels", part=part) / f"{stem}.txt", YOLO_LINE)


@pytest.mark.parametrize(
    "layout, yaml",
    [
        ("{kind}/{part}", "train: images/train\nval: images/val\n"),
        ("{kind}/{part}", "path: .\ntrain: images/train/\nval: ./images/val\ntest: # none\n"),
        ("{kind}/{part}", "path: /home/me/datasets/cells\ntrain: images/train\nval: images/val\n"),
        ("{kind}/{part}", "path: ../datasets/cells\ntrain: images/train\nval: images/val\n"),
        ("cells/{kind}/{part}", "path: cells\ntrain: images/train\nval: images/val\n"),
        ("{part}/{kind}", "train: ../train/images\nval: ../val/images\ntest: ../test/images\n"),
        ("{part}/{kind}", "train: D:\\cells\\train\\images\nval: D:\\cells\\val\\images\n"),
        ("{kind}/{part}", "train: [images/train]\nval:\n  - images/val\n"),
        ("{kind}/{part}", "train: train.txt\nval: val.txt\n"),
    ],
)
@pytest.mark.parametrize("given", ["data.yaml", "."])
def test_train_and_val_come_from_data_yaml_alone(tmp_path, layout, yaml, given):
    yolo_parts(tmp_path, layout)
    write(tmp_path / "data.yaml", f"names: [cell]\n{yaml}")
    write(tmp_path / "train.txt", "./images/train/t1.png\n")
    write(tmp_path / "val.txt", "/home/me/cells/images/val/v1.png\ngone.png\n")
    sets = datasets.load_parts(tmp_path / given, strict=True)
    assert list(sets) == ["train", "val"]
    for part, dataset in sets.items():
        ((name, boxes),) = shown(dataset).items()
        assert (pathlib.PurePath(name).name, boxes) == (f"{part[0]}1.png", YOLO_CELL)
    alone = datasets.load(annotations=tmp_path / given, part="val")
    assert shown(alone) == shown(sets["val"])
    with pytest.raises(ValueError) as error:
        datasets.load(annotations=tmp_path / given)
    assert str(error.value).startswith("`part` must be one of 'train', 'val' for ")


def test_a_data_yaml_that_leads_out_of_its_folder_is_refused(tmp_path):
    yolo_parts(tmp_path / "elsewhere", "{kind}/{part}")
    place = tmp_path / "elsewhere" / "images"
    for train in (str(place / "train"), "../elsewhere/images/train"):
        path = write(tmp_path / "set" / "data.yaml", f"names: [cell]\ntrain: {train}\n")
        with pytest.raises(ValueError) as error:
            datasets.load_parts(path)
        assert str(error.value) == (
            f"{path}: train must name a folder or a list of images below the folder of that file, "
            f"or --images be given. Received: train={train!r}, path=''"
        )


def test_what_trains_does_not_validate(tmp_path):
    put(tmp_path, images__a_png=PNG, labels__a_txt=YOLO_LINE)
    write(tmp_path / "data.yaml", "names: [cell]\ntrain: images\nval: images\n")
    assert list(datasets.load_parts(tmp_path / "data.yaml")) == ["all"]
    assert shown(datasets.load(annotations=tmp_path)) == {"a.png": YOLO_CELL}


def roboflow_coco(root, part):
    write(root / part / "a.png", PNG)
    write(root / part / "_annotations.coco.json", folders.coco())


def roboflow_voc(root, part):
    write(root / part / "a.png", PNG)
    write(root / part / "a.xml", folders.voc())


def roboflow_yolo(root, part):
    write(root / part / "images" / "a.png", PNG)
    write(root / part / "labels" / "a.txt", YOLO_LINE)
    write(root / "README.dataset.txt", "cells\n")
    write(root / "data.yaml", "train: ../train/images\nval: ../valid/images\nnames: ['cell']\n")


def roboflow_darknet(root, part):
    write(root / part / "a.png", PNG)
    write(root / part / "a.txt", YOLO_LINE)
    write(root / part / "_darknet.labels", "cell\n")


def cvat_coco(root, part):
    word = {"train": "Train", "valid": "Validation"}[part]
    write(root / "images" / word / "a.png", PNG)
    write(root / "annotations" / f"instances_{word}.json", folders.coco())


def coco_2017(root, part):
    word = {"train": "train2017", "valid": "val2017"}[part]
    write(root / word / "a.png", PNG)
    write(root / "annotations" / f"instances_{word}.json", folders.coco())
    write(root / "annotations" / f"captions_{word}.json", {"images": [], "annotations": []})


def coco_beside(root, part):
    word = {"train": "train", "valid": "val"}[part]
    write(root / word / "a.png", PNG)
    write(root / f"{word}.json", folders.coco())
    write(root / "results.json", [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])


def cvat_yolo(root, part):
    folder = root / f"obj_{part}_data"
    write(folder / "a.png", PNG)
    write(folder / "a.txt", YOLO_LINE)
    write(root / "obj.names", "cell\ndog\n")
    write(root / "obj.data", "classes = 2\ntrain = data/train.txt\n")
    write(root / "train.txt", "data/obj_train_data/a.png\n")


def voc_devkit(root, part):
    stem = {"train": "a", "valid": "b"}[part]
    write(root / "JPEGImages" / f"{stem}.jpg", JPEG)
    write(root / "Annotations" / f"{stem}.xml", folders.voc(f"{stem}.jpg"))
    word = {"train": "train", "valid": "val"}[part]
    write(root / "ImageSets" / "Main" / f"{word}.txt", f"{stem}\n")
    write(root / "ImageSets" / "Main" / "cell_train.txt", f"{stem} 1\n")


EXPORTS = [
    roboflow_coco,
    roboflow_voc,
    roboflow_yolo,
    roboflow_darknet,
    cvat_coco,
    coco_2017,
    coco_beside,
    cvat_yolo,
    voc_devkit,
]


@pytest.mark.parametrize("export", EXPORTS)
def test_the_root_of_an_export_is_enough(tmp_path, export):
    for part in ("train", "valid"):
        export(tmp_path, part)
    sets = datasets.load_parts(tmp_path, strict=True)
    assert list(sets) == ["train", "val"]
    for dataset in sets.values():
        assert [boxes for boxes in shown(dataset).values()] in ([YOLO_CELL], [CELL])


@pytest.mark.parametrize(
    "files",
    [
        {"images__a_png": PNG, "labels__a_txt": YOLO_LINE, "classes_txt": "cell\n"},
        {"images__a_png": PNG, "result_json": folders.coco(image={"file_name": "images\\a.png"})},
        {"images__a_png": PNG, "annotations_json": folders.coco()},
        {"images__a_png": PNG, "annotations__a_xml": folders.voc()},
        {"images__default__a_png": PNG, "annotations__instances-default_json": folders.coco()},
        {"a_png": PNG, "a_xml": folders.voc()},
        {"a_png": PNG, "a_txt": YOLO_LINE, "classes_txt": "cell\n"},
        {"a_png": PNG, "via_json": folders.coco(image={"width": -1, "height": -1})},
    ],
)
def test_an_export_that_is_not_divided_is_one_part(tmp_path, files):
    files = {name.replace("-", "_"): content for name, content in files.items()}
    for name, content in files.items():
        path = name.replace("__", "/")
        stem, _, suffix = path.rpartition("_")
        write(tmp_path / f"{stem}.{suffix}", content)
    write(tmp_path / "notes.json", {"categories": [], "info": {"version": "1.0"}})
    write(tmp_path / "more.json", {"annotations": []})
    assert list(datasets.find_parts(tmp_path)) == ["all"]
    boxes = list(shown(datasets.load(annotations=tmp_path, strict=True)).values())
    assert boxes in ([YOLO_CELL], [CELL])


def test_a_coco_file_with_its_images_beside_it_is_enough(tmp_path):
    put(tmp_path, images__a_png=PNG)
    path = write(tmp_path / "annotations.json", folders.coco())
    assert shown(datasets.load(annotations=path, strict=True)) == {"a.png": CELL}


@pytest.mark.parametrize("content", [{}, {"notes_txt": "hello\n"}, {"x__a_png": PNG}])
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, content):
    put(tmp_path, **content)
    with pytest.raises(ValueError) as error:
        datasets.load(annotations=tmp_path)
    assert str(error.value) == (
        "`images` must be given where `annotations` is neither a data.yaml nor the root of a data "
        "set (parts in train/ and valid/, or images/ with annotations beside it). "
        f"Received: annotations={str(tmp_path)!r}"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "`images` or `annotations` must be given. Received: neither"),
        (
            {"annotations": "none"},
            "`annotations` must be an existing file or folder. Received: annotations='none'",
        ),
        (
            {"images": ".", "part": "train"},
            "`part` must be None where `images` is given. Received: part='train'",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as error:
        datasets.load(**arguments)
    assert str(error.value) == message


def sets_of(words):
    from boxloss.cli import train

    parser = argparse.ArgumentParser()
    train.data_arguments(parser)
    return train.load_sets(parser.parse_args([str(word) for word in words]))


def test_the_command_trains_on_a_data_yaml_alone(tmp_path, capsys):
    yolo_parts(tmp_path, "{kind}/{part}")
    path = write(tmp_path / "data.yaml", "names: [cell]\ntrain: images/train\nval: images/val\n")
    train_set, validation_set = sets_of(["--annotations", path])
    assert (list(shown(train_set)), list(shown(validation_set))) == (["t1.png"], ["v1.png"])
    stderr = capsys.readouterr().err.splitlines()
    heads = [line.split(":")[0] for line in stderr if line[:1] != " "]  # a table is below each
    assert heads == ["training", "validation"]


def test_the_command_follows_links_and_prints_each_place_once(tmp_path, capsys):
    for name in "ab":
        write(tmp_path / "pool" / f"{name}.png", PNG)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / f"{name}.png").symlink_to(tmp_path / "pool" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", YOLO_LINE)
    words = ["--images", tmp_path / "images", "--annotations", tmp_path / "labels"]
    with pytest.raises(ValueError, match="2 symbolic links that lead out of it"):
        sets_of(words)
    train_set, validation_set = sets_of([*words, "--follow-links"])
    assert len(train_set) == len(validation_set) == 1
    stderr = capsys.readouterr().err
    assert stderr.count(os.path.realpath(tmp_path / "pool")) == 1
    assert "symbolic links led to" in stderr


def test_many_problems_are_counted_by_rule(tmp_path, capsys):
    put(tmp_path, images__a_png=PNG, images__b_png=PNG)
    entry = folders.coco()["annotations"][0]
    annotations = [{**entry, "id": i + 1, "bbox": [1, 1, 0, 5]} for i in range(30)]
    annotations += [{**entry, "id": i + 31, "image_id": 9} for i in range(5)]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    path = write(
        tmp_path / "x.json", json.dumps(folders.coco(images=images, annotations=annotations))
    )
    sets_of(["--images", tmp_path / "images", "--annotations", path])
    stderr = capsys.readouterr().err.splitlines()
    assert "35 boxes dropped" in stderr[0]
    assert sum("must" in line and ".json: " in line for line in stderr) == 20
    (more,) = (line for line in stderr if "more that" in line)
    assert more == "  and 15 more that must have width > 0 and height > 0"
