"""Folders as labelling tools, phones and other people leave them load with the right boxes.

Each row is a kind of file that a public report describes, in every format in which it can occur:
numbers, ids and texts. Names of files are in test_datasets_names.py, YOLO's own ways in
test_datasets_yolo.py.
"""

import json
import os
import shutil

import folders
import numpy as np
import pytest
from folders import (
    CELL,
    PNG,
    XYXY,
    YOLO_CELL,
    YOLO_LINE,
    YOLO_XYXY,
    collision,
    load_coco,
    load_voc,
    load_yolo,
    shown,
    write,
)

from boxloss import datasets

NAN = float("nan")


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


def test_of_colliding_ids_none_is_meant_where_only_one_picture_is_there_either(place):
    """The boxes of the picture that is not there have the same id."""
    write(place / "images" / NAMES[1], PNG)
    write(place / "images" / NAMES[3], PNG)
    read = load_coco(place, collision(NAMES, [1500, 1500, 1500, 7]))
    assert shown(read) == {"noon/001501.png": [("cell", [4, 7, 12, 13])]}
    assert read.dropped == {"images": 3, "boxes": 3}


def test_images_that_are_the_same_in_everything_may_be_several_where_names_made_the_ids(place):
    """Files of several folders whose names alone were kept: all are `001500.png` with id 1500."""
    write(place / "images" / "001500.png", PNG)
    names = ["001500.png", "001500.png", "a.png"]
    read = load_coco(place, collision(names, [1500, 1500, 3]))
    assert shown(read) == {"a.png": [("cell", [3, 5, 11, 11])]}
    assert read.dropped == {"images": 2, "boxes": 2}
    # Other names with one running number are other images.
    read = load_coco(place, collision(["001500.png", "./b.png", "a.png"], [8, 8, 3]))
    assert shown(read) == {"a.png": [("cell", [3, 5, 11, 11])]}
    # A running number says that one image was listed twice.
    read = load_coco(place, collision(names, [8, 8, 3]))
    assert {name: len(boxes) for name, boxes in shown(read).items()} == {
        "001500.png": 2,
        "a.png": 1,
    }
    assert read.dropped == {"images": 1, "boxes": 0}


def test_the_real_set_of_several_towns_as_it_is_published(carla, tmp_path):
    """Frames of towns, whose names lost the town: ids are the numbers of the frames."""
    names, boxes = {}, {}
    for part in ("train", "val"):
        content = json.loads((carla / f"{part}.json").read_text())
        for image in content["images"]:
            town, frame = image["file_name"].removesuffix(".jpg").split("_")
            names.setdefault(frame, []).append((town, part, image))
        for annotation in content["annotations"]:
            boxes.setdefault((part, annotation["image_id"]), []).append(annotation)
    several = [frame for frame, found in names.items() if len(found) > 1]
    alone = [frame for frame, found in names.items() if len(found) == 1][:12]
    images, annotations = [], []
    for frame in several + alone:
        for town, part, image in names[frame]:
            path = tmp_path / "images" / town / f"{frame}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(carla / part / image["file_name"], path)
            images.append(image | {"id": int(frame), "file_name": f"{frame}.jpg"})
            for entry in boxes.get((part, image["id"]), []):
                number = len(annotations) + 1
                annotations.append(entry | {"id": number, "image_id": int(frame)})
    lost = sum(len(names[frame]) for frame in several)
    assert "001500" in several and lost >= 2
    content = {"images": images, "annotations": annotations, "categories": content["categories"]}
    read = load_coco(tmp_path, content)
    assert {record.path.stem for record in read.records} == set(alone)
    for record in read.records:
        ((town, part, image),) = names[record.path.stem]
        own = np.array([entry["bbox"] for entry in boxes.get((part, image["id"]), [])])
        own = own.reshape(-1, 4)
        np.testing.assert_array_equal(
            record.boxes, np.hstack([own[:, :2], own[:, :2] + own[:, 2:]])
        )
        assert record.path.parent.name == town
    stray = sum(entry["image_id"] in map(int, several) for entry in annotations)
    assert read.dropped == {"images": lost, "boxes": stray}
    assert len(read.problems) == lost + stray


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
