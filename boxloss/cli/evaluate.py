"""`boxloss evaluate`: COCO metrics and every box's errors, of a detector or of its results."""

import pathlib
import sys

from boxloss.cli.choices import check_loss, loss_flag
from boxloss.cli.inputs import format_flag, run_file, tile_flags, tiling_of
from boxloss.cli.out import inside_run, open_out, out_flags
from boxloss.cli.pairing import (
    DETECTIONS_HELP,
    TRUTH_HELP,
    add_pairing,
    pairing_of,
    show_pairing,
)
from boxloss.cli.run_pictures import show_classes
from boxloss.files import existing, existing_folder, read_object

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

# The page in explorer/ keeps a list of its own files.
FILES = ("config.json", "metrics.json", "boxes.csv", "detections.json")


def add_arguments(parser):
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--images", help="folder of images")
    parser.add_argument("--annotations", "--truth", dest="annotations", help=TRUTH_HELP)
    parser.add_argument("--detections", help=f"instead of a run: {DETECTIONS_HELP}")
    format_flag(parser)
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    loss_flag(parser, help="that measures the boxes (default: the run's)")
    parser.add_argument("--worst", type=int, help="pictures for this many of the worst rows only")
    tile_flags(parser)
    out_flags(parser, "folder for what is written (default: RUN/evaluation)", required=False)
    parser.add_argument("--strict", action="store_true", help="stop at the first broken item")
    add_pairing(parser)


def run(args):
    """Write metrics, table and page; the printed object is the metrics."""
    own_data = args.images is None and args.annotations is None
    both = args.images is not None and args.annotations is not None
    run_alone = args.run is not None and args.detections is None and (own_data or both)
    results_alone = args.run is None and args.detections is not None and args.out is not None
    if not run_alone and not (results_alone and args.annotations is not None):
        raise ValueError(
            "`boxloss evaluate` must get a run folder, with both of --images and --annotations or "
            "for its own validation data with none of them; or --annotations, --detections and "
            f"--out. Received: run={str(args.run) if args.run else None!r}, "
            f"images={args.images!r}, annotations={args.annotations!r}, "
            f"detections={args.detections!r}, out={str(args.out) if args.out else None!r}"
        )
    return evaluate_run(args) if run_alone else evaluate_results(args)


def evaluate_results(args):
    """The metrics of a detector's results; no model is loaded."""
    check_loss(args.loss)
    if args.tile is not None:
        raise ValueError(
            "`--tile` must come with a run, whose detector is to look at the tiles. "
            f"Received: tile={args.tile!r}, detections={args.detections!r}"
        )
    existing("annotations", args.annotations)
    existing("detections", args.detections)
    with open_out(args, ("metrics.json", "boxes.csv")):
        return _evaluate_results(args)


def _evaluate_results(args):
    from boxloss import evaluation
    from boxloss.files import write_json
    from boxloss.report import BoxReport

    opened = evaluation.open_truth(
        args.annotations, args.images, part=args.part, format=args.format, strict=args.strict
    )
    found = evaluation.Detections.of(args.detections, opened.truth, **pairing_of(args))
    metrics = evaluation.metrics_by_class(opened.truth, found)
    report = BoxReport.from_coco(
        opened.source,
        found,
        args.images if isinstance(opened.source, dict) else None,
        loss=args.loss or "ciou",
        title=f"Box errors of {pathlib.Path(args.detections).name}",
    )
    dropped = {**opened.dropped, "detections": report.dropped["detections"]}
    lines = [*report.told, *evaluation.crowded_lines(opened.truth)]
    show_pairing(lines, [str(problem) for problem in opened.problems], dropped)
    metrics |= {
        "n_images": len(opened.truth.images),
        "n_boxes": len(opened.truth),
        "dropped": dropped,
        "pairing": report.pairing,
        "beyond_coco_limit": evaluation.crowded(opened.truth),
    }
    page = report.to_html(args.out / "explorer", worst=args.worst)
    report.to_csv(args.out / "boxes.csv")
    write_json(args.out / "metrics.json", metrics)
    show_classes(metrics)
    print(f"next: open {page}", file=sys.stderr)
    return metrics


def evaluate_run(args):
    """The metrics of a run's detector on a data set."""
    check_loss(args.loss)
    tiling = tiling_of(args)
    model = run_file(args.run / args.model)
    if args.images is not None:
        existing_folder("images", args.images)
        existing("annotations", args.annotations)
    out = args.out or inside_run(args.run, "evaluation")
    with open_out(args, FILES, out):
        metrics = measure_run(args, model, out, tiling)
        return _with_page(metrics, out, args.worst)


def _with_page(metrics, out, worst):
    from boxloss.cli.train import write_explorer

    show_classes(metrics)
    print(f"next: open {write_explorer(out, worst=worst)}", file=sys.stderr)
    return metrics


def measure_run(args, model, out, tiling):
    """Write metrics and table of a run's detector to the folder `out`; the metrics."""
    from boxloss import training
    from boxloss.detector import load_detector
    from boxloss.files import write_json

    detector = load_detector(model)
    config = read_object(args.run / "config.json")
    name, arguments = config.get("loss", "ciou"), config.get("loss_args")
    if args.loss:
        name, arguments = args.loss, None
    loss = training.measuring_loss(name, arguments, detector.image_size)
    dataset = dataset_of(args, config, detector.class_names)
    metrics, _ = training.evaluate(detector, dataset, out, loss, **tiling)
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
    return metrics


def dataset_of(args, config, class_names):
    """The data set of the flags, or the run's own validation set."""
    from boxloss import datasets
    from boxloss.cli.train import load_run_sets, show_problems

    if args.images is None:
        dataset = load_run_sets(config)[1]
        check_classes(
            dataset.class_names, class_names, set(dataset.class_names) == set(class_names)
        )
        return dataset
    where = (args.images, args.annotations, args.format, args.strict)
    dataset = datasets.load(*where, class_names=class_names)
    if not any(map(len, dataset.records)) and dataset.dropped["boxes"]:
        names = datasets.load(*where).class_names
        check_classes(names, class_names, set(names) & set(class_names))
    print(dataset.summary(), file=sys.stderr)
    show_problems(dataset)
    return dataset


def check_classes(names, known, fit):
    if not fit:
        raise ValueError(
            "`annotations` must be of classes that the detector knows. Received: "
            f"{', '.join(map(repr, names))}; it knows {', '.join(map(repr, known))}"
        )
