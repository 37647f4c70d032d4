"""Public signatures have types, and a checker finds the mistakes of those who call them."""

import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from boxloss.tensors import ops

ROOT = Path(__file__).parents[1]
API = runpy.run_path(str(ROOT / "scripts" / "make_api.py"))
CALLED = ("__init__", "__call__", "__len__", "__getitem__")


def own_functions(cls):
    """Public functions that boxloss defines for a class, bases included."""
    for base in cls.__mro__:
        for name, value in vars(base).items() if base.__module__.startswith("boxloss") else ():
            value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            generated = value.__module__ != base.__module__ if inspect.isfunction(value) else True
            if not generated and (name in CALLED or not name.startswith("_")):
                yield f"{base.__name__}.{name}", value


def functions():
    """Public functions and methods by name, of every module that docs/api has a page of."""
    found = {}
    for page in API["MODULES"]:
        module = __import__(f"boxloss.{page}", fromlist=["_"])
        for name, value in API["public"](module):
            pairs = own_functions(value) if inspect.isclass(value) else [(name, value)]
            found |= {f"{page}.{called}": function for called, function in pairs}
    return found


def untyped(function):
    """The arguments of a function, and "return", that have no type."""
    signature = inspect.signature(function)
    arguments = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    missing = [p.name for p in arguments if p.annotation is p.empty]
    return missing + ["return"] * (signature.return_annotation is inspect.Signature.empty)


@pytest.mark.skipif(not ops.KERAS_3, reason="data and training need Keras 3")
def test_every_public_signature_has_types():
    found = functions()
    assert len(found) > 250
    assert {"losses.TensorLoss.tensors", "functional.giou_loss"} <= found.keys()
    missing = {name: untyped(function) for name, function in found.items()}
    assert {name: names for name, names in missing.items() if names} == {}


def test_an_argument_without_a_type_is_found():
    def loss(y_true: int, y_pred, *, beta=1.0, **rest: int):
        pass

    assert untyped(loss) == ["y_pred", "beta", "return"]


RIGHT = """
import numpy as np

import boxloss

box = np.array([[[10, 20, 50, 40]]], "float32")
loss = boxloss.CIoULoss(bounding_box_format="xywh", mining=boxloss.HardestBoxes(fraction=0.25))
tensors = loss.tensors(box, [[[1, 2, 3, 4]]], sample_weight=np.ones(1))
overlap = tensors.terms["overlap"] + boxloss.functional.giou_loss(box, box)
"""
WRONG = {
    "boxloss.GIoULoss(bounding_box_format=4)": 'Argument "bounding_box_format"',
    'boxloss.functional.huber_loss(box, box, delta="1")': 'Argument "delta"',
    "boxloss.functional.giou_loss(box)": 'Missing positional argument "y_pred"',
    "loss.tensors(box, box).residual": '"Tensors" has no attribute "residual"',
}


def test_a_checker_finds_the_mistakes_of_a_caller(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(RIGHT + "\n".join(WRONG))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    told = [line for line in done.stdout.splitlines() if "program.py" in line]
    assert len(told) == len(WRONG), done.stdout + done.stderr
    first = RIGHT.count("\n") + 1
    for number, (line, (code, message)) in enumerate(zip(told, WRONG.items(), strict=True), first):
        assert f"program.py:{number}: error: {message}" in line, code
