"""`boxloss train`: a detector from a folder of images and its annotations."""

import argparse
import contextlib
import pathlib
import sys

from boxloss.cli import json_object

HELP = "Train a detector that predicts several boxes an image; show which boxes are wrong."
EPILOG = """examples:
  boxloss train --images photos --annotations photos.json --out runs/first
  boxloss train --images VOC/JPEGImages --annotations VOC/Annotations --loss giou --out runs/voc
  boxloss train --images photos --annotations photos.json --out runs/first --resume

The run folder then holds config.json, model.keras (best), last.keras, history.csv,
image_losses.csv, box_history.csv, boxes.csv, metrics.json and explorer/index.html. The metrics are
printed to stdout as one JSON object.
"""
BACKENDS = ("tensorflow", "jax", "torch")


def add_arguments(parser):
    data_arguments(parser)
    _model_arguments(parser.add_argument_group("model and loss"))
    _training_arguments(parser.add_argument_group("training"))
    _run_arguments(parser.add_argument_group("run"))


def data_arguments(parser):
    """What `load_sets` reads."""
    from boxloss.datasets import FORMATS

    data = parser.add_argument_group("data")
    data.add_argument("--images", required=True, help="folder of images")
    data.add_argument(
        "--annotations", required=True, help="COCO file, or folder of VOC or YOLO files"
    )
    data.add_argument("--format", choices=FORMATS, help="of the annotations (default: guessed)")
    data.add_argument("--val-images", help="folder of validation images")
    data.add_argument("--val-annotations", help="their annotations")
    data.add_argument(
        "--val-fraction",
        type=float,
        default=0.2,
        help="without --val-images: share of the images that validate, chosen by a hash of the "
        "file name (default: %(default)s)",
    )
    data.add_argument(
        "--voc-one-based",
        action="store_true",
        help="VOC coordinates begin at 1: take 1 from xmin and ymin",
    )
    data.add_argument("--strict", action="store_true", help="stop at the first broken item")


def _model_arguments(group):
    group.add_argument("--size", default="nano", help="nano or small (default: %(default)s)")
    group.add_argument(
        "--image-size",
        type=int,
        default=320,
        help="side in pixels that images are fitted into, a multiple of 32 (default: %(default)s)",
    )
    group.add_argument("--loss", default="ciou", help="box loss (default: %(default)s)")
    group.add_argument(
        "--loss-args",
        type=json_object,
        default={},
        help="its arguments, as JSON: '{\"beta\": 0.5}'",
    )
    group.add_argument(
        "--bins",
        type=int,
        default=0,
        help="16 predicts each side as a distribution over 16 bins, with DFL "
        "(default: %(default)s, a number a side)",
    )
    group.add_argument("--weights", help="a model.keras to start from; its classes may differ")
    group.add_argument(
        "--mixed-precision", action="store_true", help="float16 arithmetic, for GPUs"
    )


def _training_arguments(group):
    number = "(default: %(default)s)"
    group.add_argument("--epochs", type=int, default=60, help=number)
    group.add_argument("--batch-size", type=int, default=8, help=f"images {number}")
    group.add_argument("--optimizer", default="adamw", help=f"adam or adamw {number}")
    group.add_argument("--learning-rate", type=float, default=2e-3, help=number)
    group.add_argument("--weight-decay", type=float, default=0.01, help=f"of adamw {number}")
    group.add_argument("--no-augment", action="store_true", help="train on the images as they are")
    group.add_argument(
        "--plain-share",
        type=float,
        default=0.15,
        help="last share of the epochs, in which no mosaics are made (default: %(default)s)",
    )
    group.add_argument(
        "--focus",
        type=hardest,
        metavar="hardest=SHARE",
        help="learn from the hardest images of each batch only, hardest=0.25 say",
    )
    group.add_argument(
        "--patience",
        type=int,
        default=0,
        help="stop after so many evaluations without a better AP; 0 is never (default: 0)",
    )
    group.add_argument("--seed", type=int, default=0, help=number)
    group.add_argument(
        "--devices", type=int, default=1, help=f"of this machine that share each batch {number}"
    )
    group.add_argument(
        "--backend", choices=BACKENDS, help="of Keras (default: KERAS_BACKEND, else Keras' own)"
    )
    group.add_argument("--deterministic", action="store_true", help="bit-equal repetition")


def _run_arguments(group):
    group.add_argument(
        "--out", required=True, type=pathlib.Path, help="run folder, made if need be"
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in --out; of the other flags --epochs, --patience, "
        "--evaluate-every, --checkpoint-steps, --profile and --tensorboard may change",
    )
    group.add_argument(
        "--checkpoint-steps",
        type=int,
        default=0,
        help="checkpoint within an epoch, too, every so many steps (default: 0, never)",
    )
    group.add_argument(
        "--evaluate-every", type=int, default=0, help="epochs (default: 0, about 15 times in all)"
    )
    group.add_argument(
        "--profile",
        action="store_true",
        help="at the end, measure the shares of a step: waiting for data, model, loss",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write event files to OUT/tensorboard, too"
    )
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def hardest(text):
    """hardest=0.25 to 0.25."""
    name, _, share = text.partition("=")
    try:
        if name == "hardest":
            return float(share)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be hardest=SHARE. Received: {text!r}")


def load_sets(args):
    """(training set, validation set), with a line for people about each."""
    from boxloss import datasets

    if (args.val_images is None) != (args.val_annotations is None):
        raise ValueError(
            "`--val-images` and `--val-annotations` must be given together. "
            f"Received: val_images={args.val_images!r}, val_annotations={args.val_annotations!r}"
        )
    shared = {"voc_one_based": args.voc_one_based}
    train_set = datasets.load(args.images, args.annotations, args.format, args.strict, **shared)
    told = [("training", train_set)]
    if args.val_images is None:
        whole = train_set
        if len(whole) < 2:
            raise ValueError(
                "`images` must hold two usable images or more, or --val-images be given. "
                f"Received: {len(whole)}"
            )
        train_set, validation_set = datasets.split(whole, args.val_fraction)
        train_set.dropped, told = whole.dropped, [("all", whole)]
    else:
        validation_set = datasets.load(
            args.val_images,
            args.val_annotations,
            args.format,
            args.strict,
            class_names=train_set.class_names,
            **shared,
        )
        told.append(("validation", validation_set))
    for name, dataset in told:
        print(f"{name}: {dataset.summary()}", file=sys.stderr)
        tell_problems(dataset)
    return train_set, validation_set


def tell_problems(dataset):
    """A line for people about each of the first broken items."""
    for problem in dataset.problems[:20]:
        print(f"  {problem}", file=sys.stderr)
    if len(dataset.problems) > 20:
        print(f"  and {len(dataset.problems) - 20} more", file=sys.stderr)


def options_of(args):
    from boxloss.training import Options

    names = Options.__dataclass_fields__
    given = {name: value for name, value in vars(args).items() if name in names}
    return Options(**given, augment=not args.no_augment)


def check_backend(wanted):
    """ValueError where Keras runs on another backend than --backend, which came too late."""
    from boxloss.tensors import ops

    if wanted not in (None, ops.backend()):
        raise ValueError(
            "`--backend` must be given before Keras is imported; KERAS_BACKEND sets it for good. "
            f"Received: {wanted!r}, Keras runs on {ops.backend()!r}"
        )


def run(args):
    from boxloss import training
    from boxloss.training.progress import CHECKPOINT, Clock

    clock = Clock()
    check_backend(args.backend)
    options = options_of(args)
    train_set, validation_set = load_sets(args)
    if args.resume and not (args.out / CHECKPOINT).exists():
        print(f"{args.out}: no checkpoint yet, the run begins at its start", file=sys.stderr)
    try:
        # Keras' progress bar goes to stdout, which is for the JSON object.
        with contextlib.redirect_stdout(sys.stderr):
            metrics = training.train(
                train_set,
                validation_set,
                options,
                args.out,
                resume=args.resume,
                verbose=0 if args.quiet else "auto",
                clock=clock,
            )
    except training.Interrupted:
        print(f"{args.out}: saved; the same command with --resume goes on", file=sys.stderr)
        raise SystemExit(130) from None
    page = write_explorer(args.out)
    ap, ap50 = metrics["AP"] or 0.0, metrics["AP50"] or 0.0
    print(
        f"validation images: AP {ap:.3f}, AP50 {ap50:.3f}. Next:\n"
        f"  open {page}\n"
        f"  boxloss predict {args.out} IMAGES --out {args.out}/predictions",
        file=sys.stderr,
    )
    return metrics


def write_explorer(out, images=None):
    """The page of the run; its path."""
    from boxloss.report import BoxReport

    return BoxReport.from_run(out, images=images).to_html(out / "explorer")
