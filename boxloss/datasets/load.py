"""One entry for every format: guess it, read it, check it."""

import contextlib
import gc
import os
import pathlib
from collections.abc import Sequence

from boxloss import files
from boxloss.datasets import coco, voc, yolo
from boxloss.datasets.annotated import AnnotatedBoxes, AnnotatedImage, Source
from boxloss.datasets.assemble import assemble
from boxloss.datasets.class_names import find_yaml
from boxloss.datasets.folder import ImageFolder
from boxloss.datasets.labels import find_labels
from boxloss.datasets.problems import Problems
from boxloss.datasets.record import DataSet
from boxloss.datasets.roots import Part, find_parts
from boxloss.files import existing, existing_folder
from boxloss.types import PathLike

FORMATS = ("coco", "voc", "yolo")
COCO_NAMES = ("annotations.json", "_annotations.coco.json")


def load(
    images: PathLike | None = None,
    annotations: PathLike | None = None,
    format: str | None = None,
    strict: bool = False,
    class_names: Sequence[str] | None = None,
    voc_one_based: bool = False,
    follow_links: bool = False,
    part: str | None = None,
) -> DataSet:
    """The DataSet of an image folder and its annotations.

    images: the image folder; nothing outside it is opened as an image. None where `annotations`
    is a data.yaml, or the root of a data set as Ultralytics, Roboflow, CVAT or Label Studio export
    it, which has both.
    annotations: a COCO JSON file, a folder of VOC XML files, a YOLO `data.yaml` or label folder;
    None looks for one of them in and beside the image folder.
    format: "coco", "voc" or "yolo"; guessed from `annotations` where None.
    strict: raise ValueError with the first problem's line instead of dropping and counting.
    class_names: the label order, for instance a trained model's; boxes of others are dropped.
    voc_one_based: take 1 from VOC's xmin and ymin.
    follow_links: open what symbolic links out of the image folder lead to.
    part: "train", "val" or "test" of a data set root, where it has several.
    """
    if format not in (None, *FORMATS):
        names = ", ".join(map(repr, FORMATS))
        raise ValueError(f"`format` must be one of {names}. Received: format={format!r}")
    if images is None:
        chosen = _part(annotations, part, follow_links)
    else:
        if part is not None:
            raise ValueError(
                f"`part` must be None where `images` is given. Received: part={part!r}"
            )
        chosen = _given(existing_folder("images", images), annotations, format)
    options = {"voc_one_based": voc_one_based, "follow_links": follow_links}
    with _without_collection():
        return _read(chosen, Problems(strict), class_names, **options)


@contextlib.contextmanager
def _without_collection():
    """Python's search for garbage, halted: among millions of new objects it finds none.

    Reading a million annotations takes a third longer with it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _part(annotations, part, follow_links):
    """The Part of a data set root."""
    if annotations is None:
        raise ValueError("`images` or `annotations` must be given. Received: neither")
    parts = find_parts(annotations, follow_links)
    part = part or (next(iter(parts)) if len(parts) == 1 else None)
    if part not in parts:
        names = ", ".join(map(repr, parts))
        raise ValueError(
            f"`part` must be one of {names} for {str(annotations)!r}. Received: part={part!r}"
        )
    return parts[part]


def _given(root, annotations, format):
    """The Part of an image folder and what was given, or is found, as its annotations."""
    if annotations is None:
        root, annotations, found = find_annotations(root)
        return Part(root, annotations, format or found)
    annotations = existing("annotations", annotations)
    return Part(root, annotations, format or guess(annotations))


def _read(part, problems, class_names, voc_one_based, follow_links):
    format = part.format or guess(part.annotations)
    folder = ImageFolder(part.images, follow_links)
    if format == "coco":
        source = coco.read(coco_file(part.annotations), problems, folder)
    elif format == "voc":
        place = existing_folder("annotations", part.annotations)
        source = voc.read(place, problems, voc_one_based, follow_links, part.names)
    else:
        source = yolo.read(folder, part.annotations, problems, class_names, part.names)
    dataset = assemble(source, folder, problems, class_names)
    dataset.format = format
    return dataset


def load_parts(
    annotations: PathLike,
    strict: bool = False,
    voc_one_based: bool = False,
    follow_links: bool = False,
) -> dict[str, DataSet]:
    """The DataSets of a data set root, {"train": ..., "val": ..., "test": ...}, or {"all": ...}.

    annotations: a data.yaml, or the root folder. All have the classes of the first, which are those
    that the others are measured by. Other arguments as in `load`.
    """
    sets: dict[str, DataSet] = {}
    for part in find_parts(annotations, follow_links):
        names = next(iter(sets.values())).class_names if sets else None
        sets[part] = load(None, annotations, None, strict, names, voc_one_based, follow_links, part)
    return sets


def guess(annotations):
    """The format of a file or folder, by the names in it."""
    if annotations.is_file():
        formats = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
        found = formats.get(annotations.suffix.lower())
    else:
        names = files.walk(annotations).names
        top = [name for name in names if "/" not in name]
        if not any(map(voc.is_annotation, top)) and len(coco.files_in(annotations)) == 1:
            found = "coco"
        elif any(map(voc.is_annotation, names)):
            found = "voc"
        else:
            found = "yolo" if any(name.lower().endswith(".txt") for name in names) else None
    if found is None:
        raise ValueError(
            "`annotations` must be a COCO .json file, a folder of VOC .xml files, a YOLO data.yaml "
            "or a folder of YOLO .txt files (`format` says which where the names do not). "
            f"Received: annotations={str(annotations)!r}"
        )
    return found


def coco_file(annotations):
    """The JSON file itself, also where a folder was given that holds one."""
    if annotations.is_file():
        return annotations
    found = coco.files_in(annotations)
    if len(found) != 1:
        raise ValueError(
            f"`annotations` must be a COCO file or a folder with one. "
            f"Received: annotations={str(annotations)!r} with {len(found)} .json files"
        )
    return found[0]


def find_annotations(root):
    """(image folder, annotations, format) of a folder alone: what lies in it and beside it."""
    for place in (root, root.parent):
        for name in COCO_NAMES:
            if (place / name).is_file():
                images = place / "images"
                root = images if place == root and images.is_dir() else root
                return root, place / name, "coco"
    for place in (root, root.parent / "annotations", root.parent / "Annotations"):
        if place.is_dir() and any(map(voc.is_annotation, os.listdir(place))):
            return root, place, "voc"
    found = find_yaml(root, None)
    if found is not None:
        return root, found, "yolo"
    folder = ImageFolder(root)
    with contextlib.suppress(ValueError):
        find_labels(folder, None, folder.pictures())
        return root, root, "yolo"
    raise ValueError(
        "`annotations` must be given where neither the image folder nor its parent holds any "
        f"(annotations.json, XML files, data.yaml). Received: images={str(root)!r}"
    )


def load_images(path: PathLike, strict: bool = False, follow_links: bool = False) -> DataSet:
    """A DataSet without boxes: all images below the folder `path`, or the one image at `path`."""
    path, problems = pathlib.Path(path), Problems(strict)
    if path.is_file():
        folder = ImageFolder(path.parent, tree=files.Tree([path.name]))
        names = [path.name]
    else:
        folder = ImageFolder(existing_folder("images", path), follow_links)
        folder.report_links(problems)
        names = folder.pictures()
    images = [
        AnnotatedImage(str(path), f"image {name!r}", number, name)
        for number, name in enumerate(names, 1)
    ]
    source = Source(images, AnnotatedBoxes(), {}, "xyxy", lambda image, written: ("", ""))
    return assemble(source, folder, problems)
