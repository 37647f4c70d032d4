"""`boxloss train` in several processes on JAX: the weights of one, and a good end for all."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from boxloss.cli import main
from boxloss.cli import processes as flags
from boxloss.tensors import ops
from boxloss.training import checkpoint, processes

CHILD = pathlib.Path(__file__).with_name("processes_child.py")
SIZE, IMAGES, BATCH, EPOCHS = 64, 20, 4, 4  # twenty steps


def write_set(folder, count, seed):
    """A COCO set of images that hold 0, 1 and 50 boxes in turn."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        picture = rng.integers(0, 255, (48, SIZE, 3), dtype="uint8")
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        entry = {"id": number, "file_name": f"{number}.png", "width": SIZE, "height": 48}
        images.append(entry)
        for _ in range((50, 1, 0)[number % 3]):
            (x, y), (w, h) = rng.uniform(0, 30, 2), rng.uniform(6, 18, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(1, 3)),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    classes = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    content = {"images": images, "annotations": annotations, "categories": classes}
    (folder / "annotations.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_set(folder / "train", IMAGES, seed=0)
    write_set(folder / "val", 4, seed=1)
    return folder


def start(made, out, count, extra=()):
    """The processes of one run; their stderr is in files beside `out`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = [f"--{part}{what}" for part in ("", "val-") for what in ("images", "annotations")]
    paths = [
        made / part / what for part in ("train", "val") for what in ("images", "annotations.json")
    ]
    command = [sys.executable, str(CHILD), "train", "--out", str(out)]
    command += [str(word) for pair in zip(data, paths, strict=True) for word in pair]
    command += ["--image-size", str(SIZE), "--batch-size", str(BATCH), "--no-augment"]
    # Adam divides by the size of a gradient: at a high rate rounding grows tenfold in a few steps,
    # also between one device and two of one process.
    command += ["--learning-rate", "1e-4"]
    command += ["--backbone", "nano", "--bins", "16"]
    command += ["--epochs", str(EPOCHS), "--evaluate-every", "2", "--checkpoint-steps", "2"]
    command += extra
    root = str(CHILD.parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "jax"}
    # Most of the time is compilation: a run that goes on, and one that is killed, read what the
    # runs before them have compiled.
    environment |= {
        "JAX_COMPILATION_CACHE_DIR": str(made / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    running = []
    for index in range(count):
        several = ["--processes", str(count), "--process-id", str(index)]
        several += ["--coordinator", f"127.0.0.1:{port}"]
        with open(f"{out}.{index}.err", "w") as err, open(f"{out}.{index}.out", "w") as printed:
            running.append(
                subprocess.Popen(
                    command + (several if count > 1 else []),
                    env=environment,
                    stdout=printed,
                    stderr=err,
                )
            )
    return running


def finished(made, out, count, extra=()):
    """The arrays of the checkpoint after a run of `count` processes that ended well."""
    running = start(made, out, count, extra)
    try:
        for index, process in enumerate(running):
            assert process.wait(900) == 0, pathlib.Path(f"{out}.{index}.err").read_text()[-3000:]
    finally:
        for process in running:
            process.kill()
    return checkpoint.read(out / "checkpoint.npz")[2]


@pytest.fixture(scope="module")
def runs(made):
    """{how many processes: the arrays of their checkpoint}; 0: those before the first step."""
    pytest.importorskip("jax")
    # At a rate this small nothing moves.
    found = {0: finished(made, made / "still", 1, ["--learning-rate", "1e-12", "--epochs", "1"])}
    for count in (1, 2, 4):
        found[count] = finished(made, made / f"run{count}", count)
    return found


@pytest.fixture(scope="module")
def trained_places():
    """Which arrays of a checkpoint are weights that the gradient moves."""
    from boxloss.detector import Detector, catalogue

    sizes = {"channels": (8,) * 4, "depths": (1,) * 4, "pyramid": 8, "head": 8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue.SIZES, "nano", sizes)
        variables = Detector(["a", "b"], image_size=SIZE, bins=16).variables
    return [(place, v.shape) for place, v in enumerate(variables) if v.trainable]


@pytest.mark.slow(200)
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_end_with_the_weights_of_one(made, runs, trained_places, count):
    assert all(runs[0][place].shape == shape for place, shape in trained_places)
    before, one, several = (
        np.concatenate([runs[n][place].ravel() for place, _ in trained_places])
        for n in (0, 1, count)
    )
    way = np.abs(one - before).max()
    assert way > 1e-3  # it has trained
    assert np.abs(several - one).max() <= 1e-3 * way
    printed = pathlib.Path(f"{made / 'run'}{count}.0.out").read_text()
    assert json.loads(printed)["n_images"] == IMAGES  # one JSON object and nothing else
    for index in range(1, count):
        assert pathlib.Path(f"{made / 'run'}{count}.{index}.err").read_text() == ""
        other = json.loads(pathlib.Path(f"{made / 'run'}{count}.{index}.out").read_text())
        assert other == {"process": index}


@pytest.mark.slow(120)
@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_process_dies_all_end_and_resume(made, runs, killed):
    out = made / f"killed{killed}"
    running = start(made, out, 2)
    try:
        while not (out / "checkpoint.npz").exists():
            assert running[0].poll() is None, pathlib.Path(f"{out}.0.err").read_text()
            time.sleep(0.05)
        running[killed].send_signal(signal.SIGKILL)
        assert running[1 - killed].wait(120) != 0  # 4 s on a quiet machine
    finally:
        for process in running:
            process.kill()
    lines = pathlib.Path(f"{out}.{1 - killed}.err").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("boxloss train: ")]
    assert line == lines[-1]
    assert line.endswith(
        f"{out / 'checkpoint.npz'} holds the last state saved, the same commands "
        "with --resume go on from it"
    )
    assert checkpoint.read(out / "checkpoint.npz")[0]["epoch"] < EPOCHS
    for found, expected in zip(finished(made, out, 2, ["--resume"]), runs[2], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_other_backends_are_refused_with_what_works(backend, made, capsys, monkeypatch):
    monkeypatch.setattr(ops, "backend", lambda: backend)
    command = ["train", "--images", str(made / "train" / "images"), "--out", str(made / "none")]
    command += ["--annotations", str(made / "train" / "annotations.json")]
    command += ["--processes", "2", "--process-id", "0", "--coordinator", "127.0.0.1:1"]
    assert main(command) == 2
    assert capsys.readouterr().err == f"boxloss train: {processes.refusal(backend)}\n"
    assert "only --backend jax trains in several processes" in processes.refusal(backend)
    assert not (made / "none").exists()


class Given:
    def __init__(self, processes=None, process_id=None):
        self.processes, self.process_id, self.coordinator = processes, process_id, None


@pytest.mark.parametrize(
    "given, environment, expected",
    [
        (Given(), {}, (1, 0)),
        (Given(3, 2), {}, (3, 2)),
        (Given(), {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}, (4, 3)),
        (Given(), {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, (1, 0)),
        (Given(), {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, (1, 0)),  # sbatch without srun
        (Given(), {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, (2, 1)),
        (Given(), {"PMI_SIZE": "5", "PMI_RANK": "4"}, (5, 4)),
        (Given(), {"WORLD_SIZE": "2", "RANK": "0"}, (2, 0)),
        (Given(1), {"PMI_SIZE": "5", "PMI_RANK": "4"}, (1, 0)),  # each trains by itself
        (Given(3, 2), {"PMI_SIZE": "5", "PMI_RANK": "4"}, (3, 2)),
    ],
)
def test_flags_come_before_what_a_launcher_says(given, environment, expected):
    assert flags.processes_of(given, environment) == expected


@pytest.mark.parametrize(
    "given, message",
    [
        (Given(0), "`--processes` must be at least 1. Received: 0"),
        (
            Given(2),
            "`--process-id` must be from 0 to --processes - 1. "
            "Received: process_id=None, processes=2",
        ),
        (
            Given(2, 2),
            "`--process-id` must be from 0 to --processes - 1. Received: process_id=2, processes=2",
        ),
    ],
)
def test_wrong_flags_are_named(given, message):
    with pytest.raises(ValueError) as error:
        flags.processes_of(given, {})
    assert str(error.value) == message


def test_shares_are_neighbours_and_add_up(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    parts = []
    for index in range(3):
        monkeypatch.setattr(processes, "index", lambda index=index: index)
        parts.append(processes.share(list(range(11))))
    assert sum(parts, []) == list(range(11))
    assert sorted(map(len, parts)) == [3, 4, 4]


def test_each_process_makes_its_own_rows_of_a_batch():
    from boxloss.training.parts import EvenBatches

    class Rows:
        workers, max_queue_size = 2, 4

        def positions(self, index):
            return np.arange(100 * index, 100 * index + 11)

        def batch(self, positions):
            return positions, {"ignore": np.zeros(len(positions), bool)}

    parts = [EvenBatches(Rows(), 1, 4, process, 2)[2][0].tolist() for process in (0, 1)]
    assert parts == [[300, 301, 302, 303], [304, 305, 306, 307]]
