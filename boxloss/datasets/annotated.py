"""What a format's reader hands over, before anything is checked against the images.

A reader knows its syntax only; `assemble` opens the images and applies the rules all formats share.
Boxes come as columns and not as one object per box: a million objects take longer to make than a
million annotations take to parse.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NO_AREA = float("nan")


@dataclass
class AnnotatedImage:
    """One image as written.

    source: the annotation file. item: how a problem names the image ("image 3").
    file_name: as written, None where nothing is. stem: where an image of the annotation file's own
    name would lie, without suffix, relative to the image folder; None where that says nothing.
    width, height: pixels; None where the source does not say.
    """

    source: str
    item: str
    image_id: Any
    file_name: str | None = None
    stem: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass
class AnnotatedBoxes:
    """All boxes as written, n of them: columns of equal length.

    image: position of the box's image in `Source.images`. category: the source's key, an id or a
    name. numbers: four floats each, in `Source.box_format`. area: `NO_AREA` where there is none.
    written: whatever `Source.describe` needs to name the box in a problem.
    """

    image: list = field(default_factory=list)
    category: list = field(default_factory=list)
    numbers: list | np.ndarray = field(default_factory=list)
    annotation_id: list = field(default_factory=list)
    area: list | np.ndarray = field(default_factory=list)
    iscrowd: list | np.ndarray = field(default_factory=list)
    ignore: list | np.ndarray = field(default_factory=list)
    difficult: list | np.ndarray = field(default_factory=list)
    written: list = field(default_factory=list)

    def add(self, image, category, numbers, annotation_id, written, difficult=False):
        self.image.append(image)
        self.category.append(category)
        self.numbers.append(numbers)
        self.annotation_id.append(annotation_id)
        self.area.append(NO_AREA)
        self.iscrowd.append(False)
        self.ignore.append(False)
        self.difficult.append(difficult)
        self.written.append(written)


@dataclass
class Source:
    """An annotation source as a reader gives it.

    box_format: "xywh", "xyxy", "rel_xywh" or "rel_center_xywh", as Keras names them. categories:
    {key: name}; two keys of one name are one class. describe: (image, written) to the (item,
    received) of a problem with that box. numbered: whether the keys are category ids, or only the
    names again (VOC).
    """

    images: list
    boxes: AnnotatedBoxes
    categories: dict
    box_format: str
    describe: Callable[[AnnotatedImage, Any], tuple[str, str]]
    numbered: bool = True
