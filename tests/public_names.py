"""Write or print the public names and their argument names: python tests/public_names.py

`tests/public_names.json` was written by this script at the last commit before the folders were
rearranged; `test_public_names.py` finds every one of these names afterwards.
"""

import importlib
import inspect
import json
import pathlib

FILE = pathlib.Path(__file__).with_suffix(".json")
MODULES = (
    "losses functional mining metrics callbacks coders assignment compat.tfa compat.keras_cv "
    "compat.torchvision adapters.keras_hub datasets datasets.synthetic detector evaluation report "
    "simulation audit audit.folds noise boxes checks files training types reduction drawing ops"
).split()


def arguments(value):
    """The argument names of a function or class; None where Python does not know them."""
    try:
        return list(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return None


def public(module):
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        ]
    return names


def described(value):
    """What a caller may write: argument names of a function; of a class also its methods'."""
    if inspect.isclass(value):
        methods = {
            name: arguments(method)
            for name, method in inspect.getmembers(value)
            if not name.startswith("_")
            and inspect.isfunction(method)
            and method.__module__.startswith("boxloss")
        }
        return {"arguments": arguments(value), "methods": methods}
    if inspect.isfunction(value):
        return {"arguments": arguments(value)}
    return {}


def surface():
    import boxloss

    found = {
        "boxloss": {
            name: described(getattr(boxloss, name))
            for name in dir(boxloss)
            if not name.startswith("_") and not inspect.ismodule(getattr(boxloss, name))
        }
    }
    for name in MODULES:
        module = importlib.import_module(f"boxloss.{name}")
        found[f"boxloss.{name}"] = {
            item: described(getattr(module, item)) for item in sorted(public(module))
        }
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n")
