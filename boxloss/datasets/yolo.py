"""YOLO: a text file of `class x_center y_center width height` lines for each image.

The files are found by `labels`; class names come from `data.yaml`, from a list of names that
labelImg, CVAT, Label Studio or Darknet writes (`class_names`), or are the class numbers. An image
without a label file has no boxes; one whose label file cannot be read is dropped.
"""

import json
import pathlib

from boxloss import files
from boxloss.datasets.annotated import AnnotatedBoxes, AnnotatedImage, Source
from boxloss.datasets.class_names import find_names
from boxloss.datasets.label_line import (
    FIELDS,
    SHARES,
    Outlines,
    four_numbers,
    in_shares,
    split_line,
)
from boxloss.datasets.labels import find_labels
from boxloss.files import one_line, write_atomically


def read(folder, annotations, problems, class_names=None, names=None):
    """The Source of the pictures in an ImageFolder; category keys are YOLO's class numbers.

    annotations: a `data.yaml`, a folder of label files, a folder that holds either, or None.
    class_names: the names of the numbers where no file says them. names: the pictures to use, all
    by default.
    """
    folder.report_links(problems)
    names = folder.pictures() if names is None else names
    labels = find_labels(folder, annotations, names)
    found = find_names(folder.root, annotations, labels.base, problems)
    categories = dict(enumerate(class_names or [])) if found is None else found.names
    keypoints = 0 if found is None else found.keypoints
    unnamed = found is None and class_names is None
    reader = _Reader(problems, categories, unnamed, keypoints)
    for number, name in enumerate(names, 1):
        reader.add_image(number, name, labels)
    reader.outlines.report(problems)
    labels.report_orphans(problems)
    return Source(reader.images, reader.boxes, categories, "rel_center_xywh", _describe)


def _describe(image, written):
    line, text = written
    return f"line {line}", text


class _Reader:
    """Reads label files, one after the other, into images and boxes."""

    def __init__(self, problems, categories, unnamed, keypoints):
        self.problems = problems
        self.categories = categories
        self.unnamed = unnamed  # then every class that occurs is named after its number
        self.key_of_name = {name: key for key, name in categories.items()}
        self.keypoints = keypoints
        self.images = []
        self.boxes = AnnotatedBoxes()
        self.outlines = Outlines()
        self.lines = 0

    def add_image(self, number, name, labels):
        path = labels.path_of(name)
        lines = []
        if path is not None:
            try:
                lines = files.decoded(labels.read(path)).splitlines()
            except (ValueError, OSError) as error:
                # Without its labels the image would teach that nothing is in it.
                rule, received = "be a readable text file", one_line(error)
                if isinstance(error, files.OutsideFolderError):
                    rule, received = "lie inside its folder", "a symbolic link out of it"
                self.problems.add(path, "file", rule, received, images=1)
                return
        source = str(path or name)
        self.images.append(AnnotatedImage(source, f"image {name!r}", number, name))
        for line, text in enumerate(lines, 1):
            if text.strip():
                self.lines += 1
                self._add_box(source, line, text.strip())

    def _add_box(self, source, line, text):
        try:
            category, numbers = split_line(text, self.key_of_name, self.unnamed)
            four = four_numbers(numbers, self.keypoints)
        except ValueError:
            self.problems.add(source, f"line {line}", FIELDS, text, boxes=1)
            return
        if not in_shares(four):  # the share of a box that is 100 times its image would be all of it
            self.problems.add(source, f"line {line}", SHARES, text, boxes=1)
            return
        if len(numbers) > 4 and not self.keypoints:
            self.outlines.add(source, line, text, numbers)
        position = len(self.images) - 1
        self.boxes.add(position, category, four, self.lines, (line, text))
        if self.unnamed:
            self.categories.setdefault(category, str(category))


def write(dataset, root):
    """Write `labels/` and `data.yaml` into the folder `root`; the images lie in `root/images`.

    Class numbers are the labels. All digits are kept, so that reading gives the same float32.
    """
    root = pathlib.Path(root)
    for record in dataset.records:
        lines = []
        for label, (x1, y1, x2, y2) in zip(record.labels, record.boxes.tolist(), strict=True):
            numbers = (
                (x1 + x2) / 2 / record.width,
                (y1 + y2) / 2 / record.height,
                (x2 - x1) / record.width,
                (y2 - y1) / record.height,
            )
            lines.append(" ".join([str(label), *map(repr, numbers)]) + "\n")
        path = (root / "labels" / record.file_name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    names = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(dataset.class_names))
    with write_atomically(root / "data.yaml") as temporary:
        temporary.write_text(
            f"path: .\ntrain: images\nval: images\nnames:\n{names}", encoding="utf-8"
        )
