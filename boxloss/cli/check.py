"""`boxloss check`: what a data set holds and what is wrong with it, before anything is trained."""

import pathlib
import sys

from boxloss.cli.inputs import reading_flags
from boxloss.cli.out import open_out, out_flags
from boxloss.cli.pairing import DETECTIONS_HELP, TRUTH_HELP, add_pairing, pairing_of
from boxloss.files import existing

HELP = "Look at images and labels before training: counts, pictures."
EPILOG = """examples:
  boxloss check --images photos --annotations photos.json
  boxloss check --annotations data.yaml --part train --out check-train
  boxloss check --images photos --annotations data.yaml \\
    --detections predictions.json

OUT then holds check.json (boxes per class and size, what was dropped and why,
what could not be paired, odd images) and index.html (label sizes, aspects,
places, boxes per image, and 16 images with their boxes). Nothing is trained
and no label is changed.
"""


def add_arguments(parser):
    data = parser.add_argument_group("data")
    data.add_argument("--images", help="folder of images; not needed for a data set root")
    data.add_argument(
        "--annotations", "--truth", dest="annotations", required=True, help=TRUTH_HELP
    )
    data.add_argument("--detections", help=DETECTIONS_HELP)
    reading_flags(data)
    out_flags(parser, "folder to write (default: %(default)s)", required=False)
    parser.set_defaults(out=pathlib.Path("check"))
    parser.add_argument(
        "--headers-only",
        action="store_true",
        help="read only the headers of the images: faster, finds no picture that is cut",
    )
    add_pairing(parser)


def run(args):
    """Write check.json and index.html; the printed object is check.json."""
    existing("annotations", args.annotations)
    if args.detections is not None:
        existing("detections", args.detections)
    with open_out(args, ("check.json", "index.html")):
        return _check(args)


def _check(args):
    from boxloss import datasets
    from boxloss.cli.train import show
    from boxloss.files import write_json
    from boxloss.report import check

    dataset = datasets.load(
        args.images,
        args.annotations,
        args.format,
        voc_one_based=args.voc_one_based,
        follow_links=args.follow_links,
        part=args.part,
    )
    summary = check.summarise(dataset, pixels=not args.headers_only)
    show("all", dataset, summary)
    lines = []
    if args.detections is not None:
        summary["pairing"], lines = paired(dataset, args)
        print("\n".join(lines), file=sys.stderr)
    check.write_check_page(dataset, summary, args.out / "index.html", lines)
    write_json(args.out / "check.json", summary)
    print(f"open {args.out / 'index.html'}", file=sys.stderr)
    return {"page": str(args.out / "index.html"), **summary}


def paired(dataset, args):
    """(counts for JSON, lines for people) of the detections beside the truth."""
    from boxloss import evaluation

    truth = evaluation.Truth.of(dataset)
    found = evaluation.Detections.of(args.detections, truth, **pairing_of(args))
    return found.pairing(), found.told(truth)
