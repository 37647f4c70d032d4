"""Nothing outside the folders is opened, whatever a file says; links are followed when named."""

import os
import sys

import pytest
from broken_folders import PICTURE, content, image, thing, write_coco, xml

from boxloss import datasets

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
