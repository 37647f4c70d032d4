"""curves.png: loss, AP and learning rate over the epochs of a run."""

import math
from typing import NamedTuple

import numpy as np

from boxloss.report.check.charts import nice_step
from boxloss.report.drawing import CLASS_COLOURS, Canvas

WIDTH, HEIGHT = 560, 380  # pixels of a chart
LEFT, RIGHT, TOP, BOTTOM = 74, 24, 62, 56
GROUND, GRID = (24, 27, 33), (62, 68, 78)
CHARTS = (
    ("loss", ("loss", "box_loss", "class_loss")),
    ("AP of validation images", ("val_AP", "val_AP50", "val_AP75")),
    ("learning rate", ("learning_rate",)),
)
HIGH = 5.0  # a loss of the first epochs above so many medians is cut off: the rest would be flat


class Axis(NamedTuple):
    """low and high values, at the shares 0 and 1 of the length."""

    low: float
    high: float

    def share(self, value):
        return (value - self.low) / (self.high - self.low)


def curves_picture(history):
    """Three charts side by side. history: dicts of numbers, one per epoch, as in history.csv."""
    epochs = np.array([row["epoch"] + 1 for row in history])
    columns = {
        name: np.array([row.get(name, math.nan) for row in history], "float64")
        for _, names in CHARTS
        for name in names
    }
    return np.concatenate(
        [_chart(title, epochs, {n: columns[n] for n in names}) for title, names in CHARTS], axis=1
    )


def _chart(title, epochs, lines):
    """One chart: the title, the names of the lines, axes and lines."""
    canvas = Canvas(np.full((HEIGHT, WIDTH, 3), GROUND, "uint8"), min_side=0, line=1.0)
    lines = {name: values for name, values in lines.items() if np.isfinite(values).any()}
    canvas.plain(title, LEFT, 20)
    if not lines:
        canvas.plain("not measured", LEFT, HEIGHT / 2)
        return canvas.image
    x = Axis(min(float(epochs[0]), epochs[-1] - 1.0), float(epochs[-1]))
    y = Axis(0.0, highest(list(lines.values())))
    _grid(canvas, x, y)
    left = LEFT
    for (name, values), colour in zip(lines.items(), CLASS_COLOURS, strict=False):
        _line(canvas, x, y, epochs, values, colour)
        word = name.removeprefix("val_").replace("_", " ")
        canvas.line((left, 44), (left + 18, 44), colour, bare=True)
        canvas.plain(word, left + 24, 44)
        left += 36 + canvas.width(word)
    return canvas.image


def highest(columns):
    """The upper end of an axis from 0 that shows these values."""
    values = np.concatenate([values[np.isfinite(values)] for values in columns])
    largest = min(float(values.max()), HIGH * float(np.median(columns[0][np.isfinite(columns[0])])))
    largest = largest if largest > 0 else max(float(values.max()), 1e-9)
    step = nice_step(largest)
    return step * max(1, math.ceil(largest / step - 1e-9))


def _grid(canvas, x, y):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = nice_step(y.high)
    for value in np.arange(0, y.high + step / 2, step):
        at = bottom - y.share(value) * (bottom - TOP)
        canvas.line((LEFT, at), (right, at), GRID, bare=True)
        canvas.plain(f"{value:g}", LEFT - 8, at, align=1.0)
    step = max(1, round(nice_step(x.high - x.low, 5)))
    for value in np.arange(math.ceil(x.low / step) * step, x.high + 0.5, step):
        canvas.plain(f"{value:g}", LEFT + x.share(value) * (right - LEFT), bottom + 18, align=0.5)
    canvas.plain("epoch", (LEFT + right) / 2, bottom + 40, align=0.5)


def _line(canvas, x, y, epochs, values, colour):
    """A line through the values that are there, and a point where there is only one."""
    there = np.isfinite(values)
    height = HEIGHT - BOTTOM - TOP
    # What lies above the axis runs along its upper edge.
    shares = np.minimum([y.share(value) for value in values[there]], 1.0)
    across = LEFT + np.array([x.share(e) for e in epochs[there]]) * (WIDTH - RIGHT - LEFT)
    points = np.stack([across, TOP + height * (1 - shares)], axis=1)
    for start, end in zip(points[:-1], points[1:], strict=True):
        canvas.line(start, end, colour, bare=True)
    for point in points if len(points) <= 40 else points[-1:]:
        canvas.line(point - [2.5, 0], point + [2.5, 0], colour, bare=True)
        canvas.line(point - [0, 2.5], point + [0, 2.5], colour, bare=True)
