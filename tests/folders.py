"""Small folders as other tools leave them, for the tests of the readers."""

import json

import cv2
import numpy as np

from boxloss import datasets
from boxloss.datasets import synthetic

FORMATS = ("coco", "voc", "yolo")
HEIGHT, WIDTH = 30, 40
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype("uint8")
PNG = cv2.imencode(".png", NOISE)[1].tobytes()
JPEG = cv2.imencode(".jpg", NOISE)[1].tobytes()
XYXY = [4.0, 5.0, 14.0, 17.0]  # in COCO and VOC
YOLO_XYXY = [15.0, 11.25, 25.0, 18.75]
YOLO_LINE = "0 0.5 0.5 0.25 0.25\n"
CELL = [("cell", XYXY)]
YOLO_CELL = [("cell", YOLO_XYXY)]


def put(folder, **contents):
    """Write files: a `__` in a name is a folder, a single `_` before the suffix a point."""
    for name, content in contents.items():
        write(folder / name.replace("__", "/").replace("_", "."), content)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, (dict, list)):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def coco(image=None, annotation=None, category=None, **lists):
    """COCO content of one box of 'cell' on a.png; keys as given, `...` leaves one out."""
    entries = {
        "images": {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
        "annotations": {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [4, 5, 10, 12],
            "area": 120,
            "iscrowd": 0,
        },
        "categories": {"id": 1, "name": "cell"},
    }
    changes = zip(entries, (image, annotation, category), strict=True)
    content = {key: [{**entries[key], **(change or {})}] for key, change in changes}
    for key, (entry,) in content.items():
        content[key] = [{k: v for k, v in entry.items() if v is not ...}]
    content |= lists
    return {key: value for key, value in content.items() if value is not ...}


def voc(filename="a.png", name="cell", size=(WIDTH, HEIGHT), corners=XYXY, difficult=None):
    """The text of a VOC file with one box; None leaves an element out."""

    def element(tag, value):
        return "" if value is None else f"<{tag}>{value}</{tag}>"

    sides = "xmin ymin xmax ymax".split()
    box = "".join(element(tag, value) for tag, value in zip(sides, corners, strict=True))
    sized = size and "".join(map(element, ("width", "height"), size))
    return element(
        "annotation",
        element("filename", filename)
        + element("size", sized)
        + element(
            "object",
            element("name", name) + element("difficult", difficult) + element("bndbox", box),
        ),
    )


def shown(dataset):
    """{file name: [(class, corners)]} of a DataSet."""
    return {
        record.file_name: [
            (dataset.class_names[label], box.tolist())
            for label, box in zip(record.labels, record.boxes, strict=True)
        ]
        for record in dataset.records
    }


def collision(names, ids):
    images = [{"id": key, "file_name": name} for key, name in zip(ids, names, strict=True)]
    boxes = [[i + 1, 2 * i + 1, 8, 6] for i in range(len(names))]
    base = coco()["annotations"][0]
    annotations = [
        {**base, "id": i + 1, "image_id": key, "bbox": box}
        for i, (key, box) in enumerate(zip(ids, boxes, strict=True))
    ]
    return coco(images=images, annotations=annotations)


def load_coco(place, content, **arguments):
    path = write(place / "ann.json", content)
    return datasets.load(place / "images", path, **arguments)


def load_voc(place, text, name="a.xml", **arguments):
    write(place / "ann" / name, text)
    return datasets.load(place / "images", place / "ann", **arguments)


def load_yolo(place, labels=YOLO_LINE, yaml="names: [cell]\n", **arguments):
    write(place / "labels" / "a.txt", labels)
    path = write(place / "data.yaml", yaml)
    return datasets.load(place / "images", path, **arguments)


def synthetic_in(folder, form, count, seed):
    """(images, annotations, DataSet) of `count` synthetic images, written to `folder`."""
    synthetic.write(folder, count, seed=seed, image_size=96, format=form)
    images, annotations = folder / "images", synthetic.annotations_of(folder, form)
    return images, annotations, datasets.load(images, annotations)
