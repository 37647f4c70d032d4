"""boxloss check: what a data set holds, what is odd in it, and the page of its pictures."""

import base64
import html
import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from boxloss import cli, datasets
from boxloss.report import check

HOSTILE = "<img src=x onerror=alert(1)>"


def picture(path, width, height, seed=0):
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype("uint8")
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def folder(tmp_path):
    """Five images: one empty, one narrow, one small, one broken; one box twice."""
    images = tmp_path / "images"
    images.mkdir()
    sizes = {"a.png": (300, 200), "b.png": (300, 60), "c.png": (40, 30), "e.png": (90, 80)}
    for i, (name, (width, height)) in enumerate(sizes.items()):
        picture(images / name, width, height, i)
    picture(images / "cut.png", 100, 90)
    data = (images / "cut.png").read_bytes()
    # Header and end are whole, what is between them is not a picture.
    (images / "cut.png").write_bytes(data[:60] + bytes(len(data) - 80) + data[-20:])
    boxes = [
        ("a.png", 2, [10, 10, 150, 120]),  # large
        ("a.png", 2, [10, 10, 150, 121]),  # the same again
        ("a.png", 5, [200, 20, 40, 50]),  # medium
        ("b.png", 5, [5, 5, 20, 10]),
        ("c.png", 5, [0, 0, 40, 30]),  # the whole image
        ("c.png", 2, [3, 3, 2, 20]),  # thin
        ("e.png", 5, [10, 10, 0, 5]),  # dropped
        ("cut.png", 5, [10, 10, 30, 30]),
    ]
    names = [*sizes, "cut.png"]
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 2, "name": "cat"}, {"id": 5, "name": HOSTILE}],
        "annotations": [
            {"id": i + 1, "image_id": names.index(name), "category_id": number, "bbox": box}
            for i, (name, number, box) in enumerate(boxes)
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return tmp_path


def run(folder, capsys, *more):
    words = ["--images", folder / "images", "--annotations", folder / "truth.json"]
    assert cli.main(["check", *map(str, words), "--out", str(folder / "out"), *more]) == 0
    printed, stderr = capsys.readouterr()
    return json.loads(printed), stderr, (folder / "out" / "index.html").read_text()


def test_boxes_are_counted_by_class_and_size(folder, capsys):
    printed, stderr, _ = run(folder, capsys, "--headers-only")
    assert printed["classes"]["cat"] == {
        "boxes": 3,
        "small": 1,
        "medium": 0,
        "large": 2,
        "images": 2,
    }
    assert printed["classes"][HOSTILE]["medium"] == 2  # of 40 x 50 and of 40 x 30 pixels
    assert re.search(r"cat +3 +1 +0 +2 +2\n", stderr)
    written = json.loads((folder / "out" / "check.json").read_text())
    assert {"page": str(folder / "out" / "index.html"), **written} == printed


def test_what_was_dropped_is_reported_by_rule_with_examples(folder, capsys):
    printed, stderr, page = run(folder, capsys)
    assert printed["dropped"]["boxes"] >= 1
    (entry,) = [e for e in printed["problems"] if "width > 0" in e["rule"]]
    assert entry["count"] == 1 and "annotation 7 of 'e.png'" in entry["examples"][0]
    assert "annotation 7 of" in stderr and "annotation 7 of" in page


def test_odd_images_and_boxes_are_named(folder, capsys):
    printed, stderr, page = run(folder, capsys)
    images, boxes = printed["odd_images"], printed["odd_boxes"]
    assert images["images without boxes"] == {"count": 1, "examples": ["e.png"]}
    assert images["images with a side below 32 pixels"]["examples"] == ["c.png: 40 x 30"]
    key = "images with one side more than 4 times the other"
    assert images[key]["examples"] == ["b.png: 300 x 60"]
    assert boxes["boxes with a side below 4 pixels"]["examples"] == ["c.png: box 6 at 3 3 5 23"]
    assert boxes["boxes over more than 95% of their image"]["count"] == 1
    twice = boxes["boxes with IoU above 0.9 with another of their class"]
    assert twice == {"count": 1, "examples": ["a.png: box 2 at 10 10 160 131"]}
    assert "1 images without boxes (first: e.png)" in stderr and "b.png: 300 x 60" in page


def test_a_broken_picture_is_found_where_pixels_are_read(folder, capsys):
    printed, stderr, _ = run(folder, capsys)
    broken = printed["odd_images"]["images that cannot be decoded"]
    assert broken["count"] == 1 and "cut.png" in broken["examples"][0]
    assert "1 images that cannot be decoded (first:" in stderr
    printed, _, _ = run(folder, capsys, "--headers-only")
    assert "images that cannot be decoded" not in printed["odd_images"]


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.policy = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing(folder, capsys):
    _, _, text = run(folder, capsys)
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert page.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in tags and "link" not in tags and HOSTILE not in text
    assert tags.count("svg") == 5
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 3  # the images that have boxes and can be read
    for source in pictures:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        assert cv2.imdecode(np.frombuffer(data, "uint8"), cv2.IMREAD_COLOR) is not None
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_the_charts_show_every_box(folder, capsys):
    dataset = datasets.load(folder / "images", folder / "truth.json")
    boxes = sum(map(len, dataset.records))
    _, _, text = run(folder, capsys)
    assert text.count('<circle class="point"') == boxes
    tips = re.findall(r"<title>([0-9]+) boxes</title>", text)
    assert sum(map(int, tips)) == boxes  # the map of the centres
    per_image = re.findall(r"<title>([0-9]+) to [0-9]+: ([0-9]+)</title>", text)
    assert ("3", "1") in per_image[-5:]  # one image has three boxes


def test_a_page_of_somebody_else_is_not_overwritten(folder, capsys):
    (folder / "out").mkdir()
    (folder / "out" / "index.html").write_text("mine")
    words = ["--images", folder / "images", "--annotations", folder / "truth.json"]
    assert cli.main(["check", *map(str, words), "--out", str(folder / "out")]) == 2
    assert "index.html" in capsys.readouterr().err
    assert (folder / "out" / "index.html").read_text() == "mine"


def test_detections_that_are_not_paired_are_counted(folder, capsys):
    found = [
        {"image_id": "a", "category_id": c, "bbox": [10, 10, 150, 120], "score": 0.5}
        for c in (2, 2, 9)
    ]
    (folder / "found.json").write_text(json.dumps(found))
    printed, stderr, page = run(folder, capsys, "--detections", str(folder / "found.json"))
    assert printed["pairing"]["images_by"] == "stem"
    assert printed["pairing"]["of_unknown_classes"] == 1
    assert "1 detection of unknown classes" in stderr and "1 detection of unknown classes" in page


def test_a_thousand_classes_are_listed_to_a_limit():
    class Set:
        class_names = [f"class {i}" for i in range(1000)]
        records, problems, dropped, clipped = [], [], {"images": 0, "boxes": 0}, 0

    lines = check.lines(check.summarise(Set()))
    assert len(lines) == 14 and lines[-1] == "and 988 classes more, with 0 boxes"
