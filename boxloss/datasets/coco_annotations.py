"""The annotations of a COCO file, as columns.

The objects are looked into once, key by key: after parsing, a million of them lie all over the
memory, and each visit costs more than what is done with the value. What nearly every file holds is
then recognised by the set of its types, at C speed; only the rest is looked at one by one.
"""

import contextlib
import itertools

import numpy as np

from boxloss.datasets.annotated import NO_AREA, AnnotatedBoxes
from boxloss.datasets.values import Ids, flag, identifier, number

FLAGS = ("iscrowd", "ignore", "difficult")
KEYS = ("id", "image_id", "category_id", "bbox", "area", *FLAGS)
FOUR = "have a bbox of four numbers [x, y, width, height]"
ROUNDING = 0.01  # of shares of an image
OWN_ID = "be an object with an integer or text id"


def read_columns(path, entries, problems):
    """(the objects among the entries, {key: column of values}), each with an id of its own."""
    objects = [entry for entry in entries if isinstance(entry, dict)]
    columns = _columns(objects)
    if objects and all(value is None for value in columns["id"]):
        columns["id"] = list(range(1, len(objects) + 1))
    ids = columns["id"]
    if len(objects) == len(entries) and None not in ids and len(set(ids)) == len(ids):
        return objects, columns
    objects, ids = _with_own_ids(path, entries, problems)
    return objects, _columns(objects) | {"id": ids}


def _columns(objects):
    """{key: values} of what is read of each object; ids are identifiers or None."""
    rows = [
        (
            entry.get("id"),
            entry.get("image_id"),
            entry.get("category_id"),
            entry.get("bbox"),
            entry.get("area"),
            entry.get("iscrowd"),
            entry.get("ignore"),
            entry.get("difficult"),
        )
        for entry in objects
    ]
    columns = dict(zip(KEYS, zip(*rows, strict=True) if rows else [()] * len(KEYS), strict=True))
    for key in ("id", "image_id", "category_id"):
        values = columns[key]
        plain = set(map(type, values)) <= {int}
        columns[key] = list(values if plain else map(identifier, values))
    return columns


def _with_own_ids(path, entries, problems):
    """(objects, ids) where some of the ids are missing or occur twice.

    An annotation that is the same in every key is dropped. One that differs, as where ids begin
    anew in each image, is another box and gets another id.
    """
    first, objects, ids = {}, [], []
    wholes = (identifier(e.get("id")) for e in entries if isinstance(e, dict))
    fresh = itertools.count(max((key for key in wholes if type(key) is int), default=0) + 1)
    for place, entry in enumerate(entries):
        item = f"annotation at position {place}"
        key = identifier(entry.get("id")) if isinstance(entry, dict) else None
        if key is None:
            received = f"id={entry.get('id')!r}" if isinstance(entry, dict) else repr(entry)
            problems.add(path, item, OWN_ID, received, boxes=1)
            continue
        if key in first:
            same = entry == first[key]
            cost = {"boxes": 1} if same else {"kept": True}
            rule = "have an id that no other annotation has"
            problems.add(path, item, rule, f"id={entry['id']!r}", **cost)
            if same:
                continue
        objects.append(entry)
        ids.append(next(fresh) if key in first else key)
        first.setdefault(key, entry)
    return objects, ids


def boxes_of(path, entries, columns, images, position_of, categories, problems):
    """The AnnotatedBoxes of the annotations that have an image and four numbers."""
    positions = _positions(columns["image_id"], position_of)
    numbers, usable = _numbers(columns["bbox"])
    if not usable.all() or (positions < 0).any():
        _report(path, entries, positions, usable, images, problems)
        usable &= positions >= 0
        rows = np.flatnonzero(usable).tolist()
        entries = [entries[row] for row in rows]
        columns = {key: [column[row] for row in rows] for key, column in columns.items()}
        numbers, positions = numbers[usable], positions[usable]
    known = Ids((key, key) for key in categories)
    key_of_name = {word: key for key, word in categories.items()}
    keys = {key: _category(key, known, key_of_name) for key in set(columns["category_id"])}
    return AnnotatedBoxes(
        positions,
        [keys[key] for key in columns["category_id"]],
        numbers,
        columns["id"],
        _areas(columns["area"]),
        *(_flags(columns[key]) for key in FLAGS),
        entries,
    )


def _report(path, entries, positions, usable, images, problems):
    """Report the annotations without an image or without four numbers."""
    for at in np.flatnonzero((positions < 0) | ~usable).tolist():
        entry, position = entries[at], positions[at]
        if position < 0:
            item, received = (
                f"annotation {entry.get('id')!r}",
                f"image_id={entry.get('image_id')!r}",
            )
            problems.add(path, item, "have the id of an image", received, boxes=1)
        else:
            item, received = describe(images[position], entry)
            problems.add(path, item, FOUR, received, boxes=1)


def _positions(keys, position_of):
    """int (n,): the position of each annotation's image, -1 where there is none."""
    distinct, at = _distinct(keys)
    found = [position_of.get(key) for key in distinct]
    return np.array([-1 if position is None else position for position in found], "int64")[at]


def _distinct(keys):
    """(the distinct keys, int (n,): which of them each key is).

    Integers are sorted: that takes a third of a million look-ups in a large dictionary.
    """
    if set(map(type, keys)) <= {int}:
        with contextlib.suppress(OverflowError):
            distinct, at = np.unique(np.array(keys, "int64"), return_inverse=True)
            return distinct.tolist(), at
    number_of = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return list(number_of), np.array([number_of[key] for key in keys], "int64")


def _category(key, known, key_of_name):
    """The key of `categories` that an annotation means: by id, else by name."""
    found = known.get(key)
    return key_of_name.get(key, key) if found is None else found


def _numbers(bboxes):
    """(float64 (n, 4), bool (n,) where there are four numbers; 0 elsewhere)."""
    usable = np.ones(len(bboxes), bool)
    try:
        if set(map(type, bboxes)) <= {list} and set(map(len, bboxes)) <= {4}:
            flat = list(itertools.chain.from_iterable(bboxes))
            if set(map(type, flat)) <= {int, float}:
                return np.array(flat, "float64").reshape(-1, 4), usable
    except OverflowError:  # an integer of 400 digits
        pass
    numbers = np.zeros((len(bboxes), 4))
    for at, bbox in enumerate(bboxes):
        four = [number(value) for value in bbox] if isinstance(bbox, list) else []
        usable[at] = len(four) == 4 and None not in four
        if usable[at]:
            numbers[at] = four
    return numbers, usable


def are_shares(numbers):
    """Whether boxes (n, 4) xywh are shares of their images, as Azure's tool for labels exports.

    In pixels, boxes that all lie in the first pixel of their images mean nothing.
    """
    ends = numbers[:, :2] + numbers[:, 2:]
    return len(numbers) > 0 and bool(np.all(numbers >= 0) and np.all(ends <= 1 + ROUNDING))


def _areas(values):
    """COCO's `area` as float64 (n,), `NO_AREA` where it is no positive number."""
    areas = None
    if set(map(type, values)) <= {int, float}:
        with contextlib.suppress(OverflowError):
            areas = np.array(values, "float64")
    if areas is None:
        floats = map(number, values)
        areas = np.array([NO_AREA if value is None else value for value in floats])
    with np.errstate(invalid="ignore"):
        return np.where((areas > 0) & np.isfinite(areas), areas, NO_AREA)


def _flags(values):
    plain = set(map(type, values)) <= {int, bool, type(None)}
    return np.array(list(map(bool if plain else flag, values)), bool)


def describe(image, entry):
    """How a problem names the box of an annotation, and what was received."""
    item = f"annotation {entry.get('id')!r} of {image.file_name!r}"
    return item, f"bbox={entry.get('bbox')!r}"
