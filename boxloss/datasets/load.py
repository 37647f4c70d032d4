"""One entry for every format: guess it, read it, check it."""

import os
import pathlib
from collections.abc import Sequence

from boxloss import files
from boxloss.datasets import coco, voc, yolo
from boxloss.datasets.annotated import AnnotatedImage, Source
from boxloss.datasets.assemble import assemble
from boxloss.datasets.images import SUFFIXES
from boxloss.datasets.problems import Problems
from boxloss.datasets.record import DataSet
from boxloss.types import PathLike

FORMATS = ("coco", "voc", "yolo")
COCO_NAMES = ("annotations.json", "_annotations.coco.json")


def load(
    images: PathLike,
    annotations: PathLike | None = None,
    format: str | None = None,
    strict: bool = False,
    class_names: Sequence[str] | None = None,
    voc_one_based: bool = False,
) -> DataSet:
    """The DataSet of an image folder and its annotations.

    images: the image folder; nothing outside it is opened as an image.
    annotations: a COCO JSON file, a folder of VOC XML files, a YOLO `data.yaml` or label folder;
    None looks for one of them in and beside the image folder.
    format: "coco", "voc" or "yolo"; guessed from `annotations` where None.
    strict: raise ValueError with the first problem's line instead of dropping and counting.
    class_names: the label order, for instance a trained model's; boxes of others are dropped.
    voc_one_based: take 1 from VOC's xmin and ymin.
    """
    root = existing_folder("images", images)
    if format not in (None, *FORMATS):
        names = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`format` must be one of {names}. Received: format={format!r}")
    if annotations is None:
        root, annotations = find_annotations(root)
    annotations = pathlib.Path(annotations)
    if not annotations.exists():
        raise ValueError(
            "`annotations` must be an existing file or folder. "
            f"Received: annotations={str(annotations)!r}"
        )
    format = format or guess(annotations)
    problems = Problems(strict)
    if format == "coco":
        source = coco.read(coco_file(annotations), problems)
    elif format == "voc":
        source = voc.read(existing_folder("annotations", annotations), problems, voc_one_based)
    else:
        source = yolo.read(root, annotations, problems, class_names)
    return assemble(source, root, problems, class_names)


def guess(annotations):
    """The format of a file or folder, by the names in it."""
    if annotations.is_file():
        formats = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
        found = formats.get(annotations.suffix.lower())
    else:
        names = files.walk(annotations)
        top = [name for name in names if "/" not in name]
        if any(map(voc.is_xml, top)):
            found = "voc"
        elif sum(name.endswith(".json") for name in top) == 1:
            found = "coco"
        else:
            found = "yolo" if any(name.endswith(".txt") for name in names) else None
    if found is None:
        raise ValueError(
            "`annotations` must be a COCO .json file, a folder of VOC .xml files, a YOLO data.yaml "
            "or a folder of YOLO .txt files (`format` tells which where the names do not). "
            f"Received: annotations={str(annotations)!r}"
        )
    return found


def coco_file(annotations):
    """The JSON file itself, also where a folder was given that holds one."""
    if annotations.is_file():
        return annotations
    files = sorted(annotations.glob("*.json"))
    if len(files) != 1:
        raise ValueError(
            f"`annotations` must be a COCO file or a folder with one. "
            f"Received: annotations={str(annotations)!r} with {len(files)} .json files"
        )
    return files[0]


def find_annotations(root):
    """(image folder, annotations) where only a folder was given: look in it and beside it."""
    for place in (root, root.parent):
        for name in COCO_NAMES:
            if (place / name).is_file():
                images = place / "images"
                return (images if place == root and images.is_dir() else root), place / name
    for place in (root, root.parent / "annotations", root.parent / "Annotations"):
        if place.is_dir() and any(map(voc.is_xml, os.listdir(place))):
            return root, place
    found = yolo.find_yaml(root, None)
    if found is not None:
        return root, found
    if any(root.rglob("*.txt")):
        return root, root
    raise ValueError(
        "`annotations` must be given where neither the image folder nor its parent holds any "
        f"(annotations.json, XML files, data.yaml). Received: images={str(root)!r}"
    )


def load_images(path: PathLike, strict: bool = False) -> DataSet:
    """A DataSet without boxes: all images below the folder `path`, or the one image at `path`."""
    path = pathlib.Path(path)
    if path.is_file():
        root, names = path.parent, [path.name]
    else:
        root = existing_folder("images", path)
        names = [name for name in files.walk(root) if name.lower().endswith(SUFFIXES)]
    images = [
        AnnotatedImage(str(path), f"image {name!r}", [name], number, "xyxy")
        for number, name in enumerate(names, 1)
    ]
    return assemble(Source(images, {}), root, Problems(strict))


def existing_folder(argument, path):
    if not pathlib.Path(path).is_dir():
        raise ValueError(
            f"`{argument}` must be an existing folder. Received: {argument}={str(path)!r}"
        )
    return pathlib.Path(path)
