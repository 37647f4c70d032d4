"""What published code of some losses gives where it goes wrong, beside boxloss: docs/right.md.

    python scripts/benchmarks/published_faults.py            # the table, as Markdown
    python scripts/benchmarks/published_faults.py --write    # into docs/right.md

The published formulas are restated here, as short as they can be, with the constants of the code
that is named; the libraries themselves are not needed. Runs on TensorFlow.
"""

import argparse
import math
import pathlib

import numpy as np

from boxloss import functional
from boxloss.files import write_atomically
from boxloss.functional.fine_grained import bin_values

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "right.md"
START, END = "<!-- made by scripts/benchmarks/published_faults.py -->", "<!-- end of faults -->"


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sides_beyond_the_bins():
    """FGL of four sides, of which two are beyond the bins, for logits that are all equal."""
    sides, logits = np.array([0.3, 6.0, 0.05, -7.0]), np.zeros((4, 33))
    values = bin_values()
    total = 0.0
    for side, logs in zip(sides, log_softmax(logits), strict=True):
        n = int((values <= side).sum()) - 1
        if 0 <= n < 32:  # else both weights stay 0
            right = (side - values[n]) / (values[n + 1] - values[n])
            total -= (1 - right) * logs[n] + right * logs[n + 1]
    ours = functional.fgl_loss(sides[None], logits.reshape(1, -1), iou_weight=False)
    return total, float(np.sum(ours))


def a_sure_student():
    """DDF per side where the teacher is sure of one bin and the student of another."""
    teacher, student = np.zeros((4, 33)), np.zeros((4, 33))
    teacher[:, 0], student[:, 32] = 1000.0, 1000.0
    p, q = (np.exp(log_softmax(x / 5.0)) for x in (teacher, student))
    published = 25.0 * (p * (np.log(p + 1e-8) - np.log(q + 1e-8))).sum(-1)[0]
    truth = np.concatenate([teacher.ravel(), [1.0, 1.0]])[None]
    return float(published), float(functional.ddf_loss(truth, student.reshape(1, -1))[0, 0])


def targets_of_negatives():
    """MAL at gamma 0 of a class of quality 1, and of another one that is rightly unlikely."""
    logits, quality = np.array([3.0, -3.0]), np.array([1.0, 0.0])
    target = quality**0.0  # 0^0 = 1
    published = (target * np.log1p(np.exp(-logits)) + (1 - target) * np.log1p(np.exp(logits))).sum()
    ours = functional.mal_loss(np.array([[0.0, 1.0]]), logits[None], gamma=0.0)
    return float(published), float(ours[0])


def an_exact_match():
    """The largest gradient of GCD at equal boxes."""
    import tensorflow as tf

    truth = tf.constant([[10.0, 20.0, 50.0, 40.0]], tf.float64)

    def published(pred):
        (x1, y1, x2, y2), (X1, Y1, X2, Y2) = (tf.unstack(x, axis=-1) for x in (pred, truth))
        total = 0.0
        for low, high, LOW, HIGH in ((x1, x2, X1, X2), (y1, y2, Y1, Y2)):
            offset, w, W = (low + high - LOW - HIGH) / 2, high - low, HIGH - LOW
            total += (offset**2 + (w - W) ** 2 / 4) * (1 / w**2 + 1 / W**2)
        return 1 - tf.exp(-tf.sqrt(total / 2))

    def largest_slope(loss):
        pred = tf.identity(truth)
        with tf.GradientTape() as tape:
            tape.watch(pred)
            value = loss(pred)
        return float(np.abs(tape.gradient(value, pred).numpy()).max())

    return largest_slope(published), largest_slope(lambda pred: functional.gcd_loss(truth, pred))


def volumes(a, b):
    """Shared volume, both volumes and the enclosing sides of two upright 3-D boxes."""
    low = np.maximum(a[:3] - a[3:6] / 2, b[:3] - b[3:6] / 2)
    high = np.minimum(a[:3] + a[3:6] / 2, b[:3] + b[3:6] / 2)
    around = np.maximum(a[:3] + a[3:6] / 2, b[:3] + b[3:6] / 2) - np.minimum(
        a[:3] - a[3:6] / 2, b[:3] - b[3:6] / 2
    )
    return np.maximum(high - low, 0).prod(), a[3:6].prod() + b[3:6].prod(), around


def a_quarter_turn():
    """DIoU of a 4 x 2 box and the same, turned by a quarter."""
    truth = np.array([0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0])
    pred = truth + [0, 0, 0, 0, 0, 0, math.pi / 2]
    shared, both, around = volumes(pred, truth)  # the heading is not looked at
    published = 1 - shared / (both - shared) + ((pred - truth)[:3] ** 2).sum() / (around**2).sum()
    return float(published), float(functional.diou3d_loss(truth[None], pred[None])[0])


def one_above_the_other():
    """DIoU of two equal boxes, one 5 metres above the other."""
    truth = np.array([0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0])
    pred = truth + [0, 0, 5, 0, 0, 0, 0]
    shared, both, around = volumes(pred, truth)
    offset = (pred - truth)[[0, 1, 3]]  # x, y and the width
    published = 1 - shared / (both - shared) + (offset**2).sum() / (around**2).sum()
    ours = functional.diou3d_loss(truth[None], pred[None], enclosure="aligned")
    return float(published), float(ours[0])


def corners(box):
    x, y, w, h, angle = box
    c, s = math.cos(angle), math.sin(angle)
    return [
        (x + c * i * w / 2 - s * j * h / 2, y + s * i * w / 2 + c * j * h / 2)
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


def shared_area(a, b, epsilon):
    """Of two rotated rectangles, `epsilon` added where an edge's crossing is divided."""
    polygon, clipper = corners(a), corners(b)
    for (ax, ay), (bx, by) in zip(clipper, clipper[1:] + clipper[:1], strict=True):
        kept = []
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            d, e = ((bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in (start, end))
            if d >= 0:
                kept.append(start)
            if (d >= 0) != (e >= 0):
                t = d / (d - e + math.copysign(epsilon, d - e))
                kept.append(tuple(p + t * (q - p) for p, q in zip(start, end, strict=True)))
        polygon = kept
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return 0.5 * sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)


def boxes_of_a_tenth_of_a_millimetre():
    """1 - IoU of two turned rectangles with sides of 1e-4 and 2e-4."""
    truth = np.array([0.0, 0.0, 2e-4, 1e-4, 0.1])
    pred = np.array([4e-5, 2e-5, 2e-4, 1e-4, 0.5])
    shared = shared_area(pred, truth, 1e-8)
    published = 1 - shared / (2 * 2e-8 - shared)
    return published, float(functional.rotated_iou_loss(truth[None], pred[None])[0])


CASES = (
    ("FGL, two of four sides beyond the bins", "KerasHub 0.32", sides_beyond_the_bins,
     "each costs ln 33 = 3.5 for equal logits; there they weigh nothing"),
    ("DDF per side, student and teacher sure of other bins", "KerasHub 0.32", a_sure_student,
     "1e-8 is added to probabilities: the loss ends at 25 ln 1e8, and its gradient with it"),
    ("MAL at gamma 0, both classes rightly sure", "DEIM, Transformers 5.24", targets_of_negatives,
     "0^0 is 1: the target of the negative becomes 1"),
    ("GCD of equal boxes, largest gradient", "mmdet-GCD", an_exact_match,
     "the square root of 0 has an infinite slope"),
    ("3-D DIoU of a 4 x 2 box and its quarter turn", "OpenPCDet 0.6", a_quarter_turn,
     "the heading is not looked at"),
    ("3-D DIoU of a box 5 m above its truth", "MMDetection3D 1.4, TR3D", one_above_the_other,
     "the difference of the widths stands for that of z: the height has no gradient"),
    ("rotated 1 - IoU of sides of 1e-4 and 2e-4", "MMCV 2.2", boxes_of_a_tenth_of_a_millimetre,
     "1e-8 is added where edges cross, as much as half of the areas here"),
)  # fmt: skip


def number(x):
    return "NaN" if math.isnan(x) else f"{x:.4g}"


def table():
    lines = ["| | code | there | boxloss | why |", "|---|---|---|---|---|"]
    for what, code, case, why in CASES:
        theirs, ours = case()
        lines.append(f"| {what} | {code} | **{number(theirs)}** | {number(ours)} | {why} |")
    return "\n".join(lines) + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table to docs/right.md")
    args = parser.parse_args(argv)
    made = table()
    if not args.write:
        print(made, end="")
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START + "\n\n")
    _, _, after = rest.partition(END)
    with write_atomically(PAGE) as path:
        path.write_text(f"{before}{START}\n\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
