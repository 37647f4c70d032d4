"""`boxloss evaluate`: COCO metrics and every box's errors, of a detector or of its results."""

import pathlib
import sys

from boxloss.cli.choices import check_loss, loss_flag
from boxloss.cli.inputs import run_config, run_file
from boxloss.cli.out import inside_run, open_out, out_flags
from boxloss.cli.pairing import (
    DETECTIONS_HELP,
    TRUTH_HELP,
    add_pairing,
    pairing_of,
    show_pairing,
)
from boxloss.files import existing, existing_folder

HELP = "Measure a detector or its results: COCO metrics, box errors."
EPILOG = """examples:
  boxloss evaluate runs/first --images photos --annotations photos.json
  boxloss evaluate runs/first --images VOC/JPEGImages \\
    --annotations VOC/Annotations --out results
  boxloss evaluate runs/first --images photos --annotations photos.json \\
    --model last.keras
  boxloss evaluate --annotations data.yaml --images photos \\
    --detections predictions.json --out results
"""

FILES = ("config.json", "metrics.json", "boxes.csv", "detections.json", "explorer/index.html")


def add_arguments(parser):
    from boxloss.datasets import FORMATS

    parser.add_argument("run", nargs="?", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--images", help="folder of images")
    parser.add_argument(
        "--annotations", "--truth", dest="annotations", required=True, help=TRUTH_HELP
    )
    parser.add_argument("--detections", help=f"instead of a run: {DETECTIONS_HELP}")
    parser.add_argument("--format", choices=FORMATS, help="of the annotations (default: guessed)")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    loss_flag(parser, help="that measures the boxes (default: the run's)")
    out_flags(parser, "folder for what is written (default: RUN/evaluation)", required=False)
    parser.add_argument("--strict", action="store_true", help="stop at the first broken item")
    add_pairing(parser)


def run(args):
    """Write metrics, table and page; the printed object is the metrics."""
    run_alone = args.run is not None and args.detections is None and args.images is not None
    results_alone = args.run is None and args.detections is not None and args.out is not None
    if not run_alone and not results_alone:
        raise ValueError(
            "`boxloss evaluate` must get a run folder and --images, or --detections and --out. "
            f"Received: run={str(args.run) if args.run else None!r}, images={args.images!r}, "
            f"detections={args.detections!r}, out={str(args.out) if args.out else None!r}"
        )
    return evaluate_run(args) if run_alone else evaluate_results(args)


def evaluate_results(args):
    """The metrics of a detector's results; no model is loaded."""
    check_loss(args.loss)
    existing("annotations", args.annotations)
    existing("detections", args.detections)
    with open_out(args, ("metrics.json", "boxes.csv", "explorer/index.html")):
        return _evaluate_results(args)


def _evaluate_results(args):
    from boxloss import evaluation
    from boxloss.files import write_json
    from boxloss.report import BoxReport

    opened = evaluation.open_truth(
        args.annotations, args.images, part=args.part, format=args.format, strict=args.strict
    )
    found = evaluation.Detections.of(args.detections, opened.truth, **pairing_of(args))
    metrics = evaluation.coco_metrics(opened.truth, found)
    report = BoxReport.from_coco(
        opened.source,
        found,
        args.images if isinstance(opened.source, dict) else None,
        loss=args.loss or "ciou",
        title=f"Box errors of {pathlib.Path(args.detections).name}",
    )
    dropped = {**opened.dropped, "detections": report.dropped["detections"]}
    show_pairing(report.told, [str(problem) for problem in opened.problems], dropped)
    metrics |= {
        "threshold": report.score_threshold,
        "n_images": len(opened.truth.images),
        "n_boxes": len(opened.truth),
        "dropped": dropped,
        "pairing": report.pairing,
    }
    page = report.to_html(args.out / "explorer")
    report.to_csv(args.out / "boxes.csv")
    write_json(args.out / "metrics.json", metrics)
    print(f"next: open {page}", file=sys.stderr)
    return metrics


def evaluate_run(args):
    """The metrics of a run's detector on a data set."""
    check_loss(args.loss)
    model = run_file(args.run / args.model)
    existing_folder("images", args.images)
    existing("annotations", args.annotations)
    out = args.out or inside_run(args.run, "evaluation")
    with open_out(args, FILES, out):
        return _evaluate_run(args, model, out)


def _evaluate_run(args, model, out):
    from boxloss import datasets, training
    from boxloss.cli.train import show_problems, write_explorer
    from boxloss.detector import load_detector
    from boxloss.files import write_json

    detector = load_detector(model)
    config = run_config(args.run)
    name, arguments = config.get("loss", "ciou"), config.get("loss_args")
    if args.loss:
        name, arguments = args.loss, None
    loss = training.measuring_loss(name, arguments, detector.image_size)
    dataset = datasets.load(
        args.images, args.annotations, args.format, args.strict, class_names=detector.class_names
    )
    print(dataset.summary(), file=sys.stderr)
    show_problems(dataset)
    metrics, _ = training.evaluate(detector, dataset, out, loss)
    metrics |= {
        "n_images": len(dataset.records),
        "n_boxes": sum(len(record) for record in dataset.records),
        "dropped": dataset.dropped,
    }
    write_json(out / "metrics.json", metrics)
    write_json(
        out / "config.json",
        {"loss": name, "class_names": detector.class_names, "images": str(dataset.root)},
    )
    print(f"next: open {write_explorer(out)}", file=sys.stderr)
    return metrics
