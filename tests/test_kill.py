"""A run that is killed again and again, and resumed each time, ends like one that never was."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from boxloss.datasets import synthetic
from boxloss.training import checkpoint

# Each begins a process anew, which takes longer than what it trains. Equal bits are the sharper
# claim; without --deterministic it is only that a resumed run is about as good.
KILLS = {"deterministic": 5, "free": 2}


def command_of(folder, out, flags):
    return [
        *(sys.executable, "-c", "from boxloss.cli import main; raise SystemExit(main())", "train"),
        *("--images", folder / "images", "--annotations", folder / "annotations.json"),
        *("--out", out, "--quiet", "--batch-size", "8", "--no-augment", *flags),
    ]


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else None


def killed_run(command, out, seed, most):
    """Kill the command `most` times, each time at a random moment after a new checkpoint."""
    draw = random.Random(seed)
    path, kills = out / "checkpoint.npz", 0
    while kills < most:
        before = stamp(path)
        resume = ["--resume"] if before else []
        with subprocess.Popen([*map(str, command), *resume], stderr=subprocess.PIPE) as process:
            try:
                while process.poll() is None and stamp(path) == before:
                    time.sleep(0.005)
                time.sleep(draw.uniform(0, 0.4))
            finally:
                process.send_signal(signal.SIGKILL)
                _, stderr = process.communicate()
        # A run that ended by itself leaves nothing to kill: the test would show nothing.
        assert process.returncode == -signal.SIGKILL, stderr.decode()
        kills += 1
    done = subprocess.run([*map(str, command), "--resume"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.slow(150)
@pytest.mark.parametrize("kind", KILLS)
def test_kills_change_nothing(tmp_path, kind):
    synthetic.write(tmp_path / "shapes", 200, seed=5, image_size=96)
    flags = ["--size=nano", "--bins=0"]
    flags += ["--image-size", "96", "--epochs", "16", "--evaluate-every", "8"]
    flags += ["--checkpoint-steps", "3", *(["--deterministic"] if kind == "deterministic" else [])]
    straight = tmp_path / "straight"
    command = command_of(tmp_path / "shapes", straight, flags)
    done = subprocess.run([*map(str, command)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    expected = json.loads(done.stdout)
    killed = tmp_path / "killed"
    command = command_of(tmp_path / "shapes", killed, flags)
    found = killed_run(command, killed, seed=7, most=KILLS[kind])
    assert expected["AP50"] > 0.2  # or two untrained detectors would be equal
    if kind == "free":
        assert abs(found["AP50"] - expected["AP50"]) <= 0.02
        return
    assert found["AP"] == expected["AP"]
    states = [checkpoint.read(pathlib.Path(out) / "checkpoint.npz") for out in (straight, killed)]
    for a, b in zip(states[0][2], states[1][2], strict=True):
        np.testing.assert_array_equal(a, b)
