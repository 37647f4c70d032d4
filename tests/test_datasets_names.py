"""Names of files, pictures and links as other machines leave them."""

import os
import unicodedata

import folders
import pytest
from folders import (
    CELL,
    JPEG,
    PNG,
    XYXY,
    YOLO_CELL,
    YOLO_LINE,
    collision,
    load_coco,
    load_voc,
    load_yolo,
    put,
    shown,
    write,
)

from boxloss import datasets

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
