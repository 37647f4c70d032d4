"""One random data set in COCO, VOC and YOLO, disturbed as tools do it, loads as the undisturbed.

Every disturbance is one of the variations that the readers must not mind: another notation of a
number, other separators, other folders in a file name, another encoding. They are drawn at random
and combined.
"""

import json

import cv2
import numpy as np
import pytest
from folders import write

from boxloss import datasets

NAMES = ("cell", "7", "white blood cell", "Zürich")
CHEAP, MANY = 40, 500


def random_set(rng):
    """(pictures {name: bytes}, boxes {name: [(class, x, y, w, h, flag)]}) of 1 to 4 images."""
    pictures, boxes = {}, {}
    for i in range(int(rng.integers(1, 5))):
        folder = rng.choice(["", "sub/", "deep/er/"])
        name = f"{folder}img {i}{rng.choice(['.png', '.jpg'])}"
        width, height = (int(side) for side in rng.integers(16, 60, 2))
        image = rng.integers(0, 256, (height, width, 3)).astype("uint8")
        pictures[name] = (cv2.imencode(name[-4:], image)[1].tobytes(), width, height)
        boxes[name] = []
        for _ in range(int(rng.integers(0, 4))):
            # Eighths: exact in decimals, in float32, and as a share of any side times that side.
            x, y = (float(rng.integers(0, 8 * side // 2)) / 8 for side in (width, height))
            w, h = (float(rng.integers(8, 8 * side // 2)) / 8 for side in (width, height))
            boxes[name].append(
                (int(rng.integers(len(NAMES))), x, y, w, h, bool(rng.random() < 0.3))
            )
    return pictures, boxes


class Disturber:
    """Writes values in a random one of their notations; in the plainest one where `calm`."""

    def __init__(self, rng, calm):
        self.rng, self.calm = rng, calm

    def one_of(self, *choices):
        return choices[0 if self.calm else int(self.rng.integers(len(choices)))]

    def whole(self, value):
        return self.one_of(value, float(value), str(value), f"{value}.0", f"{value}e0")

    def number(self, value):
        return self.one_of(value, str(value), f"{value:.6f}", f"{value:.9e}")

    def text(self, value):
        return self.one_of(f"{value:.6f}", f"{value:.9e}", str(value), f"+{value}")

    def flag(self, value):
        choices = ((1, True, "1", "true", 1.0), (0, False, "0", "false", 0.0, None))[not value]
        return self.one_of(*choices)

    def side(self, value):
        return self.one_of(value, str(value), float(value), None, 0, -1, "unknown", float("nan"))

    def name(self, value):
        plain = int(value) if value.isdecimal() else value
        return self.one_of(value, plain, f" {value} ")

    def path(self, value):
        back = value.replace("/", "\\")
        return self.one_of(
            value,
            back,
            f"./{value}",
            f"images/{value}",
            f"images\\{back}",
            f"/home/user/images/{value}",
            f"C:\\data\\images\\{back}",
            value.replace("/", "//"),
            value.replace(" ", "%20"),
            value[: -len(".png")],
        )

    def encoded(self, text):
        return text.encode(self.one_of("utf-8", "utf-8-sig", "utf-16", "utf-16-le"))


def write_coco(root, pictures, boxes, disturb):
    images, annotations = [], []
    for i, (name, (_, width, height)) in enumerate(pictures.items(), 1):
        sides = {"width": disturb.side(width), "height": disturb.side(height)}
        images.append({"id": disturb.whole(i), "file_name": disturb.path(name), **sides})
        for label, *four, flag in boxes[name]:
            annotation = {
                "id": disturb.whole(len(annotations) + 1),
                "image_id": disturb.whole(i),
                "category_id": disturb.whole(label + 1),
                "bbox": [disturb.number(value) for value in four],
                "iscrowd": disturb.flag(False),
                "difficult": disturb.flag(flag),
            }
            annotations.append(annotation)
    categories = [{"id": disturb.whole(i), "name": disturb.name(n)} for i, n in enumerate(NAMES, 1)]
    if disturb.one_of(False, True):
        categories.append({"id": 99, "name": NAMES[0], "supercategory": "none"})
    content = {"images": images, "annotations": annotations, "categories": categories}
    for entries in content.values():
        if disturb.one_of(False, True):
            disturb.rng.shuffle(entries)
    text = json.dumps(content, ensure_ascii=disturb.one_of(True, False))
    return write(root / "ann.json", disturb.encoded(text))


def write_voc(root, pictures, boxes, disturb):
    for name, (_, width, height) in pictures.items():
        objects = ""
        for label, x, y, w, h, flag in boxes[name]:
            corners = zip(("xmin", "ymin", "xmax", "ymax"), (x, y, x + w, y + h), strict=True)
            sides = "".join(f"<{key}>{disturb.text(value)}</{key}>" for key, value in corners)
            difficult = disturb.flag(flag)
            objects += (
                f"<object><name>{disturb.one_of('', ' ')}{NAMES[label]}</name>"
                f"<difficult>{'' if difficult is None else difficult}</difficult>"
                f"<bndbox>{sides}</bndbox></object>"
            )
        size = f"<width>{disturb.side(width)}</width><height>{disturb.side(height)}</height>"
        text = (
            f"<annotation><filename>{disturb.one_of(disturb.path(name), '', '../x/y.png')}"
            f"</filename><size>{size}</size>{objects}</annotation>"
        )
        if disturb.one_of(False, True):
            for tag in ("annotation", "object", "bndbox", "xmin", "name", "filename"):
                text = text.replace(f"<{tag}>", f"<{tag.title()}>")
                text = text.replace(f"</{tag}>", f"</{tag.title()}>")
        path = root / "ann" / f"{name[:-4]}{disturb.one_of('.xml', '.XML')}"
        write(path, disturb.encoded(text))
    return root / "ann"


def write_yolo(root, pictures, boxes, disturb):
    for name, (_, width, height) in pictures.items():
        lines = []
        for label, x, y, w, h, _ in boxes[name]:
            shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            four = [disturb.one_of(repr(value), f"{value:.17e}") for value in shares]
            number = disturb.one_of(str(label), f"{label}.0", f"{label:.3e}", NAMES[label])
            # The name "7" would be class 7, which nobody has: numbers are numbers first.
            number = str(label) if number == "7" else number
            lines.append(disturb.one_of(" ", "\t", ", ", ",", "  ").join([number, *four]))
        end = disturb.one_of("\n", "\r\n", " \n", "\n\n")
        path = f"{name[:-4]}{disturb.one_of('.txt', '.TXT')}"
        write(root / "labels" / path, disturb.encoded("".join(line + end for line in lines)))
    yaml = disturb.one_of(
        f"names: {json.dumps(NAMES, ensure_ascii=False)}\n",
        "names:\n" + "".join(f"  {i}: '{name}'\n" for i, name in enumerate(NAMES)),
        "names:\n" + "".join(f"- {name}  # c\n" for name in NAMES),
        "\n".join(NAMES) + "\n",
    )
    where = "data.yaml" if "names:" in yaml else disturb.one_of("classes.txt", "obj.names")
    write(root / where, disturb.encoded(yaml))
    return root / "labels"


WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


def described(dataset):
    """What must be equal: each image's size, and its boxes in order with class, flag and id."""
    return [
        (
            record.file_name,
            (record.width, record.height),
            sorted(
                (number, dataset.class_names[label], box.tolist(), bool(ignored))
                for number, label, box, ignored in zip(
                    record.annotation_ids,
                    record.labels,
                    record.boxes,
                    record.ignored,
                    strict=True,
                )
            ),
        )
        for record in dataset.records
    ]


def check(seed, root):
    rng = np.random.default_rng(seed)
    pictures, boxes = random_set(rng)
    if not any(boxes.values()):
        return  # YOLO: without a label nothing is found
    for format, writer in WRITERS.items():
        found = {}
        for calm in (True, False):
            folder = root / f"{seed} {format} {calm}"
            for name, (data, _, _) in pictures.items():
                behind = b"" if calm or rng.random() < 0.7 else bytes(10_000)
                write(folder / "images" / name, data + behind)
            path = writer(folder, pictures, boxes, Disturber(rng, calm))
            found[calm] = datasets.load(folder / "images", path, format, strict=True)
        assert described(found[False]) == described(found[True]), (seed, format)
        drawn = {
            name: [(NAMES[label], [x, y, x + w, y + h]) for label, x, y, w, h, _ in boxes[name]]
            for name in sorted(pictures)
        }
        for record, (name, expected) in zip(found[True].records, drawn.items(), strict=True):
            assert record.file_name == name
            for (word, box), label, own in zip(expected, record.labels, record.boxes, strict=True):
                assert found[True].class_names[label] == word
                np.testing.assert_allclose(own, box, atol=1e-4)


def test_disturbed_data_sets_load_as_the_undisturbed(tmp_path):
    for seed in range(CHEAP):
        check(seed, tmp_path)


@pytest.mark.slow(60)
def test_many_disturbed_data_sets_load_as_the_undisturbed(tmp_path):
    for seed in range(CHEAP, CHEAP + MANY):
        check(seed, tmp_path)
