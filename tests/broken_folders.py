"""A folder with one good picture, content to break beside it, and what loading must report."""

import json

import cv2
import numpy as np
import pytest

from boxloss import datasets
from boxloss.datasets import voc

PICTURE = cv2.imencode(".png", np.full((30, 40, 3), 90, "uint8"))[1].tobytes()
GOOD = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [4, 5, 10, 12]}


def content(**changes):
    base = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [dict(GOOD)],
        "categories": [{"id": 5, "name": "cell"}],
    }
    return base | changes


def write_coco(place, value, name="truth.json"):
    path = place / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def expect(place, annotations, lines, dropped=(0, 0), boxes=1, **arguments):
    """Load: the rest is used and the report is `lines`; strict: the first line, raised."""
    read = datasets.load(place / "images", annotations, **arguments)
    assert [str(problem) for problem in read.problems] == lines
    assert read.dropped == {"images": dropped[0], "boxes": dropped[1]}
    assert sum(len(record) for record in read.records) == boxes
    with pytest.raises(ValueError) as error:
        datasets.load(place / "images", annotations, strict=True, **arguments)
    assert str(error.value) == lines[0]
    assert "\n" not in lines[0]
    return read


def annotation(**changes):
    return {**GOOD, "id": 2, **changes}


def image(**changes):
    return {"id": 2, "file_name": "b.png", **changes}


def xml(objects="", name="a.png", head="", root="annotation"):
    return f"{head}<{root}><filename>{name}</filename>{objects}</{root}>"


def thing(name="cell", corners=("4", "5", "14", "17")):
    inner = "".join(
        f"<{key}>{text}</{key}>" for key, text in zip(voc.CORNERS, corners, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"
