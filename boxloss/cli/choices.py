"""Flags that are fields of `training.Options`, and the names of losses, without importing Keras."""

import argparse
import ast
import functools
import importlib.resources
from dataclasses import MISSING, fields

from boxloss.tensors import checks
from boxloss.training import Options
from boxloss.training.recipe import CHOSEN


def _default(field):
    return field.default if field.default is not MISSING else field.default_factory()


DEFAULTS = {field.name: _default(field) for field in fields(Options)}


def option(group, flag, help, **how):
    """Add a flag for the field of `Options` of that name, which has its type and default."""
    default = DEFAULTS[flag.removeprefix("--").replace("-", "_")]
    if isinstance(default, bool):
        group.add_argument(flag, action="store_true", help=help)
        return
    how = {"type": _type_of(default)} | how
    shown = " (default: %(default)s)" if default not in (None, {}) else ""
    group.add_argument(flag, default=default, help=f"{help}{shown}", **how)


def _type_of(default):
    return str if default is None else type(default)


def setting(group, flag, help, **how):
    """Add the flag like `option`; the arguments have it only where the user gave it.

    What is not given is left to `training.recommend`.
    """
    name = flag.removeprefix("--").replace("-", "_")
    default, shown = DEFAULTS[name], ""
    if name in CHOSEN:
        shown = " (default: chosen from the data)"
    elif default not in (None, {}, False):
        shown = f" (default: {default})"
    how = {"type": _type_of(default)} | how
    if isinstance(default, bool):  # what the recipe may choose can be refused: --no-FLAG
        how = {"action": argparse.BooleanOptionalAction if name in CHOSEN else "store_true"}
    group.add_argument(flag, default=argparse.SUPPRESS, help=help + shown, **how)


def loss_flag(parser, flag="--loss", **how):
    """Add a flag that takes the name of a box loss; `check_loss` looks at it."""
    names = ", ".join(box_losses())
    parser.add_argument(flag, metavar="NAME", **(how | {"help": f"{how['help']}; one of {names}"}))


def check_loss(name):
    """ValueError with a near match where `name`, if given, is no box loss."""
    if name is not None:
        checks.one_of("loss", name, box_losses())


@functools.cache
def box_losses():
    """The sorted names of the box losses, as `losses.names("box")` gives them.

    They are read from the source: importing the losses brings Keras, which takes seconds, and
    `--help` or a misspelt name should be answered at once.
    """
    classes, listed = {}, []  # those under `@register`
    for path in (importlib.resources.files("boxloss") / "losses").iterdir():
        if path.name.endswith(".py"):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    classes[node.name] = node
                    if any(getattr(d, "id", None) == "register" for d in node.decorator_list):
                        listed.append(node.name)
    found = {_attribute(classes, name, "name"): name for name in listed}
    return tuple(
        sorted(name for name, owner in found.items() if _attribute(classes, owner, "kind") == "box")
    )


def _attribute(classes, name, attribute):
    """The text that the class `name`, or the first base that has one, gives to `attribute`."""
    node = classes.get(name)
    for line in node.body if node else ():
        targets = getattr(line, "targets", [getattr(line, "target", None)])
        if [getattr(target, "id", None) for target in targets] == [attribute]:
            return line.value.value
    bases = [_attribute(classes, getattr(base, "id", ""), attribute) for base in node.bases if node]
    return next((value for value in bases if value), None)


def hardest(text):
    """The number of `hardest=0.25`."""
    name, _, share = text.partition("=")
    try:
        if name == "hardest":
            return float(share)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be hardest=SHARE. Received: {text!r}")
