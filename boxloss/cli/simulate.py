"""`boxloss simulate`: what each loss does to boxes around a target, with exact gradients."""

import json
import sys
import time

from boxloss.cli import json_object
from boxloss.cli.choices import box_losses, check_loss, loss_flag
from boxloss.cli.out import open_out, out_flags
from boxloss.files import write_atomically, write_csv

HELP = "Move boxes around a target by each loss's exact gradient."
EPILOG = """\
examples:
  boxloss simulate --loss iou giou diou ciou --points vogel50 --dtype float64
  boxloss simulate --loss all --points vogel500 --out simulated
  boxloss simulate --loss giou --protocol tong --points matlab5000
  boxloss simulate --loss focaler_iou --loss-args '{"low": 0.2, "high": 0.8}'

Prints one JSON object: for each loss `errors` (E_0 ... E_K), `iou_losses`,
`sum` (k = 1 ... K), `share_above`, `never_overlap`, `inverted`, `seconds`.
With --out also simulation.json, curves.csv, points.csv, table.md and, where
matplotlib is installed, curves.png, surface.png, way.png. Ctrl-C keeps the
losses that are done.
"""
FILES = (
    *("simulation.json", "table.md", "curves.csv", "points.csv"),
    *("curves.png", "surface.png", "way.png"),
)
STRIP = {"target": 0, "scale": 3, "shape": 6}  # a tall target, a wide anchor of the same area


def add_arguments(parser):
    loss_flag(
        parser,
        nargs="+",
        default=["iou", "giou", "diou", "ciou"],
        help="box losses, or all (default: iou giou diou ciou)",
    )
    parser.add_argument(
        "--loss-args",
        type=json_object,
        default={},
        metavar="JSON",
        help="the arguments of the one loss, or an object of loss name to arguments",
    )
    parser.add_argument(
        "--points",
        default="vogel500",
        help="vogelN, matlab5000 or randomN; 343 cases a point (vogel500)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of randomN")
    parser.add_argument("--protocol", choices=("zheng", "tong"), default="zheng")
    parser.add_argument(
        "--parametrization",
        choices=("cxcywh", "xyxy"),
        help="what the gradient is taken in (zheng: cxcywh, tong: xyxy)",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    out_flags(parser, "folder for CSV, table and pictures", required=False)


def arguments_by_loss(names, given):
    """`--loss-args` as a dict of loss name to arguments."""
    if given and set(given) <= set(names):
        if not all(isinstance(value, dict) for value in given.values()):
            raise ValueError(
                f"`loss-args` must hold an object for each loss. Received: loss-args={given!r}"
            )
        return given
    if given and len(names) > 1:
        raise ValueError(
            "`loss-args` must be an object of loss name to arguments where several losses run. "
            f"Received: loss-args={given!r}"
        )
    return {names[0]: given} if given else {}


class Progress:
    """A bar on stderr, redrawn on a terminal only; otherwise one line when a loss is done."""

    def __init__(self, name, stream=None):
        self.name, self.stream = name, sys.stderr if stream is None else stream
        self.started = time.perf_counter()
        self.live = self.stream.isatty()

    def __call__(self, done, total):
        seconds = time.perf_counter() - self.started
        if self.live:
            filled = 30 * done // total
            bar = "#" * filled + "." * (30 - filled)
            end = "\n" if done == total else ""
            print(
                f"\r{self.name:16} [{bar}] {done}/{total} {seconds:5.1f} s",
                end=end,
                file=self.stream,
                flush=True,
            )
        elif done == total:
            print(f"{self.name:16} {seconds:.1f} s", file=self.stream, flush=True)


def run(args):
    names = box_losses() if args.loss == ["all"] else list(dict.fromkeys(args.loss))
    for name in names:
        check_loss(name)
    by_loss = arguments_by_loss(names, args.loss_args)
    settings = {
        "points": args.points,
        "protocol": args.protocol,
        "parametrization": args.parametrization,
        "dtype": args.dtype,
    }
    if args.out is None:
        return simulate_all(args, names, by_loss, settings)[1]
    with open_out(args, FILES):
        results, summary = simulate_all(args, names, by_loss, settings)
        if results:
            write_files(args.out, results, summary)
    return summary


def simulate_all(args, names, by_loss, settings):
    """(results, the dict that is printed) of the losses `names`, of those done if interrupted."""
    from boxloss import simulation

    results, interrupted = [], False
    try:
        for name in names:
            results.append(
                simulation.simulate(
                    name,
                    arguments=by_loss.get(name),
                    seed=args.seed,
                    progress=Progress(name),
                    **settings,
                )
            )
    except KeyboardInterrupt:
        interrupted = True
        kept = ", ".join(result.loss for result in results) or "nothing"
        print(f"\nboxloss simulate: interrupted; kept {kept}", file=sys.stderr)
    shared = results[0].settings if results else settings
    summary = {**shared, "losses": {result.loss: result.to_dict() for result in results}}
    if interrupted:
        summary["interrupted"] = True
    return results, summary


# Files -------------------------------------------------------------------------------------------


def table(results):
    """The numbers of every loss as a Markdown table, lowest final error first."""
    head = ["loss", "E_10", "E_50", "E_K", "sum", "> 0.5", "> 0.9", "> 0.99", "never overlap"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for result in sorted(results, key=lambda result: result.errors[-1]):
        errors = [result.errors[k] for k in (10, 50, -1)]
        shares = [result.share_above[t] for t in (0.5, 0.9, 0.99)]
        cells = [result.loss, *(f"{x:.6g}" for x in (*errors, result.sum))]
        cells += [f"{share:.4f}" for share in (*shares, result.never_overlap)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_files(folder, results, summary):
    """simulation.json, curves.csv, points.csv, table.md and the pictures."""
    for name, text in (("simulation.json", json.dumps(summary)), ("table.md", table(results))):
        with write_atomically(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_csv(
        folder / "curves.csv",
        ("loss", "k", "error", "iou_loss"),
        (
            (result.loss, k, float(error), float(iou_loss))
            for result in results
            for k, (error, iou_loss) in enumerate(
                zip(result.errors, result.iou_losses, strict=True)
            )
        ),
    )
    write_csv(
        folder / "points.csv",
        ("loss", "x", "y", "final_error"),
        (
            (result.loss, *map(float, point), float(error))
            for result in results
            for point, error in zip(result.points, result.point_errors[-1], strict=True)
        ),
    )
    try:
        pictures = draw(results)
    except ValueError as error:
        print(f"boxloss simulate: no pictures: {error}", file=sys.stderr)
        return
    for name, figure in pictures.items():
        with write_atomically(folder / name) as temporary:
            figure.savefig(temporary, dpi=110)
    print(f"wrote {folder}", file=sys.stderr)


def draw(results):
    """File name -> matplotlib Figure."""
    from boxloss import simulation

    settings = results[0].settings
    chosen = {key: settings[key] for key in ("protocol", "parametrization", "dtype")}
    title = "{protocol}, {parametrization}, {points}".format(**settings)
    pictures = {
        "curves.png": simulation.plot_curves(results, title),
        "surface.png": simulation.plot_surface(results),
    }
    # The box that starts from the right edge of the disc, apart from its target.
    protocol = simulation.PROTOCOLS[settings["protocol"]]
    point = (protocol.center[0] + 0.8 * protocol.radius, protocol.center[1])
    y_true, start = simulation.case(point, protocol, **STRIP)
    ways = {}
    for result in results:
        way = simulation.trajectory(
            result.loss, y_true, start, arguments=result.arguments, **chosen
        )
        ways[result.loss] = way[:, 0]
    pictures["way.png"] = simulation.plot_trajectories(ways, y_true)
    return pictures
