"""Labels that can be changed and written back, in the three formats that people keep them in.

Everything of a file that no edit is about is written as it was read: other keys of a COCO file,
other elements of a VOC file, other lines of a YOLO file.
"""

import copy
import os
import pathlib
from xml.etree import ElementTree

import numpy as np

from boxloss import files
from boxloss.datasets import values, voc
from boxloss.datasets.class_names import find_names
from boxloss.datasets.folder import ImageFolder
from boxloss.datasets.label_line import four_numbers, split_line
from boxloss.datasets.labels import find_labels
from boxloss.datasets.load import coco_file, guess, load
from boxloss.datasets.problems import Problems
from boxloss.files import read_json, write_atomically

# Sides are the same where they differ by less: pages round to a hundredth of a pixel, YOLO files to
# six digits of the image's side.
SAME = 0.06
SIDES = ("xmin", "ymin", "xmax", "ymax")


def open_labels(truth, images, voc_one_based=False):
    """The labels at `truth`: CocoLabels, VocLabels or YoloLabels. Raises ValueError."""
    if not truth.exists():
        raise ValueError(
            f"`truth` must be an existing file or folder. Received: truth={str(truth)!r}"
        )
    form = guess(truth)
    if form == "coco":
        return CocoLabels(coco_file(truth))
    if images is None:
        raise ValueError(
            "`images` must be given for labels that are no COCO file. "
            f"Received: images=None, truth={str(truth)!r}"
        )
    if form == "voc":
        return VocLabels(truth, images, voc_one_based)
    return YoloLabels(truth, images)


def same_box(a, b):
    return bool(np.abs(np.subtract(a, b)).max() < SAME)


def xyxy_of(bbox):
    x, y, w, h = bbox
    return x, y, x + w, y + h


def coco_box(box):
    """The bbox and area of an annotation with the box (4,) xyxy."""
    x1, y1, x2, y2 = box
    bbox = [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
    return {"bbox": bbox, "area": bbox[2] * bbox[3]}


class CocoLabels:
    """A COCO file; annotations keep their order and their other keys."""

    FOLDER = "."

    def __init__(self, path):
        self.path = path
        self.content = copy.deepcopy(read_json(path))
        self.image_ids = {}
        for image in self.content["images"]:
            self.image_ids.setdefault(image["file_name"], image["id"])
            # A path with backslashes, or of another machine, means the same image.
            for name, _ in values.paths_of(str(image["file_name"])):
                self.image_ids.setdefault(name, image["id"])
        self.categories = {values.name(c["name"]): c["id"] for c in self.content["categories"]}
        self.of_image = {}
        for entry in self.content["annotations"]:
            self.of_image.setdefault(values.identifier(entry["image_id"]), []).append(entry)
        self.removed = set()

    def _of(self, image):
        """The annotations of an image, a list that may be added to."""
        return self.of_image.setdefault(values.identifier(image), [])

    def _find(self, image, name, box):
        number = values.identifier(self.categories.get(name))
        for entry in self._of(image):
            there = id(entry) not in self.removed
            if there and values.identifier(entry["category_id"]) == number:
                bbox = [values.number(value) for value in entry["bbox"]]
                if None not in bbox and len(bbox) == 4 and same_box(xyxy_of(bbox), box):
                    return entry
        return None

    def change(self, edit):
        """Make one edit; whether its label is there as described and the new class exists."""
        image = self.image_ids.get(edit.file_name)
        number = self.categories.get(edit.new_class)
        if image is None or (edit.action != "remove" and number is None):
            return False
        if edit.action == "add":
            if self._find(image, edit.new_class, edit.new_box) is not None:
                return False
            ids = [e["id"] for e in self.content["annotations"] if type(e.get("id")) is int]
            entry = {"id": max(ids, default=0) + 1, "image_id": image, "iscrowd": 0}
            self.content["annotations"].append(entry)
            self._of(image).append(entry)
        else:
            entry = self._find(image, edit.class_name, edit.box)
            if entry is None:
                return False
        if edit.action == "remove":
            self.removed.add(id(entry))
            return True
        entry["category_id"] = number
        if edit.action != "relabel":
            entry |= coco_box(edit.new_box)
            entry.pop("segmentation", None)  # It outlines the old place.
        return True

    def written(self):
        """The names of the files that `write` writes, below its folder."""
        return [self.path.name]

    def write(self, out):
        """Write the file into `out` under its own name; its path."""
        kept = [e for e in self.content["annotations"] if id(e) not in self.removed]
        files.write_json(out / self.path.name, {**self.content, "annotations": kept})
        return out / self.path.name


class VocLabels:
    """A folder of VOC files: each is written again, the changed objects replaced.

    Sides are written as whole numbers into files whose sides are whole numbers.
    """

    FOLDER = "annotations"

    def __init__(self, root, images, one_based=False):
        self.root, self.shift = pathlib.Path(root), int(one_based)
        self.trees, self.by_stem, self.by_name = {}, {}, {}
        self.names = list(filter(voc.is_annotation, files.walk(self.root).names))
        for name in self.names:
            try:
                tree = voc.parse(files.read_bytes(files.inside(self.root, name)))
            except (ValueError, OSError):
                continue  # It is copied as it is.
            self.trees[name] = tree
            self.by_stem.setdefault(values.stem(name), name)
            self.by_name.setdefault((tree.findtext("filename") or "").strip(), name)
        self.changed = set()

    def _tree(self, file_name):
        name = self.by_stem.get(values.stem(file_name)) or self.by_name.get(file_name)
        return name, self.trees.get(name)

    def _sides(self, element):
        """xyxy of an object, as `datasets.load` reads it; None where it has no such box."""
        try:
            sides = [float(element.findtext(f"bndbox/{key}")) for key in SIDES]
        except (TypeError, ValueError):
            return None
        return sides[0] - self.shift, sides[1] - self.shift, sides[2], sides[3]

    def _find(self, tree, name, box):
        size = [float(tree.findtext(f"size/{key}") or 0) or np.inf for key in ("width", "height")]
        for element in tree.findall("object"):
            sides = self._sides(element)
            if (element.findtext("name") or "").strip() == name and sides is not None:
                # A label that hangs out of its image was read as the part inside.
                cut = np.clip(sides, 0, np.tile(size, 2))
                if same_box(sides, box) or same_box(cut, box):
                    return element
        return None

    def _texts(self, tree, box):
        """The four sides as the file writes numbers."""
        written = [e.text or "" for key in SIDES for e in tree.iterfind(f"object/bndbox/{key}")]
        whole = all(text.strip().lstrip("-").isdigit() for text in written)
        shifted = np.add(box, [self.shift, self.shift, 0, 0])
        return [str(round(side)) if whole else f"{side:.9g}" for side in shifted]

    def change(self, edit):
        """Make one edit; whether its label is there as described."""
        name, tree = self._tree(edit.file_name)
        if tree is None:
            return False
        if edit.action == "add":
            return self._add(name, tree, edit)
        element = self._find(tree, edit.class_name, edit.box)
        if element is None:
            return False
        if edit.action == "remove":
            tree.remove(element)
        else:
            element.find("name").text = edit.new_class
            if edit.action == "move":
                for key, text in zip(SIDES, self._texts(tree, edit.new_box), strict=True):
                    element.find(f"bndbox/{key}").text = text
        self.changed.add(name)
        return True

    def _add(self, name, tree, edit):
        texts = self._texts(tree, edit.new_box)
        read = np.subtract([float(t) for t in texts], [self.shift, self.shift, 0, 0])
        if self._find(tree, edit.new_class, read) is not None:
            return False
        element = ElementTree.SubElement(tree, "object")
        ElementTree.SubElement(element, "name").text = edit.new_class
        ElementTree.SubElement(element, "difficult").text = "0"
        box = ElementTree.SubElement(element, "bndbox")
        for key, text in zip(SIDES, texts, strict=True):
            ElementTree.SubElement(box, key).text = text
        element.tail = "\n"
        self.changed.add(name)
        return True

    def written(self):
        """The names of the files that `write` writes, below its folder."""
        return [f"{self.FOLDER}/{name}" for name in self.names]

    def write(self, out):
        """Write all files into `out`/annotations; that folder."""
        folder = out / self.FOLDER
        for name in self.names:
            data = files.read_bytes(files.inside(self.root, name))
            if name in self.changed:
                data = ElementTree.tostring(self.trees[name], encoding="utf-8") + b"\n"
            _write_bytes(folder / name, data)
        return folder


class YoloLabels:
    """The label files of an image folder: changed lines are replaced, an outline by its box."""

    FOLDER = "labels"

    def __init__(self, truth, images):
        folder = ImageFolder(images)
        dataset = load(images, truth, "yolo")
        self.records = {record.file_name: record for record in dataset.records}
        self.numbers = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
        labels = find_labels(folder, truth, folder.pictures())
        named = find_names(folder.root, truth, labels.base, Problems())
        self.keypoints = 0 if named is None else named.keypoints
        self.lines = {}
        for name in self.records:
            path = labels.path_of(name)
            if path is not None:
                self.lines[name] = files.decoded(labels.read(path)).splitlines()

    def _box_of(self, line, record):
        """(class number, xyxy inside the image) of a line as the reader understands it, or None."""
        try:
            number, numbers = split_line(line, self.numbers, any_name=True)
            x, y, w, h = four_numbers(numbers, self.keypoints)
        except (ValueError, IndexError):
            return None
        size = np.tile([record.width, record.height], 2)
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * size
        return number, np.clip(corners, 0, size)

    def _find(self, file_name, name, box):
        """The position of the line, or None."""
        record = self.records[file_name]
        for position, line in enumerate(self.lines.get(file_name, [])):
            found = self._box_of(line, record)
            if found is not None and found[0] == self.numbers.get(name):
                if same_box(found[1], box):
                    return position
        return None

    def change(self, edit):
        """Make one edit; whether its label is there as described and the new class exists."""
        record = self.records.get(edit.file_name)
        if record is None or (edit.action != "remove" and edit.new_class not in self.numbers):
            return False
        lines = self.lines.setdefault(edit.file_name, [])
        if edit.action == "add":
            if self._find(edit.file_name, edit.new_class, edit.new_box) is not None:
                return False
            lines.append(self._line(record, edit))
            return True
        position = self._find(edit.file_name, edit.class_name, edit.box)
        if position is None:
            return False
        if edit.action == "remove":
            del lines[position]
        elif edit.action == "relabel":
            rest = lines[position].split(maxsplit=1)[1]
            lines[position] = f"{self.numbers[edit.new_class]} {rest}"
        else:
            lines[position] = self._line(record, edit)
        return True

    def _line(self, record, edit):
        x1, y1, x2, y2 = edit.new_box
        numbers = np.divide(
            [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
            np.tile([record.width, record.height], 2),
        )
        return " ".join([str(self.numbers[edit.new_class]), *(f"{v:.8g}" for v in numbers)])

    def written(self):
        """The names of the files that `write` writes, below its folder."""
        return ["data.yaml", *map(self._label_file, self.lines)]

    def _label_file(self, name):
        return pathlib.PurePosixPath(self.FOLDER, name).with_suffix(".txt").as_posix()

    def write(self, out):
        """Write `out`/labels, one file per image as the image is named, and the class names."""
        for name, lines in self.lines.items():
            text = "".join(line + "\n" for line in lines)
            _write_bytes(out / self._label_file(name), text.encode("utf-8"))
        names = "".join(f"  {number}: {name!r}\n" for name, number in self.numbers.items())
        _write_bytes(out / "data.yaml", f"names:\n{names}".encode())
        return out / self.FOLDER


def _write_bytes(path, data):
    os.makedirs(path.parent, exist_ok=True)
    with write_atomically(path) as temporary:
        temporary.write_bytes(data)
