"""Changes of labels, written in the format that the labels came in.

A change names its label by what it was (image, class and box), not by its place in a file. So it
finds its label in COCO, VOC and YOLO alike, and finds nothing where it was made before: making the
same changes in the changed labels again changes nothing. The labels that are read stay as they are.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from boxloss.datasets.label_files import open_labels
from boxloss.files import one_line, output, write_json
from boxloss.types import Entry, PathLike


class Edit(NamedTuple):
    """One change of one label.

    action: "move", "relabel", "remove" or "add". class_name, box: the label as it is, xyxy in
    pixels; None for "add". new_class, new_box: as it should be; None for "remove".
    """

    action: str
    file_name: str
    class_name: str | None
    box: tuple | None
    new_class: str | None
    new_box: tuple | None


def write_labels(
    edits: Sequence[Edit],
    truth: PathLike,
    images: PathLike | None,
    out: PathLike,
    voc_one_based: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the labels of `truth`, with `edits`, into the folder `out`; what was changed.

    Args:
        edits: the changes; one whose label is not there as described is not made and is listed.
        truth: a COCO file, a folder of VOC files, a YOLO `data.yaml` or folder of label files.
        images: the image folder; needed for VOC and YOLO.
        out: another folder than that of the labels, made if need be. What an earlier call wrote
            there is replaced.
        voc_one_based: the VOC files count pixels from 1, as in `datasets.load`.
        overwrite: replace files of `out` that boxloss did not write, or that were edited since.

    Returns:
        {"labels": what to give as annotations from now on, "changes": [...], "not_found": [...]}:
        also written as `changes.json`. An entry of both lists has the fields of its `Edit`.

    Raises:
        ValueError: the labels lie in `out`, or `out` holds other files of the same names, or
            `images` is missing, or the labels cannot be read.
    """
    truth, out = pathlib.Path(truth), pathlib.Path(out)
    _check_place(truth, out)
    labels = open_labels(truth, images, voc_one_based)
    # In order: an edit may be of a label that an earlier one moved.
    found = [labels.change(edit) for edit in edits]
    made = [edit for edit, there in zip(edits, found, strict=True) if there]
    not_found = [edit for edit, there in zip(edits, found, strict=True) if not there]
    with output(out, ("changes.json", *labels.written()), overwrite) as folder:
        result = {
            "labels": str(labels.write(out)),
            "changes": [_entry(edit) for edit in made],
            "not_found": [_entry(edit) for edit in not_found],
        }
        write_json(out / "changes.json", result)
        folder.sweep(labels.FOLDER)
    return result


def _check_place(truth, out):
    """ValueError where the labels that are read lie in the folder that is written to."""
    real = os.path.realpath(out)
    if os.path.commonpath([real, os.path.realpath(truth)]) == real:
        raise ValueError(
            "`out` must be another folder than that of the labels, which are never overwritten. "
            f"Received: {one_line(out)}"
        )


def _entry(edit) -> Entry:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in edit._asdict().items()}
