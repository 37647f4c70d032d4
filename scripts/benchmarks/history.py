"""What the training history adds to an audit: `scripts/benchmarks/history.py`.

A detector is trained on labels of which some are altered. Its own detections in the training
images, and its box_history.csv, then rank these labels.
"""

import json
import pathlib
import sys

import numpy as np
from audit_measures import MEASURES, cell

from boxloss import cli
from boxloss.files import write_json

HELP = "wrong labels found in a run's own training set, with and without its box history"


def add_arguments(parser):
    number = "(default: %(default)s)"
    parser.add_argument("--images", type=int, default=600, help="to make " + number)
    parser.add_argument("--image-size", type=int, default=160, help=number)
    parser.add_argument("--epochs", type=int, default=30, help=number)
    parser.add_argument("--rate", type=float, default=0.05, help="of boxes altered " + number)
    parser.add_argument("--data-seed", type=int, default=7, help="of the images " + number)
    parser.add_argument("--noise-seed", type=int, default=1_000_003, help=number)
    parser.add_argument("--bootstrap", type=int, default=200, help="samples of images " + number)
    parser.add_argument("--detections", help="COCO results in place of the run's own")
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="goes on from what is there"
    )


def run(args):
    """{"boxes", "altered", "cells": [...]}: a cell has kind, method, count, and the measures of
    `scripts/benchmarks/audit.py` as [value, low, high] (95 % bootstrap intervals over images)."""
    from boxloss.audit import LabelAudit

    truth, changes, results = trained(args)
    kinds = {change.annotation_id: change.kind for change in changes if change.after}
    audits = [LabelAudit(truth, results, history=past) for past in (None, args.out / "run")]
    rankings = rankings_of(*audits)
    ids, image = audits[0].truth.annotation_ids, audits[0].truth.image
    rng, images = np.random.default_rng(0), len(truth["images"])
    draws = rng.multinomial(images, np.full(images, 1 / images), args.bootstrap)
    draws = np.concatenate([np.ones((1, images), "int64"), draws])
    cells = []
    for kind in ("all", *dict.fromkeys(kinds.values())):
        own = np.array([kinds.get(number, "") for number in ids])
        bad = own != "" if kind == "all" else own == kind
        use = bad | (own == "")
        for method, values in rankings.items():
            measured = cell(values[use], bad[use], draws[:, image[use]])
            row = {"kind": kind, "method": method, "count": int(bad.sum()), **_intervals(measured)}
            cells.append(row)
            shown = " ".join(f"{name} {row[name][0]:.3f}" for name in MEASURES)
            print(f"{kind:10} {method:22} {shown}", file=sys.stderr)
    result = {"boxes": len(ids), "altered": len(kinds), "cells": cells}
    write_json(args.out / "history.json", result)
    return result


def trained(args):
    """(altered COCO dict, changes, COCO results in the same images); the run is in OUT/run."""
    from boxloss import datasets
    from boxloss.datasets import noise, synthetic
    from boxloss.detector import load_detector
    from boxloss.training import Options, evaluate, train

    data = args.out / "data"
    clean = synthetic.write(data, args.images, seed=args.data_seed, image_size=args.image_size)
    altered, changes = noise.alter(clean, noise.KINDS, args.rate, args.noise_seed)
    write_json(data / "noisy.json", altered)
    if args.detections is not None:
        return altered, changes, json.loads(pathlib.Path(args.detections).read_text("utf-8"))
    learnt = datasets.load(data / "images", data / "noisy.json", class_names=clean.class_names)
    options = Options(
        image_size=args.image_size, epochs=args.epochs, evaluate_every=args.epochs, patience=0
    )
    # A few of its own images as validation set: all labels are under audit, none decide.
    few = learnt.subset(learnt.records[:8])
    train(learnt, few, options, args.out / "run", resume=True, verbose=0)
    found = args.out / "found"
    found.mkdir(exist_ok=True)
    detector = load_detector(args.out / "run" / "last.keras")
    return altered, changes, evaluate(detector, learnt, found, options.loss)[1]


def rankings_of(plain, audit):
    """{method: (n,)}, high is suspicious, of audits without and with a history."""
    from boxloss.audit.scores import HISTORY_WEIGHT

    rows = {row["position"]: row for row in audit.rows if row["position"] is not None}

    def column(name, without):
        values = [rows.get(i, {}).get(name) for i in range(len(audit.truth))]
        return np.array([without if value is None else value for value in values])

    # What no location answered for in any epoch is as bad as the worst; what the run did not see is
    # as good as the best.
    seen, error = column("history_epochs", 0) > 0, column("history_mean_error", np.nan)
    alone = {
        "mean error alone": np.where(np.isnan(error), np.nanmax(error), error),
        "1 - found alone": 1 - column("history_found", 1.0),
        "1 - mean score alone": 1 - column("history_mean_score", 0.0),
        "mean loss alone": np.nan_to_num(audit.mean_losses, nan=0.0),
        "forgotten alone": column("history_forgotten", 0.0),
    }
    alone = {name: np.where(seen, values, values.min()) for name, values in alone.items()}
    with_loss = plain.suspicion + HISTORY_WEIGHT * audit.loss_scores
    return {
        "audit": plain.suspicion,
        "audit and history": audit.suspicion,
        "audit and mean loss": with_loss,
        **alone,
    }


def _intervals(measured):
    """{measure: [value, low, high]} of {measure: (1 + draws,)}."""
    found = {}
    for name in MEASURES:
        value, draws = measured[name][0], measured[name][1:]
        low, high = np.nanquantile(draws, (0.025, 0.975)) if len(draws) else (value, value)
        found[name] = [round(float(number), 4) for number in (value, low, high)]
    return found


def main(argv=None):
    return cli.run_module("scripts/benchmarks/history.py", sys.modules[__name__], argv, trains=True)


if __name__ == "__main__":
    raise SystemExit(main())
