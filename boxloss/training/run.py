"""One training run, from data sets to a run folder."""

import contextlib
import pathlib
import sys
import tempfile

import keras

from boxloss import datasets, evaluation
from boxloss.datasets.workers import installed_grain
from boxloss.detector import Detector, load_detector, start_from_pretrained
from boxloss.files import output, read_object, write_json
from boxloss.losses import mining
from boxloss.tensors import ops
from boxloss.training import devices, processes
from boxloss.training.bar import Bar
from boxloss.training.clock import Clock
from boxloss.training.criterion import Criterion, box_loss, measuring_loss
from boxloss.training.folder import (
    CHECKPOINT,
    RUN_FILES,
    check_data,
    check_resumed,
    config_of,
    prepare_folder,
)
from boxloss.training.model import TrainingModel
from boxloss.training.optimizer import FlatAdam, ReplicatedAdam
from boxloss.training.parts import EvenBatches, RemainingBatches, WorkerBatches
from boxloss.training.progress import Progress
from boxloss.training.readable import results_of
from boxloss.training.transfer import describe, slow_backbone


def train(
    train_set,
    validation_set,
    options,
    out,
    resume=False,
    verbose="auto",
    clock=None,
    data=None,
    before_fit=None,
):
    """Train a detector; returns the dict that `metrics.json` holds.

    train_set, validation_set: `datasets.DataSet`, with equal classes. options: `Options`.
    out: the run folder, made if need be. resume: go on from its last checkpoint, if it has one,
    with the data and options that it began with; those in `folder.MAY_CHANGE_ON_RESUME` may differ.
    verbose: 0 shows no progress, anything else a line per epoch. data: a dict that says
    where the sets came from, for config.json. before_fit: a function that gets the
    `datasets.Batches` before the first step, to draw them.

    In one of several processes (`processes.join`) all of them call it with the same arguments, and
    the first alone writes to `out`.

    Raises ValueError for an unusable folder or data, `NonFiniteLoss` when the loss is no number,
    `ProcessLost` where another process has ended, and `Interrupted` after Ctrl-C was pressed and
    the state saved.
    """
    clock = clock or Clock()
    out = pathlib.Path(out)
    if options.workers:
        installed_grain(options.workers)  # before anything is written
    first = processes.is_first()
    # The lock of the folder is taken before anything is looked at: two runs that write to one
    # folder would leave a checkpoint of one with the histories of the other.
    with (
        output(out) if first else contextlib.nullcontext() as folder,
        processes.losses_named(out / CHECKPOINT),
    ):
        check_data(train_set, validation_set)
        processes.check_same(train_set, validation_set)
        if first:
            out = prepare_folder(out, resume)
            if resume and (out / CHECKPOINT).exists():
                check_resumed(out, config_of(train_set, validation_set, options))
            # Refused now, and not after hours when the first of these files is written.
            folder.check_names(RUN_FILES)
        # Before the model is built, whose weights are drawn from this generator.
        keras.utils.set_random_seed(options.seed)
        if options.deterministic:
            make_deterministic()
        if options.mixed_precision:
            # A policy counts for the layers that are made after it.
            keras.config.set_dtype_policy("mixed_float16")
        # Model, metrics and optimizer must all be made within it: a variable from outside
        # belongs to one device alone.
        with devices.scope(options.devices):
            return _train(
                train_set, validation_set, options, out, resume, verbose, clock, data, before_fit
            )


def _train(train_set, validation_set, options, out, resuming, verbose, clock, data, before_fit):
    resume = processes.of_first(lambda: resuming and (out / CHECKPOINT).exists())
    # A checkpoint holds every weight: what the run began with need not be there any more.
    first_weights = read_object(out / "config.json").get("pretrained_from") if resume else None
    model = build(train_set, options, load=not resume)
    batches = datasets.Batches(
        train_set,
        options.batch_size,
        options.image_size,
        augment=options.augment and datasets.Augmentation(flip=options.flip),
        shuffle=True,
        seed=options.seed,
        mosaic_epochs=options.mosaic_epochs,
        cache=options.cache,
        cache_bytes=options.cache_megabytes * 2**20,
    )
    # Of what `fit` gets: an epoch of several devices may be a batch shorter.
    steps = len(_shared(batches, 0, options.devices))
    progress = Progress(out, options, train_set, validation_set, steps, clock, batches.unreadable)
    if resume:
        progress.resume(out / CHECKPOINT)
    if progress.writes:
        config = config_of(train_set, validation_set, options)
        config |= {"pretrained_from": first_weights or model.pretrained_from}
        write_json(out / "config.json", config if data is None else config | {"data": data})
    try:
        if before_fit is not None:
            before_fit(batches)
        fit(model, batches, progress, options, verbose)
        metrics = finish(model, out, validation_set, options, progress, batches)
    except OSError as error:
        raise OSError(_stopped(out, error)) from error
    except Exception as error:
        if batches.stopped_by is None:
            raise
        # TensorFlow wraps what a batch raises in an error of its own.
        raise batches.stopped_by from error
    if options.profile:
        from boxloss.training.profile import profile

        shared = _shared(batches, 0, options.devices)
        metrics["profile"] = profile(model, shared, progress.step_seconds)
        if progress.writes:
            write_json(out / "metrics.json", metrics)
    return metrics


def _stopped(out, error):
    """The message where a file could not be written or read in the middle of a run."""
    kept = out / CHECKPOINT
    return (
        f"{error.filename or out}: file must be readable and writable throughout the run. "
        f"Received: {error.strerror or error}; "
        + (f"{kept} holds the last good state, --resume goes on from it" if kept.exists() else "")
        + ("" if kept.exists() else "no checkpoint had been written")
    )


def detector_of(train_set, options):
    """A `Detector` for the classes of a set, with random weights."""
    return Detector(
        train_set.class_names,
        size=options.size,
        image_size=options.image_size,
        bins=options.bins,
        category_ids=train_set.category_ids,
        backbone=options.backbone,
    )


def build(train_set, options, load=True):
    """The compiled `TrainingModel`. load: whether pretrained weights are put in."""
    detector = detector_of(train_set, options)
    pretrained = load and options.pretrained != "none"
    first_weights = start_from_pretrained(detector, options.pretrained) if pretrained else None
    if first_weights:
        print(describe(first_weights), file=sys.stderr)
    loss = box_loss(options.loss, options.loss_args, options.image_size)
    criterion = Criterion(loss, bins=options.bins)
    hardest = None if options.focus is None else mining.HardestImages(fraction=options.focus)
    boxes = sum(len(record) for record in train_set.records)
    model = TrainingModel(detector, criterion, len(train_set.records), hardest, boxes)
    steps = options.epochs * -(-len(train_set.records) // options.batch_size)
    # On JAX a step is one program over all devices: nothing has copies.
    copies = options.devices > 1 and ops.backend() != "jax"
    adam = ReplicatedAdam if copies else FlatAdam
    optimizer = adam(
        options.learning_rate,
        weight_decay=options.weight_decay if options.optimizer == "adamw" else 0.0,
        # The average reaches over a twentieth of the run: longer and it remembers bad weights,
        # shorter and it is the last weights.
        average=1 - 1 / max(10, min(500, steps / 20)),
    )
    slow_backbone(model, optimizer, options)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer)
    model.pretrained_from = first_weights
    return model


def fit(model, batches, progress, options, verbose):
    """Keras' `fit` from the position of `progress` to the last epoch."""
    first = progress.position["epoch"]
    batches.epoch = first
    if progress.patience_is_over():  # a resumed run that had stopped early
        return
    callbacks = [Bar(progress), progress] if verbose else [progress]
    common = {"callbacks": callbacks, "shuffle": False, "verbose": 0}
    try:
        # `fit` fixes the length of an epoch once: the rest of a broken one is a `fit` of its own.
        if progress.position["step"]:
            rest = _shared(batches, progress.position["step"], options.devices)
            with _made_ahead(rest, options.workers) as made:
                model.fit(made, initial_epoch=first, epochs=first + 1, **common)
            first += 1
            batches.epoch = first
        if first < options.epochs and not model.stop_training:
            whole = _shared(batches, 0, options.devices)
            with _made_ahead(whole, options.workers) as made:
                model.fit(made, initial_epoch=first, epochs=options.epochs, **common)
    finally:
        progress.release()


def _shared(batches, first, count):
    """What `fit` gets: the batches from `first` on, for `count` devices of all processes."""
    if count > 1:
        return EvenBatches(batches, first, count, processes.index(), processes.count())
    return RemainingBatches(batches, first) if first else batches


def _made_ahead(batches, workers):
    """A context of the same batches, made by worker processes where there are any."""
    return WorkerBatches(batches, workers) if workers else contextlib.nullcontext(batches)


def finish(model, out, validation_set, options, progress, batches):
    """Evaluate the best weights; write boxes.csv and metrics.json."""
    train_set = batches.dataset
    # From the file: what is reported belongs to the weights that the user keeps, and the last
    # weights are seldom the best ones.
    detector = best_detector(model, out, progress)
    loss = measuring_loss(options.loss, options.loss_args, options.image_size)
    metrics, _ = evaluate(detector, validation_set, out, loss)
    cpu, wall = progress.clock.read()
    metrics |= {
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(wall, 1),
        "n_images": len(train_set.records),
        "n_boxes": sum(len(record) for record in train_set.records),
        "dropped": train_set.dropped,
        "unreadable": sum(processes.gathered(len(batches.unreadable))),
        "epochs": len(progress.history),
    }
    if progress.writes:
        write_json(out / "metrics.json", metrics)
    return metrics


def best_detector(model, out, progress):
    """The detector with the weights of `model.keras`."""
    if processes.count() > 1:
        content = processes.bytes_of_first((out / "model.keras").read_bytes)
        return _detector_of_bytes(content)
    detector = model.detector
    try:
        detector.load_weights(out / "model.keras")
    except Exception as error:  # h5py and Keras raise whatever they meet in a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(
            f"{out / 'model.keras'}: cannot be read ({reason}): the last weights take its place",
            file=sys.stderr,
        )
        progress.rewrite_best(model)
        detector.load_weights(out / "model.keras")
    return detector


def _detector_of_bytes(content):
    """A detector of this process alone from the bytes of its file: no folder need be shared."""
    with processes.alone(), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        path.write_bytes(content)
        return load_detector(path)


def evaluate(detector, dataset, out, loss="ciou", **how):
    """(COCO metrics, COCO results) of `dataset`; writes boxes.csv and detections.json to `out`.

    how: `tile` and `overlap` of `Detector.predict`, for large images. Of several processes the
    first alone writes; the others get no metrics.
    """
    results = results_of(detector, dataset, **how)
    if not processes.is_first():
        return {}, results
    # The results have the ids of this very set: pairing must not guess.
    truth = evaluation.Truth.of(dataset)
    found = evaluation.Detections.of(results, truth, pair_images="id", pair_classes="id")
    metrics = evaluation.metrics_by_class(truth, found)
    rows = evaluation.error_rows(truth, found, loss=loss)
    evaluation.write_boxes_csv(rows, out / "boxes.csv")
    write_json(out / "detections.json", results)
    return metrics, results


def make_deterministic():
    """Bit-equal weights for equal runs; somewhat slower on a GPU."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
