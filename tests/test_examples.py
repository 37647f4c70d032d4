"""The same loss in every kind of training loop: `scripts/examples`.

A loop whose packages are in another environment runs there: the folder .venv-torch or .venv-addons
that the Makefile makes, or the interpreter that BOXLOSS_TORCH_PYTHON or BOXLOSS_ADDONS_PYTHON
names.
"""

import json
import os
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest

from boxloss.tensors import ops

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = ROOT / "scripts" / "examples"
# program: Keras backend, what it imports, the environment that has it
PROGRAMS = {
    "keras_fit": ("tensorflow", ("tensorflow",), None),
    "tensorflow_tape": ("tensorflow", ("tensorflow",), None),
    "jax_optax": ("jax", ("jax", "optax"), None),
    "torch_adam": ("torch", ("torch",), "torch"),
    "addons_fit": ("tensorflow", ("tensorflow_addons",), "addons"),
}


def interpreters(environment):
    """Interpreters that may have a program's packages, the most likely first."""
    if environment:
        named = os.environ.get(f"BOXLOSS_{environment.upper()}_PYTHON")
        if named:
            yield named
        made = ROOT / f".venv-{environment}" / "bin" / "python"
        if made.is_file():
            yield str(made)
    yield sys.executable


def interpreter_with(packages, environment):
    code = f"import importlib.util as u; assert all(map(u.find_spec, {packages!r}))"
    for python in interpreters(environment):
        if subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    pytest.skip(f"no environment here has {' and '.join(packages)}")


def results(path):
    """(losses (10,), weights) that a program has written."""
    with np.load(path) as arrays:
        return arrays["losses"], [arrays[f"weight_{i}"] for i in range(4)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What Keras' own fit leaves on TensorFlow, run in this process."""
    if ops.backend() != "tensorflow" or not ops.KERAS_3:
        pytest.skip("the loops are compared with that of TensorFlow")
    path = tmp_path_factory.mktemp("examples") / "keras_fit.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        main = runpy.run_path(str(EXAMPLES / "keras_fit.py"))["main"]
        main(["--out", str(path)])
    return results(path)


def check(reference, path):
    losses, weights = results(path)
    # The same data and parameters; later losses differ by the rounding of the steps before.
    np.testing.assert_allclose(losses[0], reference[0][0], rtol=1e-6)
    np.testing.assert_allclose(losses, reference[0], rtol=1e-5)
    for got, expected in zip(weights, reference[1], strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_example_learns(reference):
    losses, _ = reference
    assert len(losses) == 10 and losses[-1] < losses[0]


def test_fit_and_tape_agree(reference, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    path = tmp_path / "tape.npz"
    runpy.run_path(str(EXAMPLES / "tensorflow_tape.py"))["main"](["--out", str(path)])
    check(reference, path)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_loop_agrees_with_fit(program, reference, tmp_path):
    backend, packages, environment = PROGRAMS[program]
    python = interpreter_with(packages, environment)
    path = tmp_path / f"{program}.npz"
    done = subprocess.run(
        [python, str(EXAMPLES / f"{program}.py"), "--out", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])["losses"]) == 10
    check(reference, path)


def test_every_program_is_compared():
    # `ultralytics_wiou` trains a detector of Ultralytics, which has no fit to compare with; the
    # recipes for other tools are in test_recipes.py.
    recipes = {"box_errors_log", "sahi_slices", "keras_hub_retinanet", "fiftyone_import"}
    files = {path.stem for path in EXAMPLES.glob("*.py")} - {"problem", "ultralytics_wiou"}
    assert files == {*PROGRAMS, *recipes}
    assert all(len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 50 for name in PROGRAMS)
