"""Whole runs on eight tiny images: what a run leaves, how it is resumed, what stops it."""

import csv
import errno
import itertools
import json
import math
import os
import signal
import sys
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

import boxloss
from boxloss import datasets, files, training
from boxloss.datasets import synthetic
from boxloss.detector import pretrained
from boxloss.tensors import ops
from boxloss.training import Criterion, Options, checkpoint
from boxloss.training import progress as progress_module
from boxloss.training.folder import check_resumed, config_of
from boxloss.training.progress import Progress

pytestmark = pytest.mark.long(20)  # most train a detector


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(ValueError) as error:
        Options(seed=seed)
    rule = "`seed` must be a whole number from 0 to 2**32 - 1"
    assert str(error.value) == f"{rule}. Received: seed={seed!r}"


@pytest.mark.parametrize("size", [0, 1000])
def test_a_checkpoint_that_is_cut_is_reported_in_one_line(tmp_path, size):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, v0=np.zeros(1000), position=np.zeros(3, "uint8"))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError) as error:
        checkpoint.read(path)
    reason = "File is not a zip file" if size else "No data left in file"
    assert str(error.value) == f"{path}: file must be a checkpoint of boxloss. Received: {reason}"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    synthetic.write(folder, 10, seed=3, image_size=64)
    whole = datasets.load(folder / "images", folder / "annotations.json")
    return whole.subset(whole.records[:8]), whole.subset(whole.records[8:])


TINY = {"image_size": 64, "batch_size": 4, "learning_rate": 3e-3, "augment": False, "seed": 1}


def begun_run(shapes, out, options):
    """A folder that looks as after a checkpoint."""
    out.mkdir(exist_ok=True)
    (out / "checkpoint.npz").write_bytes(b"state")
    files.write_json(out / "config.json", config_of(*shapes, options))


def test_a_run_is_not_resumed_with_other_arguments_or_data(shapes, tmp_path):
    begun_run(shapes, tmp_path, Options(**TINY, loss_args={"alpha_gradient": True}))
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fewer = shapes[0].subset(shapes[0].records[:5])
    options = Options(**(TINY | {"batch_size": 2}), loss="l1", epochs=9)
    with pytest.raises(ValueError) as error:
        training.train(fewer, shapes[1], options, tmp_path, resume=True, verbose=0)
    counts = [sum(map(len, part.records)) for part in (fewer, shapes[0])]
    assert str(error.value) == (
        "`resume` must go on with the data and arguments of the run (epochs, patience, "
        "evaluate_every, checkpoint_steps, profile, tensorboard, cache, cache_megabytes, workers "
        "may change). Received: "
        "loss='l1' (before 'ciou'), loss_args={} (before {'alpha_gradient': True}), batch_size=2 "
        f"(before 4), training images=5 (before 8), training boxes={counts[0]} (before {counts[1]})"
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


def test_what_does_not_decide_the_weights_may_change(shapes, tmp_path):
    begun_run(shapes, tmp_path, Options(**TINY))
    options = Options(**TINY, epochs=90, patience=3, evaluate_every=7, checkpoint_steps=5)
    check_resumed(tmp_path, config_of(*shapes, options))


def test_a_run_without_its_config_is_not_resumed(shapes, tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="config.json: file must say with what the run began"):
        check_resumed(tmp_path, config_of(*shapes, Options(**TINY)))


@pytest.fixture(scope="module")
def straight(shapes, tmp_path_factory):
    """A run of three epochs of two steps, nothing interrupted."""
    out = tmp_path_factory.mktemp("straight")
    options = Options(**TINY, epochs=3, deterministic=True)
    metrics = training.train(*shapes, options, out, verbose=0)
    return out, metrics


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_everything_that_it_promises(straight, shapes):
    out, metrics = straight
    names = {path.name for path in out.iterdir()}
    assert names >= {
        *("config.json", "model.keras", "last.keras", "history.csv"),
        *("image_losses.csv", "box_history.csv", "boxes.csv", "metrics.json"),
    }
    assert not [name for name in names if name.startswith(".")]
    written = json.loads((out / "metrics.json").read_text())
    assert written == metrics
    assert {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR100"} < set(metrics)
    assert metrics["n_images"] == 8 and metrics["cpu_seconds"] > 0
    config = json.loads((out / "config.json").read_text())
    assert config["loss"] == "ciou" and config["class_names"] == shapes[0].class_names
    history = rows_of(out / "history.csv")
    losses = rows_of(out / "image_losses.csv")
    assert [row["epoch"] for row in history] == ["0", "1", "2"]
    assert len(losses) == 3 * 8
    assert {row["file_name"] for row in losses} == {r.file_name for r in shapes[0].records}
    # Two equal batches: the mean of the image losses is the loss that Keras logs.
    for row in history:
        mine = [float(other["loss"]) for other in losses if other["epoch"] == row["epoch"]]
        assert np.mean(mine) == pytest.approx(float(row["loss"]), rel=1e-4)
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    # Without augmentation every box that counts is seen once per epoch.
    boxes = rows_of(out / "box_history.csv")
    records = shapes[0].records
    expected = [(str(r.image_id), str(number)) for r in records for number in r.annotation_ids]
    assert [(row["image_id"], row["annotation_id"]) for row in boxes] == expected
    assert {row["epochs"] for row in boxes} == {"3"}
    errors = [float(row["mean_error"]) for row in boxes if row["mean_error"]]
    assert len(errors) > len(boxes) / 2 and 0 < min(errors)


def test_the_boxes_of_a_run_are_measured_by_its_loss_and_its_arguments(shapes, tmp_path):
    options = Options(**TINY, epochs=1, loss="alpha_iou", loss_args={"base": "mpdiou", "alpha": 2})
    training.train(*shapes, options, tmp_path, verbose=0)
    rows = [row for row in rows_of(tmp_path / "boxes.csv") if row["box_error"]]
    pairs = [
        np.array([[float(row[f"{side}_{c}"]) for c in ("x1", "y1", "x2", "y2")] for row in rows])
        for side in ("truth", "prediction")
    ]
    expected = boxloss.functional.alpha_iou_loss(
        *pairs, base="mpdiou", alpha=2.0, image_shape=(64, 64)
    )
    assert rows
    found = [float(row["box_error"]) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


class Killed(Exception):
    pass


def interrupted_run(shapes, out, step, monkeypatch):
    """A run that dies after `step` steps in all."""
    steps = 0
    original = Progress.on_train_batch_end

    def die(self, batch, logs=None):
        nonlocal steps
        original(self, batch, logs)
        steps += 1
        if steps == step:
            raise Killed

    options = Options(**TINY, epochs=3, deterministic=True, checkpoint_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", die)
        with pytest.raises(Killed):
            training.train(*shapes, options, out, verbose=0)
    return options


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(3, id="within an epoch"),
        pytest.param(4, id="at its end", marks=pytest.mark.slow(40)),
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(straight, shapes, tmp_path, monkeypatch, step):
    options = interrupted_run(shapes, tmp_path, step, monkeypatch)
    training.train(*shapes, options, tmp_path, resume=True, verbose=0)
    expected = checkpoint.read(straight[0] / "checkpoint.npz")
    found = checkpoint.read(tmp_path / "checkpoint.npz")
    for a, b in zip(expected[2], found[2], strict=True):
        np.testing.assert_array_equal(a, b)
    for table in ("epochs", "image_losses", "boxes"):
        np.testing.assert_array_equal(expected[1][table], found[1][table])
    texts = [(out / "box_history.csv").read_bytes() for out in (straight[0], tmp_path)]
    assert texts[0] == texts[1]
    histories = [rows_of(out / "history.csv") for out in (straight[0], tmp_path)]
    for a, b in zip(*histories, strict=True):
        timeless = [name for name in a if not name.endswith("_seconds")]
        assert {name: a[name] for name in timeless} == {name: b[name] for name in timeless}


def test_ctrl_c_stops_after_the_step_and_saves(shapes, tmp_path, monkeypatch):
    original = Progress.on_train_batch_begin

    def press(self, batch, logs=None):
        original(self, batch, logs)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Progress, "on_train_batch_begin", press)
    with pytest.raises(training.Interrupted):
        training.train(*shapes, Options(**TINY, epochs=2), tmp_path, verbose=0)
    assert signal.getsignal(signal.SIGINT) is before
    position, _, _ = checkpoint.read(tmp_path / "checkpoint.npz")
    assert (position["epoch"], position["step"]) == (0, 1)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_images(shapes, tmp_path, monkeypatch):
    victim = shapes[0].records[5]

    def poisoned(self, truth, outputs, points, strides):
        costs = original(self, truth, outputs, points, strides)
        bad = ops.cast(ops.equal(truth["index"], 5), "float32")
        factor = ops.where(bad > 0, float("nan"), 1.0)
        parts = {name: part * factor for name, part in costs.parts.items()}
        return costs._replace(parts=parts, image_losses=sum(parts.values()))

    original = Criterion.__call__
    monkeypatch.setattr(Criterion, "__call__", poisoned)
    with pytest.raises(training.NonFiniteLoss) as error:
        training.train(*shapes, Options(**TINY, epochs=1), tmp_path, verbose=0)
    assert repr(victim.file_name) in str(error.value)
    others = [r.file_name for r in shapes[0].records if r is not victim]
    assert not any(name in str(error.value) for name in others)
    assert not (tmp_path / "checkpoint.npz").exists()


def test_a_strict_run_stops_at_a_spoiled_picture_and_names_it(shapes, tmp_path):
    spoiled = tmp_path / "spoiled.png"
    data = bytearray(cv2.imencode(".png", np.full((64, 64, 3), 127, "uint8"))[1].tobytes())
    data[45:60] = bytes(15)
    spoiled.write_bytes(data)
    # One image a batch: Keras itself reads the first two, the others come from its threads.
    fourth = datasets.Batches(shapes[0], 1, 64, shuffle=True, seed=TINY["seed"]).order()[3]
    records = list(shapes[0].records)
    records[fourth] = replace(records[fourth], path=spoiled)
    train_set = shapes[0].subset(records)
    train_set.strict = True
    options = Options(**(TINY | {"batch_size": 1}), epochs=1)
    with pytest.raises(ValueError) as error:
        training.train(train_set, shapes[1], options, tmp_path / "run", verbose=0)
    received = f"a PNG of {len(data)} bytes that OpenCV refuses"
    assert str(error.value) == f"{spoiled}: image must be decodable. Received: {received}"


def test_a_full_disk_stops_the_run_and_keeps_the_last_state(shapes, tmp_path, monkeypatch):
    options = Options(**TINY, epochs=3, deterministic=True)
    original, saved = np.savez, []

    def full(file, **arrays):
        if saved:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(original(file, **arrays))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError) as error:
        training.train(*shapes, options, tmp_path, verbose=0)
    assert str(error.value) == (
        f"{tmp_path}: file must be readable and writable throughout the run. Received: No space "
        f"left on device; {tmp_path / 'checkpoint.npz'} holds the last good state, --resume goes "
        "on from it"
    )
    position, _, _ = checkpoint.read(tmp_path / "checkpoint.npz")
    assert position["epoch"] == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow(20)
def test_patience_ends_a_run_early_and_the_best_weights_are_measured(shapes, tmp_path, monkeypatch):
    # No evaluation is better than the first.
    found = itertools.count(0.5, -0.1)
    monkeypatch.setattr(
        progress_module.evaluation, "coco_metrics", lambda *_: {"AP": next(found), "AP50": 0.0}
    )
    options = Options(**TINY, epochs=9, patience=2, evaluate_every=1)
    training.train(*shapes, options, tmp_path / "run", verbose=0)
    history = rows_of(tmp_path / "run" / "history.csv")
    assert [float(row["val_AP"]) for row in history] == pytest.approx([0.5, 0.4, 0.3])
    best, last = (
        training.evaluate(boxloss.load_detector(tmp_path / "run" / name), shapes[1], tmp_path)[1]
        for name in ("model.keras", "last.keras")
    )
    written = json.loads((tmp_path / "run" / "detections.json").read_text())
    assert written == json.loads(json.dumps(best)) != json.loads(json.dumps(last))


def test_mosaics_end_before_the_run_does():
    assert Options(epochs=60).mosaic_epochs == 51
    assert Options(epochs=60, plain_share=0.0).mosaic_epochs == 60
    with pytest.raises(ValueError, match="`plain_share` must be between 0 and 1. Received: plain"):
        Options(plain_share=1.5)


@pytest.mark.slow(30)
def test_mixed_precision_trains_in_float16(shapes, tmp_path):
    try:
        options = Options(**TINY, epochs=1, mixed_precision=True)
        metrics = training.train(*shapes, options, tmp_path, verbose=0)
        policy = keras.config.dtype_policy().name
    finally:
        keras.config.set_dtype_policy("float32")
    assert policy == "mixed_float16" and metrics["epochs"] == 1
    assert math.isfinite(float(rows_of(tmp_path / "history.csv")[0]["loss"]))


def test_tensorboard_gets_the_history(shapes, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    training.train(*shapes, Options(**TINY, epochs=2, tensorboard=True), tmp_path, verbose=0)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    history = rows_of(tmp_path / "history.csv")
    found = [float(e.tensor_proto.float_val[0]) for e in events.Tensors("loss")]
    np.testing.assert_allclose(found, [float(row["loss"]) for row in history], rtol=1e-5)


def test_without_tensorboard_the_flag_is_refused(shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(ValueError) as error:
        training.train(*shapes, Options(**TINY, tensorboard=True), tmp_path, verbose=0)
    assert str(error.value) == (
        '`tensorboard` must be installed for event files: pip install "boxloss[tensorboard]". '
        "Received: no module named tensorboard"
    )


def test_a_folder_that_holds_a_run_is_not_overwritten(straight, shapes):
    with pytest.raises(ValueError, match="`out` must be a new folder, or --resume be given"):
        training.train(*shapes, Options(**TINY), straight[0], verbose=0)


def test_a_folder_that_cannot_be_written_is_reported_before_training(shapes, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(ValueError, match="`out` must be a folder that can be written. Received: "):
        training.train(*shapes, Options(**TINY), tmp_path / "file" / "run", verbose=0)


def test_weights_of_other_classes_are_taken_where_they_fit(straight, shapes):
    source = boxloss.load_detector(straight[0] / "model.keras")
    target = boxloss.detector.Detector(["only"], image_size=64)
    copied = pretrained.start_from(target, source)
    # All but the three class layers, kernel and bias each.
    assert copied == len(target.weights) - 6
    for a, b in zip(target.weights, source.weights, strict=True):
        if a.shape == b.shape:
            np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
