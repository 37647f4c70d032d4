"""Which image and which class of the truth each detection means.

Results files do not say what their numbers are. COCO results carry the ids of a COCO file;
Ultralytics writes the stem of the file name as `image_id`, as a number where it is one, and counts
classes from 0 or 1 in the order of its own class list. A wrong reading raises no error by itself:
it pairs perfect boxes with other images, and AP is near 0. So every reading that fits is looked at,
and where two fit and say different things, we refuse and name the argument that decides.
"""

import unicodedata
from typing import NamedTuple

import numpy as np

from boxloss.datasets import values
from boxloss.evaluation.grouping import groups
from boxloss.evaluation.truth import fail
from boxloss.tensors.overlap import pairwise_iou

IMAGES_BY = ("id", "file_name", "stem")
CLASSES_BY = ("id", "name", "0", "1")
# A second reading is a rival where it pairs at least half as many detections as the best.
RIVAL_SHARE = 0.5
# A rival that finds more than twice as many true boxes shows that the first reading is wrong.
CLEARLY_BETTER = 2
SAMPLE = 5000  # detections that are compared with the truth, the most confident
FOUND_IOU = 0.5


class Reading(NamedTuple):
    """by: its name. places: int, the position in the truth of each key, -1 without."""

    by: str
    places: np.ndarray


# Images -------------------------------------------------------------------------------------------


def pair_images(unpaired, truth, by=None):
    """The Reading of `unpaired.image_keys` that fits the truth best.

    by: one of `IMAGES_BY` decides. None takes what pairs most detections; of equals, ids where the
    truth has ids of its own (file names, where the results carry them, go before), else file names
    and stems. ValueError where another reading finds far more of the true boxes.
    """
    one_of("pair_images", by, IMAGES_BY)
    readings = {
        "id": _by_id(unpaired, truth),
        "file_name": _by_file_name(unpaired, truth),
        "stem": _by_stem(unpaired, truth),
    }
    if by is not None:
        return Reading(by, readings[by])
    named = any(name is not None for _, name in unpaired.image_keys)
    order = ["file_name", "stem", "id"]
    if truth.format == "coco":
        order = ["file_name", "id", "stem"] if named else ["id", "file_name", "stem"]
    shares = {name: _share(readings[name], unpaired.image) for name in order}
    # Ids that were made up are known to the program that loaded the truth, and to no file that
    # another tool wrote.
    if truth.format != "coco" and not unpaired.in_memory and shares["file_name"] + shares["stem"]:
        order.remove("id")
    best, rivals = _best_and_rivals(order, readings, shares)
    if rivals:
        hits = {name: _hits(unpaired, truth, readings[name]) for name in (best, *rivals)}
        other = max(rivals, key=lambda name: hits[name])
        if hits[other] > CLEARLY_BETTER * hits[best]:
            fail(
                unpaired.where,
                "its images",
                "be known: --pair-images (pair_images=) id, file_name or stem decides",
                f"{hits[best]} boxes found by {best}, {hits[other]} by {other}",
            )
    return Reading(best, readings[best])


def _best_and_rivals(order, readings, shares):
    """The reading that pairs most, and those that pair others and hardly fewer.

    order: names of readings; of equals the first is the best.
    """
    best = max(order, key=lambda name: shares[name])
    rivals = [
        name
        for name in order
        if shares[name] >= RIVAL_SHARE * shares[best] > 0
        and not np.array_equal(readings[name], readings[best])
    ]
    return best, rivals


def _share(places, codes):
    """Which share of the detections is paired."""
    return float(np.mean(places[codes] >= 0)) if len(codes) else 0.0


def _places(found):
    return np.array([-1 if place is None else place for place in found], "int64")


def _by_id(unpaired, truth):
    known = values.Ids((image["id"], i) for i, image in enumerate(truth.images))
    return _places(known.get(number) for number, _ in unpaired.image_keys)


def _by_file_name(unpaired, truth):
    """By the whole name below the image folder, else by what of its end fits one image alone."""
    names = [_path(image["file_name"]) for image in truth.images]
    whole = _unique((name, i) for i, name in enumerate(names))
    # "a.png" may mean "sub/a.png", where no other image is called so.
    ends = _unique((name.rsplit("/", 1)[-1], i) for i, name in enumerate(names))

    def place(text):
        if not isinstance(text, str):
            return None
        for path, _ in values.paths_of(unicodedata.normalize("NFC", text)):
            if path in whole:
                return whole[path]
        return ends.get(_path(text).rsplit("/", 1)[-1])

    return _places(place(number if name is None else name) for number, name in unpaired.image_keys)


def _by_stem(unpaired, truth):
    names = [_path(image["file_name"]) for image in truth.images]
    # Two images of one stem (a/1.png and b/1.png) differ in their folders alone.
    whole = _unique((name.rpartition(".")[0] or name, i) for i, name in enumerate(names))
    bare = _unique((values.stem(name), i) for i, name in enumerate(names))
    known = values.Ids((stem, i) for stem, i in bare.items() if stem)

    def place(number, name):
        if name is None and not isinstance(number, str):
            return known.get(number)
        # A name may have another suffix than the image; an id that is a stem has none, but perhaps
        # a dot in it.
        path = _path(name or number)
        for stem in (path.rpartition(".")[0], *([path] if name is None else [])):
            if stem in whole:
                return whole[stem]
        found = None if name is not None else known.get(number)
        return known.get(values.stem(path)) if found is None else found

    return _places(place(number, name) for number, name in unpaired.image_keys)


def _path(text):
    """A file name with one separator and without what does not count, such as `./`.

    Accents are in one Unicode form: a Mac writes them as two characters, others as one.
    """
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    return next(values.paths_of(text), (text, ""))[0]


def _unique(pairs):
    """{key: place} of the keys that occur once."""
    found = {}
    for key, place in pairs:
        found[key] = place if key not in found else None
    return {key: place for key, place in found.items() if place is not None}


# Classes ------------------------------------------------------------------------------------------


def pair_classes(unpaired, truth, images, by=None, class_names=None):
    """The Reading of `unpaired.class_keys` that fits the truth best.

    images: the Reading of the images. by: one of `CLASSES_BY` decides: "0" and "1" say where the
    detector's class list starts. class_names: that list, where it is not the truth's.
    None takes names where they are given, then category ids of a COCO truth, then what makes sense
    of all numbers. ValueError where a class list may start at 0 or at 1, and where another reading
    agrees far better with the true boxes.
    """
    one_of("pair_classes", by, CLASSES_BY)
    readings = _class_readings(unpaired, truth, class_names)
    if by is not None:
        return Reading(by, readings[by])
    if class_names is None and unpaired.class_base is not None:
        order = ["name", str(unpaired.class_base)]
    elif class_names is None and (truth.format == "coco" or unpaired.in_memory):
        order = ["name", "id", "1", "0"]
    else:
        order = ["name", "0", "1"]
    shares = {name: _share(readings[name], unpaired.label) for name in order}
    best, rivals = _best_and_rivals(order, readings, shares)
    equal = [name for name in rivals if shares[name] == shares[best]]
    if best in ("0", "1") and equal:
        fail(
            unpaired.where,
            "its classes",
            "be known: --pair-classes (pair_classes=) 0 or 1 says where its class list starts",
            f"category_id {_shown(unpaired.class_keys)}, which fit both, "
            f"of the classes {', '.join(class_names or truth.class_names)}",
        )
    if best != "name":
        _check_classes(unpaired, truth, images, best, readings, rivals, class_names)
    return Reading(best, readings[best])


def _class_readings(unpaired, truth, class_names):
    label_of = {name: label for label, name in enumerate(truth.class_names)}
    by_lower = _unique((name.lower(), label) for name, label in label_of.items())

    def named(number, name):
        name = number if name is None and isinstance(number, str) else name
        found = label_of.get(name)
        return by_lower.get(str(name).lower()) if found is None else found

    if class_names is not None:
        listed = {place: label_of.get(name) for place, name in enumerate(class_names)}
    elif truth.format == "yolo":  # its category ids are the places in data.yaml
        listed = {number: label for label, number in enumerate(truth.category_ids)}
    else:
        numbers = [(isinstance(number, str), number) for number in truth.category_ids]
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        listed = dict(enumerate(order))
    own = {number: label for label, number in enumerate(truth.category_ids)}
    known = values.Ids((own | truth.label_of_category).items())
    keys = unpaired.class_keys
    return {
        "name": _places(named(*key) for key in keys),
        "id": _places(known.get(number) for number, _ in keys),
        "0": _places(listed.get(values.whole_number(number)) for number, _ in keys),
        "1": _places(listed.get((values.whole_number(number) or 0) - 1) for number, _ in keys),
    }


def _shown(keys):
    numbers = sorted({str(number) for number, _ in keys}, key=lambda text: (len(text), text))
    return ", ".join(numbers[:8]) + (", …" if len(numbers) > 8 else "")


def _check_classes(unpaired, truth, images, best, readings, rivals, class_names):
    """ValueError where the boxes that lie on true boxes speak for other classes."""
    key, label = _touching(unpaired, truth, images.places)
    agree = {by: int(np.sum(readings[by][key] == label)) for by in (best, *rivals)}
    enough = CLEARLY_BETTER * agree[best]
    other = max(agree, key=lambda by: agree[by])
    if class_names is None and truth.format != "coco":
        # VOC has no class list, and that of a YOLO folder need not be the detector's.
        keys, names, agreed = _likely_list(unpaired, truth, key, label)
        if agreed > enough and agreed > agree[other] and len(set(names)) == len(names):
            fail(
                unpaired.where,
                "its classes",
                "be those of the truth in the same order, or --class-names (class_names=) be the "
                "detector's class list",
                f"{agree[best]} of {len(key)} boxes that lie on true ones agree; {agreed} would if "
                f"category_id {_shown(keys)} were {', '.join(names)}",
            )
    if agree[other] > enough:
        fail(
            unpaired.where,
            "its classes",
            "be known: --pair-classes (pair_classes=) id, name, 0 or 1 decides",
            f"of {len(key)} boxes that lie on true ones {agree[best]} agree by {best}, "
            f"{agree[other]} by {other}",
        )


def _likely_list(unpaired, truth, key, label):
    """(class keys, the true class that each lies on most, how many boxes agree with that)."""
    counts = np.zeros((len(unpaired.class_keys), len(truth.class_names)), "int64")
    np.add.at(counts, (key, label), 1)
    numbers = [values.whole_number(number) for number, _ in unpaired.class_keys]
    order = np.argsort([-1 if number is None else number for number in numbers])
    seen = [k for k in order if counts[k].any()]
    names = [truth.class_names[counts[k].argmax()] for k in seen]
    return [unpaired.class_keys[k] for k in seen], names, int(counts.max(axis=1, initial=0).sum())


# What the boxes say -------------------------------------------------------------------------------


def pixels(unpaired, truth, image):
    """xywh (m, 4) in pixels; `image`: (m,) positions in the truth, -1 gives NaN."""
    if not unpaired.relative:
        return unpaired.xywh
    sizes = [(entry["width"], entry["height"]) for entry in truth.images]
    unknown = [i for i in np.unique(image[image >= 0]) if None in sizes[i]]
    if unknown:
        fail(
            unpaired.where,
            "its boxes",
            "be of images whose size is known, because they are shares of it: give the images",
            f"no size of {truth.images[unknown[0]]['file_name']}",
        )
    known = np.array([[w or np.nan, h or np.nan] for w, h in sizes] + [[np.nan] * 2], "float64")
    return unpaired.xywh * np.tile(known[image], 2)


def _sampled(unpaired, places):
    """Positions of the most confident detections whose image is known, and those images."""
    image = places[unpaired.image]
    paired = np.flatnonzero(image >= 0)
    rows = paired[np.argsort(-unpaired.score[paired], kind="stable")[:SAMPLE]]
    return rows, image[rows]


def _touching(unpaired, truth, places):
    """(class key, true label) of the detections that lie on a true box, whatever its class."""
    rows, image = _sampled(unpaired, places)
    xywh = pixels(unpaired, truth, places[unpaired.image])[rows]
    true_rows = groups(truth.image)
    keys, labels = [], []
    for group, found in groups(image).items():
        true = true_rows.get(group)
        if true is None:
            continue
        overlaps = pairwise_iou(xywh[found], truth.xywh[true])
        near = overlaps.max(axis=1) >= FOUND_IOU
        keys.append(unpaired.label[rows[found[near]]])
        labels.append(truth.label[true[overlaps[near].argmax(axis=1)]])
    none = [np.zeros(0, "int64")]
    return np.concatenate(keys or none), np.concatenate(labels or none)


def _hits(unpaired, truth, places):
    """How many of the sampled detections lie on a true box under this reading of the images."""
    return len(_touching(unpaired, truth, places)[0])


def one_of(argument, value, names):
    if value is not None and value not in names:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(names)}. Received: {argument}={value!r}"
        )
