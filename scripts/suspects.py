"""Pictures of the labels that look most wrong, to be judged by eye.

    python scripts/suspects.py --truth val.json --detections RUN/detections.json \\
        --images val --first 50 --out suspects

Writes suspects/suspects-1.png and so on, twelve crops each: the label is solid, its detection
dashed, a proposed box yellow; above them rank, file, what is suspected, class and confidence.
"""

import argparse
import pathlib

import numpy as np

from boxloss.audit import LabelAudit
from boxloss.datasets import read_image
from boxloss.files import inside
from boxloss.report import pictures
from boxloss.report.drawing import Canvas, class_colour
from boxloss.report.page.crops import crop_of

PER_SHEET, COLUMNS = 12, 4
PROPOSED = (245, 230, 99)
CONTEXT = 60  # pixels around the boxes: small objects need their surroundings to be judged


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, words in (
        ("truth", "COCO labels"),
        ("detections", "COCO results of a detector that did not learn from them"),
        ("images", "the image folder"),
        ("out", "folder for the pictures"),
    ):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path, help=words)
    parser.add_argument("--first", type=int, default=50, help="how many (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    audit = LabelAudit(args.truth, args.detections, args.images)
    rows = audit.rows[: args.first]
    args.out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), PER_SHEET):
        part = rows[start : start + PER_SHEET]
        tiles = [tile(row, args.images, audit.truth.class_names) for row in part]
        captions = [words_of(row) for row in part]
        path = args.out / f"suspects-{start // PER_SHEET + 1}.png"
        pictures.write_png(path, pictures.grid(tiles, COLUMNS, captions))
        print(path)
    for row in rows:
        print(words_of(row), row.file_name)


def words_of(row):
    said = row["proposal"] or "nothing"
    if said in ("relabel", "add"):
        said += f" {row['corrected_class']}"
    found = "" if row.score is None else f", {row.prediction_class} {row.score:.2f}"
    return (
        f"{row['rank']} {row['suspected']} {row['suspicion']:.1f}: {row.class_name}{found}: {said}"
    )


def tile(row, images, class_names):
    """The crop around the label and its detection, with some of their surroundings."""
    image = read_image(inside(images, row.file_name))
    height, width = image.shape[:2]
    x, y, w, h = crop_of(row, width, height)
    left, top = max(x - CONTEXT, 0), max(y - CONTEXT, 0)
    part = image[top : min(y + h + CONTEXT, height), left : min(x + w + CONTEXT, width)]
    canvas = Canvas(part, scale=pictures.TILE / max(part.shape[:2]), line=0.8)
    shift = np.array([left, top, left, top])
    if row.truth is not None:
        canvas.box(row.truth - shift, class_colour(class_names.index(row.class_name)))
    if row.prediction is not None:
        colour = class_colour(class_names.index(row.prediction_class))
        canvas.box(row.prediction - shift, colour, dashed=True)
    new = [row[f"corrected_{side}"] for side in ("x1", "y1", "x2", "y2")]
    if row["proposal"] == "move":
        canvas.box(np.array(new) - shift, PROPOSED, dashed=True)
    return canvas.image


if __name__ == "__main__":
    main()
