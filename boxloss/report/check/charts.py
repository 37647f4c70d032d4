"""The charts of a check as SVG: axes with a few round numbers, bars, points, a heat map."""

import html
import math

import numpy as np

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 74, 28, 12, 48
POINTS = 3000  # of a scatter; more would hide each other and weigh megabytes


def _svg(title, parts, extra=0):
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + extra}" role="img" aria-label="{_text(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def _text(text):
    return html.escape(str(text), quote=True)


def _label(x, y, text, anchor="middle", name="tick"):
    return (
        f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'
    )


def _number(value):
    return f"{value:g}" if value < 10000 else f"{value / 1000:g}k"


def nice_step(largest, parts=4):
    """The step 1, 2 or 5 times a power of ten that divides 0..largest in about `parts`."""
    raw = max(largest, 1e-9) / parts
    power = 10 ** math.floor(math.log10(raw))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= raw)


def _frame(x_ticks, y_ticks, x_name, y_name):
    """Grid, numbers and names of both axes; ticks: [(share of the axis, text)]."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for share, text in y_ticks:
        y = bottom - share * (bottom - TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_label(LEFT - 6, y + 4, text, "end"))
    for share, text in x_ticks:
        parts.append(_label(LEFT + share * (right - LEFT), bottom + 18, text))
    parts.append(_label((LEFT + right) / 2, HEIGHT - 6, x_name, name="axis"))
    parts.append(
        f'<text class="axis" text-anchor="middle" transform="translate(16 {(TOP + bottom) / 2}) '
        f'rotate(-90)">{_text(y_name)}</text>'
    )
    return parts


def bars(values, edges, x_name, y_name, title, ticks=None):
    """A histogram: `values` (k,) between `edges` (k + 1,) on an even axis."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    largest = max(float(np.max(values, initial=0)), 1)
    step = nice_step(largest)
    top = step * math.ceil(largest / step)
    y_ticks = [(i * step / top, _number(i * step)) for i in range(round(top / step) + 1)]
    parts = _frame(ticks or _even_ticks(edges), y_ticks, x_name, y_name)
    width = (right - LEFT) / max(len(values), 1)
    for i, value in enumerate(values):
        height = value / top * (bottom - TOP)
        tip = f"{edges[i]:.3g} to {edges[i + 1]:.3g}: {value}"
        parts.append(
            f'<rect class="bar" x="{LEFT + i * width + 0.5:.1f}" y="{bottom - height:.1f}" '
            f'width="{max(width - 1, 0.5):.1f}" height="{height:.1f}"><title>{tip}</title></rect>'
        )
    return _svg(title, parts)


def _even_ticks(edges, parts=5):
    low, high = float(edges[0]), float(edges[-1])
    step = nice_step(high - low, parts)
    first = math.ceil(low / step) * step
    values = np.arange(first, high + step / 2, step)
    return [((v - low) / (high - low), f"{v:g}") for v in values if v <= high + 1e-9]


def scatter(x, y, x_name, y_name, title, seed=0):
    """Points in [0, 1] x [0, 1]; a sample where there are many."""
    if len(x) > POINTS:
        chosen = np.random.default_rng(seed).choice(len(x), POINTS, replace=False)
        x, y = x[chosen], y[chosen]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    ticks = [(i / 4, f"{i * 25} %") for i in range(5)]
    parts = _frame(ticks, ticks, x_name, y_name)
    for a, b in zip(np.clip(x, 0, 1).tolist(), np.clip(y, 0, 1).tolist(), strict=True):
        cx, cy = LEFT + a * (right - LEFT), bottom - b * (bottom - TOP)
        parts.append(f'<circle class="point" cx="{cx:.1f}" cy="{cy:.1f}" r="2"/>')
    return _svg(title, parts)


def heat(counts, title):
    """A map of the image from its top left: counts (rows, columns)."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    rows, columns = counts.shape
    width, height = (right - LEFT) / columns, (bottom - TOP) / rows
    largest = max(int(counts.max(initial=0)), 1)
    x_ticks = [(0, "left"), (0.5, "middle"), (1, "right")]
    y_ticks = [(0, "bottom"), (0.5, "middle"), (1, "top")]
    parts = _frame(x_ticks, y_ticks, "place of the centre in the image", "")
    for i, j in zip(*np.nonzero(counts), strict=True):
        share = math.sqrt(counts[i, j] / largest)  # the root shows rare places, too
        parts.append(
            f'<rect class="heat" x="{LEFT + j * width:.1f}" y="{TOP + i * height:.1f}" '
            f'width="{width + 0.1:.1f}" height="{height + 0.1:.1f}" fill-opacity="{share:.2f}">'
            f"<title>{counts[i, j]} boxes</title></rect>"
        )
    return _svg(title, parts)
