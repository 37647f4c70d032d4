"""A run folder in which any file is broken: each command ends well or with one line.

Exit status 0 or 2, no traceback, and nothing on the disk is changed but what --out names.
"""

import argparse
import json
import re
import shutil

import numpy as np
import pytest

from boxloss import cli, datasets, evaluation, files, training
from boxloss.audit.apply import edits_of_marks
from boxloss.cli import settings
from boxloss.datasets import synthetic
from boxloss.detector import load_detector
from boxloss.evaluation.results import as_results
from boxloss.training import Options, checkpoint
from boxloss.training.folder import check_resumed, config_of

NOISE = np.random.default_rng(0).integers(0, 256, 3000, "uint8").tobytes()
DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "list": lambda data: b"[]",
    "null": lambda data: b"null",
    "noise": lambda data: NOISE,
    "nested": lambda data: b"[" * 100_000,
    "numbers": lambda data: re.sub(rb"\d+", b"9" * 400, data[:5000]),
    "types": lambda data: re.sub(rb"[:,] ?-?\d+(\.\d+)?", b', {"a": [null]}', data[:5000]),
    "long": lambda data: data[:5000] + b"x" * 200_000,
    "folder": None,
}
LIGHT = ("config.json", "boxes.csv", "detections.json", "box_history.csv", "metrics.json")


def sets_of(folder):
    synthetic.write(folder, 6, seed=3, image_size=64)
    return datasets.split(datasets.load(folder / "images", folder / "annotations.json"))


@pytest.fixture(scope="module")
def light_run(tmp_path_factory):
    """A run folder without a model: of detections that are the truth, somewhat shifted."""
    folder = tmp_path_factory.mktemp("light")
    train_set, held = sets_of(folder / "data")
    run = folder / "run"
    run.mkdir()
    results = []
    for record in held.records:
        found = {"boxes": record.boxes + 2, "labels": record.labels}
        found["scores"] = np.linspace(0.9, 0.4, len(record))
        results += as_results(record.image_id, found, held.category_ids, held.class_names)
    evaluation.write_boxes_csv(evaluation.error_table(held, results, loss=None), run / "boxes.csv")
    history = dict.fromkeys(evaluation.HISTORY_COLUMNS, 0.5)
    history |= {"image_id": 1, "file_name": "a", "annotation_id": 1, "class": "circle"}
    evaluation.write_box_history([history], run / "box_history.csv")
    files.write_json(run / "detections.json", results)
    files.write_json(run / "config.json", config_of(train_set, held, Options()))
    files.write_json(run / "metrics.json", {"AP": 0.1, "threshold": 0.4})
    return run


def damage(run, name, how, copy):
    """A copy of the run folder in which one file is broken."""
    shutil.copytree(run, copy)
    path = copy / name
    data = path.read_bytes()
    path.unlink()
    if DAMAGES[how] is None:
        path.mkdir()
    else:
        path.write_bytes(DAMAGES[how](data))
    return copy


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def check(words, run, capsys):
    """Run a command that writes elsewhere; its exit status."""
    before = snapshot(run)
    capsys.readouterr()
    status = cli.main([str(word) for word in words])
    printed, stderr = capsys.readouterr()
    assert status in (0, 2), stderr
    assert "Traceback" not in stderr and max(map(len, stderr.splitlines()), default=0) < 1500
    if status == 2:
        assert printed == "" and stderr.splitlines()[-1].startswith(f"boxloss {words[0]}: ")
    else:
        json.loads(printed)
    assert snapshot(run) == before
    return status


def words_of(command, run, out):
    history = ("--history", run) if command == "explore" else ()
    return (command, run, *history, "--out", out)


NESTED = "[" * 100_000


def test_json_that_is_nested_too_deeply_is_a_wrong_value_wherever_it_is_read(tmp_path):
    for name in ("config.json", "metrics.json", "detections.json", "boxloss.jsonl"):
        (tmp_path / name).write_text(NESTED)
    with pytest.raises(ValueError, match="say with what the run began. Received: too deeply"):
        check_resumed(tmp_path, {})
    assert settings.settings_before({"epochs": 3}, tmp_path / "config.json").epochs == 3
    with pytest.raises(ValueError, match="must be readable JSON. Received: too deeply nested"):
        edits_of_marks(tmp_path / "config.json")
    with pytest.raises(argparse.ArgumentTypeError, match="must be a JSON object"):
        cli.json_object(NESTED)
    with files.output(tmp_path):  # the list of what boxloss wrote there
        pass
    (tmp_path / "boxloss.jsonl").unlink()
    with files.output(tmp_path) as folder:  # without one: known by their content
        assert folder.marks == {}
    position = np.frombuffer(NESTED.encode(), "uint8")
    np.savez(tmp_path / "checkpoint.npz", position=position)
    with pytest.raises(ValueError, match="must be a checkpoint of boxloss. Received: too deeply"):
        checkpoint.read(tmp_path / "checkpoint.npz")


@pytest.mark.parametrize("command", ["explore", "audit"])
@pytest.mark.parametrize(
    "name, how",
    [
        ("config.json", "list"),
        ("config.json", "nested"),
        ("boxes.csv", "truncated"),
        ("boxes.csv", "numbers"),
        ("boxes.csv", "folder"),
        ("detections.json", "types"),
        ("box_history.csv", "noise"),
    ],
)
def test_a_broken_file_is_one_line(light_run, tmp_path, capsys, command, name, how):
    run = damage(light_run, name, how, tmp_path / "run")
    check(words_of(command, run, tmp_path / "out"), run, capsys)


def test_the_run_itself_is_shown(light_run, tmp_path, capsys):
    for command in ("explore", "audit"):
        assert check(words_of(command, light_run, tmp_path / command), light_run, capsys) == 0


@pytest.mark.slow(10)
@pytest.mark.parametrize("command", ["explore", "audit"])
@pytest.mark.parametrize("name", LIGHT)
def test_any_file_broken_in_any_way(light_run, tmp_path, capsys, command, name):
    """100 cases without a model."""
    for how in DAMAGES:
        run = damage(light_run, name, how, tmp_path / how)
        check(words_of(command, run, tmp_path / f"{how}-out"), run, capsys)


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    train_set, held = sets_of(folder / "data")
    options = Options(image_size=64, epochs=1, batch_size=4, augment=False)
    data = {"images": str(folder / "data" / "images"), "format": None, "val_images": None}
    data |= {"annotations": str(folder / "data" / "annotations.json"), "val_annotations": None}
    data |= {"val_fraction": 0.2, "voc_one_based": False, "follow_links": False, "group_by": None}
    training.train(train_set, held, options, folder / "run", verbose=0, data=data)
    return folder / "run"


WITH_MODEL = ("evaluate", "predict", "export")


@pytest.fixture(scope="module")
def detector(real_run):
    """Loaded and compiled once; the cases whose model is whole would spend their time on that."""
    return load_detector(real_run)


@pytest.mark.slow(60)
@pytest.mark.parametrize("command", WITH_MODEL)
@pytest.mark.parametrize("name", ["model.keras", "config.json", "metrics.json"])
def test_a_run_with_a_model(real_run, detector, tmp_path, capsys, command, name, monkeypatch):
    """90 cases; of exports the model alone is loaded, since writing one takes ten seconds."""
    monkeypatch.setattr("boxloss.detector.export", lambda detector, out, *_: {"difference": 0.0})
    if name != "model.keras":
        monkeypatch.setattr("boxloss.detector.load_detector", lambda path: detector)
    for how in DAMAGES:
        run = damage(real_run, name, how, tmp_path / how)
        images = (real_run.parent / "data" / "images",) if command == "predict" else ()
        words = (command, run, *images, "--out", tmp_path / f"{how}-out")
        status = check(words, run, capsys)
        if name == "model.keras" and how != "long":
            assert status == 2


@pytest.mark.slow(20)
@pytest.mark.parametrize("name", ["checkpoint.npz", "config.json", "history.csv", "model.keras"])
def test_a_run_that_is_resumed(real_run, tmp_path, capsys, name):
    """40 cases; the folder is the run's own, and where it is refused it stays as it was."""
    data = real_run.parent / "data"
    flags = ["--images", data / "images", "--annotations", data / "annotations.json"]
    flags += ["--image-size", 64, "--epochs", 1, "--batch-size", 4, "--no-augment", "--quiet"]
    flags += ["--size=nano"]
    for how in DAMAGES:
        run = damage(real_run, name, how, tmp_path / how)
        assert check(("train", *flags, "--out", run, "--resume"), run, capsys) == 2
