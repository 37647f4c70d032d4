"""A folder of text files with detections, as Ultralytics' `save_txt` with `save_conf` writes it.

One file per image, named like it. A line is the class (counted from 0, or a name), then shares of
the image, then the confidence. The shares are a box (centre, width, height), which a tracker's
number may follow the confidence of; the corners of a rotated box; an outline; or a box with
keypoints. Of all but the first, the upright box is read.
"""

import math

from boxloss import files
from boxloss.datasets.label_line import could_be_pose, four_numbers, in_shares, split_line
from boxloss.datasets.labels import is_label
from boxloss.evaluation.truth import fail
from boxloss.files import one_line

LINE = "be: class x_center y_center width height confidence"
NO_CONFIDENCE = "have a confidence from 0 to 1 after the box (Ultralytics: save_conf=True)"
BOX, ROTATED = 4, 8  # numbers before the confidence


def add_folder(rows, folder):
    """Add the detections of the files below `folder` to an `unpaired.Rows`; raises ValueError."""
    if not any(folder.glob("*.txt")) and (folder / "labels").is_dir():
        folder = folder / "labels"
        rows.where = one_line(folder)
    lines = list(_lines(rows.where, folder))
    if not lines:
        fail(rows.where, "folder", "hold a text file with detections", "none")
    step = _point_size([numbers for *_, numbers in lines])
    for place, (name, item, text, category, numbers) in enumerate(lines):
        *shares, score = numbers
        if not 0 <= score <= 1:  # a tracker's number, or the last point of an outline
            fail(rows.where, item, NO_CONFIDENCE, text)
        try:
            x, y, width, height = shares[:BOX] if step else four_numbers(shares)
        except ValueError:
            fail(rows.where, item, LINE, text)
        if min(width, height) < 0 or not in_shares((x, y, width, height)):
            fail(rows.where, item, LINE, text)
        names = (None, category) if isinstance(category, str) else (category, None)
        box = [x - width / 2, y - height / 2, width, height]
        rows.add(place, (None, name), names, box, score)


def _lines(where, folder):
    """(file, item, text, class, numbers) of each line of the files, the confidence last."""
    for name in filter(is_label, files.walk(folder).names):
        try:
            text = files.decoded(files.read_bytes(files.inside(folder, name)))
        except ValueError as error:
            fail(where, one_line(name), "be a readable text file", error)
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                item = f"line {number} of {one_line(name)}"
                yield name, item, line, *_class_and_numbers(where, item, line)


def _class_and_numbers(where, item, line):
    try:
        category, numbers = split_line(line, any_name=True)
    except ValueError:
        fail(where, item, LINE, line)
    if len(numbers) == BOX:
        fail(where, item, NO_CONFIDENCE, line)
    if len(numbers) < BOX or not all(map(math.isfinite, numbers)):
        fail(where, item, LINE, line)
    tracked = len(numbers) == BOX + 2 and numbers[-1].is_integer() and numbers[-1] >= 1
    return category, numbers[:-1] if tracked else numbers


def _point_size(lines):
    """How many numbers a keypoint has, 2 or 3; 0 where the lines are boxes or outlines.

    An outline has an even count of numbers. Where that is so for poses, too, they are known by
    their lines: all of one length, and most of them a box with all points in it, which outlines
    over several lines are not.
    """
    count = len(lines[0]) - 1
    if count in (BOX, ROTATED) or any(len(numbers) - 1 != count for numbers in lines):
        return 0
    for step in (3, 2):
        if (count - BOX) % step == 0:
            poses = sum(could_be_pose(numbers[:-1], step) for numbers in lines)
            if count % 2 or poses > len(lines) / 2:
                return step
    return 0
