"""The labels that are audited, wherever they come from, as a COCO dict that is never changed."""

import os
import pathlib

from boxloss import datasets, evaluation
from boxloss.evaluation.truth import read_json
from boxloss.report import BoxReport
from boxloss.report.run import read_config


def open_truth(truth, images=None):
    """(COCO dict, `evaluation.Truth`, what a BoxReport takes as truth) of whatever holds labels.

    truth: a COCO file or dict, a DataSet, or a folder or data.yaml of another format, for which
    `images` is needed. A COCO file is taken as it is, so that a correction keeps every key of it:
    its broken annotations raise ValueError. Other formats drop theirs.
    """
    if isinstance(truth, (str, os.PathLike)):
        path = pathlib.Path(truth)
        if path.suffix.lower() == ".json":
            if not path.is_file():
                raise ValueError(f"`truth` must be an existing file. Received: truth={str(path)!r}")
            content = read_json(path)
            return content, evaluation.Truth.of(path), content
        if images is None:
            raise ValueError(
                "`images` must be given for annotations that are no COCO .json file. "
                f"Received: images=None, truth={str(path)!r}"
            )
        truth = datasets.load(images, path)
    content = truth.to_coco() if hasattr(truth, "to_coco") else truth
    return content, evaluation.Truth.of(content), truth


def labels_of_run(folder):
    """(COCO dict, image folder or None) of a run's validation labels: those of its boxes.csv.

    Images on which neither a label nor a false detection stands are not in it.
    """
    for name in ("boxes.csv", "detections.json"):
        if not (folder / name).is_file():
            raise ValueError(f"`run` must be a run folder with {name}. Received: {str(folder)!r}")
    content = BoxReport.from_run(folder).to_coco()
    content.pop("predictions")
    for annotation in content["annotations"]:
        for name in [name for name in annotation if name.startswith("boxloss_")]:
            del annotation[name]
    config = read_config(folder / "config.json")
    images = config.get("val_images") or config.get("images")
    there = isinstance(images, str) and pathlib.Path(images).is_dir()  # it may have moved since
    return content, images if there else None
