"""`boxloss audit`: which labels are wrong, by what a detector says about them."""

import pathlib
import sys
import time

from boxloss.cli.choices import check_loss, loss_flag, option
from boxloss.cli.out import inside_run, open_out, out_flags
from boxloss.cli.pairing import (
    DETECTIONS_HELP,
    TRUTH_HELP,
    add_pairing,
    pairing_of,
    show_pairing,
)
from boxloss.files import counted, existing

MOST_NAMED = 20  # lines about marks that are skipped
HELP = "Rank labels by how wrong they look; propose corrections."
EPILOG = """examples:
  boxloss audit --truth gt.json --detections results.json --images photos/ \\
    --out audit/
  boxloss audit --truth gt.json --images photos/ --folds 3 --epochs 40 \\
    --out audit/
  boxloss audit --truth train.json --detections results.json \\
    --images photos/ --history runs/first --out audit/
  boxloss audit runs/first
  boxloss audit --apply boxloss-review.json --truth gt.json --out corrected/

OUT then holds audit.csv (every annotation, the most suspicious first),
index.html (the worst of them, with pictures) and corrected.json (the labels
with the sure corrections made, as COCO; VOC and YOLO labels also as they came,
in corrected/). The labels themselves are never changed. Detections must come
from a detector that did not learn from these labels; without --detections,
--folds trains one detector for each part of the images on the other parts.
"""


def add_arguments(parser):
    parser.add_argument(
        "run", nargs="?", type=pathlib.Path, help="a run folder: audits its validation labels"
    )
    data = parser.add_argument_group("labels and detections")
    data.add_argument("--truth", "--annotations", dest="truth", help=TRUTH_HELP)
    data.add_argument("--detections", help=DETECTIONS_HELP)
    data.add_argument("--images", help="the image folder")
    data.add_argument(
        "--history", help="a run that was trained on these labels: what it seldom found counts more"
    )
    out_flags(data, "folder to write (default: RUN/audit)", required=False)
    data.add_argument(
        "--score",
        type=float,
        default=0.05,
        help="detections below it do not exist (default: %(default)s)",
    )
    data.add_argument(
        "--apply",
        metavar="MARKS",
        help="the marks exported from a page: writes corrected labels in the format "
        "of --truth to --out, and audits nothing",
    )
    data.add_argument(
        "--voc-one-based",
        action="store_true",
        help="with --apply: the VOC files of --truth count pixels from 1",
    )
    page = parser.add_argument_group("what is written")
    page.add_argument(
        "--worst", type=int, default=200, help="rows of the page (default: %(default)s)"
    )
    page.add_argument(
        "--apply-from",
        type=float,
        default=0.8,
        metavar="PROBABILITY",
        help="make the corrections that are right with this probability (default: %(default)s)",
    )
    page.add_argument(
        "--correct-from",
        type=float,
        metavar="SUSPICION",
        help="and only those of at least this suspicion",
    )
    loss_flag(
        page, default="ciou", help="that measures the boxes of the page (default: %(default)s)"
    )
    folds = parser.add_argument_group("without --detections")
    folds.add_argument("--folds", type=int, help="parts that the images are divided into")
    folds.add_argument(
        "--group-by",
        metavar="PATTERN",
        help="a regular expression over file names: images in which it finds the "
        "same (frames of a drive) share a part, such as '^Town[0-9]+'",
    )
    option(folds, "--epochs", "of each training")
    option(folds, "--size", "nano or small")
    option(folds, "--image-size", "side in pixels that images are fitted into")
    option(folds, "--batch-size", "images per step")
    option(folds, "--seed", "of the parts and of each training")
    folds.add_argument("--quiet", action="store_true", help="no progress bar")
    add_pairing(parser)


def run(args):
    """Write table, page and proposal; the printed object has their places and counts."""
    if args.apply is not None:
        return apply_marks(args)
    started = time.monotonic()
    check_loss(args.loss)
    check_sources(args)
    out = args.out or inside_run(args.run, "audit")
    with open_out(args, ("audit.csv", "corrected.json", "index.html"), out):
        audit, proposal, same_format, page, seconds = _audit(args, out)
    suspects = audit.suspects()
    kinds = [row["suspected"] for row in suspects]
    applied = [row["correction"] for row in audit.corrections()]
    show_pairing(audit.told, audit.problems, audit.dropped)
    print(
        f"{len(audit.truth)} boxes, {len(suspects)} of them or of places without one look wrong; "
        f"{len(audit.places)} places have a detection and no box; {len(applied)} corrections are "
        f"sure enough to be made: open {page}",
        file=sys.stderr,
    )
    return {
        "table": str(out / "audit.csv"),
        "page": str(page),
        "corrections": str(out / "corrected.json"),
        "boxes": len(audit.truth),
        "images": len(audit.truth.images),
        "detections": len(audit.detections),
        "suspects": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "places_without_box": len(audit.places),
        "images_not_audited": audit.unseen,
        "dropped": audit.dropped,
        "pairing": audit.pairing,
        "applied": {action: applied.count(action) for action in dict.fromkeys(applied)},
        "corrected_labels": same_format,
        "removed": len(proposal["boxloss_removed"]),
        "audit_seconds": round(seconds, 3),
        "seconds": round(time.monotonic() - started, 3),
    }


def _audit(args, out):
    """The LabelAudit, its corrected labels twice, its page, and the seconds of the ranking."""
    from boxloss.audit import LabelAudit

    truth, detections, images = sources(args)
    made = time.monotonic()
    pairing = pairing_of(args)
    if args.run is not None:
        # Labels and results of one run have the same ids. Images without rows are unknown.
        pairing = {"pair_images": "id", "pair_classes": "id"}
    audit = LabelAudit(
        truth,
        detections,
        images,
        score_threshold=args.score,
        apply_from=args.apply_from,
        correct_from=args.correct_from,
        history=args.history,
        part=args.part,
        **pairing,
    )
    seconds = time.monotonic() - made
    proposal = audit.to_coco(out / "corrected.json")
    same_format = write_same_format(audit, args, out)
    audit.to_csv(out / "audit.csv")
    page = audit.to_html(out, worst=args.worst, loss=args.loss)
    return audit, proposal, same_format, page, seconds


def write_same_format(audit, args, out):
    """Write corrected VOC or YOLO labels as such; where they are, None for COCO labels."""
    from boxloss.audit.apply import edits_of_rows
    from boxloss.datasets.edits import write_labels

    path = None if args.truth is None else pathlib.Path(args.truth)
    if path is None or path.suffix.lower() == ".json" or args.images is None:
        return None
    edits, folder = edits_of_rows(audit.corrections()), out / "corrected"
    return write_labels(edits, path, args.images, folder, overwrite=args.overwrite)["labels"]


def apply_marks(args):
    """Write the labels of --truth with the marks of a review; how many changed, and where."""
    if args.truth is None or args.out is None or args.detections or args.folds or args.run:
        raise ValueError(
            "`--apply` must come with --truth and --out, and with --images for labels that are no "
            f"COCO file. Received: truth={args.truth!r}, "
            f"out={str(args.out) if args.out else None!r}"
        )
    existing("apply", args.apply)
    existing("truth", args.truth)
    from boxloss.audit.apply import edits_of_marks
    from boxloss.datasets.edits import write_labels

    skipped = []
    edits = edits_of_marks(args.apply, skipped)
    with open_out(args, ()):
        done = write_labels(
            edits, args.truth, args.images, args.out, args.voc_one_based, args.overwrite
        )
    lost = len(done["not_found"])
    lines = [f"{counted(len(done['changes']), 'labels')} changed: {done['labels']}"]
    lines += [f"marks of labels that are not there (any more): {lost}"] if lost else []
    lines += [f"marks without a proposal: {len(skipped)}", *skipped[:MOST_NAMED]] if skipped else []
    print("\n".join(lines), file=sys.stderr)
    return {
        "labels": done["labels"],
        "changed": len(done["changes"]),
        "not_found": lost,
        "without_proposal": len(skipped),
        "list": str(args.out / "changes.json"),
    }


def check_sources(args):
    """ValueError where the command line does not say what is audited."""
    given = args.truth is not None
    whole = given and args.out is not None and (args.detections is None) != (args.folds is None)
    if given == (args.run is not None) or (given and not whole):
        raise ValueError(
            "`boxloss audit` must get a run folder, or --truth and --out with either --detections "
            f"or --folds. Received: run={str(args.run) if args.run else None!r}, "
            f"truth={args.truth!r}, detections={args.detections!r}, folds={args.folds!r}, "
            f"out={str(args.out) if args.out else None!r}"
        )
    if args.folds is not None and args.images is None:
        raise ValueError("`--images` must be given to train with --folds. Received: images=None")
    for given, what in ((args.truth, "truth"), (args.detections, "detections")):
        if given is not None:
            existing(what, given)


def sources(args):
    """(truth, detections, image folder) of the command line."""
    if args.run is not None:
        from boxloss.audit.source import labels_of_run

        truth, images = labels_of_run(args.run)
        return truth, args.run / "detections.json", args.images or images
    if args.detections is not None:
        return args.truth, args.detections, args.images
    return args.truth, detections_by_folds(args), args.images


def detections_by_folds(args):
    """COCO results of every image, made by detectors that did not see it."""
    from boxloss import datasets
    from boxloss.audit.folds import out_of_sample
    from boxloss.training import Options

    dataset = datasets.load(args.images, args.truth)
    print(dataset.summary(), file=sys.stderr)
    options = Options(
        size=args.size,
        image_size=args.image_size,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
    )
    verbose = 0 if args.quiet else "auto"
    return out_of_sample(
        dataset, args.out / "folds", args.folds, options, args.seed, verbose, args.group_by
    )
