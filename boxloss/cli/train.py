"""`boxloss train`: a detector from a folder of images and its annotations."""

import argparse
import os
import sys

from boxloss import training
from boxloss.cli import BACKENDS, json_object
from boxloss.cli.choices import DEFAULTS, check_loss, hardest, loss_flag, option
from boxloss.cli.inputs import reading_flags
from boxloss.cli.out import out_flags
from boxloss.cli.run_pictures import before_fit, show_classes, write_pictures
from boxloss.files import one_line, output, shortened
from boxloss.training import Options
from boxloss.training.clock import Clock
from boxloss.training.folder import CHECKPOINT

HELP = "Train a detector on a folder of images; write a run folder."
EPILOG = """examples:
  boxloss train --images photos --annotations photos.json --out runs/first
  boxloss train --annotations roboflow/data.yaml --loss giou --out runs/boards
  boxloss train --images photos --annotations photos.json --out runs/first \\
    --resume

The run folder then holds config.json, model.keras (best), last.keras,
history.csv, image_losses.csv, box_history.csv, boxes.csv, metrics.json,
batch.png, curves.png, val.png, labels.html and explorer/index.html. The
metrics are printed to stdout as one JSON object.
"""
DATA_FLAGS = (
    *("images", "annotations", "format", "val_images", "val_annotations", "val_fraction"),
    *("voc_one_based", "follow_links", "group_by"),
)


def add_arguments(parser):
    data_arguments(parser)
    _model_arguments(parser.add_argument_group("model and loss"))
    _training_arguments(parser.add_argument_group("training"))
    _run_arguments(parser.add_argument_group("run"))


def data_arguments(parser):
    """What `load_sets` reads."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--images", help="folder of images; not needed where --annotations is a whole data set"
    )
    data.add_argument(
        "--annotations",
        required=True,
        help="COCO file, folder of VOC or YOLO files; or a data.yaml, or the root of an export of "
        "Roboflow, CVAT or Label Studio, with images, training and validation part in it",
    )
    data.add_argument("--val-images", help="folder of validation images")
    data.add_argument("--val-annotations", help="their annotations")
    data.add_argument(
        "--val-fraction",
        type=float,
        default=0.2,
        help="without validation images: share of the images that validate, chosen by a hash of "
        "the file name (default: %(default)s)",
    )
    data.add_argument(
        "--group-by",
        metavar="PATTERN",
        help="a regular expression over file names: images in which it finds the same (frames of "
        "a drive) stay on one side, such as '^Town[0-9]+'",
    )
    reading_flags(data)
    data.add_argument("--strict", action="store_true", help="stop at the first broken item")


def _model_arguments(group):
    option(group, "--size", "nano or small")
    option(group, "--image-size", "side in pixels that images are fitted into, a multiple of 32")
    loss_flag(group, default=DEFAULTS["loss"], help="box loss (default: %(default)s)")
    option(group, "--loss-args", "its arguments, as JSON: '{\"beta\": 0.5}'", type=json_object)
    option(
        group,
        "--bins",
        "16 predicts each side as a distribution over 16 bins, with DFL; 0 as one number",
    )
    option(group, "--weights", "a model.keras to start from; its classes may differ", type=str)
    option(group, "--mixed-precision", "float16 arithmetic, for GPUs")


def _training_arguments(group):
    option(group, "--epochs", "passes over the training images")
    option(group, "--batch-size", "images per step")
    option(group, "--optimizer", "adam or adamw")
    option(group, "--learning-rate", "the highest, after the warm-up")
    option(group, "--weight-decay", "of adamw")
    group.add_argument("--no-augment", action="store_true", help="train on the images as they are")
    option(group, "--plain-share", "last share of the epochs, in which no mosaics are made")
    option(
        group,
        "--focus",
        "learn from the hardest images of each batch only, hardest=0.25 say",
        type=hardest,
        metavar="hardest=SHARE",
    )
    option(group, "--patience", "stop after so many evaluations without a better AP; 0 is never")
    option(group, "--seed", "of weights, order and augmentation")
    option(group, "--devices", "of this machine that share each batch")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        help="of Keras (default: KERAS_BACKEND, else the first one that is installed)",
    )
    option(group, "--deterministic", "bit-equal repetition")


def _run_arguments(group):
    out_flags(group, "run folder, made if need be")
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in --out; of the other flags --epochs, --patience, "
        "--evaluate-every, --checkpoint-steps, --profile and --tensorboard may change",
    )
    option(
        group, "--checkpoint-steps", "steps between checkpoints within an epoch; 0 makes none there"
    )
    option(group, "--evaluate-every", "epochs; 0 is about 15 times in all")
    option(
        group,
        "--profile",
        "at the end, measure the shares of a step: waiting for data, model, loss",
    )
    option(group, "--tensorboard", "write event files to OUT/tensorboard, too")
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def load_sets(args):
    """(training set, validation set), with lines for people about each."""
    from boxloss import datasets

    if (args.val_images is None) != (args.val_annotations is None):
        raise ValueError(
            "`--val-images` and `--val-annotations` must be given together. "
            f"Received: val_images={args.val_images!r}, val_annotations={args.val_annotations!r}"
        )
    shared = {
        "strict": args.strict,
        "voc_one_based": args.voc_one_based,
        "follow_links": args.follow_links,
    }
    first, second = _sources(args)
    train_set = datasets.load(**first, **shared)
    if second is not None:
        names = train_set.class_names
        validation_set = datasets.load(**second, class_names=names, **shared)
        show("training", train_set)
        show("validation", validation_set)
        return train_set, validation_set
    show("all", train_set)
    if len(train_set) < 2:
        raise ValueError(
            "`images` must hold two usable images or more, or --val-images be given. "
            f"Received: {len(train_set)}"
        )
    dropped = train_set.dropped
    train_set, validation_set = datasets.split(train_set, args.val_fraction, args.group_by)
    train_set.dropped = dropped
    return train_set, validation_set


def data_of(args):
    """The data flags, with absolute paths: what `load_run_sets` needs to load the same again."""
    paths = ("images", "annotations", "val_images", "val_annotations")
    given = {name: getattr(args, name) for name in DATA_FLAGS}
    return given | {name: given[name] and os.path.abspath(given[name]) for name in paths}


def load_run_sets(config):
    """(training set, validation set) of a run, by the data flags in its config.json."""
    data = config.get("data")
    known = isinstance(data, dict) and data.keys() >= set(DATA_FLAGS)
    if not known:
        raise ValueError(
            "`--images` and `--annotations` must be given: config.json of the run does not say "
            f"what it was trained on. Received: data={shortened(repr(data))}"
        )
    given = {name: data[name] for name in DATA_FLAGS}
    try:
        return load_sets(argparse.Namespace(**given, strict=False))
    except TypeError as error:  # a config.json that was edited
        raise ValueError(f"config.json must hold the data of the run. Received: {error}") from None


def _sources(args):
    """What `load` gets for the training set and, where there is one, the validation set."""
    from boxloss import datasets

    first = {"images": args.images, "annotations": args.annotations, "format": args.format}
    second = None
    if args.images is None:
        parts = datasets.find_parts(args.annotations, args.follow_links)
        whole = "all" if "all" in parts else "train"
        first = {"annotations": args.annotations, "part": whole}
        if "val" in parts:
            second = {"annotations": args.annotations, "part": "val"}
    if args.val_images is not None:
        second = {
            "images": args.val_images,
            "annotations": args.val_annotations,
            "format": args.format,
        }
    return first, second


def show(name, dataset, summary=None):
    """Lines for people: what a data set holds, as `boxloss check` says it, and its problems."""
    from boxloss.report import check

    print(f"{name}: {dataset.summary()}", file=sys.stderr)
    for line in check.lines(summary or check.summarise(dataset)):
        print(f"  {line}", file=sys.stderr)
    show_problems(dataset)


def show_problems(dataset):
    """Lines for people: the first problems of a data set, and where its links led."""
    from boxloss.datasets.problems import lines_of

    for line in lines_of(dataset.problems):
        print(f"  {line}", file=sys.stderr)
    for folder in dataset.followed:
        print(f"  symbolic links led to {one_line(folder)}", file=sys.stderr)


def options_of(args):
    """`Options` of the flags; ValueError names the one that is wrong."""
    check_loss(args.loss)
    given = {name: value for name, value in vars(args).items() if name in DEFAULTS}
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
    clock = Clock()
    # Importing a backend takes seconds: what can be wrong without one is looked at before.
    options = options_of(args)
    train_set, validation_set = load_sets(args)
    check_backend(args.backend)
    with output(args.out, overwrite=args.overwrite):
        metrics = _train(args, train_set, validation_set, options, clock)
        write_pictures(args.out, train_set, validation_set, metrics["threshold"])
        page = write_explorer(args.out)
    show_classes(metrics)
    ap, ap50 = metrics["AP"] or 0.0, metrics["AP50"] or 0.0
    print(
        f"validation images: AP {ap:.3f}, AP50 {ap50:.3f}. Next:\n"
        f"  open {page}\n"
        f"  boxloss predict {args.out} IMAGES --out {args.out}/predictions",
        file=sys.stderr,
    )
    return metrics


def _train(args, train_set, validation_set, options, clock):
    if args.resume and not (args.out / CHECKPOINT).exists():
        print(f"{args.out}: no checkpoint yet, the run begins at its start", file=sys.stderr)
    try:
        return training.train(
            train_set,
            validation_set,
            options,
            args.out,
            resume=args.resume,
            verbose=0 if args.quiet else "auto",
            clock=clock,
            data=data_of(args),
            before_fit=before_fit(args.out),
        )
    except training.Interrupted:
        print(f"{args.out}: saved; the same command with --resume goes on", file=sys.stderr)
        raise SystemExit(130) from None


def write_explorer(out, images=None):
    """The page of the run; its path."""
    from boxloss.report import BoxReport

    return BoxReport.from_run(out, images=images).to_html(out / "explorer")
