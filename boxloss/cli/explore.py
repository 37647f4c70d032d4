"""`boxloss explore`: the page of per-box errors, of a run or of any detector's results."""

import argparse
import pathlib
import sys
import time

from boxloss.cli.choices import check_loss, loss_flag
from boxloss.cli.inputs import run_file, tile_flags, tiling_of
from boxloss.cli.out import inside_run, open_out, out_flags
from boxloss.cli.pairing import (
    DETECTIONS_HELP,
    TRUTH_HELP,
    add_pairing,
    pairing_of,
    show_pairing,
)
from boxloss.files import existing

HELP = "Show which boxes are wrong: a page to open in a browser."
EPILOG = """examples:
  boxloss explore runs/demo
  boxloss explore --truth gt.json --detections results.json \\
    --images photos/ --out page/
  boxloss explore --truth data.yaml --detections predictions.json \\
    --images photos/ --out page/
  boxloss explore runs/new --compare runs/old
  boxloss explore runs/aerial --tile 640
  boxloss explore --truth train.json --detections found.json \\
    --images photos/ --history runs/demo --out page/
"""


def add_arguments(parser):
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="a run folder")
    parser.add_argument("--truth", "--annotations", dest="truth", help=TRUTH_HELP)
    parser.add_argument("--detections", help=DETECTIONS_HELP)
    parser.add_argument("--images", help="the image folder")
    out_flags(parser, "folder of the page (default: RUN/explorer)", required=False)
    loss_flag(parser, default="ciou", help="that measures the boxes (default: %(default)s)")
    parser.add_argument("--iou", type=float, default=0.5, help="a box is found from this IoU on")
    parser.add_argument(
        "--score", type=float, help="confidence from which on detections count (default: best F1)"
    )
    parser.add_argument("--compare", help="another run folder, or another detector's results")
    parser.add_argument(
        "--history",
        help="a run that was trained on these boxes: its box_history.csv, drawn as a map",
    )
    parser.add_argument("--worst", type=int, help="pictures for this many of the worst rows only")
    tile_flags(parser)
    parser.add_argument("--title", help="heading of the page")
    add_pairing(parser)


def run(args):
    """Write the page; the printed object has its place and the counts of each kind."""
    started = time.monotonic()
    check_sources(args)
    if args.tile is not None:
        args.run = evaluated_in_tiles(args)
    out = args.out or inside_run(args.run, "explorer")
    with open_out(args, ("index.html", "boxes.csv"), out):
        report = report_of(args, args.run or args.detections, args.title)
        known = report.add_history(args.history) if args.history else None
        suspected = add_labels(report, args) if args.run is None else None
        other = report_of(args, args.compare, None) if args.compare else None
        common = None if other is None else images_in_common(report, other)
        page = report.to_html(out, compare=other, worst=args.worst)
        report.to_csv(out / "boxes.csv")
    seconds = time.monotonic() - started
    if args.run is None:
        show_pairing(report.told, report.problems, report.dropped)
    print(f"{len(report)} rows in {seconds:.1f} s: open {page}", file=sys.stderr)
    return {
        "page": str(page),
        "rows": len(report),
        "images": len(report.images),
        "kinds": report.counts(),
        "dropped": report.dropped,
        **({} if report.pairing is None else {"pairing": report.pairing}),
        "score_threshold": report.score_threshold,
        "seconds": round(seconds, 3),
        **({} if known is None else {"with_history": known}),
        **({} if suspected is None else {"suspected_labels": suspected}),
        **({} if common is None else {"images_in_common": common}),
    }


def check_sources(args):
    """ValueError where the command line does not say what is shown."""
    from_coco = args.truth is not None and args.detections is not None
    if from_coco == (args.run is not None) or (from_coco and args.out is None):
        raise ValueError(
            "`boxloss explore` must get a run folder, or --truth, --detections and --out. "
            f"Received: run={str(args.run) if args.run else None!r}, truth={args.truth!r}, "
            f"detections={args.detections!r}, out={str(args.out) if args.out else None!r}"
        )
    check_loss(args.loss)
    if args.tile is not None and args.run is None:
        raise ValueError(
            "`--tile` must come with a run, whose detector is to look at the tiles. "
            f"Received: tile={args.tile!r}, detections={args.detections!r}"
        )
    for given, what in ((args.truth, "truth"), (args.detections, "detections")):
        if given is not None:
            existing(what, given)
    if args.run is not None:
        run_file(args.run / ("boxes.csv" if args.tile is None else "model.keras"))
    if args.compare is not None:
        existing("compare", args.compare)


def evaluated_in_tiles(args):
    """The folder RUN/tiles, after the run's detector has looked at its validation data in tiles."""
    from boxloss.cli import evaluate

    tiling, model = tiling_of(args), run_file(args.run / "model.keras")
    out = inside_run(args.run, "tiles")
    own = argparse.Namespace(run=args.run, images=None, annotations=None, loss=None)
    with open_out(args, evaluate.FILES, out):
        evaluate.measure_run(own, model, out, tiling)
    return out


def report_of(args, source, title):
    """The BoxReport of a run folder, or of the detections in a file with --truth."""
    from boxloss.report import BoxReport

    run_boxes = pathlib.Path(source) / "boxes.csv"
    # A folder is a run, or text files of results.
    if args.truth is None or run_boxes.is_file():
        run_file(run_boxes)
        return BoxReport.from_run(source, args.images, title)
    return BoxReport.from_coco(
        args.truth,
        source,
        args.images,
        loss=args.loss,
        iou_threshold=args.iou,
        score_threshold=args.score,
        title=title or f"Box errors of {pathlib.Path(source).name}",
        part=args.part,
        **pairing_of(args),
    )


def images_in_common(report, other):
    """How many images both reports are about; ValueError where there is none to compare."""
    names, others = ({image["file_name"] for image in one.images} for one in (report, other))
    common = len(names & others)
    if not common:
        raise ValueError(
            "`--compare` must be about the same images. "
            f"Received: none in common, {len(names)} images here and {len(others)} there"
        )
    if common < max(len(names), len(others)):
        print(
            f"compared in the {common} images that are in both, of {len(names)} here and "
            f"{len(others)} there",
            file=sys.stderr,
        )
    return common


def add_labels(report, args):
    """Add the labels that look wrong by these detections; how many, None without an audit."""
    from boxloss.audit import LabelAudit
    from boxloss.audit.scores import SUSPECT

    try:
        audit = LabelAudit(
            args.truth,
            args.detections,
            args.images,
            part=args.part,
            least_suspicion=SUSPECT,
            **pairing_of(args),
        )
    except ValueError:  # no detection is sure enough to judge labels by
        return None
    return report.add_labels(audit.suspects())
