"""From annotations as written to records: the rules that all formats share.

Every image is looked at (header only), every box checked. What breaks a rule is reported and
dropped; a box that hangs out of its image is cut at the border (by more than a pixel: reported).
"""

import itertools
import math
from dataclasses import replace

import numpy as np

from boxloss import files
from boxloss.datasets.header import BadImageError, read_header
from boxloss.datasets.record import DataSet, Record
from boxloss.files import one_line

# Less than this beyond the border is rounding (VOC's one-based corners, YOLO's six digits).
OVERHANG = 1.0
SIZE_RULES = {
    "xyxy": "have xmin < xmax and ymin < ymax",
    "xywh": "have width > 0 and height > 0",
    "rel_center_xywh": "have width > 0 and height > 0",
}


def assemble(source, root, problems, class_names=None):
    """The DataSet of a Source. Raises ValueError where no image is left."""
    records = []
    seen = {}
    for image in source.images:
        header = find_image(image, root, seen, problems)
        if header is not None:
            records.append(_record(image, *header, source.categories, class_names, problems))
    names, category_ids, label_of = classes(source.categories, class_names, source.numbered)
    records = [_labelled(*pair, label_of) for pair in records]
    records.sort(key=lambda record: record.file_name)  # three formats, one order
    if not records:
        first = f"; the first: {problems.found[0]}" if problems.found else ""
        raise ValueError(
            f"{one_line(root)}: data set must hold at least one usable image. "
            f"Received: 0 images, {len(problems.found)} problems{first}"
        )
    return DataSet(
        records,
        names,
        category_ids,
        root,
        problems.found,
        problems.dropped,
        problems.clipped,
        problems.strict,
    )


def find_image(image, root, seen, problems):
    """(file_name, path, Header) of an AnnotatedImage, or None where it is unusable."""

    def drop(path, item, rule, received):
        problems.add(path, item, rule, received, images=1, boxes=len(image.boxes))

    found = _locate(image, root, drop)
    if found is None:
        return None
    file_name, path = found
    if file_name in seen:
        source, item = seen[file_name]
        other = item if source == image.source else one_line(source)
        rule = f"name a file that {other} does not name"
        return drop(image.source, image.item, rule, f"file_name={file_name!r}")
    seen[file_name] = (image.source, image.item)
    try:
        with open(path, "rb") as file:
            header = read_header(file)
    except BadImageError as error:
        return drop(path, "image", error.rule, error.received)
    except OSError as error:
        return drop(path, "image", "be readable", error.strerror)
    told = (image.width or header.width, image.height or header.height)
    if told != (header.width, header.height):
        received = f"{header.width} x {header.height}, annotation {told[0]} x {told[1]}"
        if header.orientation != 1:
            received += f" (upright by EXIF orientation {header.orientation})"
        return drop(path, "image", "have the size of its annotation", received)
    return file_name, path, header


def _locate(image, root, drop):
    for file_name in image.file_names:
        try:
            return file_name, files.inside(root, file_name)
        except files.OutsideFolderError:
            rule = "name a file inside the image folder"
            return drop(image.source, image.item, rule, f"file_name={file_name!r}")
        except FileNotFoundError:
            continue
    received = f"file_name={image.file_names[0]!r}"
    return drop(image.source, image.item, "name an existing image file", received)


def _record(image, file_name, path, header, categories, class_names, problems):
    """A Record whose `labels` are still missing, and the classes of its boxes.

    In `unfindable` stand classes, too.
    """
    kept, corners, names, lost = [], [], [], []
    for box in image.boxes:
        name = categories.get(box.category)
        allowed = name is not None and (class_names is None or name in class_names)
        xyxy = _checked(image, box, header, problems) if allowed else None
        if not allowed:
            rule, received = "have a known category", box.category
            if name is not None:
                rule, received = "have one of the given classes", name
            problems.add(image.source, box.item, rule, f"category={received!r}", boxes=1)
        if xyxy is not None:
            kept.append(box)
            corners.append(xyxy)
            names.append((box.category, name))
        elif allowed and not (box.iscrowd or box.ignore or box.difficult):
            # Without numbers there is no box at all.
            if all(map(math.isfinite, box.numbers)):
                lost.append(((box.category, name), float(box.area or 0.0)))
    boxes = np.array(corners, "float32").reshape(-1, 4)
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    areas = [size if box.area is None else box.area for box, size in zip(kept, sizes, strict=True)]
    record = Record(
        file_name=file_name,
        path=path,
        image_id=image.image_id,
        width=header.width,
        height=header.height,
        boxes=boxes,
        labels=np.zeros(len(kept), "int64"),
        annotation_ids=[box.annotation_id for box in kept],
        areas=np.array(areas, "float32").reshape(-1),
        iscrowd=np.array([box.iscrowd for box in kept], bool),
        ignore=np.array([box.ignore for box in kept], bool),
        difficult=np.array([box.difficult for box in kept], bool),
        unfindable=tuple(lost),
    )
    return record, names


def _labelled(record, names, label_of):
    record.labels[:] = [label_of[pair] for pair in names]
    lost = tuple((label_of[pair], area) for pair, area in record.unfindable)
    return replace(record, unfindable=lost)


def _checked(image, box, header, problems):
    """The corners in pixels, float32-exact and inside the image, or None."""
    width, height = header.width, header.height

    def drop(rule, received=box.received):
        problems.add(image.source, box.item, rule, received, boxes=1)

    if not all(map(math.isfinite, box.numbers)):
        return drop("have finite coordinates")
    x1, y1, x2, y2 = _corners(box.numbers, image.box_format, width, height)
    if not (x1 < x2 and y1 < y2):
        return drop(SIZE_RULES[image.box_format])
    overhang = max(-x1, -y1, x2 - width, y2 - height)
    inside = x1 < width and y1 < height and x2 > 0 and y2 > 0
    # One at a time in Python: numpy takes ten times as long for four numbers.
    x1, y1 = np.float32(max(x1, 0)), np.float32(max(y1, 0))
    x2, y2 = np.float32(min(x2, width)), np.float32(min(y2, height))
    place = f"{box.received} in {width} x {height} pixels"
    if not (x1 < x2 and y1 < y2):  # outside, or thinner than the spacing of float32
        return drop(SIZE_RULES[image.box_format] if inside else "overlap its image", place)
    if overhang > OVERHANG:
        problems.add(image.source, box.item, "lie inside its image", place, clipped=1)
    return x1, y1, x2, y2


def _corners(numbers, box_format, width, height):
    a, b, c, d = numbers
    if box_format == "xyxy":
        return a, b, c, d
    if box_format == "xywh":
        return a, b, a + c, b + d
    a, b, c, d = a * width, b * height, c * width, d * height
    return a - c / 2, b - d / 2, a + c / 2, b + d / 2


def classes(categories, class_names=None, numbered=True):
    """(class names, category ids, {(key, name): label}) of a source's {key: name}.

    Alphabetical, so that three formats of one data set agree; or the order of `class_names`, which
    then need not all occur. `numbered`: the keys are category ids.
    """
    key_of = {name: key for key, name in categories.items()}
    names = sorted(key_of) if class_names is None else list(class_names)
    label_of = {(key_of[name], name): label for label, name in enumerate(names) if name in key_of}
    if not numbered:
        return names, list(range(1, len(names) + 1)), label_of
    fresh = itertools.count(max((key for key in categories if type(key) is int), default=0) + 1)
    ids = [key_of[name] if name in key_of else next(fresh) for name in names]
    return names, ids, label_of
