"""From annotations as written to records: the rules that all formats share.

Every image is looked at (header only), every box checked. What breaks a rule is reported and
dropped; a box that hangs out of its image is cut at the border (by more than a pixel: reported).
Boxes are checked all at once, as columns: one by one, a million of them took longer than their file
took to parse.
"""

import collections
import contextlib
import itertools
import pathlib

import numpy as np

from boxloss.datasets.locate import locate
from boxloss.datasets.record import DataSet, Record
from boxloss.files import one_line

# Less than this beyond the border is rounding (VOC's one-based corners, YOLO's six digits).
OVERHANG = 1.0
SIZE_RULES = {
    "xyxy": "have xmin < xmax and ymin < ymax",
    "xywh": "have width > 0 and height > 0",
    "rel_xywh": "have width > 0 and height > 0",
    "rel_center_xywh": "have width > 0 and height > 0",
}
FINE, NOT_FINITE, NO_EXTENT, OUTSIDE, TOO_THIN = range(5)


def assemble(source, folder, problems, class_names=None):
    """The DataSet of a Source and an ImageFolder. Raises ValueError where no image is left."""
    places = locate(source, folder, problems)
    if not places:
        raise ValueError(_nothing_left(folder, problems))
    # By file name, so that three formats of one data set agree in the order, too.
    places.sort(key=lambda place: place.file_name)
    rows, owner = _rows_of(places, source)
    names, label_of = labels_of(source.categories, class_names)
    labels = np.array([label_of.get(key, -1) for key in source.boxes.category], "int64")[rows]
    numbers = np.asarray(source.boxes.numbers, "float64").reshape(-1, 4)[rows]
    sizes = np.array([(p.header.width, p.header.height) for p in places], "float64")[owner]
    corners, fault, hangs_out = measure(numbers, source.box_format, sizes)
    fault[labels < 0] = FINE  # one problem per box is enough
    _report(source, places, rows, owner, labels, fault, hangs_out, class_names, problems)
    kept = (labels >= 0) & (fault == FINE)
    records = _records(source.boxes, places, rows, owner, corners, labels, fault, kept)
    return DataSet(
        records,
        names,
        category_ids(source, names, label_of, rows[kept]),
        folder.root,
        problems.found,
        problems.dropped,
        problems.clipped,
        problems.strict,
        label_of if source.numbered else {},
        len(folder.tree.refused),
        folder.tree.followed,
    )


def _nothing_left(folder, problems):
    """Why there is no data set, in one line."""
    first = f"; the first: {problems.found[0]}" if problems.found else ""
    return (
        f"{one_line(folder.root)}: data set must hold at least one usable image. "
        f"Received: 0 images, {len(problems.found)} problems{folder.refused_links()}{first}"
    )


def _rows_of(places, source):
    """(rows, owner): the boxes of `places`, image by image, as positions in columns and places."""
    rank = np.full(len(source.images), -1)
    rank[[place.position for place in places]] = np.arange(len(places))
    of_box = rank[np.asarray(source.boxes.image, "int64")]
    rows = np.flatnonzero(of_box >= 0)
    rows = rows[np.argsort(of_box[rows], kind="stable")]
    return rows, of_box[rows]


def measure(numbers, box_format, sizes):
    """(corners, fault, hangs_out) of n boxes as written.

    numbers: float64 (n, 4) in `box_format`. sizes: (n, 2), width and height of each box's image.
    corners: float32 (n, 4), xyxy in pixels, cut to the image. fault: int (n,), FINE or what is
    wrong with the box. hangs_out: bool (n,), by more than OVERHANG.
    """
    finite = np.isfinite(numbers).all(axis=1)
    numbers = np.where(finite[:, None], numbers, 0)
    with np.errstate(over="ignore"):
        low, high = corners_of(numbers, box_format, sizes)
        extends = (low < high).all(axis=1)
        overlaps = (low < sizes).all(axis=1) & (high > 0).all(axis=1)
        overhang = np.maximum(-low, high - sizes).max(axis=1, initial=-np.inf)
        # Cut before the rounding to float32: a box thinner than its spacing has no extent.
        low32 = np.maximum(low, 0).astype("float32")
        high32 = np.minimum(high, sizes).astype("float32")
    thick = (low32 < high32).all(axis=1)
    wrong = [~finite, ~extends, ~overlaps, ~thick]
    fault = np.select(wrong, [NOT_FINITE, NO_EXTENT, OUTSIDE, TOO_THIN], FINE)
    hangs_out = (fault == FINE) & (overhang > OVERHANG)
    return np.concatenate([low32, high32], axis=1), fault, hangs_out


def corners_of(numbers, box_format, sizes):
    """(x1, y1) and (x2, y2), each float64 (n, 2), in pixels."""
    first, second = numbers[:, :2], numbers[:, 2:]
    if box_format == "xyxy":
        return first, second
    if box_format == "xywh":
        return first, first + second
    if box_format == "rel_xywh":
        return first * sizes, (first + second) * sizes
    center, extent = first * sizes, second * sizes
    return center - extent / 2, center + extent / 2


def _report(source, places, rows, owner, labels, fault, hangs_out, class_names, problems):
    """Report the boxes that are dropped or cut, in the order of the images."""
    boxes = source.boxes
    for at in np.flatnonzero((labels < 0) | (fault != FINE) | hangs_out).tolist():
        place, row = places[owner[at]], rows[at]
        item, received = source.describe(place.image, boxes.written[row])
        seen = f"{received} in {place.header.width} x {place.header.height} pixels"
        if labels[at] < 0:
            key = boxes.category[row]
            name = source.categories.get(key)
            rule = "have a known category"
            if name is not None and class_names is not None:
                rule, key = "have one of the given classes", name
            problems.add(place.image.source, item, rule, f"category={key!r}", boxes=1)
        elif fault[at] == FINE:
            problems.add(place.image.source, item, "lie inside its image", seen, clipped=1)
        else:
            rule, received = {
                NOT_FINITE: ("have finite coordinates", received),
                NO_EXTENT: (SIZE_RULES[source.box_format], received),
                OUTSIDE: ("overlap its image", seen),
                TOO_THIN: (SIZE_RULES[source.box_format], seen),
            }[int(fault[at])]
            problems.add(place.image.source, item, rule, received, boxes=1)


def _records(boxes, places, rows, owner, corners, labels, fault, kept):
    """The Records, each with its slices of the columns."""
    flags = (boxes.iscrowd, boxes.ignore, boxes.difficult)
    flags = [np.asarray(column, bool)[rows] for column in flags]
    areas = np.asarray(boxes.area, "float64")[rows]
    lost = (labels >= 0) & (fault > NOT_FINITE) & ~np.logical_or.reduce(flags)
    unfindable = collections.defaultdict(list)
    for at in np.flatnonzero(lost).tolist():
        unfindable[int(owner[at])].append((int(labels[at]), float(np.nan_to_num(areas[at]))))
    corners, labels, areas = corners[kept], labels[kept], areas[kept].astype("float32")
    extent = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    areas = np.where(np.isnan(areas), extent, areas)
    ids = _taken(boxes.annotation_id, rows[kept])
    iscrowd, ignore, difficult = (column[kept] for column in flags)
    ends = np.searchsorted(owner[kept], np.arange(len(places)), side="right").tolist()
    records = []
    for i, (place, start, end) in enumerate(zip(places, [0, *ends], ends, strict=False)):
        own = slice(start, end)
        record = Record(
            place.file_name,
            pathlib.Path(place.path),
            place.image.image_id,
            place.header.width,
            place.header.height,
            corners[own],
            labels[own],
            ids[own],
            areas[own],
            iscrowd[own],
            ignore[own],
            difficult[own],
            tuple(unfindable.get(i, ())),
        )
        records.append(record)
    return records


def _taken(values, rows):
    """`[values[row] for row in rows]`, three times as fast where all are integers."""
    if set(map(type, values)) <= {int}:
        with contextlib.suppress(OverflowError):
            return np.array(values, "int64")[rows].tolist()
    return [values[row] for row in rows.tolist()]


def labels_of(categories, class_names=None):
    """(class names, {key: label}) of a source's {key: name}; keys of one name are one class.

    Alphabetical, so that three formats of one data set agree; or the order of `class_names`, which
    then need not all occur.
    """
    names = sorted(set(categories.values())) if class_names is None else list(class_names)
    label_of_name = {name: label for label, name in enumerate(names)}
    known = ((key, name) for key, name in categories.items() if name in label_of_name)
    return names, {key: label_of_name[name] for key, name in known}


def category_ids(source, names, label_of, rows):
    """The category id of each label: of several, the one that most of the boxes `rows` have.

    A Roboflow export has a root category of its child's name, which no box refers to.
    """
    if not source.numbered:
        return list(range(1, len(names) + 1))
    ids = [None] * len(names)
    uses = {}
    if len(label_of) > len(set(label_of.values())):
        uses = collections.Counter(source.boxes.category[row] for row in rows.tolist())
    for key, label in label_of.items():
        if ids[label] is None or uses.get(key, 0) > uses.get(ids[label], 0):
            ids[label] = key
    numbers = (key for key in source.categories if type(key) is int)
    fresh = itertools.count(max(numbers, default=0) + 1)
    return [next(fresh) if key is None else key for key in ids]
