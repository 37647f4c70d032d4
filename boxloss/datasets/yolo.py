"""YOLO: a text file of `class x_center y_center width height` lines beside each image.

Both usual layouts, and labels beside the images:

    images/train/1.jpg  labels/train/1.txt        train/images/1.jpg  train/labels/1.txt

Class names come from `data.yaml` (its paths are not followed: the image folder is given), from
labelImg's `classes.txt`, or are the class numbers. An image without a label file has no boxes.
"""

import json
import os
import pathlib
from typing import NamedTuple

from boxloss import files
from boxloss.datasets.annotated import AnnotatedBox, AnnotatedImage, Source
from boxloss.datasets.data_yaml import read_names
from boxloss.datasets.images import SUFFIXES
from boxloss.files import one_line, write_atomically

FIELDS = "have a class number, then x_center y_center width height"
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")


class Labels(NamedTuple):
    """The label file of each image that has one: {image name: name below `base`}."""

    base: pathlib.Path
    names: dict


def read(root, annotations, problems, class_names=None):
    """The Source of the images below `root`; category keys are YOLO's class numbers.

    annotations: a `data.yaml`, a folder of label files, a folder that holds either, or None.
    class_names: the names of the numbers where no file tells them.
    """
    root = pathlib.Path(root)
    names = [name for name in files.walk(root) if name.lower().endswith(SUFFIXES)]
    labels = find_labels(root, annotations, names)
    categories = _categories(root, annotations, labels, class_names, problems)
    return Source(_images(root, names, labels, categories, class_names, problems), categories)


def find_labels(root, annotations, names):
    """The Labels of the layout that fits: the first with a label file for any image."""
    candidates = []
    if annotations is not None and os.path.isdir(annotations):
        annotations = pathlib.Path(os.path.realpath(annotations))
        candidates.append((annotations, lambda name: name))
    if root.name == "images":
        candidates.append((root.parent / "labels", lambda name: name))
    if root.parent.name == "images":
        base = root.parent.parent / "labels"
        candidates.append((base, lambda name: f"{root.name}/{name}"))
    candidates.append((root, _swap))
    candidates.append((root, lambda name: name))
    for base, place in candidates:
        if base != root and base.is_symlink():
            continue  # nobody named that folder, so it may not lead elsewhere
        found = {}
        for name in names:
            label = os.path.splitext(place(name))[0] + ".txt"
            if (base / label).is_file():
                found[name] = label
        if found:
            return Labels(base, found)
    raise ValueError(
        f"{one_line(root)}: folder must have a label file for one of its images, in `labels` in "
        f"place of `images`, or beside the image. Received: {len(names)} images without"
    )


def _swap(name):
    """`images` as the last folder of that name replaced by `labels`."""
    parts = name.split("/")
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            return "/".join([*parts[:position], "labels", *parts[position + 1 :]])
    return name


def find_yaml(root, annotations):
    """The `data.yaml` that belongs to the image folder `root`, or None."""
    if annotations is not None and os.path.isfile(annotations):
        return pathlib.Path(annotations)
    start = pathlib.Path(os.path.abspath(root if annotations is None else annotations))
    for place in (start, start.parent, start.parent.parent):
        for name in YAML_NAMES:
            if (place / name).is_file():
                return place / name
    return None


def _categories(root, annotations, labels, class_names, problems):
    """{class number: name}; empty where no file tells (`_images` then fills it)."""
    path = find_yaml(root, annotations)
    listed = labels.base / "classes.txt"
    if path is not None:
        named = read_names(path)
    elif listed.is_file() and not listed.is_symlink():
        path = listed
        lines = files.read_bytes(listed).decode("utf-8", "replace").splitlines()
        named = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    else:
        return dict(enumerate(class_names or []))
    categories = {}
    for number, name in named.items():
        if name in categories.values():
            rule = "have a name that no other class has"
            problems.add(path, f"class {number}", rule, f"name={name!r}")
        else:
            categories[number] = name
    return categories


def _images(root, names, labels, categories, class_names, problems):
    unnamed = not categories and class_names is None
    count = 0
    for number, name in enumerate(names, 1):
        source = labels.base / labels.names[name] if name in labels.names else root / name
        image = AnnotatedImage(str(source), f"image {name!r}", [name], number, "rel_center_xywh")
        lines = _lines(labels, name, source, problems)
        for line, text in lines:
            count += 1
            box = _box(source, line, text, count, problems)
            if box is not None:
                image.boxes.append(box)
                if unnamed:
                    categories.setdefault(box.category, str(box.category))
        yield image
    _report_orphans(labels, problems)


def _lines(labels, name, source, problems):
    """(line number, text) of the lines that hold anything."""
    if name not in labels.names:
        return []
    try:
        data = files.read_bytes(files.inside(labels.base, labels.names[name]))
        text = data.decode("utf-8-sig")
    except files.OutsideFolderError:
        problems.add(source, "file", "lie inside its folder", "a symbolic link out of it")
        return []
    except (ValueError, OSError) as error:
        problems.add(source, "file", "be a readable text file", one_line(error))
        return []
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _report_orphans(labels, problems):
    """Label files in the label folders for which there is no image."""
    used = set(labels.names.values())
    folders = {os.path.dirname(name) for name in used}
    for name in files.walk(labels.base):
        other = not name.endswith(".txt") or os.path.basename(name) == "classes.txt"
        if not other and name not in used and os.path.dirname(name) in folders:
            rule = "have an image of the same name"
            problems.add(labels.base / name, "file", rule, "no such image", images=1)


def _box(path, line, text, number, problems):
    item = f"line {line}"
    fields = text.split()
    try:
        category = int(fields[0])
        numbers = [float(field) for field in fields[1:]]
    except ValueError:
        numbers = []
    if len(numbers) > 4 and len(numbers) % 2 == 0:  # an outline, as segmentation data has
        numbers = _around(numbers)
    if len(numbers) != 4:
        problems.add(path, item, FIELDS, text, boxes=1)
        return None
    return AnnotatedBox(item, category, tuple(numbers), text, number)


def _around(outline):
    """The box (x_center, y_center, width, height) around the corners x, y, x, y, ..."""
    xs, ys = outline[0::2], outline[1::2]
    x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


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
