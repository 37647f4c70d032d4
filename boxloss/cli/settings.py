"""The flags of `boxloss train` that are settings, and the settings that a run gets."""

import argparse
import sys

from boxloss.cli import BACKENDS, json_object
from boxloss.cli.choices import DEFAULTS, check_loss, hardest, loss_flag, setting
from boxloss.cli.processes import process_flags
from boxloss.detector import BACKBONES, available_backbones
from boxloss.files import duration, json_of
from boxloss.training import Options
from boxloss.training.recipe import PRESETS, recommend
from boxloss.training.statistics import DataStatistics


def setting_arguments(parser):
    """Flags of model, loss and training; `settings_of` reads them."""
    _model_arguments(parser.add_argument_group("model and loss"))
    _training_arguments(parser.add_argument_group("training"))


def _model_arguments(group):
    setting(group, "--backbone", f"one of {', '.join(BACKBONES)}", type=str)
    setting(
        group,
        "--pretrained",
        "imagenet; none; or weights to start from: a run folder, a model.keras, whose classes may "
        "differ, or a file of the backbone",
        type=str,
    )
    setting(group, "--size", "nano, small or medium: how wide pyramid and head are", type=str)
    setting(group, "--backbone-rate", "share of the learning rate for a pretrained backbone")
    setting(group, "--frozen-epochs", "for so many epochs a pretrained backbone does not change")
    setting(group, "--frozen-stride", "backbone layers up to this stride never change; 0 is none")
    setting(
        group, "--frozen-statistics", "batch normalisation of the backbone keeps its statistics"
    )
    setting(group, "--image-size", "side in pixels that images are fitted into, a multiple of 32")
    loss_flag(group, default=argparse.SUPPRESS, help=f"box loss (default: {DEFAULTS['loss']})")
    setting(group, "--loss-args", "its arguments, as JSON: '{\"beta\": 0.5}'", type=json_object)
    setting(
        group,
        "--bins",
        "16 predicts each side as a distribution over 16 bins, with DFL; 0 as one number",
    )
    setting(group, "--weights", "an older name of --pretrained", type=str)
    setting(group, "--mixed-precision", "float16 arithmetic, for GPUs")


def _training_arguments(group):
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="how long the run may take: a quarter of the epochs, the epochs that are recommended, "
        "or three times as many (default: standard)",
    )
    setting(group, "--epochs", "passes over the training images")
    setting(group, "--batch-size", "images per step")
    setting(group, "--optimizer", "adam or adamw")
    setting(group, "--learning-rate", "the highest rate, after the warm-up")
    setting(group, "--weight-decay", "of adamw")
    group.add_argument("--no-augment", action="store_true", help="train on the images as they are")
    setting(group, "--flip", "share of the training pictures that are mirrored")
    setting(group, "--plain-share", "share of the epochs, at the end, in which no mosaics are made")
    setting(
        group,
        "--focus",
        "learn from the hardest images of each batch only, hardest=0.25 say",
        type=hardest,
        metavar="hardest=SHARE",
    )
    setting(group, "--patience", "stop after so many evaluations without a better AP; 0 is never")
    setting(group, "--seed", "of first weights, order of the images and augmentation")
    setting(group, "--devices", "how many devices of this machine share each batch")
    process_flags(group)
    setting(group, "--cache", "where decoded images are kept for the next epoch: ram, disk or none")
    setting(group, "--cache-megabytes", "how much is kept; the other images are decoded again")
    setting(group, "--workers", "processes of grain that make the batches; 0: threads of this one")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        help="of Keras (default: KERAS_BACKEND, else the first one that is installed)",
    )
    setting(group, "--deterministic", "bit-equal repetition")


def given_settings(args):
    """The fields of `Options` that the user gave; ValueError names the one that is wrong."""
    given = {name: value for name, value in vars(args).items() if name in DEFAULTS}
    if args.no_augment:
        given["augment"] = False
    check_loss(given.get("loss"))
    Options(**given)
    return given


def settings_of(given, preset, train_set, validation_set):
    """The `Options` of a new run, with lines for people about each that was chosen."""
    statistics = DataStatistics.of(train_set, validation_set)
    start = _network_of(given.get("pretrained") or given.get("weights"))
    recipe = recommend(statistics, preset or "standard", given, available_backbones(), start)
    for line in recipe.lines():
        print(line, file=sys.stderr)
    return recipe.options


def _network_of(pretrained):
    """Backbone, size and bins of the detector that --pretrained names; empty where it names none.

    ValueError where its file is none.
    """
    if pretrained in (None, "none", "imagenet") or pretrained.endswith((".pth", ".h5")):
        return {}
    from boxloss.detector import load_detector

    detector = load_detector(pretrained)
    return {"backbone": detector.backbone, "size": detector.size, "bins": detector.bins}


def settings_before(given, config):
    """The `Options` of a run that is resumed: those in its config.json, and what is given now."""
    try:
        before = json_of(config.read_text(encoding="utf-8"))
        known = {name: before[name] for name in DEFAULTS if name in before}
        return Options(**{**known, **given})
    except (OSError, ValueError, TypeError):  # `training.train` says what is wrong with the file
        return Options(**given)


def show_time(options, train_set, validation_set):
    """A line for people: about how long the run will take on this machine."""
    from boxloss.tensors import ops
    from boxloss.training import estimate, run

    # One device alone does not show the pace of several. JAX compiles a pass layer by layer, which
    # took 16 s for nano where TensorFlow took 2 s.
    if options.devices > 1 or ops.backend() == "jax":
        return
    forward = estimate.forward_seconds(run.detector_of(train_set, options), options.image_size)
    seconds = estimate.run_seconds(options, len(train_set), len(validation_set), forward)
    print(
        f"time: {duration(seconds)} on this machine as busy as it is now "
        f"({options.epochs * -(-len(train_set) // options.batch_size)} steps; a forward pass takes "
        f"{forward:.3f} s per image)",
        file=sys.stderr,
    )
