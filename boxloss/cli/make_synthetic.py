"""`boxloss make-synthetic`: a data set to try everything with."""

import sys

from boxloss.cli.out import out_flags
from boxloss.files import output

HELP = "Write synthetic images with exact boxes, to try everything."
EPILOG = """examples:
  boxloss make-synthetic --out runs/shapes
  boxloss make-synthetic --out runs/shapes --count 1000 --image-size 256 \\
    --seed 7
  boxloss make-synthetic --out runs/many --count 200 --min-size 150 \\
    --max-size 1600 --classes circle
"""


def add_arguments(parser):
    from boxloss.datasets import FORMATS
    from boxloss.datasets.synthetic import CLASSES

    out_flags(parser, "folder to write, made if need be")
    parser.add_argument("--count", type=int, default=400, help="images (default: %(default)s)")
    parser.add_argument(
        "--image-size",
        type=int,
        default=160,
        help="side of the square images in pixels (default: %(default)s)",
    )
    parser.add_argument("--min-size", type=int, help="with --max-size: images of many sizes,")
    parser.add_argument("--max-size", type=int, help="each side drawn between the two")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=list(CLASSES),
        choices=CLASSES,
        metavar="SHAPE",
        help=f"shapes to draw: {', '.join(CLASSES)} (default: all)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="coco",
        help="of the annotations (default: %(default)s)",
    )
    parser.add_argument(
        "--suffix",
        choices=(".jpg", ".png"),
        default=".jpg",
        help=".png keeps every pixel as drawn (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same images")


def run(args):
    from boxloss.datasets import synthetic

    if (args.min_size is None) != (args.max_size is None):
        raise ValueError(
            "`--min-size` and `--max-size` must be given together. "
            f"Received: min_size={args.min_size!r}, max_size={args.max_size!r}"
        )
    with output(args.out, ("annotations.json", "data.yaml"), args.overwrite):
        dataset = synthetic.write(
            args.out,
            args.count,
            seed=args.seed,
            image_size=args.min_size or args.image_size,
            max_size=args.max_size,
            classes=args.classes,
            suffix=args.suffix,
            format=args.format,
        )
    print(f"{args.out}: {dataset.summary()}", file=sys.stderr)
    return {
        "image_folder": str(dataset.root),
        "annotations": str(synthetic.annotations_of(args.out, args.format)),
        "format": args.format,
        "seed": args.seed,
        **dataset.counts(),
    }
