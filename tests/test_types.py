"""Public signatures have types, and a checker finds the mistakes of those who call them."""

import inspect
import runpy
from pathlib import Path

import pytest

from boxloss.tensors import ops

ROOT = Path(__file__).parents[1]
API = runpy.run_path(str(ROOT / "scripts" / "make_api.py"))
TYPED = runpy.run_path(str(ROOT / "scripts" / "check_types.py"))
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


def test_a_checker_accepts_a_program_and_finds_the_mistakes_of_its_author():
    """With mypy; `make lint` asks pyright as well."""
    pytest.importorskip("mypy")
    assert len(TYPED["mistakes"]()) >= 10
    assert list(TYPED["wrong"](TYPED["mypy"]())) == []


def test_what_a_checker_does_not_see_is_reported():
    found = list(TYPED["wrong"]({("program.py", 5): "no such thing"}))
    assert "program.py:5 should be accepted: no such thing" in found
    assert "mistakes.py:13 should be refused: boxloss.NoSuchThing" in found
    assert len(found) == 1 + len(TYPED["mistakes"]())
