"""Does the choice of box loss matter? The same detector trained with each of several losses.

Every loss is trained with the same seeds, so with the same first weights, batches and mosaics, and
is evaluated once, after its last epoch: nothing is chosen by the validation images.
"""

import contextlib
import pathlib
import statistics
import sys

from boxloss import cli
from boxloss.cli import json_object
from boxloss.cli.train import data_arguments, load_sets
from boxloss.files import write_atomically, write_csv, write_json

HELP = "train a detector with each of several losses: AP, with intervals over seeds"
LOSSES = ("l1", "giou", "ciou", "eiou", "siou", "wiou", "dfl+ciou")
COLUMNS = ("AP", "AP50", "AP75", "AR100", "cpu_seconds", "wall_seconds")
DISTRIBUTION, BINS = "dfl+", 16


def add_arguments(parser):
    number = "(default: %(default)s)"
    data_arguments(parser)
    parser.add_argument(
        "--losses",
        nargs="+",
        default=list(LOSSES),
        help=f"of the registry; with {DISTRIBUTION} in front, sides as distributions " + number,
    )
    parser.add_argument(
        "--loss-args", type=json_object, default={}, help='as JSON: \'{"siou": {"theta": 2}}\''
    )
    parser.add_argument("--reference", help="compared with the others (default: the first)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help=number)
    parser.add_argument("--size", default="nano", help="nano or small " + number)
    parser.add_argument("--image-size", type=int, default=320, help=number)
    parser.add_argument("--epochs", type=int, default=30, help=number)
    parser.add_argument("--batch-size", type=int, default=8, help=number)
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for training.csv, training.json, training.md and the runs; those that are "
        "there are not trained again",
    )


def run(args):
    """{"runs": [row], "summary": {loss: {...}}, "reference": loss}; see `summarize`."""
    reference = args.reference or args.losses[0]
    if reference not in args.losses:
        raise ValueError(
            f"`--reference` must be one of --losses ({', '.join(args.losses)}). "
            f"Received: {reference!r}"
        )
    wanted = {name: [options_of(args, name, seed) for seed in args.seeds] for name in args.losses}
    sets = load_sets(args)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(len(args.seeds)):  # a broken table has whole seeds
        for name, options in wanted.items():
            rows.append(train_once(args.out / "runs", name, options[i], *sets))
            result = {"runs": rows, "summary": summarize(rows, reference), "reference": reference}
            write(args.out, result)
            row = rows[-1]
            print(
                f"{name:10} seed {row['seed']}: AP {row['AP']:.3f}, AP50 {row['AP50']:.3f}, "
                f"{row['cpu_seconds']:.0f} CPU seconds",
                file=sys.stderr,
            )
    print(table(result), file=sys.stderr)
    return result


def options_of(args, name, seed):
    from boxloss.training import Options

    return Options(
        loss=name.removeprefix(DISTRIBUTION),
        loss_args=args.loss_args.get(name, {}),
        bins=BINS if name.startswith(DISTRIBUTION) else 0,
        size=args.size,
        image_size=args.image_size,
        epochs=args.epochs,
        batch_size=args.batch_size,
        evaluate_every=args.epochs,
        seed=seed,
    )


def train_once(folder, name, options, train_set, validation_set):
    """The row of one run: trained, gone on with, or read where it has ended."""
    import json

    import keras

    from boxloss import training

    out = folder / f"{name}-{options.seed}"
    if (out / "config.json").exists():
        config = json.loads((out / "config.json").read_text())
        other = {key for key, value in options.as_dict().items() if config.get(key) != value}
        if other:
            raise ValueError(
                f"{out}: run must have been trained with the options of this command. "
                f"Received: another {', '.join(sorted(other))}"
            )
    if (out / "metrics.json").exists():
        metrics = json.loads((out / "metrics.json").read_text())
    else:
        keras.backend.clear_session()
        with contextlib.redirect_stdout(sys.stderr):
            metrics = training.train(
                train_set, validation_set, options, out, resume=True, verbose=0
            )
    return {
        "loss": name,
        "seed": options.seed,
        **{key: 0.0 if metrics[key] is None else metrics[key] for key in COLUMNS},
    }


# Statistics ---------------------------------------------------------------------------------------


def summarize(rows, reference):
    """{loss: means over the seeds, their intervals, and the difference from `reference`}.

    "AP_interval": half of the 95 % t interval of the mean AP, from the spread of this loss alone.
    "difference": mean over the seeds that all losses have of AP minus that of the reference.
    "difference_interval": half of its interval. All losses share one spread, that of AP after the
    means of loss and of seed are taken out; the differences of all losses hold together with 95 %
    (Bonferroni). None where there is one seed.
    """
    table = {}
    for row in rows:
        table.setdefault(row["loss"], {})[row["seed"]] = row
    common = sorted(set.intersection(*(set(runs) for runs in table.values())))
    values = {name: [runs[seed]["AP"] for seed in common] for name, runs in table.items()}
    half = _shared_half(values)
    summary = {}
    for name, runs in table.items():
        own = [row["AP"] for row in runs.values()]
        summary[name] = {
            "seeds": len(own),
            "AP": statistics.fmean(own),
            "AP_interval": _t(0.975, len(own) - 1) * statistics.stdev(own) / len(own) ** 0.5
            if len(own) > 1
            else None,
            "AP50": statistics.fmean(row["AP50"] for row in runs.values()),
            "cpu_seconds": statistics.median(row["cpu_seconds"] for row in runs.values()),
        }
        if reference in table and common and name != reference:
            pairs = zip(values[name], values[reference], strict=True)
            difference = statistics.fmean(a - b for a, b in pairs)
            summary[name] |= {"difference": difference, "difference_interval": half}
    return summary


def _shared_half(values):
    """Half of the simultaneous intervals of differences of means, in a table without repetition."""
    losses, seeds = len(values), min(map(len, values.values()))
    if losses < 2 or seeds < 2:
        return None
    columns = [statistics.fmean(column) for column in zip(*values.values(), strict=True)]
    everything = statistics.fmean(columns)
    rest = 0.0
    for row in values.values():
        mean = statistics.fmean(row)
        rest += sum((x - mean - c + everything) ** 2 for x, c in zip(row, columns, strict=True))
    freedom = (losses - 1) * (seeds - 1)
    return _t(1 - 0.025 / (losses - 1), freedom) * (2 * rest / freedom / seeds) ** 0.5


def _t(share, freedom):
    from scipy import stats

    return float(stats.t.ppf(share, freedom))


# Files --------------------------------------------------------------------------------------------


def write(out, result):
    names = ("loss", "seed", *COLUMNS)
    write_csv(out / "training.csv", names, [[row[n] for n in names] for row in result["runs"]])
    write_json(out / "training.json", result)
    with write_atomically(out / "training.md") as path:
        path.write_text(table(result) + "\n", encoding="utf-8")


def table(result):
    """Markdown, best AP first."""
    reference = result["reference"]
    lines = [f"| loss | AP | AP50 | AP − {reference} | CPU seconds |", "|---|---|---|---|---|"]
    summary = sorted(result["summary"].items(), key=lambda item: -item[1]["AP"])
    for name, row in summary:
        cells = (
            name,
            _with_interval(row["AP"], row["AP_interval"]),
            f"{row['AP50']:.3f}",
            _with_interval(row["difference"], row["difference_interval"], "+")
            if "difference" in row
            else "",
            f"{row['cpu_seconds']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_interval(value, half, sign=""):
    return f"{value:{sign}.3f}" + ("" if half is None else f" ± {half:.3f}")


def main(argv=None):
    return cli.run_module(
        "scripts/benchmarks/training.py", sys.modules[__name__], argv, trains=True
    )


if __name__ == "__main__":
    raise SystemExit(main())
