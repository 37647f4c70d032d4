"""How well wrong labels are found: `scripts/benchmarks/audit.py`.

Labels are altered by `boxloss.noise`, detections stay the same; every method ranks the same boxes.
Cells are means over the seeds, intervals are 95 % bootstrap intervals over images.
"""

import json
import pathlib
import statistics
import sys

import audit_methods as methods
import numpy as np
from audit_measures import MEASURES, cell

from boxloss import cli
from boxloss.files import write_atomically

HELP = "find label errors that were put in: AUROC, AP and recall beside other methods"
# Per protocol: the kinds, and what "mixed" mixes (all that alter or add a label). The second is
# that of Schubert et al. 2024, arXiv:2303.06999, at their rates.
PROTOCOLS = {
    "boxloss": ("shift", "resize", "edge", "swap", "spurious", "duplicate", "missing", "mixed"),
    "loss-inspection": ("flip", "shift_normal", "spawn", "drop", "mixed"),
}
KINDS = tuple(dict.fromkeys(kind for kinds in PROTOCOLS.values() for kind in kinds))
RATES = {"boxloss": (0.05,), "loss-inspection": (0.05, 0.2)}


def add_arguments(parser):
    number = "(default: %(default)s)"
    parser.add_argument("--truth", help="COCO JSON with good labels")
    parser.add_argument("--detections", help="COCO results of a detector that did not learn them")
    parser.add_argument(
        "--synthetic", type=int, metavar="IMAGES", help="make that many images, train on folds"
    )
    parser.add_argument(
        "--protocol", default="boxloss", choices=list(PROTOCOLS), help="of the errors " + number
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, help="some of them (default: all of the protocol)"
    )
    parser.add_argument(
        "--rates", nargs="+", type=float, help="(default: 0.05; loss-inspection: 0.05 and 0.2)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help=number)
    parser.add_argument("--score", type=float, default=0.05, help="least confidence " + number)
    parser.add_argument("--bootstrap", type=int, default=200, help="samples of images " + number)
    parser.add_argument("--out", type=pathlib.Path, help="folder for audit.json and audit.md")
    made = parser.add_argument_group("with --synthetic")
    made.add_argument("--image-size", type=int, default=160, help=number)
    made.add_argument("--epochs", type=int, default=40, help=number)
    made.add_argument("--folds", type=int, default=3, help=number)
    made.add_argument(
        "--detectors",
        nargs="+",
        default=["nano", "small", "noisy"],
        choices=["nano", "small", "noisy"],
        help="noisy is nano, taught labels of which 5 %% are altered " + number,
    )


def run(args):
    """{"sets": {name: {...}}, "absent": {method: reason}}; see `benchmark_set`."""
    given = args.truth is not None and args.detections is not None
    if given == (args.synthetic is not None) or (args.synthetic and args.out is None):
        raise ValueError(
            "`scripts/benchmarks/audit.py` must get --truth and --detections, or --synthetic and "
            f"--out. Received: truth={args.truth!r}, detections={args.detections!r}, "
            f"synthetic={args.synthetic!r}, out={str(args.out) if args.out else None!r}"
        )
    if given:
        sets = {pathlib.Path(args.detections).stem: (_json(args.truth), _json(args.detections))}
    else:
        from audit_synthetic import synthetic_sets

        sets = synthetic_sets(args)
    result = {"sets": {}, "absent": methods.absent()}
    for name, (truth, detections) in sets.items():
        result["sets"][name] = benchmark_set(truth, detections, args)
    for method, reason in result["absent"].items():
        print(f"absent: {method} ({reason})", file=sys.stderr)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("audit.json", json.dumps(result, indent=1)),
            ("audit.md", page(result)),
        ):
            with write_atomically(args.out / name) as path:
                path.write_text(text + "\n", encoding="utf-8")
    return result


def _json(path):
    from boxloss.files import read_json

    return read_json(path)


def benchmark_set(truth, detections, args):
    """{"boxes", "images", "detections", "cells": [...], "seconds": {method: per 1,000 images}}.

    A cell: kind, rate, unit ("box", "image" or, for missing boxes, "detection"), method, and
    auroc, ap, best_f1, recall_1, recall_5, recall_10, each as [mean, low, high].
    """
    detections = [entry for entry in detections if entry.get("score", 0) >= args.score]
    cells, seconds = [], {}
    for kind in args.kinds or PROTOCOLS[args.protocol]:
        for rate in args.rates or RATES[args.protocol]:
            rows = one_setting(truth, detections, kind, rate, args, seconds)
            cells += rows
            for row in rows:
                if row["unit"] != "image":
                    print(line(row), file=sys.stderr, flush=True)
    return {
        "boxes": len(truth["annotations"]),
        "images": len(truth["images"]),
        "detections": len(detections),
        "cells": cells,
        "seconds": {
            name: round(1000 * statistics.median(times) / len(truth["images"]), 3)
            for name, times in seconds.items()
        },
    }


def one_setting(truth, detections, kind, rate, args, seconds):
    """The cells of one kind and rate, every seed and method in them."""
    from boxloss.datasets import noise

    draws = np.random.default_rng(0).multinomial(
        len(truth["images"]),
        np.full(len(truth["images"]), 1 / len(truth["images"])),
        args.bootstrap,
    )
    # The first row counts every image once: the mean itself.
    draws = np.concatenate([np.ones((1, len(truth["images"])), "int64"), draws])
    found = {}
    for seed in args.seeds:
        whole = PROTOCOLS[args.protocol]
        mixed = [each for each in whole if each not in ("mixed", *methods.DELETED)]
        kinds = mixed if kind == "mixed" else kind
        altered, changes = noise.alter(truth, kinds, rate, seed)
        trial = methods.Trial(altered, detections, changes, kind, seed)
        for unit, name, values in trial.rankings(seconds):
            bad, image, use = trial.wanted(unit)
            measured = cell(values[use], bad[use], draws[:, image[use]])
            found.setdefault((unit, name), []).append(measured)
    return [
        {"kind": kind, "rate": rate, "unit": unit, "method": name, **_summary(measured)}
        for (unit, name), measured in found.items()
    ]


def _summary(measured):
    """{measure: [mean over seeds, low, high]} of a list of {measure: (1 + draws,)}."""
    summary = {}
    for name in MEASURES:
        means = np.mean([row[name] for row in measured], axis=0)
        low, high = np.nanquantile(means[1:], (0.025, 0.975)) if len(means) > 1 else means[[0, 0]]
        summary[name] = [round(float(value), 4) for value in (means[0], low, high)]
    return summary


def line(row):
    values = " ".join(f"{name} {row[name][0]:.3f}" for name in MEASURES)
    return f"{row['kind']:10} {row['rate']:5.0%} {row['unit']:9} {row['method']:20} {values}"


def page(result):
    """The cells as Markdown tables, one per set, rate and unit."""
    lines = []
    for name, entry in result["sets"].items():
        lines += [
            f"### {name}: {entry['images']} images, {entry['boxes']} boxes, "
            f"{entry['detections']} detections",
            "",
        ]
        keys = dict.fromkeys((c["rate"], c["unit"]) for c in entry["cells"])
        for rate, unit in keys:
            cells = [c for c in entry["cells"] if (c["rate"], c["unit"]) == (rate, unit)]
            lines += [f"{rate:.0%} of the boxes altered, per {unit}", "", *_table(cells), ""]
        times = ", ".join(f"{method} {t:.2f}" for method, t in entry["seconds"].items())
        lines += [f"Seconds per 1,000 images: {times}.", ""]
    for method, reason in result["absent"].items():
        lines.append(f"Absent: {method} ({reason}).")
    return "\n".join(lines).rstrip()


def _table(cells):
    head = ["kind", "method", "AUROC", "AP", "best F1", "recall at 1 %", "5 %", "10 %"]
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in cells:
        shown = [_interval(row[name]) for name in MEASURES]
        rows.append("| " + " | ".join([row["kind"], row["method"], *shown]) + " |")
    return rows


def _interval(value):
    mean, low, high = value
    return f"{mean:.3f} ({low:.3f}–{high:.3f})"


def main(argv=None):
    return cli.run_module("scripts/benchmarks/audit.py", sys.modules[__name__], argv, trains=True)


if __name__ == "__main__":
    raise SystemExit(main())
