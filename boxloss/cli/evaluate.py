"""`boxloss evaluate`: COCO metrics and every box's errors for a trained detector."""

import json
import pathlib
import sys

HELP = "Evaluate a trained detector: COCO metrics, boxes.csv, and the page of its errors."
EPILOG = """examples:
  boxloss evaluate runs/first --images photos --annotations photos.json
  boxloss evaluate runs/first --images VOC/JPEGImages --annotations VOC/Annotations --out results
  boxloss evaluate runs/first --images photos --annotations photos.json --model last.keras
"""


def add_arguments(parser):
    from boxloss.datasets import FORMATS

    parser.add_argument("run", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("--annotations", required=True, help="their annotations")
    parser.add_argument("--format", choices=FORMATS, help="of the annotations (default: guessed)")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    parser.add_argument("--loss", help="that measures the boxes (default: the run's)")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder for what is written (default: RUN/evaluation)"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first broken item")


def run(args):
    from boxloss import datasets, training
    from boxloss.cli.train import tell_problems, write_explorer
    from boxloss.detector import load_detector
    from boxloss.files import write_json

    detector = load_detector(existing(args.run / args.model))
    config = run_config(args.run)
    name, arguments = config.get("loss", "ciou"), config.get("loss_args")
    if args.loss:
        name, arguments = args.loss, None
    loss = training.measuring_loss(name, arguments, detector.image_size)
    dataset = datasets.load(
        args.images, args.annotations, args.format, args.strict, class_names=detector.class_names
    )
    print(dataset.summary(), file=sys.stderr)
    tell_problems(dataset)
    out = args.out or args.run / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
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


def existing(path):
    if not path.is_file():
        raise ValueError(f"`run` must be a run folder with {path.name}. Received: {str(path)!r}")
    return path


def run_config(folder):
    """config.json of a run folder; empty where there is none."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
