"""`boxloss evaluate`: COCO metrics and every box's errors for a trained detector."""

import pathlib
import sys

from boxloss.cli.choices import check_loss, loss_flag
from boxloss.cli.inputs import existing, existing_path, run_config
from boxloss.files import existing_folder

HELP = "Measure a trained detector: COCO metrics, errors of each box."
EPILOG = """examples:
  boxloss evaluate runs/first --images photos --annotations photos.json
  boxloss evaluate runs/first --images VOC/JPEGImages \\
    --annotations VOC/Annotations --out results
  boxloss evaluate runs/first --images photos --annotations photos.json \\
    --model last.keras
"""


def add_arguments(parser):
    from boxloss.datasets import FORMATS

    parser.add_argument("run", type=pathlib.Path, help="run folder of `boxloss train`")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("--annotations", required=True, help="their annotations")
    parser.add_argument("--format", choices=FORMATS, help="of the annotations (default: guessed)")
    parser.add_argument("--model", default="model.keras", help="in RUN (default: %(default)s)")
    loss_flag(parser, help="that measures the boxes (default: the run's)")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder for what is written (default: RUN/evaluation)"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first broken item")


def run(args):
    from boxloss import datasets, training
    from boxloss.cli.train import show_problems, write_explorer
    from boxloss.files import write_json

    check_loss(args.loss)
    model = existing(args.run / args.model)
    existing_folder("images", args.images)
    existing_path("annotations", args.annotations)
    from boxloss.detector import load_detector

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
