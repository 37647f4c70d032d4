"""Draw one wrong box of a run, large, to RUN/errors.png: python scripts/picture.py RUN

The box is the found one whose largest side error is nearest to an eighth of its side.
"""

import csv
import json
import pathlib
import sys

import numpy as np

from boxloss.datasets import read_image
from boxloss.files import inside, write_atomically
from boxloss.report.drawing import illustrate, relative_errors

SIDES = ("x1", "y1", "x2", "y2")
WHICH = ("truth", "prediction")


def boxes_of(row):
    """truth (4,), prediction (4,) of a row of boxes.csv."""
    return [np.array([float(row[f"{which}_{side}"]) for side in SIDES]) for which in WHICH]


def chosen(rows):
    """The row whose box is wrong enough to be seen, and still found."""
    found = [row for row in rows if row["kind"] in ("ok", "loc")]
    if not found:
        raise ValueError("boxes.csv must hold at least one found box. Received: none")

    def distance(row):
        truth, prediction = boxes_of(row)
        return abs(np.abs(relative_errors(truth[None], prediction[None])).max() - 0.125)

    return min(found, key=distance)


def main(argv=None):
    run = pathlib.Path((sys.argv[1:] if argv is None else argv)[0])
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    with open(run / "boxes.csv", encoding="utf-8", newline="") as file:
        row = chosen(list(csv.DictReader(file)))
    truth, prediction = boxes_of(row)
    errors = " ".join(f"{float(row[f'error_{side}']):+.1f}" for side in SIDES)
    caption = f"{row['class']}: IoU {float(row['iou']):.2f}; x1 y1 x2 y2 off by {errors} pixels"
    image = read_image(inside(config["val_images"], row["file_name"]))
    picture = illustrate(image, truth, prediction, width=960, caption=caption)

    import cv2

    with write_atomically(run / "errors.png") as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    print(f"{run / 'errors.png'}: {caption}", file=sys.stderr)


if __name__ == "__main__":
    main()
