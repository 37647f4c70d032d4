"""Are an audit's corrections right? Errors are planted, corrected, and compared with the truth.

    python scripts/benchmarks/audit_confidence.py --set bccd val.json yolo11n_val.json
    python scripts/benchmarks/audit_confidence.py --fit --seeds 100 101 102 103 104 \\
        --set bccd val.json yolo11n_val.json --set carla val.json RUN/detections.json

Without `--fit` it prints, for each set, how many corrections are applied by default, how many of
them are right, which share of the untouched labels is made worse, and the mean IoU of all labels
with what they were, before and after; in brackets 95 % bootstrap intervals over images. With
`--fit` it prints the weights of `boxloss.audit.confidence`, fitted to all sets together.
"""

import pathlib
import sys

import numpy as np

from boxloss import cli
from boxloss.datasets.label_files import xyxy_of
from boxloss.files import write_json
from boxloss.tensors.overlap import iou_xyxy

HELP = "plant label errors and see whether the corrections of an audit are right"
EPILOG = __doc__.partition("\n\n")[2]
# What a weight may look at, per action; the others would only repeat these.
LOOKS_AT = {
    "move": ("decades", "off", "share", "sure", "iou", "lost"),
    "relabel": ("own", "other", "iou", "apart"),
    "remove": ("support", "lost"),
    "add": ("sure", "cover", "bare"),
}
RIDGE = 1.0


def add_arguments(parser):
    parser.add_argument(
        "--set",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "TRUTH", "DETECTIONS"),
        help="COCO labels and COCO results of a detector that did not learn from them",
    )
    number = "(default: %(default)s)"
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help=number)
    parser.add_argument("--rate", type=float, default=0.05, help="of labels altered " + number)
    parser.add_argument("--apply-from", type=float, default=None, help="probability to apply from")
    parser.add_argument("--bootstrap", type=int, default=500, help="samples of images " + number)
    parser.add_argument("--fit", action="store_true", help="print weights instead")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the result")


def run(args):
    from boxloss.files import read_json

    trials = {
        name: [Trial(read_json(truth), read_json(found), args.rate, seed) for seed in args.seeds]
        for name, truth, found in args.set
    }
    if args.fit:
        result = {"weights": fit([trial for found in trials.values() for trial in found])}
    else:
        result = {"sets": {name: measure(found, args) for name, found in trials.items()}}
        for name, row in result["sets"].items():
            print(line_of(name, row), file=sys.stderr)
    if args.out:
        write_json(args.out, result)
    return result


class Trial:
    """One set with planted errors, its audit, and what each proposal would do.

    judged: one dict per row of the audit: action, suspected, kind (of the planted error, None),
    annotation, right, probability, applied, image, iou with the original before and after it. Of a
    place, annotation is that of the deleted box that the row would bring back, None without.
    """

    def __init__(self, truth, detections, rate, seed):
        from boxloss.audit import LabelAudit
        from boxloss.datasets import noise

        altered, changes = noise.alter(truth, noise.KINDS, rate, seed)
        self.audit = LabelAudit(altered, detections)
        self.originals = {entry["id"]: entry for entry in truth["annotations"]}
        self.planted = {change.annotation_id: change for change in changes}
        self.deleted = [change.before for change in changes if change.after is None]
        self.judged = [self._judge(row) for row in self.audit.rows]

    def _judge(self, row):
        action, change = row["proposal"], self.planted.get(row.annotation_id)
        new = [row[f"corrected_{side}"] for side in ("x1", "y1", "x2", "y2")]
        before = after = None
        annotation = row.annotation_id
        if action == "add":
            annotation = self._deleted_by(row, new)
            right = annotation is not None
        elif change is not None and change.before is None:  # a box that should not be there
            right = action == "remove"
        else:
            original = self.originals[row.annotation_id]
            box = xyxy_of(original["bbox"])
            same = row["corrected_category_id"] == original["category_id"]
            before = overlap(row.truth, box)
            after = 0.0 if action == "remove" else overlap(new, box)
            right = {"move": after > before, "relabel": same, "remove": False}[action]
        return {
            "action": action,
            "suspected": row["suspected"],
            "kind": None if change is None else change.kind,
            "annotation": annotation,
            "right": bool(right),
            "probability": row["probability"],
            "applied": row["applied"],
            "image": row.image_id,
            "iou": (before, after),
        }

    def corrected(self, applied):
        """[{kind, image, corrected}] of the planted errors; applied: ids of the rows that are."""
        mended = {row["annotation"] for row in self.judged if id(row) in applied and row["right"]}
        return [
            {
                "kind": change.kind,
                "image": change.image_id,
                "corrected": change.annotation_id in mended,
            }
            for change in self.planted.values()
        ]

    def _deleted_by(self, row, new):
        """The id of a deleted box of that class that is here, or None; each is found once."""
        for entry in self.deleted:
            here = entry["image_id"] == row.image_id
            if here and entry["category_id"] == row["corrected_category_id"]:
                if overlap(new, xyxy_of(entry["bbox"])) >= 0.5:
                    self.deleted.remove(entry)
                    return entry["id"]
        return None


def overlap(a, b):
    """IoU of two boxes by their corners."""
    return float(iou_xyxy(np.array([a], "float64"), np.array([b], "float64"))[0])


# Measures -----------------------------------------------------------------------------------------


def measure(trials, args):
    """What the corrections that are applied do; [value, low, high] for shares."""
    rows = [row for trial in trials for row in trial.judged]
    least = args.apply_from
    done = [r for r in rows if (r["applied"] if least is None else r["probability"] >= least)]
    # All images of the set: one whose only label was deleted may have no row.
    names = sorted({str(image["id"]) for image in trials[0].audit.truth.images})
    images = {name: i for i, name in enumerate(names)}
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), args.bootstrap)
    draws = np.concatenate([np.ones((1, len(images)), "int64"), draws])

    def share(items, flags):
        """The share of `items` whose flag is set, with its interval over images."""
        if not items:
            return None
        at = np.array([images[str(item["image"])] for item in items])
        weights = draws[:, at]
        with np.errstate(invalid="ignore"):
            values = weights @ np.array(flags, "float64") / weights.sum(axis=1)
        low, high = np.nanquantile(values[1:], (0.025, 0.975))
        return [round(float(v), 4) for v in (values[0], low, high)]

    applied = set(map(id, done))
    # Labels that exist in the truth: a correction may change their IoU with what they were.
    kept = [row for row in rows if row["iou"][0] is not None]
    before = [row["iou"][0] for row in kept]
    after = [row["iou"][1 if id(row) in applied else 0] for row in kept]
    untouched = [row for row in kept if row["kind"] is None]
    worse = [id(row) in applied and not row["right"] for row in untouched]
    actions = {}
    for action in LOOKS_AT:
        of_action = [row for row in done if row["action"] == action]
        harm = [bad and row["action"] == action for bad, row in zip(worse, untouched, strict=True)]
        actions[action] = {
            "applied": len(of_action),
            "right": share(of_action, [row["right"] for row in of_action]),
            "worse": share(untouched, harm),
            "could_be_right": sum(row["right"] for row in rows if row["action"] == action),
        }
    planted = [item for trial in trials for item in trial.corrected(applied)]
    kinds = {}
    for kind in dict.fromkeys(item["kind"] for item in planted):
        of_kind = [item for item in planted if item["kind"] == kind]
        kinds[kind] = {
            "planted": len(of_kind),
            "corrected": share(of_kind, [item["corrected"] for item in of_kind]),
        }
    return {
        "trials": len(trials),
        "labels": len(kept),
        "applied": len(done),
        "right": share(done, [row["right"] for row in done]),
        "worse": share(untouched, worse),
        "mean_iou_before": round(float(np.mean(before)), 5),
        "mean_iou_after": round(float(np.mean(after)), 5),
        "actions": actions,
        "kinds": kinds,
    }


def line_of(name, row):
    """Lines for people: all corrections, then those of each action and each planted kind."""
    actions = [
        f"  {action}: {found['applied']} applied, right {_percent(found['right'])}, "
        f"untouched labels made worse {_percent(found['worse'], 2)}"
        for action, found in row["actions"].items()
    ]
    kinds = [
        f"  {kind}: {found['planted']} planted, corrected {_percent(found['corrected'])}"
        for kind, found in row["kinds"].items()
    ]
    head = (
        f"{name}: {row['applied']} corrections in {row['trials']} trials, right "
        f"{_percent(row['right'])}; untouched labels made worse {_percent(row['worse'], 2)}; "
        f"mean IoU {row['mean_iou_before']:.5f} to {row['mean_iou_after']:.5f}"
    )
    return "\n".join([head, *actions, *kinds])


def _percent(value, digits=1):
    if value is None:
        return "-"
    mean, low, high = (f"{number:.{digits}%}" for number in value)
    return f"{mean} ({low} to {high})"


# Weights ------------------------------------------------------------------------------------------


def fit(trials):
    """{action: {"bias": ..., feature: weight}}: logistic regression with a ridge, by Newton."""
    from boxloss.audit import confidence

    weights = {}
    for action, names in LOOKS_AT.items():
        features, right = [], []
        for trial in trials:
            found = trial.audit.features(action)
            rows = [row for row in trial.judged if row["action"] == action]
            # Which of two duplicates is removed is not decided by any weight.
            use = confidence.eligible(action, found)
            use &= np.array([row["suspected"] != "duplicate" for row in rows])
            features.append(np.column_stack([found[name] for name in names])[use])
            right += [row["right"] for row, used in zip(rows, use, strict=True) if used]
        weights[action] = logistic(np.concatenate(features), np.array(right, "float64"), names)
    return weights


def logistic(features, right, names):
    """The weights of unscaled features; the ridge is on the scaled ones."""
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features)), (features - middle) / spread])
    penalty = np.diag([1e-6] + [RIDGE] * len(names))
    found = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (p - right) + penalty @ found
        curve = (design * (p * (1 - p))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < 1e-9:
            break
    scaled = found[1:] / spread
    bias = found[0] - scaled @ middle
    return {"bias": round(float(bias), 3)} | {
        name: round(float(value), 3) for name, value in zip(names, scaled, strict=True)
    }


def main(argv=None):
    here = sys.modules[__name__]
    return cli.run_module("scripts/benchmarks/audit_confidence.py", here, argv)


if __name__ == "__main__":
    raise SystemExit(main())
