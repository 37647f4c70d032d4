"""Truth and detections of other libraries, by stand-ins: none of them is imported."""

import numpy as np
import pytest

import boxloss

NAMES = ["cat", "dog"]
TRUE = {"a.png": ([[10, 20, 50, 44], [60, 5, 80, 30]], [1, 0]), "b.png": ([[3, 4, 40, 30]], [0])}
FOUND = {
    "a.png": ([[12, 20, 50, 40], [60, 5, 80, 30]], [1, 1], [0.9, 0.8]),
    "b.png": (np.zeros((0, 4)), [], []),
}


class Tensor:
    """As PyTorch's: NumPy is refused before the tensor leaves the graph and the device."""

    def __init__(self, values, steps=("detach", "cpu")):
        self.values, self.steps = np.asarray(values), steps

    def __array__(self, dtype=None, copy=None):
        assert not self.steps
        return self.values.astype(dtype or self.values.dtype)

    def detach(self):
        return Tensor(self.values, self.steps[1:])

    def cpu(self):
        assert "detach" not in self.steps
        return Tensor(self.values, ())


class Supervision:
    def __init__(self, xyxy, class_id, confidence=None):
        self.xyxy, self.class_id = np.array(xyxy, "float32"), np.array(class_id)
        self.confidence = None if confidence is None else np.array(confidence)


class Table:
    def __init__(self, **columns):
        self.data, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return np.array(self.data[name])


def torch_like(boxes, labels, scores=None):
    found = {"boxes": Tensor(boxes), "labels": Tensor(labels)}
    return found if scores is None else found | {"scores": Tensor(scores)}


def table_of(images, corners, label, score=None):
    names = ("file_name", *corners, label, *([score] if score else []))
    rows = [
        (name, *boxes, NAMES[one], *more)
        for name, (all_boxes, labels, *scores) in images.items()
        for boxes, one, *more in zip(all_boxes, labels, *scores, strict=True)
    ]
    return Table(**dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


FORMS = {
    "supervision": lambda images: {name: Supervision(*one) for name, one in images.items()},
    "torchvision": lambda images: {name: torch_like(*one) for name, one in images.items()},
    "list": lambda images: [torch_like(*one) for one in images.values()],
}


@pytest.mark.parametrize("form", FORMS)
def test_objects_of_a_program_give_the_report_of_their_boxes(form):
    make = FORMS[form]
    report = boxloss.BoxReport.from_detections(
        make(TRUE), make(FOUND), class_names=NAMES, loss=None, score_threshold=0.5
    )
    assert [row.kind for row in report.rows] == ["ok", "cls", "miss"]
    assert report.rows[0].error == (2, 0, 0, -4) and report.rows[0].class_name == "dog"
    assert report.rows[1].prediction_class == "dog" and report.rows[0].score == 0.9
    assert report.rows[2].file_name == ("1" if form == "list" else "b.png")


@pytest.mark.parametrize("corners", [("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax")])
def test_a_table_has_one_row_per_box(corners):
    report = boxloss.BoxReport.from_detections(
        table_of(TRUE, corners, "class"),
        table_of(FOUND, corners, "label", "confidence"),
        loss=None,
        score_threshold=0.5,
    )
    assert [row.kind for row in report.rows] == ["ok", "cls", "miss"]
    assert [row.class_name for row in report.rows] == ["dog", "cat", "cat"]


@pytest.mark.parametrize(
    "truth, found, message",
    [
        (5, {}, "`truth` must be a dict of file names, a list in the order of the images, or a"),
        ({"a": 5}, {}, "`truth` must hold dicts with boxes and labels, or objects with xyxy and"),
        ({}, {"a": torch_like([[1, 2, 3, 4]], [0])}, "`detections` must have scores"),
        ({"a": torch_like([[1, 2, 3, 4]], [0, 1])}, {}, "have one label and one score per box"),
        ({"a": torch_like([[1, 2, 3, 4]], [7])}, {}, "`class_names` must have a name for each"),
        (Table(file_name=[], x1=[]), {}, "`truth` must have the columns x1, y1, x2 and y2"),
        (Table(x1=[], y1=[], x2=[], y2=[]), {}, "`truth` must have a column file_name or"),
    ],
)
def test_what_is_of_another_kind_is_named(truth, found, message):
    with pytest.raises(ValueError) as error:
        boxloss.BoxReport.from_detections(truth, found, class_names=NAMES, loss=None)
    assert message in str(error.value)
