"""Every public name of the last version is there, and takes every argument that it took."""

import importlib
import inspect
import json

import pytest
from public_names import FILE

from boxloss.tensors import ops

BEFORE = json.loads(FILE.read_text())
# `**arguments` and `*args` of then: classes now show what they stand for.
OPEN = {"arguments", "args", "kwargs"}

pytestmark = pytest.mark.skipif(not ops.KERAS_3, reason="data and training need Keras 3")


def refused(value, arguments):
    """Those of the argument names that the function or class does not take."""
    if not arguments:
        return []
    parameters = inspect.signature(value).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [name for name in arguments if name not in parameters and name not in OPEN]


def missing(found, before, where):
    """What `before` (a row of the file) lists and the object `found` has not, by name."""
    lost = [f"{where}({name}=)" for name in refused(found, before.get("arguments") or [])]
    for name, arguments in before.get("methods", {}).items():
        method = getattr(found, name, None)
        if method is None:
            lost.append(f"{where}.{name}")
        else:
            lost += [f"{where}.{name}({wrong}=)" for wrong in refused(method, arguments or [])]
    return lost


# How formulas are run and reduced is nobody's interface: no page of docs/api ever showed these.
INSIDE = {"boxloss.ops", "boxloss.reduction"}


@pytest.mark.parametrize("module", [name for name in BEFORE if name not in INSIDE])
def test_every_name_and_argument_is_still_there(module):
    home = importlib.import_module(module)
    lost = [f"{module}.{name}" for name in BEFORE[module] if not hasattr(home, name)]
    for name, before in BEFORE[module].items():
        if before and hasattr(home, name):
            lost += missing(getattr(home, name), before, f"{module}.{name}")
    assert lost == []


def test_what_is_missing_is_seen():
    class Loss:
        def __init__(self, *, beta):
            pass

        def call(self, y_true):
            pass

    before = {
        "arguments": ["beta", "gamma", "arguments"],
        "methods": {"call": ["self", "y_true", "mask"], "tensors": []},
    }
    assert missing(Loss, before, "Loss") == ["Loss(gamma=)", "Loss.call(mask=)", "Loss.tensors"]
