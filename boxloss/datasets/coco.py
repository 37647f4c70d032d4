"""COCO JSON: read with every item checked, and write."""

import json

import numpy as np

from boxloss import files
from boxloss.datasets.annotated import NO_AREA, AnnotatedImage, Source
from boxloss.datasets.coco_annotations import OWN_ID, are_shares, boxes_of, describe, read_columns
from boxloss.datasets.folder import NoMatchError
from boxloss.datasets.values import Ids, identifier, name, size, stem, whole_number
from boxloss.files import one_line, write_atomically


def read(path, problems, folder):
    """The Source of a COCO file; category keys are its category ids. `segmentation` is ignored.

    Ids may be any whole numbers or texts. Images that share an id, as in files that were merged,
    are dropped with their boxes, unless they are one picture twice.
    """
    content = _content(path)
    images, position_of = _images(path, content["images"], folder, problems)
    entries, columns = read_columns(path, content["annotations"], problems)
    categories = _categories(path, content.get("categories"), columns["category_id"], problems)
    boxes = boxes_of(path, entries, columns, images, position_of, categories, problems)
    if not are_shares(boxes.numbers):
        return Source(images, boxes, categories, "xywh", describe)
    received = "boxes of at most 1 x 1, which are read as shares of their images"
    problems.add(path, "file", "have boxes in pixels", received, kept=True)
    boxes.area = np.full(len(boxes.area), NO_AREA)
    return Source(images, boxes, categories, "rel_xywh", describe)


def files_in(folder):
    """The COCO files in a folder; Label Studio's notes.json, which only names classes, is none."""
    listed = (path for path in folder.iterdir() if path.name.lower().endswith(".json"))
    return sorted(path for path in listed if is_coco(path))


def is_coco(path):
    """Whether a file looks like COCO's, without parsing it."""
    try:
        with files.open_regular(path) as file:
            data = file.read()
    except OSError:
        return False
    if b"\0" in data[:4]:  # UTF-16
        data = data.replace(b"\0", b"")
    return b'"images"' in data and b'"annotations"' in data


def _content(path):
    """The object in the file; raises ValueError where it has not the lists it needs."""
    try:
        with open(path, "rb") as file:
            content = json.loads(files.decoded(file.read()))
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, huge ints
        reason = one_line(error) if isinstance(error, ValueError) else "too deeply nested"
        raise ValueError(f"{one_line(path)}: file must be valid JSON. Received: {reason}") from None
    for key in ("images", "annotations"):
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


# Images -------------------------------------------------------------------------------------------


def _images(path, entries, folder, problems):
    """(AnnotatedImages, Ids of their positions)."""
    source, images, groups = str(path), [], {}
    for place, entry in enumerate(entries):
        written = entry.get("id") if isinstance(entry, dict) else None
        key = identifier(written)
        if key is None:
            received = f"id={written!r}" if isinstance(entry, dict) else repr(entry)
            problems.add(path, f"image at position {place}", OWN_ID, received, images=1)
            continue
        item, file_name = f"image {written!r}", file_name_of(entry)
        if file_name is None:
            received = f"file_name={entry.get('file_name')!r}"
            problems.add(path, item, "have a file name", received, images=1)
            continue
        sides = size(entry.get("width")), size(entry.get("height"))
        groups.setdefault(key, []).append((place, written, len(images)))
        images.append(AnnotatedImage(source, item, key, file_name, None, *sides))
    dropped = set()
    for group in groups.values():
        if len(group) > 1:
            dropped |= _of_one_id(path, group, images, folder, problems)
    if not dropped:
        return images, Ids((image.image_id, i) for i, image in enumerate(images))
    images = [image for i, image in enumerate(images) if i not in dropped]
    return images, Ids((image.image_id, i) for i, image in enumerate(images))


def file_name_of(entry):
    """The file name of an image object as text; LVIS has the address of the picture instead."""
    written = entry.get("file_name", entry.get("coco_url"))
    # A number, where a picture is called 7.png.
    return written if isinstance(written, str) else name(written)


def _of_one_id(path, group, images, folder, problems):
    """Positions to drop of images that share an id: all, unless they are one image twice."""
    positions = [position for *_, position in group]
    names = [_picture(images[position].file_name, folder) for position in positions]
    kept = None if of_several_pictures(images[positions[0]].image_id, names) else positions[0]
    for place, written, position in group:
        if position != kept:
            item = f"image at position {place}"
            rule = "have an id that no other image has"
            problems.add(path, item, rule, f"id={written!r}", images=1)
    return set(positions) - {kept}


def of_several_pictures(key, names):
    """Whether image objects of one id `key` may mean several pictures; names: of their files.

    Nobody knows then which of the pictures a box with this id was drawn on. An id that is the
    number in the name was made from the name, often after its folder was taken off: even objects
    that are the same in everything may come from several pictures (`1500` of `a/001500.png`).
    """
    number = whole_number(key)
    made_of_name = number is not None and whole_number(stem(names[0])) == number
    return len(set(names)) > 1 or made_of_name


def _picture(name, folder):
    try:
        return folder.find(name).name
    except NoMatchError:
        return name


# Categories ---------------------------------------------------------------------------------------


def _categories(path, entries, used, problems):
    """{category id: name}; what cannot be read is reported."""
    categories = {}
    for place, entry in enumerate(category_objects(path, entries, used)):
        written = entry.get("id") if isinstance(entry, dict) else None
        key = identifier(written)
        if key is None:
            received = f"id={written!r}" if isinstance(entry, dict) else repr(entry)
            problems.add(path, f"category at position {place}", OWN_ID, received)
        elif key in categories:
            rule = "have an id that no other category has"
            problems.add(path, f"category at position {place}", rule, f"id={written!r}")
        elif name(entry.get("name")) is None:
            received = f"name={entry.get('name')!r}"
            problems.add(path, f"category {written!r}", "have a name", received)
        else:
            categories[key] = name(entry["name"])
    return categories


def category_objects(path, entries, used):
    """`categories` as a list of objects with id and name, whichever form the file has.

    It may be such a list, a list of names, a map, or absent: then the ids that annotations use
    (`used`, as identifiers) are the names.
    """
    if isinstance(entries, dict):
        return [_entry_of_pair(*pair) for pair in entries.items()]
    if not isinstance(entries, list) or not entries:
        ids = dict.fromkeys(key for key in used if key is not None)
        return [{"id": key, "name": str(key)} for key in ids]
    if all(isinstance(entry, str) for entry in entries):
        first = _first_number(path, len(entries), used)
        return [{"id": first + i, "name": entry} for i, entry in enumerate(entries)]
    return entries


def _entry_of_pair(key, value):
    """An entry of a map {id: name}, {id: {"name": name}} or {name: id}."""
    if isinstance(value, dict):
        return {"id": key, **value}
    if isinstance(value, str):
        return {"id": key, "name": value}
    return {"id": value, "name": key}


def _first_number(path, count, used):
    """The id of the first of `count` names: 0 or 1, as the ids that are used allow."""
    numbers = {key for key in used if type(key) is int}
    if 0 in numbers or not numbers:
        return 0
    if count in numbers:
        return 1
    raise ValueError(
        f"{one_line(path)}: categories must have ids where neither 0 nor their count is used. "
        f"Received: {count} names, ids from {min(numbers)} to {max(numbers)}"
    )


def write(dataset, path):
    """Write a DataSet as COCO JSON."""
    with write_atomically(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(dataset.to_coco(), file)
