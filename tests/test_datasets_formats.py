"""COCO, Pascal VOC and YOLO folders of the same data give the same records."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from boxloss import datasets
from boxloss.datasets import coco, data_yaml, synthetic, voc, yolo

HOSTILE = ["a 'quoted' \"name\"", "<img src=x onerror=alert(1)>", "two\nlines & more"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, DataSet) of six pictures with hostile class names, in all three formats."""
    folder = tmp_path_factory.mktemp("made")
    dataset = synthetic.write(folder, 6, seed=1, image_size=50, max_size=200)
    dataset.class_names[:] = sorted(HOSTILE)
    coco.write(dataset, folder / "annotations.json")
    voc.write(dataset, folder / "annotations")
    yolo.write(dataset, folder)
    return folder, dataset


@pytest.mark.parametrize(
    "annotations, category_ids",
    [("annotations.json", [1, 2, 3]), ("annotations", [1, 2, 3]), ("data.yaml", [0, 1, 2])],
)
def test_three_formats_give_equal_records(made, annotations, category_ids):
    folder, dataset = made
    read = datasets.load(folder / "images", folder / annotations, strict=True)
    assert read.records == dataset.records
    assert read.class_names == sorted(HOSTILE)
    assert read.category_ids == category_ids


def test_records_differ_where_one_number_does(made):
    record = made[1].records[0]
    assert record == replace(record, boxes=record.boxes.copy())
    assert record != replace(record, boxes=record.boxes + np.float32(1e-3))
    assert record != replace(record, difficult=~record.difficult)
    assert record != replace(record, image_id="1")


def test_bccd_from_coco_and_from_voc_gives_equal_records(bccd):
    for part, images, boxes in (("train", 205, 2804), ("val", 87, 1137)):
        from_coco = datasets.load(bccd / part, bccd / f"{part}.json")
        from_voc = datasets.load(bccd / part, bccd / "voc" / part)
        assert from_coco.records == from_voc.records
        assert from_coco.class_names == from_voc.class_names == ["Platelets", "RBC", "WBC"]
        assert from_coco.category_ids == [3, 1, 2]
        assert (len(from_coco), sum(map(len, from_coco.records))) == (images, boxes)
        assert from_coco.dropped == from_voc.dropped == {"images": 0, "boxes": 1}


@pytest.mark.parametrize(
    "part, in_coco, in_voc",
    [
        (
            "train",
            "train.json: annotation 2288 of 'BloodImage_00343.jpg' must have width > 0 and height "
            "> 0. Received: bbox=[181.0, 329.0, 0.0, 0.0]",
            "voc/train/BloodImage_00343.xml: object 4 must have xmin < xmax and ymin < ymax. "
            "Received: xmin=181, ymin=329, xmax=181, ymax=329",
        ),
        (
            "val",
            "val.json: annotation 887 of 'BloodImage_00338.jpg' must have width > 0 and height > "
            "0. Received: bbox=[504.0, 337.0, 0.0, 0.0]",
            "voc/val/BloodImage_00338.xml: object 13 must have xmin < xmax and ymin < ymax. "
            "Received: xmin=504, ymin=337, xmax=504, ymax=337",
        ),
    ],
)
def test_the_zero_size_boxes_of_bccd_are_reported_by_file_name(bccd, part, in_coco, in_voc):
    for annotations, line in ((bccd / f"{part}.json", in_coco), (bccd / "voc" / part, in_voc)):
        problems = datasets.load(bccd / part, annotations).problems
        assert [str(problem) for problem in problems] == [f"{bccd}/{line}"]


def test_flags_and_ids_survive_coco(tmp_path, made):
    folder, _ = made
    content = json.loads((folder / "annotations.json").read_text())
    numbers = {1: 90, 2: "x", 3: 7}
    for category in content["categories"]:
        category["id"] = numbers[category["id"]]
    for annotation in content["annotations"]:
        annotation["category_id"] = numbers[annotation["category_id"]]
        annotation["image_id"] = f"image {annotation['image_id']}"
        del annotation["ignore"], annotation["difficult"]
    content["images"].reverse()  # records come in the order of file names all the same
    for image in content["images"]:
        image["id"] = f"image {image['id']}"
        del image["width"], image["height"]
    busy = next(i for i, record in enumerate(made[1].records) if len(record) >= 3)
    own = [a for a in content["annotations"] if a["image_id"] == f"image {busy + 1}"][:3]
    first, second, third = own
    first["iscrowd"], second["ignore"], third["difficult"] = 1, 1, 1
    first["area"] = 12.5
    (tmp_path / "x.json").write_text(json.dumps(content))
    read = datasets.load(folder / "images", tmp_path / "x.json", strict=True)
    names = sorted(HOSTILE)
    assert dict(zip(read.class_names, read.category_ids, strict=True)) == {
        names[0]: 90,
        names[1]: "x",
        names[2]: 7,
    }
    record = read.records[busy]
    assert record.image_id == f"image {busy + 1}"
    assert record.iscrowd[:3].tolist() == [True, False, False]
    assert record.ignore[:3].tolist() == [False, True, False]
    assert record.difficult[:3].tolist() == [False, False, True]
    assert record.ignored[:3].all() and not record.ignored[3:].any()
    assert record.areas[0] == 12.5
    made_record = made[1].records[busy]
    assert (record.width, record.height) == (made_record.width, made_record.height)
    again = [a for a in read.to_coco()["annotations"] if a["image_id"] == record.image_id][:3]
    assert [a["category_id"] for a in again] == [a["category_id"] for a in own]
    assert [(a["iscrowd"], a["ignore"]) for a in again] == [(1, 0), (0, 1), (0, 1)]
    assert again[0]["area"] == 12.5


def test_truth_written_as_coco_is_the_truth_that_was_read(made, tmp_path):
    folder, _ = made
    content = json.loads((folder / "annotations.json").read_text())
    read = datasets.load(folder / "images", folder / "annotations.json")
    assert read.to_coco() == content


@pytest.mark.parametrize("kind", ["zero", "text", "twice"])
def test_annotation_ids_that_the_coco_tools_cannot_use_are_numbered_anew(made, kind):
    dataset = made[1]
    first = {"zero": lambda i: 100 * i, "text": lambda i: f"{i}", "twice": lambda i: 1}[kind]
    ids = [
        [first(i)] + [100 * i + j for j in range(1, len(record))]
        for i, record in enumerate(dataset.records)
    ]
    records = [
        replace(record, annotation_ids=own)
        for record, own in zip(dataset.records, ids, strict=True)
    ]
    annotations = dataset.subset(records).to_coco()["annotations"]
    assert [a["id"] for a in annotations] == list(range(1, len(annotations) + 1))


def test_voc_corners_are_kept_or_shifted_as_asked(made):
    folder, dataset = made
    read = datasets.load(folder / "images", folder / "annotations", voc_one_based=True)
    shifted = np.maximum(dataset.records[0].boxes - np.float32([1, 1, 0, 0]), 0)
    np.testing.assert_array_equal(read.records[0].boxes, shifted)


def test_voc_flags_missing_sizes_and_renamed_images_are_understood(made, tmp_path):
    folder, dataset = made
    (tmp_path / "000002.xml").write_text(
        "<annotation><filename>renamed.jpg</filename><size><width>0</width><height>0</height>"
        "</size><object><name> cell </name><difficult>1</difficult><part><name>x</name><bndbox>"
        "<xmin>1</xmin></bndbox></part><bndbox><ymin>2</ymin><xmin>1.5</xmin><xmax>9</xmax>"
        "<ymax>8</ymax></bndbox></object></annotation>"
    )
    (record,) = datasets.load(folder / "images", tmp_path, strict=True).records
    assert record.file_name == "000002.jpg"
    assert record.width == dataset.records[1].width
    np.testing.assert_array_equal(record.boxes, np.float32([[1.5, 2, 9, 8]]))
    assert record.difficult.tolist() == record.ignored.tolist() == [True]


@pytest.mark.parametrize(
    "images, labels, given",
    [
        ("images", "labels", None),
        ("images", "labels", "data.yaml"),
        ("images", "labels", "labels"),
        ("images/train", "labels/train", "data.yaml"),
        ("images/train", "labels/train", "labels/train"),
        ("train/images", "train/labels", "data.yaml"),
        ("train/images", "train/labels", "train"),
        ("train/images", "train/labels", None),
        ("pictures", "pictures", None),
        ("pictures", "texts", "texts"),
    ],
)
def test_yolo_layouts(made, tmp_path, images, labels, given):
    folder, dataset = made
    shutil.copytree(folder / "images", tmp_path / images)
    shutil.copytree(folder / "labels", tmp_path / labels, dirs_exist_ok=True)
    shutil.copy(folder / "data.yaml", tmp_path)
    given = given and tmp_path / given
    read = datasets.load(tmp_path / images, given, format="yolo" if given else None, strict=True)
    for ours, theirs in zip(dataset.records, read.records, strict=True):
        assert replace(ours, path=None) == replace(theirs, path=None)
    assert read.class_names == dataset.class_names


def test_yolo_of_the_whole_folder_finds_the_labels_of_each_part(made, tmp_path):
    folder, dataset = made
    for part, name in (("train", "000001"), ("val", "000002")):
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            (tmp_path / kind / part).mkdir(parents=True)
            shutil.copy(folder / kind / (name + suffix), tmp_path / kind / part)
    shutil.copy(folder / "data.yaml", tmp_path)
    read = datasets.load(tmp_path, tmp_path / "data.yaml", strict=True)
    assert [r.file_name for r in read.records] == [
        "images/train/000001.jpg",
        "images/val/000002.jpg",
    ]
    np.testing.assert_array_equal(read.records[1].boxes, dataset.records[1].boxes)


def test_yolo_without_names_uses_numbers_or_the_names_given(made, tmp_path):
    folder, dataset = made
    shutil.copytree(folder / "images", tmp_path / "images")
    shutil.copytree(folder / "labels", tmp_path / "labels")
    assert datasets.load(tmp_path / "images", tmp_path / "labels").class_names == ["0", "1", "2"]
    names = ["z", "y", "x"]
    read = datasets.load(tmp_path / "images", tmp_path / "labels", class_names=names)
    assert read.class_names == names
    np.testing.assert_array_equal(read.records[0].labels, dataset.records[0].labels)
    (tmp_path / "labels" / "classes.txt").write_text("z\ny\nx\n")
    read = datasets.load(tmp_path / "images", tmp_path / "labels", strict=True)
    assert read.class_names == ["x", "y", "z"]
    assert read.category_ids == [2, 1, 0]
    np.testing.assert_array_equal(read.records[0].labels, 2 - dataset.records[0].labels)


def test_yolo_outlines_become_boxes_and_missing_label_files_no_boxes(made, tmp_path):
    folder, dataset = made
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "000003.txt").write_text("0 0.25 0.5 0.75 0.25 0.5 1.0\n\n")
    read = datasets.load(tmp_path / "images", strict=True, format="yolo", annotations=tmp_path)
    width, height = read.records[2].width, read.records[2].height
    expected = np.float32([[0.25 * width, 0.25 * height, 0.75 * width, height]])
    np.testing.assert_array_equal(read.records[2].boxes, expected)
    assert [len(record) for record in read.records] == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "text, names",
    [
        ("names: ['a', 'it''s', \"q\\\"x\", plain text]\nnc: 4\n", "a|it's|q\"x|plain text"),
        ("nc: 3\nnames:\n- a\n- 'b # c' # d\n- x#y # z\nroboflow:\n  - k: 1\n", "a|b # c|x#y"),
        (
            '---\nnames: # c\n  0: person\n  1: "new\\nline"\n\n  2: <b>\nval: v\n',
            "person|new\nline|<b>",
        ),
        ("path: ../x\nnames: [\n 'a', # one\n  b ,\n]\nnc: 2", "a|b"),
        ("names: {0: cat, 1: 'dog, x', 2: a:b}", "cat|dog, x|a:b"),
        ("\"names\":\n  '0': cat\n", "cat"),
    ],
)
def test_the_usual_forms_of_class_names_in_data_yaml(text, names):
    assert data_yaml.names_of(text) == dict(enumerate(names.split("|")))


def test_class_numbers_of_data_yaml_need_not_be_contiguous():
    assert data_yaml.names_of("names:\n  4: a\n  1: b\n") == {4: "a", 1: "b"}


RULE = "must be a list of names or a map from class numbers to names. Received: "


@pytest.mark.parametrize(
    "text, message",
    [
        ("names: &x [a]\n", f"line 1 {RULE}&x [a]"),
        ("names:\n  - a\n  - [b]\n", f"line 3 {RULE}- [b]"),
        ("names: [a,\n [b]]", f"line 2 {RULE}[b]]"),
        ("names: [a, b\n", f"line 1 {RULE}b"),
        ("names:\n  a: b\n", f"line 2 {RULE}a: b"),
        ("names: [a: b]", f"line 1 {RULE}a: b]"),
        ('names: ["\\x41"]', f'line 1 {RULE}"\\x41"'),
        ("names:\n  0: a\n  0: b\n", "line 3 must have a number of its own. Received: 0"),
        ("nc: x\n", "file must have one key 'names'. Received: 0"),
        ("names: [a]\nnames: [b]\n", "file must have one key 'names'. Received: 2"),
    ],
)
def test_other_yaml_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        data_yaml.read(path)
    assert str(error.value) == f"{path}: {message}"


def test_given_class_names_fix_the_labels_in_every_format(made):
    folder, dataset = made
    names = ["unseen", *reversed(sorted(HOSTILE))]
    for annotations in ("annotations.json", "annotations", "data.yaml"):
        read = datasets.load(folder / "images", folder / annotations, class_names=names)
        assert read.class_names == names
        assert len(set(read.category_ids)) == 4
        np.testing.assert_array_equal(read.records[0].labels, 3 - dataset.records[0].labels)


def test_annotations_are_found_beside_the_images(made, tmp_path):
    folder, dataset = made
    assert datasets.load(folder / "images").records == dataset.records
    assert datasets.load(folder).records == dataset.records
    shutil.copytree(folder / "images", tmp_path / "JPEGImages")
    shutil.copytree(folder / "annotations", tmp_path / "Annotations")
    assert len(datasets.load(tmp_path / "JPEGImages")) == 6


def test_a_split_keeps_sides_when_images_are_added(made):
    dataset = made[1]
    records = [replace(dataset.records[0], file_name=f"{i}.jpg") for i in range(1000)]
    train, val = datasets.split(dataset.subset(records), 0.2)
    assert 150 < len(val) < 250 and len(train) + len(val) == 1000
    fewer, _ = datasets.split(dataset.subset(records[::2]), 0.2)
    assert {r.file_name for r in fewer.records} <= {r.file_name for r in train.records}


def test_suffixes_of_voc_files_and_images_may_be_capitals(made, tmp_path):
    root, dataset = made[0], made[1]
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
    for record in dataset.records:
        name = record.path.stem
        shutil.copy(record.path, tmp_path / "images" / f"{name}.JPG")
        shutil.copy(root / "annotations" / f"{name}.xml", tmp_path / "annotations" / f"{name}.XML")
    read = datasets.load(tmp_path / "images", tmp_path / "annotations")
    assert [record.file_name for record in read.records] == [
        f"{record.path.stem}.JPG" for record in dataset.records
    ]
    for a, b in zip(read.records, dataset.records, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)


@pytest.mark.parametrize("count, sides", [(2, (1, 1)), (3, (2, 1)), (1, (1, 0))])
def test_a_split_leaves_no_side_empty(made, count, sides):
    dataset = made[1]
    records = [replace(dataset.records[0], file_name=f"{i}.jpg") for i in range(count)]
    train, val = datasets.split(dataset.subset(records), 0.01)
    assert (len(train), len(val)) == sides


def test_a_split_needs_a_fraction(made):
    with pytest.raises(ValueError) as error:
        datasets.split(made[1], 1.0)
    assert str(error.value) == "`fraction` must be between 0 and 1. Received: fraction=1.0"


def test_the_summary_counts_what_is_there_and_what_is_not(made):
    folder, dataset = made
    per_class = np.bincount(np.concatenate([r.labels for r in dataset.records]), minlength=3)
    names = [
        f"{name!r} {count}" for name, count in zip(dataset.class_names, per_class, strict=True)
    ]
    assert dataset.summary() == (
        f"6 images (0 without boxes), {per_class.sum()} boxes, 3 classes: {', '.join(names)}"
    )
    assert "\n" not in dataset.summary()
    read = datasets.load(folder / "images", folder / "annotations", class_names=sorted(HOSTILE)[:1])
    assert read.dropped == {"images": 0, "boxes": per_class[1:].sum()}
    assert read.summary().endswith(f"; {per_class[1:].sum()} boxes dropped")
    assert read.counts()["dropped_boxes"] == per_class[1:].sum()
