"""One entry for every format: guess it, read it, check it."""

import pathlib

from boxloss.datasets import coco, folder
from boxloss.datasets.annotated import AnnotatedImage, Source
from boxloss.datasets.assemble import assemble
from boxloss.datasets.problems import Problems, one_line

FORMATS = ("coco", "voc", "yolo")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def load(images, annotations=None, format=None, strict=False, class_names=None):
    """The DataSet of an image folder and its annotations.

    images: the image folder; nothing outside it is opened as an image.
    annotations: a COCO JSON file. format: "coco", guessed from `annotations` where None.
    strict: raise ValueError with the first problem's line instead of dropping and counting.
    class_names: the label order, for instance a trained model's; boxes of others are dropped.
    """
    root = existing_folder("images", images)
    problems = Problems(strict)
    if not pathlib.Path(annotations).is_file():
        raise ValueError(
            f"`annotations` must be an existing file. Received: annotations={str(annotations)!r}"
        )
    source = coco.read(annotations, problems)
    return assemble(source, root, problems, class_names)


def load_images(path, strict=False):
    """A DataSet without boxes: all images below the folder `path`, or the one image at `path`."""
    path = pathlib.Path(path)
    if path.is_file():
        root, names = path.parent, [path.name]
    else:
        root = existing_folder("images", path)
        names = [name for name in folder.walk(root) if name.lower().endswith(IMAGE_SUFFIXES)]
    images = [
        AnnotatedImage(str(path), f"image {name!r}", [name], number, "xyxy")
        for number, name in enumerate(names, 1)
    ]
    return assemble(Source(images, {}), root, Problems(strict))


def existing_folder(argument, path):
    if not pathlib.Path(path).is_dir():
        raise ValueError(
            f"`{argument}` must be an existing folder. Received: {argument}={one_line(path)!r}"
        )
    return pathlib.Path(path)
