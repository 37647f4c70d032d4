"""Names of a package that are imported when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of `package`. homes: {name: the module of the package that has it}.

    The commands look at their arguments before a backend is imported, so a package that trains or
    detects must not import Keras by itself.
    """

    def find(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        # From now on Python finds the name without asking here.
        setattr(sys.modules[package], name, value)
        return value

    return find
