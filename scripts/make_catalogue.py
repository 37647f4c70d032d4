"""Write the loss catalogue, docs/losses.md and its pictures: python scripts/make_catalogue.py

Everything comes from the registry, from the docstrings of `boxloss.functional`, and from the losses
as they are run here (TensorFlow). `--text` prints the page and writes nothing.
"""

import argparse
import inspect
import io
import pathlib
import re
import sys

import numpy as np

import boxloss
from boxloss.files import write_atomically

ROOT = pathlib.Path(__file__).parents[1]
PICTURES = pathlib.Path("docs/pictures/losses")
# Their arguments are those of every loss.
SHARED = (boxloss.TensorLoss, boxloss.BoxLoss, *boxloss.TensorLoss.__mro__[1:])
REQUIRED = {name: {"image_shape": (480, 640)} for name in ("ltrb_l1", "mpdiou")}
KINDS = {
    "box": "Boxes",
    "uncertainty": "Coordinates with a predicted spread",
    "distribution": "Sides as distributions",
    "rotated": "Rotated boxes",
    "box3d": "3-D boxes",
    "class": "Classes",
}
TRUTH = (100.0, 100.0, 140.0, 120.0)  # xyxy: 40 x 20 pixels
APART = 3.0  # widths between the centres
COLOURS = ("#0067b1", "#c25e00")  # of value and slope

# "Simulated" numbers are those of docs/simulation.md: `zheng` in cx, cy, w, h, 17,150 starts.
CHOICES = (
    (
        "a detector, and no reason for another",
        "`ciou`",
        "[simulated](simulation.md), 99.7 % of the starts end above IoU 0.9; with `iou` 16.4 %",
    ),
    (
        "a small data set",
        "`l1` and `ciou`, and compare",
        "[trained](detector.md#does-the-choice-of-loss-matter) with three seeds each, no loss"
        " differs from `ciou` by more than chance",
    ),
    (
        "a head with bins",
        "`dfl` beside `ciou`",
        "the recipe of [detector.md](detector.md); trained, 0.360 AP against 0.344, which is "
        "within chance",
    ),
    (
        "a head without bins, as YOLO26 has",
        "`ltrb_l1` beside `ciou`",
        "what Ultralytics trains it with",
    ),
    (
        "DETR",
        '`WeightedSum({"l1": 5.0, "giou": 2.0})`',
        "the paper's weights; `giou` sees boxes that do not overlap",
    ),
    (
        "D-FINE or DEIM",
        "the same with `fgl` and `ddf`, and `mal` for the classes",
        "the papers' losses; `fgl` alone does not recover",
    ),
    (
        "tiny objects",
        "`nwd`, `gcd` or `sd`",
        "below: they still rise where `iou` has reached 1; that AP is better is the papers' claim",
    ),
    (
        "crowds",
        '`ciou` with `normalizer="batch"`',
        'then every box counts the same; with "image" a box of a hundred counts a hundredth '
        "of a box that is alone",
    ),
    (
        "labels that are off",
        "`wiou`",
        "its factor falls for outliers; that AP is better is the paper's claim",
    ),
    (
        "rotated boxes",
        "`rotated_giou` or `kld`",
        "they recover from starts apart; `rotated_iou`, `kfiou` and `probiou` do not",
    ),
    (
        "boxes of a 3-D scene",
        '`diou3d`, or `giou3d` with its default "hull"',
        'below: with "aligned", as elsewhere, the loss changes when the scene is turned, and '
        "boxes apart do not recover",
    ),
    (
        "a use for how sure each side is",
        "`laplace_nll` or `gaussian_nll`",
        "they learn the spread too",
    ),
)
CHOICE_CODE = """```python
import boxloss
import numpy as np

tiny = np.float32([[[100, 50, 108, 58]]])
for shift in (4, 8, 16, 32):
    moved = tiny + np.float32([shift, 0, shift, 0])
    costs = {name: boxloss.get(name)(tiny, moved) for name in ("iou", "ciou", "nwd", "gcd")}
    print(shift, {name: round(float(cost), 2) for name, cost in costs.items()})


def turned(x, y, z, w, l, h, heading, by):
    c, s = np.cos(by), np.sin(by)
    return np.float32([[[c * x - s * y, s * x + c * y, z, w, l, h, heading + by]]])


for enclosure in ("hull", "aligned"):
    loss = boxloss.GIoU3DLoss(enclosure=enclosure)
    costs = [
        loss(
            turned(1.4, 1.7, 0.7, 1.8, 4.4, 1.6, 0.1, by=angle),
            turned(1.0, 2.0, 0.5, 2.0, 4.0, 1.5, 0.3, by=angle),
        )
        for angle in (0.0, 0.7, 1.2)
    ]
    print(enclosure, loss.recovers_disjoint, [round(float(cost), 3) for cost in costs])
```

```text
4 {'iou': 0.67, 'ciou': 0.74, 'nwd': 0.27, 'gcd': 0.39}
8 {'iou': 1.0, 'ciou': 1.2, 'nwd': 0.46, 'gcd': 0.63}
16 {'iou': 1.0, 'ciou': 1.4, 'nwd': 0.71, 'gcd': 0.86}
32 {'iou': 1.0, 'ciou': 1.62, 'nwd': 0.92, 'gcd': 0.98}
hull True [0.6, 0.6, 0.6]
aligned False [0.876, 1.076, 0.846]
```
"""

HEAD = """# The losses

Written by `python scripts/make_catalogue.py` from the registry, the docstrings and the losses
themselves; do not edit.

```python
import boxloss

loss = boxloss.get("ciou", bounding_box_format="xywh")  # or boxloss.CIoULoss(...)
print(type(loss).__name__, loss.kind, loss.minimum)
print(boxloss.names("uncertainty"))
```

```text
CIoULoss box 0.0
['gaussian_nll', 'kl', 'laplace_nll']
```

- **at equal boxes**: what an exact match costs with default arguments; "-": it depends on the data.
- **range**: for ordered boxes with default arguments.
- **apart**: the slope of the loss, per width of the truth, for a prediction of the right size that
  is {apart:g} widths away; 0: the loss does not see where the truth is.
- **recovers**: whether gradient descent brings boxes that start 2 to 5 sizes apart, or inverted, to
  an IoU above 0.9 (the tests: Adam, in at least 99 % of 200 starts); with default arguments.
- The pictures: value (above) and slope (below) while a prediction slides over a truth of 40 x 20
  pixels, and while it grows about the truth's centre from an eighth to eight times its size. GIoU
  is drawn in grey for comparison, where its numbers are of that size. The modifiers (alpha, inner,
  focaler, unified) are shown on their default base.

In the formulas o is the IoU; w, h are the sides of the prediction, W, H those of the truth;
$\\Delta$ is prediction minus truth, of one coordinate or (with x or y) of the centres; d is the
distance of the centres, c the diagonal of the enclosing box, and C its area; U is the area of the
union. The text below a formula says what else is in it. Boxes apart, inverted or without area:
[right.md](right.md). The arguments that all losses share: [api/losses.md](api/losses.md).
"""


def formulas():
    """{name: TeX} of scripts/loss_formulas.txt."""
    text = (ROOT / "scripts" / "loss_formulas.txt").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\n    ", " ")
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


FORMULAS = formulas()


# What the registry and the docstrings say ---------------------------------------------------------


def paragraphs(name):
    """(formula, the rest, differences, source) of the docstring of a loss' function."""
    text = inspect.getdoc(getattr(boxloss.functional, f"{name}_loss"))
    text = re.sub(r"\n+Args:", "\nArguments:", text)
    text, _, source = text.partition("\nSource: ")
    text, *found = re.split(r"\nDifferences?(?: [^:\n]*)?: ", text, maxsplit=1)
    differences = found[0] if found else ""
    formula, _, rest = text.strip().partition("\n\n")
    return tuple(" ".join(part.split()) for part in (formula, rest, differences, source))


# Ranges of docstrings that name the range of something else first.
RANGES = {
    "piou": "[0, 2.6)",
    "wiou": "[0, e), version 1",
    "rotated_iou": "[0, 1]",
    "kfiou": "[e^(2/3) - 1, e - 1)",
    "dfl": "[0, inf)",
    **dict.fromkeys(("mal", "quality_focal", "sigmoid_focal", "softmax", "varifocal"), "[0, inf)"),
}


def value_range(name):
    if name in RANGES:
        return RANGES[name]
    formula, rest, differences, _ = paragraphs(name)
    text = f"{formula} {rest} {differences}"
    if "unbounded below" in text:
        return "unbounded below"
    if "range is that of `base`" in text:
        return "that of the base"
    found = re.search(r"(?:\bin|Range) ([\[(][^()\[\]]*[\])])", text)
    return found[1] if found else "-"


def arguments_of(name):
    """A loss' own arguments with their defaults, as one would type them."""
    cls = type(make(name))
    own = {}
    for ancestor in cls.__mro__:  # a modifier's `base` is an argument of what it inherits from
        if "__init__" in vars(ancestor) and ancestor not in SHARED:
            parameters = inspect.signature(ancestor.__init__).parameters.values()
            own = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | own
    own |= REQUIRED.get(name, {})
    typed = [f"{argument}={value!r}".replace("'", '"') for argument, value in own.items()]
    inside = ", ".join([f'"{name}"', *typed])
    return f"`boxloss.get({inside})`"


def make(name):
    return boxloss.get(name, **REQUIRED.get(name, {}))


# What the losses do -------------------------------------------------------------------------------


def boxes_at(center_x, scale):
    """xyxy predictions (N, 4): the truth with its centre moved to the right, and scaled."""
    import tensorflow as tf

    x1, y1, x2, y2 = TRUTH
    half_width, half_height = (x2 - x1) / 2 * scale, (y2 - y1) / 2 * scale
    x, y = (x1 + x2) / 2 + center_x, (y1 + y2) / 2 + 0.0 * center_x
    return tf.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)


def _box(slide, scale):
    return TRUTH, boxes_at(slide * 40.0, scale)


def _uncertainty(slide, scale):
    """The scale is that of the predicted spread: sigma (or b) in pixels."""
    import tensorflow as tf

    spread = tf.math.log(scale)[:, None] * tf.ones(4)
    return TRUTH, tf.concat([boxes_at(slide * 40.0, tf.ones_like(scale)), spread], axis=-1)


def _distribution(slide, scale):
    """A truth of 6 bins per side, and a bell of probabilities around 6 + slide, `scale` wide."""
    import tensorflow as tf

    bins = tf.range(16.0)
    bell = -0.5 * tf.square((bins - 6.0 - slide[:, None]) / scale[:, None])
    return (6.0, 6.0, 6.0, 6.0), tf.tile(bell, [1, 4])


def _rotated(slide, scale):
    import tensorflow as tf

    one = tf.ones_like(slide)
    sides = [120 * one + slide * 40, 110 * one, 40 * scale, 20 * scale, 0.3 * one]
    return (120.0, 110.0, 40.0, 20.0, 0.3), tf.stack(sides, axis=-1)


def _fgl(slide, scale):
    """The truth is the reference; the bell is around the side `slide`, of some width."""
    import tensorflow as tf

    from boxloss.functional.fine_grained import bin_values

    values = tf.constant(bin_values(), tf.float32)
    bell = -2.0 * tf.square((values - slide[:, None]) / scale[:, None])
    return (0.0, 0.0, 0.0, 0.0), tf.tile(bell, [1, 4])


def _ddf(slide, scale):
    """A teacher's bell around bin 16, and a student's around 16 + slide, of some width in bins."""
    import tensorflow as tf

    bins = np.arange(33.0)
    teacher = np.tile(-0.5 * np.square(bins - 16.0), 4)
    bell = -0.5 * tf.square(
        (tf.constant(bins, tf.float32) - 16.0 - slide[:, None]) / scale[:, None]
    )
    return (*teacher, 1.0, 1.0), tf.tile(bell, [1, 4])


def _box3d(slide, scale):
    import tensorflow as tf

    one = tf.ones_like(slide)
    x, extents = 3.0 * one + slide * 2.0, [2.0 * scale, 4.0 * scale, 1.5 * scale]
    return (3.0, 2.0, 1.0, 2.0, 4.0, 1.5, 0.3), tf.stack(
        [x, 2.0 * one, one, *extents, 0.3 * one], axis=-1
    )


def _class(slide, scale):
    """The logit of the true class while the other is -2; the scale moves the other instead."""
    import tensorflow as tf

    return (0,), tf.stack([2.0 * slide, tf.math.log(scale) * 3 - 2.0], axis=-1)


def _softmax(slide, scale):
    import tensorflow as tf

    truth, logits = _class(slide, scale)
    return truth, tf.concat([logits, tf.zeros_like(logits[:, :1])], axis=-1)


def _quality(slide, scale):
    return (0.0, 0.8), _class(slide, scale)[1]


# kind or name: example, labels of the two ways
EXAMPLES = {
    "box": (_box, "slide (widths)", "zoom (sizes)"),
    "uncertainty": (_uncertainty, "slide (widths)", "exp of the predicted logarithm"),
    "distribution": (_distribution, "middle (bins off)", "width of the bell (bins)"),
    "fgl": (_fgl, "middle (sides off)", "width of the bell (sides)"),
    "ddf": (_ddf, "middle (bins off)", "width of the bell (bins)"),
    "rotated": (_rotated, "slide (widths)", "zoom (sizes)"),
    "box3d": (_box3d, "slide (widths)", "zoom (sizes)"),
    "class": (_class, "logit of the class / 2", "e^((logit of the other + 2) / 3)"),
    "softmax": (_softmax, "logit of the class / 2", "e^((logit of the other + 2) / 3)"),
    "quality_focal": (_quality, "logit of the class / 2", "e^((logit of the other + 2) / 3)"),
    "mal": (_quality, "logit of the class / 2", "e^((logit of the other + 2) / 3)"),
    "varifocal": (_quality, "logit of the class / 2", "e^((logit of the other + 2) / 3)"),
}


def along(name, slide, scale):
    """Values (N,) and derivatives by slide and by ln(scale), for numpy arrays (N,)."""
    import tensorflow as tf

    loss = make(name)
    example = EXAMPLES.get(name, EXAMPLES[loss.kind])[0]
    slide = tf.constant(slide, tf.float32)
    logarithm = tf.math.log(tf.constant(scale, tf.float32))
    with tf.GradientTape() as tape:
        tape.watch([slide, logarithm])
        truth, y_pred = example(slide, tf.exp(logarithm))
        truth = np.asarray([[truth]])
        if loss.kind == "class" and truth.shape[-1] == 1:
            truth = truth[..., 0]
        y_true = np.repeat(truth, len(y_pred), axis=1)
        errors = loss.tensors(y_true, y_pred[None]).box_errors[0]
    return [errors.numpy(), *(x.numpy() for x in tape.gradient(errors, [slide, logarithm]))]


def slope_apart(name):
    """|slope| per width at `APART` widths; None for losses of no boxes."""
    if make(name).kind in ("class", "distribution"):
        return None
    return abs(float(along(name, np.float32([APART]), np.float32([1.0]))[1][0]))


def _panels(name):
    """[(label, x, value, slope)] of the slide and of the zoom."""
    labels = EXAMPLES.get(name, EXAMPLES[make(name).kind])[1:]
    slides, scales = np.linspace(-3, 3, 121), np.geomspace(1 / 8, 8, 121)
    slide, zoom = along(name, slides, np.ones_like(slides)), along(name, 0 * scales, scales)
    return [(labels[0], slides, slide[0], slide[1]), (labels[1], scales, zoom[0], zoom[2])]


def draw(name, path):
    """Write an SVG: value above, slope below, over the slide and over the zoom.

    GIoU is drawn faintly behind losses of boxes whose values are of its size.
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = _panels(name)
    comparable = make(name).kind == "box" and max(np.max(values) for _, _, values, _ in panels) < 6
    behind = _panels("giou") if comparable and name != "giou" else [None, None]
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    rows = figure.subplots(2, 2, sharex="col")
    for column, (panel, faint) in enumerate(zip(panels, behind, strict=True)):
        for row, (axes, color) in enumerate(zip(rows[:, column], COLOURS, strict=True)):
            if faint:
                axes.plot(faint[1], faint[2 + row], color="0.78", linewidth=2.4, label="giou")
            axes.plot(panel[1], panel[2 + row], color=color, linewidth=1.6)
            axes.axhline(0, color="0.85", linewidth=0.6, zorder=0)
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        rows[1, column].set_xlabel(panel[0], fontsize=9)
    rows[0, 1].set_xscale("log", base=2)
    for axes, text in zip(rows[:, 0], ("value", "slope"), strict=True):
        axes.set_ylabel(text, fontsize=9)
    if comparable and name != "giou":
        rows[0, 0].legend(fontsize=8, frameon=False, loc="lower right", handlelength=1.2)
    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    text = io.StringIO()
    with matplotlib.rc_context(style):
        figure.savefig(
            text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    with write_atomically(path) as temporary:
        temporary.write_text(_compact(text.getvalue()), encoding="utf-8")


def _compact(svg):
    """The same picture with hundredths of a point and without names of fonts: half as long."""
    svg = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", svg)
    svg = re.sub(r"font-family: [^;\"]*|font: ([\d.]+px)[^;\"]*", _any_font, svg)
    return re.sub(r"\s*\n\s*", "\n", svg.replace(" \nL", " L"))


def _any_font(found):
    return f"font: {found[1]} sans-serif" if found[1] else "font-family: sans-serif"


# The page -----------------------------------------------------------------------------------------


def number(value):
    return "-" if value is None else f"{value:.3g}"


def slope_text(name):
    slope = slope_apart(name)
    if slope is None:
        return "-"
    return f"{slope:.0f}" if slope >= 10 else ("0" if slope < 1e-6 else f"{slope:.2g}")


def cell(text):
    return text.replace("|", "\\|")


def row(name):
    loss = make(name)
    cells = [
        f"[{name}](#{name})",
        number(loss.minimum),
        value_range(name),
        slope_text(name),
        "yes" if loss.recovers_disjoint else "no",
        "yes" if loss.recovers_inverted else "no",
        re.split(r"(?<=\d{4}\.\d{5})|, eq|[.;] (?=[A-Z])|\.$", paragraphs(name)[3])[0] or "-",
    ]
    if loss.kind == "class":
        cells[3:6] = ["-"] * 3
    return "| " + " | ".join(map(cell, cells)) + " |"


def section(name):
    formula, rest, differences, source = paragraphs(name)
    loss = make(name)
    lines = [f"### {name}", "", "$$", FORMULAS[name], "$$", "", formula, "", rest, ""]
    lines += [f"{arguments_of(name)}, class `{type(loss).__name__}`.", ""]
    lines += [f"Differences: {differences}", ""] if differences else []
    lines += [f"Source: {source}", ""] if source else []
    lines += [f"![{name}: value and slope](pictures/losses/{name}.svg)", ""]
    return [line for line, after in zip(lines, [*lines[1:], None], strict=True) if line or after]


def page():
    """The text of docs/losses.md."""
    lines = [HEAD.format(apart=APART), "## Which one", ""]
    lines += ["| you have | begin with | because |", "|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in CHOICES]
    lines += ["", CHOICE_CODE]
    for kind, title in KINDS.items():
        lines += [f"## {title}", ""]
        lines += ["| loss | at equal boxes | range | apart | recovers: apart | inverted | source |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [*map(row, boxloss.names(kind)), ""]
        for name in boxloss.names(kind):
            lines += [*section(name), ""]
    return "\n".join(lines).rstrip() + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="store_true", help="print the page, write nothing")
    args = parser.parse_args(argv)
    text = page()
    if args.text:
        print(text, end="")
        return
    (ROOT / PICTURES).mkdir(parents=True, exist_ok=True)
    for name in boxloss.names():
        draw(name, ROOT / PICTURES / f"{name}.svg")
    with write_atomically(ROOT / "docs" / "losses.md") as path:
        path.write_text(text, encoding="utf-8")
    print(f"{len(boxloss.names())} losses in docs/losses.md", file=sys.stderr)


if __name__ == "__main__":
    main()
