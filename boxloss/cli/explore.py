"""`boxloss explore`: the page of per-box errors, of a run or of any detector's results."""

import pathlib
import sys
import time

from boxloss.cli.choices import check_loss, loss_flag
from boxloss.cli.inputs import existing, existing_path
from boxloss.cli.pairing import (
    DETECTIONS_HELP,
    TRUTH_HELP,
    add_pairing,
    pairing_of,
    show_pairing,
)

HELP = "Show which boxes are wrong: a page to open in a browser."
EPILOG = """examples:
  boxloss explore runs/demo
  boxloss explore --truth gt.json --detections results.json \\
    --images photos/ --out page/
  boxloss explore --truth data.yaml --detections predictions.json \\
    --images photos/ --out page/
  boxloss explore runs/new --compare runs/old
  boxloss explore --truth train.json --detections found.json \\
    --images photos/ \\
    --history runs/demo --out page/
"""


def add_arguments(parser):
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="a run folder")
    parser.add_argument("--truth", "--annotations", dest="truth", help=TRUTH_HELP)
    parser.add_argument("--detections", help=DETECTIONS_HELP)
    parser.add_argument("--images", help="the image folder")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder of the page (default: RUN/explorer)"
    )
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
    parser.add_argument("--title", help="heading of the page")
    add_pairing(parser)


def run(args):
    """Write the page; the printed object has its place and the counts of each kind."""
    from boxloss.report import BoxReport

    started = time.monotonic()
    from_coco = args.truth is not None and args.detections is not None
    if from_coco == (args.run is not None) or (from_coco and args.out is None):
        raise ValueError(
            "`boxloss explore` must get a run folder, or --truth, --detections and --out. "
            f"Received: run={str(args.run) if args.run else None!r}, truth={args.truth!r}, "
            f"detections={args.detections!r}, out={str(args.out) if args.out else None!r}"
        )

    check_loss(args.loss)
    for given, what in ((args.truth, "truth"), (args.detections, "detections")):
        if given is not None:
            existing_path(what, given)
    if args.run is not None:
        existing(args.run / "boxes.csv")

    pairing = pairing_of(args)

    def report_of(source, title):
        # A folder is a run, or text files of results.
        if from_coco and not (pathlib.Path(source) / "boxes.csv").is_file():
            return BoxReport.from_coco(
                args.truth,
                source,
                args.images,
                loss=args.loss,
                iou_threshold=args.iou,
                score_threshold=args.score,
                title=title or f"Box errors of {pathlib.Path(source).name}",
                part=args.part,
                **pairing,
            )
        return BoxReport.from_run(source, args.images, title)

    report = report_of(args.detections if from_coco else args.run, args.title)
    known = report.add_history(args.history) if args.history else None
    other = report_of(args.compare, None) if args.compare else None
    out = args.out or args.run / "explorer"
    page = report.to_html(out, compare=other, worst=args.worst)
    report.to_csv(out / "boxes.csv")
    seconds = time.monotonic() - started
    if from_coco:
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
    }
