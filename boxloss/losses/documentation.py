"""One docstring for a loss class, from what is written once.

In the source a class says what is its own: a summary, where its mathematics is, its arguments.
`complete` adds the rest to `__doc__`, so that `help(boxloss.CIoULoss)` needs no second page: the
docstring of the function in place of the line that names it, the arguments of the bases with their
defaults below its own, and what the bases say about shapes, padding and weights.
"""

import inspect
import re
import textwrap
from typing import Any, NamedTuple, TypeVar

from boxloss import functional

MATHEMATICS = re.compile(r"^Mathematics: `boxloss\.functional\.(\w+)`\.$", re.MULTILINE)
ARGUMENTS = re.compile(r"^Args\b.*:\n((?: {4}.*\n|\n)+)", re.MULTILINE)
ARGUMENT = re.compile(r"^ {4}(\w+(?:, \w+)*): ", re.MULTILINE)

# The docstring of a class as it is in the source, for pages that describe its bases as well.
in_source: dict[type, str] = {}


class Text(NamedTuple):
    """A docstring: what it says, and {"name" or "name, name": what the arguments mean}."""

    prose: str
    arguments: dict[str, str]


# Parsed rather than declared: the source stays a docstring that a reader, and an editor, sees
# whole.
def read(docstring: str) -> Text:
    """The parts of a docstring."""
    text = inspect.cleandoc(docstring) + "\n"
    block = ARGUMENTS.search(text)
    if block is None:
        return Text(text.strip(), {})
    _, *parts = ARGUMENT.split(block[1])
    arguments = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    return Text((text[: block.start()] + text[block.end() :]).strip(), arguments)


Class = TypeVar("Class", bound=type)


def complete(cls: Class) -> Class:
    """Let `cls.__doc__` say everything; also a decorator."""
    own = vars(cls).get("__doc__")
    if own is None:  # Python -OO keeps no docstrings
        return cls
    in_source[cls] = own
    prose, arguments = read(own)
    # In the order of a reader's questions: what is it, what is the formula, what can I set, what
    # does it expect. Nearest class first, so that what a class says of an argument wins over its
    # bases.
    paragraphs = [MATHEMATICS.sub(_function_text, prose)]
    for base in cls.__mro__[1:]:
        if base.__module__.startswith("boxloss.") and vars(base).get("__doc__"):
            further = read(in_source.get(base, base.__doc__ or ""))
            # A registered base is another loss, which measures something else.
            paragraphs += [] if base in in_source else [further.prose]
            arguments = {**arguments, **_without(further.arguments, arguments)}
    paragraphs.insert(1, _listed(cls, arguments))
    cls.__doc__ = "\n\n".join(paragraphs) + "\n"
    return cls


def _without(arguments, known):
    return {names: text for names, text in arguments.items() if names not in known}


def _function_text(match):
    function = getattr(functional, match[1])
    text = textwrap.indent(inspect.getdoc(function) or "", "    ")
    return f"The mathematics, `boxloss.functional.{match[1]}`, of one pair:\n{text}"


def _listed(cls, arguments):
    """The section of arguments, each with its default as one would type it."""
    parameters = inspect.signature(cls).parameters
    lines = ["Args (all keyword-only):"]
    for names, text in arguments.items():
        typed = [_typed(parameters[name]) for name in names.split(", ") if name in parameters]
        lines.append(f"    {', '.join(typed)}: {text}")
    return "\n".join(lines)


def _typed(parameter: Any) -> str:
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}".replace("'", '"')
