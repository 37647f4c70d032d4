"""Draw the README's first picture: a real image, its (N, 4) errors, and the diagnosis.

    python scripts/banner.py --truth val.json --detections results.json --images val/ \
        --out docs/pictures/banner.png

Three found boxes near each other whose sides are off most, their signed errors in pixels as
coloured cells, and the points of AP50 that each kind of error costs over all images. The letters
are large enough for a screen of 360 pixels. Needs matplotlib.
"""

import argparse
import itertools
import pathlib
import sys

import numpy as np

import boxloss
from boxloss.datasets import read_image
from boxloss.evaluation import lost_points
from boxloss.files import write_atomically
from boxloss.report.drawing import diverging, draw_errors, relative_errors

WIDTH, HEIGHT, DPI = 10.8, 8.6, 100  # inches
CROP = (240, 200)  # pixels of the image, width and height
LIMIT = 0.15  # the error, as a share of the side, at which colours saturate
WORDS = {
    "bkg": "on background",
    "miss": "missed",
    "loc": "wrong place",
    "cls": "wrong class",
    "both": "both wrong",
    "dupe": "double",
}
INK, FAINT, BAR = "#1b1f27", "#5b6475", "#a14a00"


def shares(rows):
    """(n, 4): errors of the rows as shares of the true sides."""
    truth, prediction = (
        np.array([getattr(row, which) for row in rows], "float64")
        for which in ("truth", "prediction")
    )
    return relative_errors(truth, prediction)


def crop_around(rows, width, height):
    """left, top of a crop that holds all boxes of the rows; None where they are too far apart."""
    corners = np.array([[row.truth, row.prediction] for row in rows], "float64").reshape(-1, 4)
    low, high = corners[:, :2].min(axis=0) - 8, corners[:, 2:].max(axis=0) + 8
    if (low < 0).any() or (high > (width, height)).any() or (high - low > CROP).any():
        return None
    return np.clip((low + high - CROP) / 2, 0, np.array([width, height]) - CROP).astype(int)


def apart(rows):
    """Whether no two true boxes of the rows overlap."""
    return all(
        a.truth[2] < b.truth[0] or b.truth[2] < a.truth[0] or a.truth[3] < b.truth[1]
        or b.truth[3] < a.truth[1]
        for a, b in itertools.combinations(rows, 2)
    )  # fmt: skip


def chosen(report):
    """(rows, left top of the crop) of the three boxes of one image that show most."""
    best, found = 0.0, None
    for image in report.images:
        rows = [
            row
            for row in report.rows
            if row.image_id == image["id"] and row.kind in ("ok", "loc") and row.about == "truth"
        ]
        rows = sorted(rows, key=lambda row: -np.abs(shares([row])).max())[:9]
        for three in itertools.combinations(rows, 3):
            corner = crop_around(three, image["width"], image["height"])
            shown = np.minimum(np.abs(shares(three)), 0.2).max(axis=1).min()
            if corner is not None and shown > best and apart(three):
                best, found = shown, (three, corner)
    if found is None:
        raise ValueError("an image must hold three found boxes near each other. Received: none")
    return found


def draw_image(axes, image, rows, corner):
    left, top = corner
    part = image[top : top + CROP[1], left : left + CROP[0]]
    shift = np.tile(corner, 2)
    truth, prediction = (
        np.array([getattr(row, which) for row in rows]) - shift for which in ("truth", "prediction")
    )
    picture = draw_errors(part, truth, prediction, limit=LIMIT, values=False, min_side=480)
    axes.imshow(picture)
    for i, box in enumerate(truth):
        place = np.minimum(box, prediction[i])[:2] * picture.shape[1] / CROP[0] + (0, -22)
        style = {"facecolor": INK, "edgecolor": "none", "boxstyle": "round,pad=0.12"}
        axes.text(*place, f" {i + 1} ", color="white", fontsize=21, ha="left", va="center",
                  fontweight="bold", bbox=style)  # fmt: skip
    axes.axis("off")


def signed(error):
    """A whole number of pixels with its sign; no sign for 0."""
    return f"{error:+.0f}".replace("-", "−") if abs(round(error)) else "0"


def draw_cells(axes, rows):
    """The signed errors in pixels, one row per box, each cell in the colour of its error."""
    errors = np.array([row.error for row in rows])
    colours = shares(rows) / LIMIT
    for i, j in np.ndindex(errors.shape):
        face = np.array(diverging(colours[i, j])) / 255
        axes.add_patch(
            _rectangle((j + 0.03, i + 0.03), 0.94, 0.94, facecolor=face, edgecolor="none")
        )
        axes.text(j + 0.5, i + 0.5, signed(errors[i, j]), fontsize=29, ha="center", va="center",
                  color=INK)  # fmt: skip
    for j, side in enumerate(("left", "top", "right", "bottom")):
        axes.text(j + 0.5, -0.12, side, fontsize=21, ha="center", va="bottom", color=FAINT)
    for i in range(len(errors)):
        axes.text(-0.12, i + 0.5, str(i + 1), fontsize=26, ha="right", va="center", color=INK,
                  fontweight="bold")  # fmt: skip
    axes.set(xlim=(-0.35, 4), ylim=(len(errors), -0.5))
    axes.axis("off")


def draw_points(axes, points, limit=3):
    """The kinds of error that cost most AP50."""
    kinds = sorted(WORDS, key=lambda kind: -points[kind])[:limit]
    largest = points[kinds[0]]
    for i, kind in enumerate(kinds):
        axes.add_patch(_rectangle((0, i + 0.14), points[kind] / largest, 0.72, facecolor=BAR))
        axes.text(-0.02, i + 0.5, WORDS[kind], fontsize=27, ha="right", va="center", color=INK)
        axes.text(points[kind] / largest + 0.02, i + 0.5, f"−{points[kind]:.1f}", fontsize=29,
                  va="center", color=INK, fontweight="bold")  # fmt: skip
    axes.set(xlim=(-0.62, 1.28), ylim=(limit, 0))
    axes.axis("off")


def _rectangle(corner, width, height, **style):
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, **style)


def draw(report, points, images):
    """A matplotlib Figure."""
    from matplotlib.figure import Figure

    rows, corner = chosen(report)
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    draw_image(
        figure.add_axes([0.0, 0.42, 0.49, 0.51]),
        read_image(images / rows[0].file_name),
        rows,
        corner,
    )
    draw_cells(figure.add_axes([0.505, 0.42, 0.485, 0.49]), rows)
    draw_points(figure.add_axes([0.0, 0.0, 1.0, 0.31]), points)
    title = {"fontsize": 25, "color": INK, "fontweight": "bold"}
    figure.text(0.01, 0.945, "Which side of which box is off, by how many pixels", **title)
    figure.text(0.01, 0.335, f"What costs AP50 ({points['AP'] / 100:.3f}) most, in points", **title)
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("truth", "detections", "images", "out"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    args = parser.parse_args(argv)
    report = boxloss.BoxReport.from_coco(args.truth, args.detections, args.images)
    figure = draw(report, lost_points(args.truth, args.detections), args.images)
    with write_atomically(args.out) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    print(args.out, file=sys.stderr)


if __name__ == "__main__":
    main()
