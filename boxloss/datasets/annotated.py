"""What a format's reader hands over for each image, before anything is checked against the image.

A reader knows its syntax only; `assemble` opens the images and applies the rules all formats share.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class AnnotatedBox(NamedTuple):
    """One box as written.

    item: how a problem names it ("annotation 7"). category: the source's key, an id or a name.
    numbers: four numbers in `AnnotatedImage.box_format`, floats. received: the same as text.
    """

    item: str
    category: Any
    numbers: tuple
    received: str
    annotation_id: Any
    area: float | None = None
    iscrowd: bool = False
    ignore: bool = False
    difficult: bool = False


@dataclass
class AnnotatedImage:
    """One image as written.

    source: the annotation file. item: how a problem names the image ("image 3").
    file_names: where the image may lie, relative to the image folder, the first that exists counts.
    width, height: None or 0 where the source does not tell. box_format: "xywh", "xyxy" or
    "rel_center_xywh" (as Keras names them).
    """

    source: str
    item: str
    file_names: list
    image_id: Any
    box_format: str
    width: int | None = None
    height: int | None = None
    boxes: list = field(default_factory=list)


@dataclass
class Source:
    """An annotation source: images (any iterable, read once), then `categories`: {key: name}.

    numbered: whether the keys are category ids, or only the names again (VOC).
    A reader may fill `categories` while `images` is consumed (VOC meets its names on the way).
    """

    images: Any
    categories: dict
    numbered: bool = True
