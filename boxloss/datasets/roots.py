"""The parts of a data set that was named by one path: a `data.yaml`, or the root of an export.

    Ultralytics   data.yaml with train and val
    Roboflow      train/, valid/, test/, each with `_annotations.coco.json`, XML or labels
    CVAT          annotations/instances_Train.json; obj_train_data/; Annotations/, JPEGImages/
    COCO          annotations/instances_train2017.json, train2017/; or train.json, train/
    Label Studio  images/ with result.json, or with labels/ and classes.txt

Only what lies below the root is used, wherever the paths inside these files lead.
"""

import os
import pathlib
from typing import NamedTuple

from boxloss import files
from boxloss.datasets import coco, data_yaml, voc
from boxloss.datasets.class_names import LISTS, yaml_in
from boxloss.datasets.folder import ImageFolder, NoMatchError, is_hidden
from boxloss.datasets.images import SUFFIXES
from boxloss.datasets.values import paths_of, stem
from boxloss.files import existing, one_line
from boxloss.types import PathLike

WHOLE = "all"
PART_OF = {"train": "train", "valid": "val", "val": "val", "validation": "val", "test": "test"}
COCO_PREFIX = "instances_"
PICTURE_FOLDERS = ("images", "JPEGImages", "data")


class Part(NamedTuple):
    """One part of a data set: what `load` needs to read it.

    images: the image folder. annotations: a file or folder. format: as `load` takes it, None to
    guess. names: the pictures of the part, relative to `images`, or their stems for VOC; None for
    all of them.
    """

    images: pathlib.Path
    annotations: pathlib.Path
    format: str | None = None
    names: list | None = None


def find_parts(path: PathLike, follow_links: bool = False) -> dict[str, Part]:
    """{"train": Part, "val": Part, ...} of a `data.yaml`, COCO file or root folder at `path`.

    A set that is not divided is the one Part "all". Raises ValueError where nothing is recognised.
    """
    place = existing("annotations", path)
    if place.is_file():
        parts = _of_file(place, follow_links)
    else:
        parts = _of_folder(place, follow_links)
        for _ in range(2 if not parts else 0):  # VOCdevkit/VOC2007; an archive's own folder
            inner = [folder for folder in _folders(place) if not is_hidden(f"{folder.name}/")]
            if parts or len(inner) != 1:
                break
            place = inner[0]
            parts = _of_folder(place, follow_links)
    if not parts:
        raise ValueError(
            "`images` must be given where `annotations` is neither a data.yaml nor the root of a "
            "data set (parts in train/ and valid/, or images/ with annotations beside it). "
            f"Received: annotations={str(path)!r}"
        )
    return parts


def part_of(name):
    """The part that a folder or file name stands for: "Train", "val2017", "valid" ...; or None."""
    return PART_OF.get(name.lower().rstrip("0123456789").rstrip("_-"))


def _of_file(path, follow_links):
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _of_yaml(path, follow_links)
    if suffix == ".json":
        images = _images_of_coco(path)
        return {WHOLE: Part(images, path, "coco")} if images else {}
    if suffix == ".data":  # Darknet's; CVAT's export lies around it
        return _of_folder(path.parent, follow_links)
    return {}


def _of_folder(root, follow_links):
    found = yaml_in(root)
    if found is not None:
        return _of_yaml(found, follow_links)
    for find in (_of_part_folders, _of_coco_files, _of_darknet, _of_voc, _of_pairs, _of_flat):
        parts = find(root)
        if parts:
            return parts
    return {}


# data.yaml ----------------------------------------------------------------------------------------


def _of_yaml(path, follow_links):
    content = data_yaml.read(path)
    base = path.parent
    parts = {}
    for part, places in content.parts.items():
        found = [_place(base, content.path, place) for place in places]
        if None in found and part == "test" and parts:
            continue  # exports name the part also where it is empty
        if None in found:
            raise ValueError(
                f"{one_line(path)}: {part} must name a folder or a list of images below the folder "
                "of that file, or --images be given. "
                f"Received: {part}={places[found.index(None)]!r}, path={content.path!r}"
            )
        parts[part] = _part_of_places(base, path, found, follow_links)
    if parts.get("val") == parts.get("train"):
        parts.pop("val", None)  # images that were learned from cannot validate
    if set(parts) == {"train"}:
        return {WHOLE: parts["train"]}
    return parts or {WHOLE: Part(_first_folder(base, PICTURE_FOLDERS) or base, path, "yolo")}


def _place(base, root, place):
    """The path below `base` that `place` means, a folder or a .txt file; None without one.

    Roboflow writes `../train/images` for what lies beside the file, Ultralytics an absolute `path`
    of the machine on which the set was made: leading parts are taken off until something is there.
    """
    for text in (f"{root}/{place}" if root else place, place):
        inner = os.path.normpath(text.replace("\\", "/"))
        while inner.startswith("../"):
            inner = inner[len("../") :]
        if inner in (".", ".."):
            return base
        for path, _ in paths_of(inner):
            found = base / path
            if found.is_dir() or (found.suffix == ".txt" and found.is_file()):
                return found
    return None


def _part_of_places(base, path, places, follow_links):
    if len(places) == 1 and places[0].is_dir():
        return Part(places[0], path, "yolo")
    folder = ImageFolder(base, follow_links)
    pictures, names = folder.pictures(), []
    for place in places:
        if place.is_dir():
            below = place.relative_to(base).as_posix() + "/"
            names += [name for name in pictures if name.startswith(below) or below == "./"]
        else:
            names += _listed(folder, place)
    return Part(base, path, "yolo", sorted(set(names)))


def _listed(folder, path):
    """The pictures that a text file lists, one per line; what is not there is left out."""
    names = []
    for line in files.decoded(files.read_bytes(path)).splitlines():
        try:
            names += [folder.find(line.strip()).name] if line.strip() else []
        except NoMatchError:
            continue
    return names


# Exports ------------------------------------------------------------------------------------------


def _of_part_folders(root):
    """train/, valid/, test/ with their annotations inside."""
    parts = {}
    for folder in _folders(root):
        part = part_of(folder.name)
        annotations = _annotations_in(folder) if part else None
        if annotations is not None:
            parts[part] = Part(_first_folder(folder, PICTURE_FOLDERS) or folder, *annotations)
    return parts


def _of_flat(root):
    """Images and their annotations in one folder."""
    annotations = _annotations_in(root) if _has_pictures(root) else None
    return {WHOLE: Part(root, *annotations)} if annotations else {}


def _annotations_in(folder):
    """(annotations, format) that lie in a folder of images; None where there are none."""
    listed = sorted(os.listdir(folder))
    found = coco.files_in(folder)
    if len(found) == 1:
        return found[0], "coco"
    if any(map(voc.is_annotation, listed)):
        return folder, "voc"
    texts = [name for name in listed if name.lower().endswith(".txt") and name.lower() not in LISTS]
    if texts or _first_folder(folder, ("labels",)):
        return folder, "yolo"
    return None


def _of_coco_files(root):
    """instances_*.json or train.json, val.json, with the images in folders of the same names."""
    parts = {}
    for folder in (root / "annotations", root / "Annotations", root):
        found = coco.files_in(folder) if folder.is_dir() else []
        named = [p for p in found if p.name.startswith(COCO_PREFIX) or part_of(p.stem)]
        for path in named or (found if len(found) == 1 else []):
            images = _images_of_coco(path)
            if images is not None:
                word = path.stem.removeprefix(COCO_PREFIX)
                parts.setdefault(part_of(word) or WHOLE, Part(images, path, "coco"))
        if parts:
            return parts
    return parts


def _images_of_coco(path):
    """The image folder of a COCO file; None where none is found."""
    folder = path.parent
    roots = [folder, folder.parent] if folder.name.lower() == "annotations" else [folder]
    word = path.stem.removeprefix(COCO_PREFIX)
    for root in roots:
        for place in (root / word, root / "images" / word, *(root / n for n in PICTURE_FOLDERS)):
            if place.is_dir() and ImageFolder(place).pictures():
                return place
    return next((root for root in roots if _has_pictures(root)), None)


def _has_pictures(folder):
    return any(name.lower().endswith(SUFFIXES) for name in os.listdir(folder))


def _of_darknet(root):
    """CVAT's obj_train_data/, obj_valid_data/: images and labels together, names in obj.names."""
    parts = {}
    for folder in _folders(root):
        if folder.name.startswith("obj_") and folder.name.endswith("_data"):
            word = folder.name[len("obj_") : -len("_data")]
            parts[part_of(word.lower()) or WHOLE] = Part(folder, folder, "yolo")
    return {WHOLE: parts["train"]} if set(parts) == {"train"} else parts


def _of_voc(root):
    """Annotations/ and JPEGImages/, divided by the lists in ImageSets/Main."""
    annotations = root / "Annotations"
    images = _first_folder(root, ("JPEGImages", "images"))
    if images is None or not annotations.is_dir():
        return {}
    if not any(map(voc.is_annotation, files.walk(annotations).names)):
        return {}
    parts = {}
    for path in sorted((root / "ImageSets" / "Main").glob("*.txt")):
        part = part_of(path.stem)
        if part is not None:
            lines = files.decoded(files.read_bytes(path)).splitlines()
            stems = [_listed_stem(line) for line in lines if line.strip()]
            parts[part] = Part(images, annotations, "voc", stems)
    return parts if "train" in parts else {WHOLE: Part(images, annotations, "voc")}


def _listed_stem(line):
    """The picture that a line of `ImageSets/Main` means: its first word, without the suffix."""
    word = line.split()[0]
    return stem(word) if word.lower().endswith(SUFFIXES) else word


def _of_pairs(root):
    """images/ with labels/ or annotations/ beside it, each with the same parts inside or none."""
    images = _first_folder(root, PICTURE_FOLDERS)
    if images is None:
        return {}
    for name, format in (("labels", "yolo"), ("annotations", "voc")):
        annotations = _first_folder(root, (name,))
        if annotations is None:
            continue
        parts = {
            part_of(folder.name): Part(folder, _first_folder(annotations, (folder.name,)), format)
            for folder in _folders(images)
            if part_of(folder.name) and _first_folder(annotations, (folder.name,))
        }
        return parts or {WHOLE: Part(images, annotations, format)}
    return {}


def _folders(root):
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())


def _first_folder(root, names):
    """The folder in `root` of the first of these names that there is, in any case; or None."""
    listed = {entry.name: entry for entry in sorted(root.iterdir()) if entry.is_dir()}
    folded = {name.lower(): entry for name, entry in reversed(listed.items())}
    found = (listed.get(name) or folded.get(name.lower()) for name in names)
    return next((entry for entry in found if entry is not None), None)
