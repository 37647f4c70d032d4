"""Box losses of several libraries on inputs that go wrong: docs/right.md.

    python scripts/benchmarks/compare_peers.py              # what is installed here, as Markdown
    python scripts/benchmarks/compare_peers.py --write --python torchvision=.venv-torch/bin/python \
        --python tfa=.venv-addons/bin/python --python keras_cv=cv/bin/python

A library that is not in this environment is run by the interpreter that `--python` names for it;
it is left out, with a line on stderr, where neither works.
"""

import argparse
import functools
import importlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import numpy as np

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "right.md"

# case: what should be true, truth, prediction, the rule of `is_right`
CASES = {
    "equal, 40 x 20 pixels": ("costs 0, gradient 0", [10, 20, 50, 40], [10, 20, 50, 40], "zero"),
    "equal, of side 0.001": (
        "costs 0, gradient 0",
        [0.5, 0.25, 0.501, 0.251],
        [0.5, 0.25, 0.501, 0.251],
        "zero",
    ),
    "equal points": ("costs 0, gradient 0", [5, 6, 5, 6], [5, 6, 5, 6], "zero"),
    "prediction without width": (
        "a gradient below 1 that opens it",
        [10, 20, 50, 40],
        [30, 22, 30, 36],
        "opens x",
    ),
    "prediction without height": (
        "a gradient below 1 that opens it",
        [10, 20, 50, 40],
        [12, 30, 44, 30],
        "opens y",
    ),
    "prediction is a point": (
        "a gradient below 1 that opens it",
        [10, 20, 50, 40],
        [30, 31, 30, 31],
        "opens x",
    ),
    "the truth with its corners exchanged": (
        "costs more than the truth, turns back",
        [10, 20, 50, 40],
        [50, 40, 10, 20],
        "opens x",
    ),
    "far apart": (
        "the gradient brings it nearer",
        [10, 20, 50, 40],
        [610, 420, 650, 440],
        "nearer",
    ),
    "500 pixels, in float16": (
        "finite",
        [0, 0, 500, 500],
        [0, 0, 400, 450],
        "finite",
    ),
}


def is_right(rule, value, gradient):
    """Whether a value and a gradient (4,) do what a case asks for."""
    if value is None or not np.isfinite([value, *gradient]).all():
        return False
    x1, y1, x2, y2 = gradient
    if rule == "zero":
        return abs(value) < 1e-6 and max(map(abs, gradient)) < 1e-6
    if rule.startswith("opens"):  # descent makes a side grow; the true sides are 40 and 20 pixels
        growth = x2 - x1 if rule == "opens x" else y2 - y1
        return value > 1e-6 and growth < 0 and max(map(abs, gradient)) < 1
    if rule == "nearer":
        return x1 + x2 > 0 and y1 + y2 > 0
    return True


BATCHES = ((1, 7, 4), (3, 5, 4), (4, 4, 4))


# Libraries ----------------------------------------------------------------------------------------
# name: (package, its losses: a function that returns value (N,) and gradient (N, 4) of numpy boxes)


def _tensorflow(function, truth, prediction):
    import tensorflow as tf

    prediction = tf.constant(prediction)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = function(tf.constant(truth), prediction)
    return value.numpy(), tape.gradient(value, prediction).numpy()


def boxloss_losses():
    from boxloss import functional

    return {name: getattr(functional, f"{name}_loss") for name in ("giou", "ciou")}, _tensorflow


def plain_losses():
    """The formulas as anyone would write them in TensorFlow."""
    from peers import NAIVE, operations

    xp = operations()
    return {name: functools.partial(NAIVE[name], xp) for name in ("giou", "ciou")}, _tensorflow


def keras_losses():
    import keras

    def ciou(truth, prediction):
        return 1 - keras.utils.bounding_boxes.compute_ciou(truth, prediction, "xyxy")

    return {"ciou": ciou}, _tensorflow


def keras_cv_losses():
    import keras_cv

    giou = keras_cv.losses.GIoULoss("xyxy", axis="no_reduction", reduction="none")
    ciou = keras_cv.losses.CIoULoss("xyxy", reduction="none")
    return {"giou": giou, "ciou": ciou}, _tensorflow


def tfa_losses():
    import tensorflow as tf
    import tensorflow_addons as tfa

    def giou(truth, prediction):
        order = [1, 0, 3, 2]
        boxes = (tf.gather(x, order, axis=-1) for x in (truth, prediction))
        return tfa.losses.giou_loss(*boxes)

    return {"giou": giou}, _tensorflow


def torchvision_losses():
    import torch
    import torchvision.ops

    def run(function, truth, prediction):
        prediction = torch.tensor(prediction, requires_grad=True)
        value = function(prediction, torch.tensor(truth))
        value.sum().backward()
        return value.detach().numpy(), prediction.grad.numpy()

    giou = torchvision.ops.generalized_box_iou_loss
    return {"giou": giou, "ciou": torchvision.ops.complete_box_iou_loss}, run


LIBRARIES = {
    "boxloss": ("boxloss", boxloss_losses),
    "TensorFlow, by hand": ("tensorflow", plain_losses),
    "Keras": ("keras", keras_losses),
    "torchvision": ("torchvision", torchvision_losses),
    "KerasCV": ("keras-cv", keras_cv_losses),
    "TensorFlow Addons": ("tensorflow-addons", tfa_losses),
}
SHORT = {"torchvision": "torchvision", "keras_cv": "KerasCV", "tfa": "TensorFlow Addons"}


def measure(library):
    """{"version", "losses": {loss: {case: [value, gradient]}}, "batches"}; numbers as text.

    "batches" {loss: {shape: [shape of the loss, largest value]}} is of identical boxes.
    """
    package, make = LIBRARIES[library]
    losses, run = make()
    result = {"version": importlib.metadata.version(package), "losses": {}, "batches": {}}
    for name, function in losses.items():
        result["batches"][name] = {
            str(shape): _identical(run, function, shape) for shape in BATCHES
        }
        result["losses"][name] = rows = {}
        for case, (_, truth, prediction, _) in CASES.items():
            dtype = "float16" if "float16" in case else "float32"
            try:
                value, gradient = run(
                    function, np.array([truth], dtype), np.array([prediction], dtype)
                )
                rows[case] = [
                    str(float(np.reshape(value, -1)[0])),
                    [str(float(side)) for side in np.reshape(gradient, -1)[:4]],
                ]
            except Exception as error:  # how a library fails is a result
                rows[case] = [type(error).__name__, []]
    return result


def _identical(run, function, shape):
    """[shape of the loss, largest value] of boxes (B, N, 4) that equal their truth."""
    size = np.random.default_rng(0).uniform(5, 50, (*shape[:-1], 2)).astype("float32")
    boxes = np.concatenate([size, 2 * size], axis=-1)
    try:
        value, _ = run(function, boxes, boxes)
        return [str(np.shape(value)), str(float(np.max(value)))]
    except Exception as error:
        return ["-", type(error).__name__]


# The page -----------------------------------------------------------------------------------------


def cell(case, row):
    """`value; largest side of the gradient`, bold where it is not right."""
    value, gradient = row
    if not gradient:
        return f"**{value}**"
    value, gradient = float(value), [float(side) for side in gradient]
    sides = [abs(side) for side in gradient]
    largest = float("nan") if np.isnan(sides).any() else max(sides)
    text = f"{short(value)}; {short(largest)}"
    return text if is_right(CASES[case][3], value, gradient) else f"**{text}**"


def batch_cell(batches, shape):
    if batches is None:
        return "-"
    got, value = batches[str(shape)]
    if got == "-":
        return f"**{value}**"
    text = f"{got}; {short(float(value))}"
    return text if got == str(shape[:-1]) and abs(float(value)) < 1e-6 else f"**{text}**"


def short(number):
    if not np.isfinite(number):
        return {"nan": "NaN", "inf": "inf", "-inf": "-inf"}[str(number)]
    return "0" if abs(number) < 1e-6 else f"{number:.3g}"


def tables(results):
    """Markdown: a table for each loss, a column for each library that has it."""
    lines = []
    for loss, title in (("giou", "GIoU"), ("ciou", "CIoU")):
        libraries = [name for name, result in results.items() if loss in result["losses"]]
        lines += [f"### {title}", "", "| | should be | " + " | ".join(libraries) + " |"]
        lines += ["|---" * (len(libraries) + 2) + "|"]
        for case, (wanted, *_) in CASES.items():
            cells = [cell(case, results[name]["losses"][loss][case]) for name in libraries]
            lines += [f"| {case} | {wanted} | " + " | ".join(cells) + " |"]
        lines += [""]
    lines += [
        "### A batch (B, N, 4) of predictions that equal their truth: shape, largest value",
        "",
    ]
    lines += ["| | should be | " + " | ".join(results) + " |", "|---" * (len(results) + 2) + "|"]
    for loss, title in (("giou", "GIoU"), ("ciou", "CIoU")):
        for shape in BATCHES:
            wanted = str(shape[:-1])
            cells = [batch_cell(result["batches"].get(loss), shape) for result in results.values()]
            lines += [f"| {title} of {shape} | {wanted}; 0 | " + " | ".join(cells) + " |"]
    lines += [""]
    versions = [f"{name} {result['version']}" for name, result in results.items()]
    return "\n".join([*lines, f"Versions: {', '.join(versions)}.", ""])


START, END = "<!-- made by scripts/benchmarks/compare_peers.py -->\n", "<!-- end -->\n"


def elsewhere(library, python):
    done = subprocess.run(
        [python, str(pathlib.Path(__file__).resolve()), "--measure", library],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=INTERPRETER")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/right.md")
    parser.add_argument("--measure", choices=LIBRARIES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    pythons = {SHORT[name]: path for name, path in (pair.split("=", 1) for pair in args.python)}
    results = {}
    for library in LIBRARIES:
        try:
            there = pythons.get(library)
            results[library] = elsewhere(library, there) if there else measure(library)
        except Exception as error:
            print(f"left out: {library} ({type(error).__name__}: {error})", file=sys.stderr)
    text = tables(results)
    if not args.write:
        print(text)
        return
    page = PAGE.read_text("utf-8")
    before, rest = page.split(START)
    PAGE.write_text(before + START + "\n" + text + "\n" + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
