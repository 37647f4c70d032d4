"""Folders of Ultralytics' result files, of every task, and truth and results that vary in form."""

import json
import unicodedata

import folders
import pytest
from test_pairing import NAMES, STEMS, Scene, assert_perfect, paired

from boxloss import evaluation
from boxloss.datasets.problems import Problems
from boxloss.evaluation import Truth


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path, STEMS["1 to 12"])


def write_results(scene, line, encoding="utf-8"):
    """A folder of one file per image; `line` makes a line of a class and a box in shares."""
    for stem, boxes in scene.boxes.items():
        text = "".join(
            line(c, (x + w / 2) / 100, (y + h / 2) / 80, w / 100, h / 80) + "\n"
            for c, x, y, w, h in boxes
        )
        path = scene.folder / "found" / f"{stem}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode(encoding))
    return scene.folder / "found"


def corners(x, y, w, h):
    return f"{x - w / 2} {y - h / 2} {x + w / 2} {y - h / 2} {x + w / 2} {y + h / 2} " + (
        f"{x - w / 2} {y + h / 2}"
    )


def keypoints(count, *more):
    """A line of a pose: box, `count` points in it, each with the numbers `more`, confidence."""

    def line(c, x, y, w, h):
        points = " ".join(
            " ".join(map(str, (x + (i / count - 0.4) * w, y - 0.3 * h, *more)))
            for i in range(count)
        )
        return f"{c} {x} {y} {w} {h} {points} 0.9"

    return line


LINES = {
    "boxes": lambda c, *box: " ".join(map(str, (c, *box, 0.9))),
    "commas": lambda c, *box: ", ".join(map(str, (float(c), *box, 0.9))),
    "names": lambda c, *box: " ".join(map(str, (NAMES[c], *box, 0.9))),
    "tracked": lambda c, *box: " ".join(map(str, (c, *box, 0.9, 7))),
    "rotated": lambda c, *box: f"{c} {corners(*box)} 0.9",
    "outlines": lambda c, x, y, w, h: f"{c} {corners(x, y, w, h)} {x - w / 2} {y} 0.9",
    "triangles": lambda c, x, y, w, h: (
        f"{c} {x - w / 2} {y - h / 2} {x + w / 2} {y - h / 2} {x} {y + h / 2} 0.9"
    ),
    "2 points with confidences": keypoints(2, 0.7),
    "17 points with confidences": keypoints(17, 0.7),
    "3 points": keypoints(3),
}


@pytest.mark.parametrize("kind", LINES)
def test_result_files_of_every_task_have_the_upright_boxes(scene, kind):
    found = paired(scene.truth("yolo"), write_results(scene, LINES[kind]))
    assert set(found.score) == {0.9} and len(found) == 36
    assert_perfect(scene.truth("yolo"), found)


def test_eight_numbers_are_corners_also_where_they_could_be_a_box_with_two_points(tmp_path):
    scene = Scene(tmp_path, ["a"])
    scene.boxes["a"] = [(1, 45, 40, 15, 12)]
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "a.txt").write_text("1 0.5 0.5 0.6 0.55 0.55 0.65 0.45 0.6 0.9\n")
    assert_perfect(scene.truth("yolo"), tmp_path / "found")


def test_result_files_that_windows_wrote(scene):
    folder = write_results(scene, LINES["boxes"], "utf-16")
    (folder / "Classes.txt").write_text("cell\n")  # no file of results
    assert_perfect(scene.truth("yolo"), folder)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.2 0.2 3",  # a tracker's number where the confidence was not saved
        "0 0.1 0.1 0.2 0.2 0.3 0.3",  # an outline without one: two numbers per point
        "0 0.5 0.5 0.2 0.2 -0.1",
        "0 50 50 20 20 0.9",  # pixels
        "0 0.5 0.5 0.2 0.2 0.3 0.3 0.3 0.3 0.3 0.3",
    ],
)
def test_lines_without_a_confidence_or_in_pixels_are_refused(scene, line):
    folder = write_results(scene, lambda *_: line)
    with pytest.raises(ValueError, match=r"found: line 1 of 1\.txt must ") as error:
        paired(scene.truth("yolo"), folder)
    assert "confidence" in str(error.value) and len(str(error.value).splitlines()) == 1


# Results in JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_results_in_any_unicode(scene, encoding):
    path = scene.folder / "found.json"
    path.write_bytes(json.dumps(scene.results()).encode(encoding))
    assert_perfect(scene.truth("yolo"), path)


def test_keys_of_other_tools_for_name_and_score(scene):
    results = scene.results()
    for entry in results:
        entry["filename"], entry["confidence"] = entry.pop("file_name"), entry.pop("score")
        entry["image_id"] = None
    found = paired(scene.truth("coco"), results)
    assert_perfect(scene.truth("coco"), found)
    assert set(found.score) == {0.9} and found.images_by == "file_name"


def test_accents_in_another_form_name_the_same_image(tmp_path):
    stems = [unicodedata.normalize("NFD", "é"), "b", unicodedata.normalize("NFC", "ü")]
    scene = Scene(tmp_path, stems)
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        results = scene.results()
        for entry in results:
            for key, made in (("file_name", form), ("image_id", other)):
                entry[key] = unicodedata.normalize(made, str(entry[key]))
        assert_perfect(scene.truth("yolo"), results)
        results = [{k: v for k, v in e.items() if k != "file_name"} for e in results]
        assert_perfect(scene.truth("yolo"), results)


# Truth without images -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "categories, category_id, name",
    [
        (["dog", "cell"], 2, "cell"),
        ({"2": "cell"}, "2", "cell"),
        ({"cell": 2}, 2, "cell"),
        ([{"id": 2, "name": "cell"}], "cell", "cell"),
        (None, 2, "2"),
        (..., 2, "2"),
    ],
)
def test_categories_of_a_truth_without_images_are_read_as_with_them(
    place, categories, category_id, name
):
    content = folders.coco(annotation={"category_id": category_id}, categories=categories)
    path = folders.write(place / "truth.json", json.dumps(content).encode("utf-16"))
    alone, with_images = Truth.of(path), Truth.of(folders.load_coco(place, content))
    for truth in (alone, with_images):
        assert [truth.class_names[label] for label in truth.label] == [name]
        assert truth.xywh.tolist() == [[4, 5, 10, 12]]


@pytest.mark.parametrize("key", ["difficult", "ignore", "iscrowd"])
def test_flags_of_a_truth_without_images_are_read_as_with_them(place, key):
    content = folders.coco(annotation={"iscrowd": "0", key: "1"})
    for truth in (Truth.of(content), Truth.of(folders.load_coco(place, content))):
        assert truth.ignored.tolist() == [True]


def test_no_box_of_colliding_ids_is_on_a_wrong_image_without_images_either():
    content = folders.collision(["x/1500.png", "y/1500.png", "2.png", "2.png"], [1500, 1500, 7, 7])
    problems = Problems()
    truth = Truth.of(content, problems)
    names = [truth.images[i]["file_name"] for i in truth.image]
    assert names == ["2.png", "2.png"]  # the same image twice is that image
    assert problems.dropped == {"images": 3, "boxes": 2}
    with pytest.raises(ValueError, match="image 0 must have an id that no other image has"):
        Truth.of(content)


def test_a_file_name_that_is_a_number_or_an_address():
    for image in ({"file_name": 7}, {"file_name": ..., "coco_url": "http://host/x/7.png"}):
        truth = Truth.of(folders.coco(image={"id": 1, **image}))
        results = [{"image_id": "7", "category_id": 1, "bbox": [4, 5, 10, 12], "score": 0.5}]
        assert evaluation.coco_metrics(truth, paired(truth, results))["AP"] == pytest.approx(1)
