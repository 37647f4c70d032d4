"""The numbers of a data set: boxes per class and size, what was dropped, and odd images."""

import collections

import numpy as np

from boxloss.datasets import read_image
from boxloss.evaluation.grouping import groups
from boxloss.evaluation.row import SIZES, size_of
from boxloss.tensors.overlap import pairwise_iou

EXAMPLES = 3
SMALL_SIDE = 32  # pixels; below it hardly anything is seen
LONG_SIDES = 4  # one side so many times the other
MANY_BOXES = 100  # of one class: COCO's metrics count no more detections
TINY_BOX = 4  # pixels; a stride of the finest level of most detectors is 8
WHOLE_IMAGE = 0.95
SAME_BOX = 0.9  # IoU of two boxes of one class that are most likely one, annotated twice


def summarise(dataset, pixels=False):
    """The summary of a DataSet as a dict for JSON.

    pixels: decode every image too, so that those are found whose header alone is whole.
    """
    records = dataset.records
    labels = _joined([record.labels for record in records], "int64")
    areas = _joined([record.areas for record in records], "float64")
    image = np.repeat(np.arange(len(records)), [len(record) for record in records])
    sizes = np.array([SIZES.index(size_of(area)) for area in areas.tolist()], "int64")
    return {
        "images": len(records),
        "boxes": len(labels),
        "ignored_boxes": int(sum(record.ignored.sum() for record in records)),
        "classes": _classes(dataset.class_names, labels, sizes, image),
        "dropped": dict(dataset.dropped),
        "clipped": dataset.clipped,
        "problems": _by_rule(dataset.problems),
        "odd_images": _odd_images(records, pixels),
        "odd_boxes": _odd_boxes(records),
    }


def _classes(names, labels, sizes, image):
    """{name: its counts}, by one sort: a comparison per class would be quadratic."""
    table = {name: {"boxes": 0, **dict.fromkeys(SIZES, 0), "images": 0} for name in names}
    for (label,), rows in groups(labels).items():
        counts = np.bincount(sizes[rows], minlength=3).tolist()
        table[names[label]] = {
            "boxes": len(rows),
            **dict(zip(SIZES, counts, strict=True)),
            "images": len(np.unique(image[rows])),
        }
    return table


def _joined(columns, dtype):
    return np.concatenate([np.zeros(0, dtype), *columns])


def _by_rule(problems):
    """[{rule, action, count, examples}], the commonest rule first."""
    found = collections.defaultdict(list)
    for problem in problems:
        found[problem.action, problem.rule].append(problem)
    order = sorted(found.items(), key=lambda pair: -len(pair[1]))
    return [
        {
            "rule": rule,
            "action": action,
            "count": len(group),
            "examples": [str(problem) for problem in group[:EXAMPLES]],
        }
        for (action, rule), group in order
    ]


def _with_examples(names):
    return {"count": len(names), "examples": names[:EXAMPLES]}


def _odd_images(records, pixels):
    """{what is odd: {"count", "examples"}}, without what does not occur."""
    odd = {
        "images without boxes": [r.file_name for r in records if not len(r)],
        f"images with a side below {SMALL_SIDE} pixels": [
            f"{r.file_name}: {r.width} x {r.height}"
            for r in records
            if min(r.width, r.height) < SMALL_SIDE
        ],
        f"images with one side more than {LONG_SIDES} times the other": [
            f"{r.file_name}: {r.width} x {r.height}"
            for r in records
            if max(r.width, r.height) > LONG_SIDES * min(r.width, r.height)
        ],
        f"images with more than {MANY_BOXES} boxes of one class": [
            f"{r.file_name}: {most}"
            for r in records
            if (most := int(np.bincount(r.labels).max(initial=0))) > MANY_BOXES
        ],
    }
    if pixels:
        odd["images that cannot be decoded"] = [line for r in records if (line := _undecodable(r))]
    return {what: _with_examples(names) for what, names in odd.items() if names}


def _undecodable(record):
    try:
        read_image(record.path)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _odd_boxes(records):
    tiny, whole, twice = [], [], []
    for record in records:
        if not len(record):
            continue
        sides = record.boxes[:, 2:] - record.boxes[:, :2]
        tiny += [_named(record, j) for j in np.flatnonzero(sides.min(axis=1) < TINY_BOX)]
        share = sides.prod(axis=1) / (record.width * record.height)
        whole += [_named(record, j) for j in np.flatnonzero(share > WHOLE_IMAGE)]
        xywh = np.concatenate([record.boxes[:, :2], sides], axis=1).astype("float64")
        for (_,), rows in groups(record.labels).items():
            overlaps = np.triu(pairwise_iou(xywh[rows], xywh[rows]), 1)
            twice += [_named(record, rows[j]) for j in np.flatnonzero(overlaps.max(0) > SAME_BOX)]
    odd = {
        f"boxes with a side below {TINY_BOX} pixels": tiny,
        f"boxes over more than {WHOLE_IMAGE:.0%} of their image": whole,
        f"boxes with IoU above {SAME_BOX} with another of their class": twice,
    }
    return {what: _with_examples(names) for what, names in odd.items() if names}


def _named(record, j):
    box = " ".join(f"{side:.0f}" for side in record.boxes[j])
    return f"{record.file_name}: box {record.annotation_ids[j]} at {box}"


# For people ---------------------------------------------------------------------------------------


def lines(summary, most=12):
    """Lines for people: boxes per class and size, then what is odd, with first examples."""
    rows = [f"{'class':<24} {'boxes':>8} {'small':>8} {'medium':>8} {'large':>8} {'images':>8}"]
    classes = sorted(summary["classes"].items(), key=lambda pair: -pair[1]["boxes"])
    for name, count in classes[:most]:
        columns = (count["boxes"], *(count[size] for size in SIZES), count["images"])
        rows.append(f"{_short(name):<24} " + " ".join(f"{number:>8}" for number in columns))
    if len(classes) > most:
        rest = sum(count["boxes"] for _, count in classes[most:])
        rows.append(f"and {len(classes) - most} classes more, with {rest} boxes")
    for what, found in {**summary["odd_images"], **summary["odd_boxes"]}.items():
        rows.append(f"{found['count']} {what} (first: {_short(found['examples'][0], 100)})")
    return rows


def _short(text, length=24):
    text = "".join(c if c.isprintable() else "?" for c in str(text))
    return text if len(text) <= length else text[: length - 1] + "…"
