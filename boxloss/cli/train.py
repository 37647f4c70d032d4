"""`boxloss train`: a detector from a folder of images and its annotations."""

import argparse
import contextlib
import io
import os
import sys

from boxloss import training
from boxloss.cli.choices import setting
from boxloss.cli.inputs import reading_flags
from boxloss.cli.out import out_flags
from boxloss.cli.processes import joined
from boxloss.cli.run_pictures import before_fit, show_classes, write_pictures
from boxloss.cli.settings import (
    given_settings,
    setting_arguments,
    settings_before,
    settings_of,
    show_time,
)
from boxloss.files import one_line, output, shortened
from boxloss.training.clock import Clock
from boxloss.training.folder import CHECKPOINT

HELP = "Train a detector on a folder of images; write a run folder."
EPILOG = """examples:
  boxloss train --images photos --annotations photos.json --out runs/first
  boxloss train --images photos --annotations photos.json --out runs/fast \\
    --preset quick
  boxloss train --annotations roboflow/data.yaml --loss giou --out runs/boards
  boxloss train --images photos --annotations photos.json --out runs/first \\
    --resume

Paths are enough: backbone, image size, epochs and the like are chosen from the
data, and printed with the reason. Every flag that is given wins.

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
    setting_arguments(parser)
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


def _run_arguments(group):
    out_flags(group, "run folder, made if need be")
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in --out; of the other flags --epochs, --patience, "
        "--evaluate-every, --checkpoint-steps, --profile, --tensorboard, --cache and --workers may "
        "change",
    )
    setting(
        group, "--checkpoint-steps", "steps between checkpoints within an epoch; 0 makes none there"
    )
    setting(group, "--evaluate-every", "epochs between evaluations")
    setting(
        group,
        "--profile",
        "at the end, measure the shares of a step: waiting for data, model, loss",
    )
    setting(group, "--tensorboard", "write event files to OUT/tensorboard, too")
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
    given = given_settings(args)
    with joined(args, given) as first:
        return _run(args, given, clock) if first else _run_beside(args, given, clock)


def _run(args, given, clock):
    train_set, validation_set = load_sets(args)
    check_backend(args.backend)
    with output(args.out, overwrite=args.overwrite):
        options = _settings(args, given, train_set, validation_set)
        metrics = _train(args, train_set, validation_set, options, clock)
        write_pictures(args.out, train_set, validation_set, metrics["threshold"])
        page = write_explorer(args.out)
    show_classes(metrics)
    shown = ", ".join(f"{name} {metrics[name] or 0.0:.3f}" for name in ("AP", "AP50", "AP75"))
    print(
        f"validation images: {shown}. Next:\n"
        f"  open {page}\n"
        f"  boxloss predict {args.out} IMAGES --out {args.out}/predictions",
        file=sys.stderr,
    )
    return metrics


def _run_beside(args, given, clock):
    """The part of a process that is not the first: it writes nothing and says nothing."""
    args.quiet = True
    with contextlib.redirect_stderr(io.StringIO()):
        train_set, validation_set = load_sets(args)
    options = _settings(args, given, train_set, validation_set)
    _train(args, train_set, validation_set, options, clock, beside=True)
    return {"process": args.process_id}


def _settings(args, given, train_set, validation_set):
    """The `Options` of the run: what is given, and of a new run what the data suggest."""
    from boxloss.training import processes

    # The first process decides for all: it alone need see --out.
    decided = processes.of_first(
        lambda: _own_settings(args, given, train_set, validation_set).as_dict()
    )
    return training.Options(**decided)


def _own_settings(args, given, train_set, validation_set):
    if args.resume and (args.out / CHECKPOINT).exists():
        return settings_before(given, args.out / "config.json")
    options = settings_of(given, args.preset, train_set, validation_set)
    if not args.quiet:
        show_time(options, train_set, validation_set)
    return options


def _train(args, train_set, validation_set, options, clock, beside=False):
    if args.resume and not args.quiet and not (args.out / CHECKPOINT).exists():
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
            before_fit=None if beside else before_fit(args.out),
        )
    except training.Interrupted:
        print(f"{args.out}: saved; the same command with --resume goes on", file=sys.stderr)
        raise SystemExit(130) from None


def write_explorer(out, images=None, worst=None):
    """The page of the run; its path."""
    from boxloss.report import BoxReport

    return BoxReport.from_run(out, images=images).to_html(out / "explorer", worst=worst)
