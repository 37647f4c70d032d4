"""COCO JSON: read with every item checked, and write."""

import json
import math

from boxloss.datasets.annotated import AnnotatedBox, AnnotatedImage, Source
from boxloss.files import one_line, write_atomically


def read(path, problems):
    """The Source of a COCO file; category keys are its category ids.

    Ids may be integers or strings and need not be contiguous. `segmentation` is ignored.
    """
    content = _content(path)
    categories = _categories(path, content["categories"], problems)
    images = _images(path, content["images"], problems)
    _attach(path, content["annotations"], images, problems)
    return Source(images.values(), categories)


def _content(path):
    """The three lists of the file; raises ValueError where they are not there."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, huge ints
        reason = one_line(error) if isinstance(error, ValueError) else "too deeply nested"
        raise ValueError(f"{one_line(path)}: file must be valid JSON. Received: {reason}") from None
    for key in ("images", "annotations", "categories"):
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, list):
            received = f"{key} of type {type(value).__name__}"
            if not isinstance(content, dict):
                received = f"a file that holds a {type(content).__name__}"
            elif key not in content:
                received = f"no {key!r}"
            raise ValueError(
                f"{one_line(path)}: file must be a COCO object with the lists 'images', "
                f"'annotations' and 'categories'. Received: {received}"
            )
    return content


def _is_id(value):
    return type(value) in (int, str)


def _is_number(value):
    return type(value) in (int, float)


def _entries(path, entries, word, problems, **cost):
    """(item, entry) of the well-formed entries; their ids are distinct."""
    seen = set()
    for position, entry in enumerate(entries):
        item = f"{word} at position {position}"
        if not isinstance(entry, dict) or not _is_id(entry.get("id")):
            received = f"id={entry.get('id')!r}" if isinstance(entry, dict) else repr(entry)
            rule = "be an object with an integer or text id"
            problems.add(path, item, rule, received, **cost)
        elif entry["id"] in seen:
            rule = f"have an id that no other {word} has"
            problems.add(path, item, rule, f"id={entry['id']!r}", **cost)
        else:
            seen.add(entry["id"])
            yield f"{word} {entry['id']!r}", entry


def _categories(path, entries, problems):
    categories = {}
    for item, entry in _entries(path, entries, "category", problems):
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            problems.add(path, item, "have a name", f"name={name!r}")
        elif name in categories.values():
            problems.add(path, item, "have a name that no other category has", f"name={name!r}")
        else:
            categories[entry["id"]] = name
    return categories


def _images(path, entries, problems):
    images = {}
    for item, entry in _entries(path, entries, "image", problems, images=1):
        name = entry.get("file_name")
        if not isinstance(name, str):
            rule = "have a file name"
            problems.add(path, item, rule, f"file_name={name!r}", images=1)
            continue
        size = [entry.get(key) for key in ("width", "height")]
        if not all(side is None or _is_number(side) for side in size):
            rule = "have a width and a height in pixels"
            received = f"width={size[0]!r}, height={size[1]!r}"
            problems.add(path, item, rule, received, images=1)
            continue
        images[entry["id"]] = AnnotatedImage(str(path), item, [name], entry["id"], "xywh", *size)
    return images


def _attach(path, entries, images, problems):
    """Add the annotations to their images."""
    for item, entry in _entries(path, entries, "annotation", problems, boxes=1):
        key = entry.get("image_id")
        image = images.get(key) if _is_id(key) else None
        if image is None:
            rule = "have the id of an image"
            problems.add(path, item, rule, f"image_id={key!r}", boxes=1)
            continue
        item = f"{item} of {image.file_names[0]!r}"
        bbox = entry.get("bbox")
        received = f"bbox={bbox!r}"
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
            rule = "have a bbox of four numbers [x, y, width, height]"
            problems.add(path, item, rule, received, boxes=1)
            continue
        category = entry.get("category_id")
        image.boxes.append(
            AnnotatedBox(
                item,
                category if _is_id(category) else None,
                tuple(map(_float, bbox)),
                received,
                entry["id"],
                _area(entry.get("area")),
                *(bool(entry.get(flag)) for flag in ("iscrowd", "ignore", "difficult")),
            )
        )


def _float(value):
    try:
        return float(value)
    except OverflowError:  # an integer of 400 digits
        return math.inf


def _area(value):
    usable = _is_number(value) and 0 < _float(value) < math.inf
    return _float(value) if usable else None


def write(dataset, path):
    """Write a DataSet as COCO JSON."""
    with write_atomically(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(dataset.to_coco(), file)
