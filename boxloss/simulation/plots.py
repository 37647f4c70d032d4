"""Pictures of a simulation: curves, the error over the disc, one box's path. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from boxloss.simulation.run import Result
from boxloss.types import ArrayLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4  # of a grid of panels
MOST_NAMED = 8  # curves that an eye can distinguish
NAMED = ("iou", "giou", "diou", "ciou", "l1")  # where there are more


def _figure(width, height):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "matplotlib must be installed for pictures (pip install matplotlib). Received: none"
        ) from None
    return Figure(figsize=(width, height), layout="constrained")


def _named(results, names):
    """{loss: colour} of the curves that are named."""
    from matplotlib import colormaps

    losses = [result.loss for result in results]
    if names is None:
        names = losses if len(losses) <= MOST_NAMED else [name for name in NAMED if name in losses]
    unknown = sorted(set(names) - set(losses))
    if unknown:
        raise ValueError(
            f"`named` must be losses of the results {sorted(losses)}. Received: {unknown}"
        )
    return {name: colormaps["tab10"](i % 10) for i, name in enumerate(names)}


def _name_ends(axis, ends, colors):
    """Write each name at the end of its curve; where ends are close, the names move apart.

    ends: {loss: value at the last step}; positions are shares of the axis' height.
    """
    low, high = axis.transData.inverted().transform(axis.transAxes.transform([(0, 0), (0, 1)]))[
        :, 1
    ]
    ordered = sorted(ends, key=ends.get)
    scale = np.log if axis.get_yscale() == "log" else np.asarray
    wanted = [float((scale(ends[n]) - scale(low)) / (scale(high) - scale(low))) for n in ordered]
    for name, place in zip(ordered, _spread(wanted, 0.06), strict=True):
        axis.text(
            1.02,
            place,
            name,
            color=colors[name],
            transform=axis.transAxes,
            va="center",
            fontsize=9,
        )


def _spread(places, distance):
    """Rising numbers, at least `distance` apart within [0, 1], as near as possible to `places`."""
    spread = []
    for place in places:
        spread.append(max(place, spread[-1] + distance) if spread else place)
    beyond = max(0.0, spread[-1] - 1.0) if spread else 0.0
    for i in reversed(range(len(spread))):
        limit = spread[i + 1] - distance if i + 1 < len(spread) else spread[i] - beyond
        spread[i] = min(spread[i], limit)
    return spread


def _panels(count, size):
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = _figure(size * columns + 0.8, size * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def plot_curves(
    results: Sequence[Result], title: str | None = None, named: Sequence[str] | None = None
) -> "Figure":
    """The share of the first error that is left, and the mean 1 - IoU, at every step.

    `results`: `Result`s of one protocol. `named`: the losses whose curves have a colour and a name
    at their end; the others are grey. By default all of up to eight results; of more, those of
    iou, giou, diou, ciou and l1 that are there. Returns a matplotlib Figure.
    """
    colors = _named(results, named)
    figure = _figure(10, 4.2)
    error_axis, iou_axis = figure.subplots(1, 2)
    for result in sorted(results, key=lambda result: result.loss in colors):  # grey ones first
        line = {"color": colors.get(result.loss, "0.82"), "label": result.loss}
        line["linewidth"] = 1.6 if result.loss in colors else 1.0
        # An error of 0 has no place on a logarithmic axis.
        error_axis.plot(np.maximum(result.errors / result.errors[0], 1e-9), **line)
        iou_axis.plot(result.iou_losses, **line)
    error_axis.set(yscale="log", xlabel="step k", ylabel="error left: E(k) / E(0)")
    iou_axis.set(ylim=(0, 1), xlabel="step k", ylabel="mean 1 - IoU")
    for axis in (error_axis, iou_axis):
        axis.spines[["top", "right"]].set_visible(False)
        ends = {line.get_label(): line.get_ydata()[-1] for line in axis.lines}
        _name_ends(axis, {name: ends[name] for name in colors}, colors)
    if title:
        figure.suptitle(title)
    return figure


def plot_surface(results: Sequence[Result], step: int = -1) -> "Figure":
    """The error of the 343 cases of every point after `step`: one disc per loss, one colour scale.

    Returns a matplotlib Figure.
    """
    from matplotlib.colors import LogNorm

    figure, axes = _panels(len(results), 2.6)
    values = [np.maximum(result.point_errors[step], 1e-3) for result in results]
    norm = LogNorm(min(v.min() for v in values), max(v.max() for v in values) * (1 + 1e-9))
    # Fewer points get larger dots, so that they fill the disc.
    size = min(40.0, 6000.0 / len(results[0].points))
    for axis, result, value in zip(axes, results, values, strict=True):
        dots = axis.scatter(*result.points.T, c=value, s=size, norm=norm, linewidths=0)
        axis.set_aspect("equal")
        axis.set_title(result.loss, fontsize=9)
        axis.set(xticks=[], yticks=[])
    figure.colorbar(dots, ax=list(axes), label="error of a point's 343 cases", shrink=0.9)
    return figure


def plot_trajectories(
    ways: Mapping[str, np.ndarray],
    y_true: ArrayLike,
    steps: Sequence[int] = (0, 5, 10, 20, 50, 100, -1),
) -> "Figure":
    """The trajectory of one box: one row per loss, one panel per step.

    `ways`: loss name -> (K + 1, 4) in xyxy, see `trajectory`; `y_true` (4,). Returns a Figure.
    """
    everything = np.concatenate([*ways.values(), [y_true]]).reshape(-1, 2, 2)
    low, high = everything.min(axis=(0, 1)), everything.max(axis=(0, 1))
    edge = 0.05 * (high - low).max()
    width, height = high - low + 2 * edge
    figure = _figure(1.35 * len(steps), (1.3 * height / width + 0.08) * len(ways) + 0.3)
    grid = figure.subplots(len(ways), len(steps), squeeze=False, sharex=True, sharey=True)
    for row, (name, way) in zip(grid, ways.items(), strict=True):
        for axis, step in zip(row, steps, strict=True):
            _rectangle(axis, y_true, color="0.3", linestyle="-")
            _rectangle(axis, way[step], color="tab:red", linestyle="--")
            axis.set(xticks=[], yticks=[], aspect="equal")
            axis.set(xlim=(low[0] - edge, high[0] + edge), ylim=(high[1] + edge, low[1] - edge))
        row[0].set_ylabel(name, fontsize=9)
    for axis, step in zip(grid[0], steps, strict=True):
        axis.set_title(f"step {range(len(way))[step]}", fontsize=8)
    return figure


plot_ways = plot_trajectories  # its name in earlier versions


def _rectangle(axis, box, **line):
    x1, y1, x2, y2 = box
    axis.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], linewidth=1.3, **line)
