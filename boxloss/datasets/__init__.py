"""Image folders with COCO, Pascal VOC or YOLO annotations: one record, one pipeline."""

from boxloss.datasets.augmentation import Augmentation
from boxloss.datasets.header import MAX_PIXELS
from boxloss.datasets.images import Letterbox, letterbox, letterbox_of, read_image
from boxloss.datasets.load import FORMATS, load, load_images, load_parts
from boxloss.datasets.problems import Problem
from boxloss.datasets.record import DataSet, Record, split
from boxloss.datasets.roots import find_parts

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Augmentation",
    "Batches",
    "DataSet",
    "Letterbox",
    "Problem",
    "Record",
    "find_parts",
    "letterbox",
    "letterbox_of",
    "load",
    "load_images",
    "load_parts",
    "read_image",
    "split",
]


def __getattr__(name):
    # Batches alone needs Keras, which takes seconds to import; evaluation and pages do without.
    if name == "Batches":
        from boxloss.datasets.batches import Batches

        return Batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
