"""train, evaluate and predict as a person calls them, on a tiny folder."""

import csv
import json
import os
import platform
import subprocess
import sys

import cv2
import numpy as np
import pytest

from boxloss import cli
from boxloss.datasets import synthetic
from boxloss.tensors import ops


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    synthetic.write(folder, 10, seed=3, image_size=64)
    return folder


def call(capsys, *words):
    """(exit status, printed object or None, lines for people)."""
    status = cli.main([str(word) for word in words])
    printed, stderr = capsys.readouterr()
    return status, json.loads(printed) if printed else None, stderr


def data(folder):
    return "--images", folder / "images", "--annotations", folder / "annotations.json"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc")
def test_freed_memory_is_used_again():
    """Page faults of ten large arrays, one after another, in a process of its own."""
    program = """
import resource, sys
import numpy as np
from boxloss.cli import tuning
if sys.argv[1] == "keep":
    tuning.keep_memory()
np.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    kept, given_back = (
        int(
            subprocess.run(
                [sys.executable, "-c", program, word], capture_output=True, text=True
            ).stdout
        )
        for word in ("keep", "give back")
    )
    assert kept < 100 < given_back


@pytest.mark.parametrize(
    "words, expected",
    [
        (["train", "--nonsense"], "1"),
        (["train", "--devices", "2", "--nonsense"], "0"),
        (["simulate", "--nonsense"], None),
    ],
    ids=["one device", "two devices", "no detector"],
)
def test_tensorflow_convolves_by_onednn_where_a_detector_is_trained(words, expected):
    program = (
        "import os, sys\n"
        "from boxloss import cli\n"
        "try:\n"
        "    cli.main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-1] == str(expected)


@pytest.mark.long(50)
def test_train_evaluate_and_predict_follow_each_other(shapes, tmp_path, capsys):
    out = tmp_path / "run"
    tiny = (
        "--size=nano",
        "--bins=0",
        "--image-size",
        64,
        "--epochs",
        1,
        "--batch-size",
        4,
        "--profile",
    )
    # With the progress: stdout must be the JSON object alone.
    status, metrics, stderr = call(capsys, "train", *data(shapes), *tiny, "--out", out)
    assert status == 0 and "Next:" in stderr and "Epoch 1/1  step 3/3  loss " in stderr
    shares = [metrics["profile"][name] for name in ("waiting", "model", "loss")]
    assert min(shares) >= 0 and sum(shares) == pytest.approx(1, abs=0.002)
    assert metrics["unreadable"] == 0
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert 0 < metrics["n_images"] < 10
    assert (out / "explorer" / "index.html").stat().st_size > 1000
    assert set(metrics["classes"]) == {"circle", "rectangle", "triangle"}
    assert "class       boxes     AP   AP50  precision  recall" in stderr
    # The pictures are ours: the next run may replace them, and nobody else's.
    listed = {json.loads(line)[0] for line in (out / "boxloss.jsonl").read_text().splitlines()}
    drawn = {"batch.png", "curves.png", "val.png"}
    assert listed >= drawn | {"labels.html"}
    assert all(cv2.imread(str(out / name)) is not None for name in drawn)

    status, evaluated, stderr = call(capsys, "evaluate", out, *data(shapes))
    assert status == 0 and evaluated["n_images"] == 10
    assert "precision and recall at confidence" in stderr
    assert (out / "evaluation" / "boxes.csv").is_file()

    strange = tmp_path / "new"
    strange.mkdir()
    for name in ("a <b>.png", "b.png"):
        cv2.imwrite(str(strange / name), np.full((50, 90, 3), 127, "uint8"))
    (strange / "broken.jpg").write_bytes(b"no picture")
    words = ("predict", out, strange, "--out", tmp_path / "found", "--score-threshold", 0.001)
    status, predicted, stderr = call(capsys, *words)
    assert f"{strange / 'broken.jpg'}: image must be a JPEG, PNG, BMP, WebP or TIFF file" in stderr
    assert status == 0 and predicted["images"] == 2 and predicted["unreadable"] == 1
    results = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert len(results) == predicted["boxes"]
    assert {row["image_id"] for row in results} <= {"a <b>.png", "b.png"}
    drawings = sorted(path.name for path in (tmp_path / "found" / "drawings").iterdir())
    assert len(drawings) == 2 and drawings[0].endswith("a__b_.png")


def test_voc_coordinates_from_one_are_shifted_if_asked(tmp_path):
    from boxloss.cli import parser_of
    from boxloss.cli import train as command

    for name in ("images", "voc"):
        (tmp_path / name).mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), np.zeros((40, 60, 3), "uint8"))
        (tmp_path / "voc" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.png</filename><object><name>a</name><bndbox><xmin>1</xmin>"
            "<ymin>5</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
        )
    words = ["--images", tmp_path / "images", "--annotations", tmp_path / "voc", "--out", "x"]
    for flags, expected in ((), [1, 5, 30, 40]), (("--voc-one-based",), [0, 4, 30, 40]):
        parser = parser_of("train", command)
        train_set, _ = command.load_sets(parser.parse_args([*map(str, words), *flags]))
        np.testing.assert_array_equal(train_set.records[0].boxes, [expected])


def test_a_misspelt_loss_is_one_line_with_a_near_match(shapes, tmp_path, capsys):
    status, printed, stderr = call(
        capsys, "train", *data(shapes), "--loss", "cioo", "--out", tmp_path / "run"
    )
    assert (status, printed) == (2, None)
    assert "Did you mean 'ciou'? Received: loss='cioo'" in stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "flags, rest",
    [
        (("--epochs", "two"), "argument --epochs: invalid int value: 'two'"),
        (("--epohcs", "2"), "unrecognized arguments: --epohcs 2"),
        (("--focus", "0.25"), "argument --focus: must be hardest=SHARE. Received: '0.25'"),
        (
            ("--focus", "hardest=x"),
            "argument --focus: must be hardest=SHARE. Received: 'hardest=x'",
        ),
        (
            ("--loss-args", "[1]"),
            "argument --loss-args: must be a JSON object such as {\"beta\": 0.5}. Received: '[1]'",
        ),
        (
            ("--loss-args", "{bad"),
            "argument --loss-args: must be a JSON object such as {\"beta\": 0.5}. Received: '{bad'",
        ),
    ],
)
def test_a_wrong_flag_is_one_line(shapes, tmp_path, capsys, flags, rest):
    with pytest.raises(SystemExit) as stop:
        cli.main(
            [str(word) for word in ("train", *data(shapes), "--out", tmp_path / "run", *flags)]
        )
    assert stop.value.code == 2
    printed, stderr = capsys.readouterr()
    assert printed == ""
    assert stderr == f"boxloss train: {rest} (`boxloss train --help` shows all flags)\n"


def test_one_image_cannot_be_divided(shapes, tmp_path, capsys):
    content = json.loads((shapes / "annotations.json").read_text())
    one = tmp_path / "one.json"
    one.write_text(json.dumps(content | {"images": content["images"][:1], "annotations": []}))
    words = ("--images", shapes / "images", "--annotations", one, "--out", tmp_path / "run")
    status, _, stderr = call(capsys, "train", *words)
    assert status == 2
    assert stderr.splitlines()[-1] == (
        "boxloss train: `images` must hold two usable images or more, or --val-images be given. "
        "Received: 1"
    )


def test_validation_images_without_annotations_are_refused(shapes, tmp_path, capsys):
    words = (*data(shapes), "--val-images", shapes / "images", "--out", tmp_path / "run")
    status, _, stderr = call(capsys, "train", *words)
    assert status == 2
    assert "`--val-images` and `--val-annotations` must be given together" in stderr


def test_a_folder_without_a_model_is_reported(shapes, tmp_path, capsys):
    status, _, stderr = call(capsys, "evaluate", tmp_path, *data(shapes))
    assert status == 2
    assert "`run` must be a run folder with model.keras. Received: " in stderr


def test_a_bad_out_is_reported_before_the_model_is_loaded(shapes, tmp_path, capsys):
    (tmp_path / "model.keras").write_bytes(b"no model")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    status, _, stderr = call(capsys, "predict", tmp_path, shapes / "images", "--out", taken)
    assert status == 2 and "taken" in stderr and "model.keras" not in stderr
    assert taken.read_text() == "a file"


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_help_has_examples_and_the_defaults(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    printed, _ = capsys.readouterr()
    assert stop.value.code == 0
    assert printed.count(f"  boxloss {command} ") >= 3
    assert "(default: " in printed


@pytest.mark.slow(63)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_share_the_batches(shapes, tmp_path, backend):
    # Ten images, nine of them for training: batches of 4, 4 on two devices, and one image left out.
    words = (*data(shapes), "--image-size", "64", "--epochs", "6", "--batch-size", "4", "--quiet")
    words += ("--no-augment", "--size=nano")
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    ran = subprocess.run(
        [
            *(sys.executable, "-c", "from boxloss.cli import main; raise SystemExit(main())"),
            *("train", *map(str, words), "--out", str(tmp_path)),
            *("--backend", backend, "--devices", "2"),
        ],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["backend"], config["devices"]) == (backend, 2)
    assert np.isfinite(json.loads(ran.stdout)["AP"])
    with open(tmp_path / "history.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.95 * losses[0]
    with open(tmp_path / "box_history.csv", newline="") as file:
        boxes = list(csv.DictReader(file))
    epochs = {row["image_id"]: int(row["epochs"]) for row in boxes}
    assert len(epochs) == 9 and max(epochs.values()) <= 6 and sum(epochs.values()) == 6 * 8
    assert all(int(row["epochs"]) == epochs[row["image_id"]] for row in boxes)
    assert all(0 <= float(row["mean_iou"] or 0) <= 1 for row in boxes)


def test_batches_must_be_divisible_among_the_devices(shapes, tmp_path, capsys):
    words = (*data(shapes), "--batch-size", 5, "--devices", 2, "--out", tmp_path / "run")
    status, _, stderr = call(capsys, "train", *words)
    assert status == 2
    assert (
        "`batch_size` must be a multiple of `devices`. Received: batch_size=5, devices=2" in stderr
    )


def test_a_backend_that_comes_too_late_is_refused(shapes, tmp_path, capsys):
    other = "jax" if ops.backend() == "tensorflow" else "tensorflow"
    words = (*data(shapes), "--backend", other, "--out", tmp_path / "run")
    status, _, stderr = call(capsys, "train", *words)
    assert status == 2
    assert "`--backend` must be given before Keras is imported" in stderr
