"""`boxloss doctor`: it reports what is there, and works where nearly nothing is."""

import json
import subprocess
import sys

import import_time
import numpy as np
import pytest
from only_backend import alone

from boxloss import __version__, cli
from boxloss.cli import doctor
from boxloss.detector import catalogue
from boxloss.tensors import ops


def test_it_tells_versions_backend_and_devices(capsys):
    assert cli.main(["doctor"]) == 0
    printed, stderr = capsys.readouterr()
    result = json.loads(printed)
    assert result["boxloss"] == __version__
    assert result["python"] == ".".join(map(str, sys.version_info[:3]))
    assert result["backend"] == ops.backend() and result["problem"] is None
    assert result["devices"]
    assert result["versions"]["numpy"] == np.__version__
    assert result["jobs"]["a loss"] == []
    assert result["jobs"].keys() == doctor.JOBS.keys()
    assert f"numpy                            {np.__version__}" in stderr
    assert "a loss                           ready" in stderr


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch, capsys):
    there = {"keras", "torch", "cv2"}
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda module: module in there or None)
    monkeypatch.setattr(doctor, "backend_and_devices", lambda: ("torch", ["cpu"], None))
    jobs = doctor.run(None)["jobs"]
    assert jobs["a loss"] == [] and jobs["explore, audit"] == []
    assert jobs["train, evaluate, predict"] == ["faster_coco_eval", "scipy"]
    assert jobs["export as TFLite"] == ["tensorflow"]
    assert jobs["start from ImageNet weights"] == [catalogue.LITE0_PACKAGE]
    assert jobs["export as ONNX"] == ["tensorflow", "tf2onnx", "onnxruntime"]
    there.remove("torch")
    assert doctor.run(None)["jobs"]["a loss"] == ["tensorflow or jax or torch"]
    stderr = capsys.readouterr().err
    assert 'missing scipy: pip install "boxloss[train]"' in stderr
    assert 'missing tensorflow or jax or torch: pip install "boxloss[tensorflow]"' in stderr


def test_nothing_is_ready_without_a_backend(monkeypatch, capsys):
    """Also where one is installed that cannot be imported."""
    monkeypatch.setattr(doctor, "backend_and_devices", lambda: (None, [], "ImportError: half"))
    for there in (set(), {"keras", "tensorflow", "cv2", "tensorboard"}):
        monkeypatch.setattr(
            doctor.importlib.util, "find_spec", lambda name, t=there: name in t or None
        )
        assert all(doctor.run(None)["jobs"].values())
    assert "ready" not in capsys.readouterr().err


def test_it_works_where_no_backend_does():
    """Also `boxloss --help` and the help of every command, which must not import a backend."""
    code = (
        "import sys, contextlib, io\n"
        "sys.modules.update(tensorflow=None, jax=None, torch=None, cv2=None, matplotlib=None)\n"
        "from boxloss import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert cli.main(['--help']) == 0\n"
        "    for command in cli.COMMANDS:\n"
        "        cli.parser_of(f'boxloss {command}', cli.module_of(command)).format_help()\n"
        "assert 'keras' not in sys.modules\n"
        "assert cli.main(['doctor']) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["backend"] is None and result["devices"] == []
    assert "ModuleNotFoundError" in result["problem"] or "ImportError" in result["problem"]
    assert "backend  none: " in done.stderr


@pytest.mark.slow(40)
def test_where_only_jax_is_installed_everything_takes_it(tmp_path):
    """KERAS_BACKEND is not set: the import line, a loss, and doctor."""
    result = alone("jax", tmp_path)
    assert result["backend"] == "jax" and result["problem"] is None
    assert result["jobs"]["a loss"] == [] and "tensorflow" in result["jobs"]["export as ONNX"]


@pytest.mark.slow(30)
def test_the_import_is_timed(capsys):
    assert import_time.main(["--rounds", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.keys() == import_time.CASES.keys()
    assert all(row["cpu_ms"] > 0 and row["wall_ms"] > 0 for row in result.values())
