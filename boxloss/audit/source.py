"""The labels of a run folder, as a COCO dict to audit."""

import pathlib

from boxloss.files import read_object
from boxloss.report import BoxReport


def labels_of_run(folder):
    """(COCO dict, image folder or None) of a run's validation labels: those of its boxes.csv.

    Images without a label and without a false detection are not in it.
    """
    for name in ("boxes.csv", "detections.json"):
        if not (folder / name).is_file():
            raise ValueError(f"`run` must be a run folder with {name}. Received: {str(folder)!r}")
    content = BoxReport.from_run(folder).to_coco()
    content.pop("predictions")
    for annotation in content["annotations"]:
        for name in [name for name in annotation if name.startswith("boxloss_")]:
            del annotation[name]
    config = read_object(folder / "config.json")
    images = config.get("val_images") or config.get("images")
    there = isinstance(images, str) and pathlib.Path(images).is_dir()  # it may have moved since
    return content, images if there else None
