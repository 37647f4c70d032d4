"""Corrections come out in the format they came in, once, and nothing else changes."""

import json
import pathlib
from xml.etree import ElementTree

import numpy as np
import pytest
from folders import FORMATS, synthetic_in

from boxloss import cli, datasets
from boxloss.audit import apply
from boxloss.datasets.edits import Edit, write_labels


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """{format: (image folder, annotations, DataSet)} of the same six images."""
    root = tmp_path_factory.mktemp("labels")
    return {form: synthetic_in(root / form, form, 6, seed=2) for form in FORMATS}


def labels_of(dataset):
    """{file name: [(class, box)]} of a DataSet, in order."""
    return {
        record.file_name: [
            (dataset.class_names[label], tuple(np.round(box.tolist(), 2)))
            for label, box in zip(record.labels, record.boxes, strict=True)
        ]
        for record in dataset.records
    }


def wanted_edits(dataset):
    """One edit of each action, of four images, and the labels that they should leave."""
    labels = labels_of(dataset)
    names = [name for name, boxes in labels.items() if boxes][:4]
    exact = {r.file_name: r.boxes for r in dataset.records}
    old = [(labels[name][0][0], tuple(exact[name][0].tolist())) for name in names]
    other = next(c for c in dataset.class_names if c != old[1][0])
    moved, added = (3.0, 4.0, 41.0, 37.0), (50.0, 20.0, 71.0, 64.0)
    edits = [
        Edit("move", names[0], *old[0], old[0][0], moved),
        Edit("relabel", names[1], *old[1], other, old[1][1]),
        Edit("remove", names[2], *old[2], None, None),
        Edit("add", names[3], None, None, other, added),
    ]
    labels[names[0]][0] = (old[0][0], moved)
    labels[names[1]][0] = (other, labels[names[1]][0][1])
    del labels[names[2]][0]
    labels[names[3]].append((other, added))
    return edits, labels


def bytes_of(folder):
    folder = pathlib.Path(folder)
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.parametrize("form", FORMATS)
def test_each_change_is_made_in_its_format_and_no_other(form, sources, tmp_path):
    images, truth, dataset = sources[form]
    edits, expected = wanted_edits(dataset)
    before = bytes_of(truth)
    done = write_labels(edits, truth, images, tmp_path / "new")
    assert bytes_of(truth) == before
    assert [entry["action"] for entry in done["changes"]] == ["move", "relabel", "remove", "add"]
    assert done["not_found"] == [] and json.loads((tmp_path / "new" / "changes.json").read_text())
    again = labels_of(datasets.load(images, done["labels"]))
    for name, boxes in expected.items():
        assert [kind for kind, _ in again[name]] == [kind for kind, _ in boxes], name
        np.testing.assert_allclose(
            [box for _, box in again[name]], [box for _, box in boxes], atol=0.011
        )


@pytest.mark.parametrize("form", FORMATS)
def test_a_second_time_changes_nothing(form, sources, tmp_path):
    images, truth, dataset = sources[form]
    edits, _ = wanted_edits(dataset)
    once = write_labels(edits, truth, images, tmp_path / "once")
    twice = write_labels(edits, once["labels"], images, tmp_path / "twice")
    assert twice["changes"] == [] and len(twice["not_found"]) == 4
    written = [
        labels_of(datasets.load(images, place)) for place in (once["labels"], twice["labels"])
    ]
    assert written[0] == written[1]


def test_what_no_edit_is_about_is_written_as_it_was(sources, tmp_path):
    images, truth, dataset = sources["coco"]
    content = json.loads(truth.read_text())
    content["info"] = {"year": 2020}
    content["annotations"][5]["attributes"] = {"occluded": True}
    own = tmp_path / "gt.json"
    own.write_text(json.dumps(content))
    done = write_labels([], own, None, tmp_path / "new")
    assert json.loads(pathlib.Path(done["labels"]).read_text()) == content


def test_whole_numbers_of_voc_stay_whole_and_other_elements_stay(tmp_path):
    import cv2

    (tmp_path / "images").mkdir()
    (tmp_path / "ann").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((40, 60, 3), "uint8"))
    text = (
        "<annotation><folder>f</folder><filename>a.png</filename><object><name>cat</name>"
        "<pose>Left</pose><bndbox><xmin>11</xmin><ymin>5</ymin><xmax>30</xmax><ymax>21</ymax>"
        "</bndbox></object></annotation>"
    )
    (tmp_path / "ann" / "a.xml").write_text(text)
    edit = Edit("move", "a.png", "cat", (10, 4, 30, 21), "cat", (11.4, 4, 30, 24.6))
    done = write_labels(
        [edit], tmp_path / "ann", tmp_path / "images", tmp_path / "new", voc_one_based=True
    )
    assert len(done["changes"]) == 1
    tree = ElementTree.parse(tmp_path / "new" / "annotations" / "a.xml").getroot()
    sides = [tree.findtext(f"object/bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    assert sides == ["12", "5", "30", "25"]
    assert tree.findtext("object/pose") == "Left" and tree.findtext("folder") == "f"


# Marks --------------------------------------------------------------------------------------------

SIDES = ("x1", "y1", "x2", "y2")


def mark(word, truth=None, corrected=None, fixed=None, **more):
    found = {"file_name": "a.png", "class": "cat", "mark": word, **more}
    for name, box in (("truth", truth), ("corrected", corrected), ("fixed", fixed)):
        found |= {f"{name}_{side}": v for side, v in zip(SIDES, box or [None] * 4, strict=True)}
    return found


def test_marks_become_edits(tmp_path):
    box, new = (1.0, 2.0, 9.0, 8.0), (2.0, 2.0, 9.0, 8.0)
    marks = [
        mark("keep", box, new, proposal="move"),
        mark("take", box, new, proposal="move"),
        mark("wrong label", box, box, proposal="relabel", corrected_class="dog"),
        mark("take", box, None, proposal="remove"),
        mark("take", None, new, proposal="add", corrected_class="dog"),
        mark("fix", box, new, fixed=(3, 2, 9, 8), proposal="move"),
        mark("skip", box),
    ]
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({"title": "t", "marks": marks}))
    assert apply.edits_of_marks(path) == [
        Edit("move", "a.png", "cat", box, "cat", new),
        Edit("relabel", "a.png", "cat", box, "dog", box),
        Edit("remove", "a.png", "cat", box, None, None),
        Edit("add", "a.png", None, None, "dog", new),
        Edit("move", "a.png", "cat", box, "cat", (3, 2, 9, 8)),
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        ("[", "marks.json: file must be readable JSON. Received: Expecting value"),
        ("[]", "a JSON object with a list 'marks'. Received: list"),
        ({"marks": [mark("keep"), 3]}, "mark 2 must be one of keep, accept, skip, open, take, "),
        ({"marks": [mark("yes")]}, "Received: 'yes'"),
        (
            {"marks": [mark("take", (1, 2, 9, 8), (2, 2, 9, 8), proposal="turn")]},
            "mark 1 must have a proposal, one of move, relabel, remove, add. Received: 'turn'",
        ),
        (
            {"marks": [mark("take", (9, 2, 1, 8), (2, 2, 9, 8), proposal="move")]},
            "mark 1 must have a box with truth_x1 < truth_x2 and truth_y1 < truth_y2. "
            "Received: [9, 2, 1, 8]",
        ),
        (
            {"marks": [mark("take", None, None, proposal="remove")]},
            "Received: no truth_x1 ... truth_y2",
        ),
    ],
)
def test_bad_marks_are_named(content, message, tmp_path):
    path = tmp_path / "marks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError) as error:
        apply.edits_of_marks(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_mark_without_a_proposal_is_skipped_and_named(tmp_path):
    box = (1.0, 2.0, 9.0, 8.0)
    marks = [
        mark("wrong label", box, box, file_name="b.png"),
        mark("take", box, None, proposal="remove"),
        mark("take", box, None, proposal=""),
    ]
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({"marks": marks}))
    skipped = []
    assert apply.edits_of_marks(path, skipped) == apply.edits_of_marks(path)
    assert apply.edits_of_marks(path) == [Edit("remove", "a.png", "cat", box, None, None)]
    assert skipped == [
        f"{path}: mark 1, 'wrong label', of 'cat' in 'b.png' has no proposal: the label stays",
        f"{path}: mark 3, 'take', of 'cat' in 'a.png' has no proposal: the label stays",
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_applies_the_marks_of_a_page(form, sources, tmp_path, capsys):
    images, truth, dataset = sources[form]
    labels = labels_of(dataset)
    name = next(name for name, boxes in labels.items() if boxes)
    kind, box = labels[name][0]
    marks = [
        mark("take", box, None, proposal="remove", file_name=name) | {"class": kind},
        mark("take", (1, 2, 3, 4), None, proposal="remove", file_name=name),
        mark("wrong label", box, file_name=name) | {"class": kind},
    ]
    path = tmp_path / "boxloss-review.json"
    path.write_text(json.dumps({"marks": marks}))
    words = ["--apply", path, "--truth", truth, "--images", images, "--out", tmp_path / "new"]
    assert cli.main(["audit", *map(str, words)]) == 0
    printed, stderr = capsys.readouterr()
    printed = json.loads(printed)
    assert (printed["changed"], printed["not_found"], printed["without_proposal"]) == (1, 1, 1)
    lines = stderr.splitlines()
    assert lines[:3] == [
        f"1 label changed: {printed['labels']}",
        "marks of labels that are not there (any more): 1",
        "marks without a proposal: 1",
    ]
    assert len(lines) == 4 and "mark 3, 'wrong label', of" in lines[3]
    again = labels_of(datasets.load(images, printed["labels"]))
    assert len(again[name]) == len(labels[name]) - 1
    assert cli.main(["audit", "--apply", str(path)]) == 2
    assert "`--apply` must come with --truth and --out" in capsys.readouterr().err


def test_the_labels_that_are_read_and_files_of_others_are_not_overwritten(sources, tmp_path):
    images, truth, dataset = sources["coco"]
    before = bytes_of(truth)
    with pytest.raises(ValueError, match="`out` must be another folder than that of the labels"):
        write_labels([], truth, images, truth.parent, overwrite=True)
    taken = tmp_path / truth.name
    taken.write_text("mine")
    with pytest.raises(ValueError, match="`out` must not hold a file of another origin"):
        write_labels([], truth, images, tmp_path)
    assert taken.read_text() == "mine" and bytes_of(truth) == before
    write_labels([], truth, images, tmp_path, overwrite=True)
    assert json.loads(taken.read_text()) == json.loads(truth.read_text())


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_written_before_is_replaced(form, sources, tmp_path):
    images, truth, dataset = sources[form]
    edits, _ = wanted_edits(dataset)
    write_labels(edits, truth, images, tmp_path)
    done = write_labels([], truth, images, tmp_path)
    assert done["changes"] == []
    for name, boxes in labels_of(datasets.load(images, done["labels"])).items():
        expected = labels_of(dataset)[name]
        np.testing.assert_allclose(
            [box for _, box in boxes], [box for _, box in expected], atol=0.011
        )
