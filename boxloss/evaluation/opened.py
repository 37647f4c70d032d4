"""Truth opened from whatever holds labels, with what was wrong with it."""

import os
import pathlib
from dataclasses import dataclass
from typing import Any

from boxloss.datasets import DataSet, load
from boxloss.datasets.problems import Problems
from boxloss.evaluation.truth import Truth
from boxloss.files import read_json
from boxloss.types import PathLike


@dataclass(eq=False)
class OpenTruth:
    """source: the DataSet or the COCO dict. truth: its boxes as arrays. problems: of its items.
    dropped: {"images": count, "boxes": count}."""

    source: DataSet | dict[str, Any]
    truth: Truth
    problems: list
    dropped: dict[str, int]


def open_truth(
    truth: Any,
    images: PathLike | None = None,
    as_it_is: bool = False,
    part: str | None = None,
    format: str | None = None,
    strict: bool = False,
) -> OpenTruth:
    """The OpenTruth of a DataSet, a COCO dict, a COCO file, or annotations of another format.

    images: the image folder; None for a COCO file, and for a data set root or data.yaml that says
    where its images are. part: "train", "val" or "test" of such a root. A COCO file with its images
    is read as training reads it, so that what is not there is dropped; as_it_is: the file alone is
    read, and its dict keeps every key. format: "coco", "voc" or "yolo" where names do not say it.
    Broken items are left out and reported in `problems`; strict raises ValueError at the first.
    """
    if isinstance(truth, (str, os.PathLike)):
        path = pathlib.Path(truth)
        json_file = path.suffix.lower() == ".json"
        if json_file and not path.is_file():
            raise ValueError(f"`truth` must be an existing file. Received: truth={str(path)!r}")
        if json_file and (images is None or as_it_is):
            return _of_dict(read_json(path), str(path), strict)
        truth = load(images, path, format, strict, part=part)
    if isinstance(truth, DataSet):
        return OpenTruth(truth, Truth.of(truth), truth.problems, dict(truth.dropped))
    return _of_dict(truth, "truth", strict)


def _of_dict(content, where, strict):
    problems = Problems(strict)
    truth = Truth.of(content, problems, where)
    return OpenTruth(content, truth, problems.found, dict(problems.dropped))
