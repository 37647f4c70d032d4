"""Write docs/api from the docstrings: python scripts/make_api.py

One page per module, one section per public name. `--check` writes nothing and fails if a page is
not what it would write.
"""

import argparse
import importlib
import inspect
import pathlib
import re
import sys
import textwrap

from boxloss.files import write_atomically
from boxloss.losses.documentation import in_source

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "api"
MODULES = (
    "losses",
    "functional",
    "mining",
    "metrics",
    "callbacks",
    "coders",
    "assignment",
    "compat.tfa",
    "compat.keras_cv",
    "compat.torchvision",
    "adapters.keras_hub",
    "adapters.ultralytics",
    "adapters.torchvision",
    "adapters.transformers",
    "adapters.rfdetr",
    "adapters.record",
    "datasets",
    "detector",
    "evaluation",
    "report",
    "simulation",
    "audit",
    "noise",
)
SECTION = re.compile(r"(Args|Returns|Raises)\b(.*):$")
ITEM = re.compile(r"    (\w[\w, *]*): (.*)")


def markdown(docstring):
    """A docstring as Markdown: its sections become lists, indented examples stay as they are."""
    lines, items = [], None
    for line in (docstring or "").splitlines():
        section = SECTION.match(line)
        if section:
            lines += ["", f"**{section[1]}**{section[2]}", ""]
            items = True
        elif items and line.startswith("    "):
            item = ITEM.match(line)
            if item:
                names = ", ".join(f"`{name}`" for name in item[1].split(", "))
                lines.append(f"- {names}: {item[2]}")
            else:
                lines.append(f"  {line.strip()}")
        else:
            if line.strip():
                items = None
            before = lines[-1] if lines else ""
            if line.startswith("    ") and before.strip() and not before.startswith("    "):
                if before.endswith(":"):
                    lines.append("")  # an example
                else:
                    line = line.strip()  # the sentence goes on
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def public(module):
    """(name, object) of a module's classes and functions, in the order of its source."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        ]
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value


def signature(name, value):
    """Names and defaults. Types are for checkers; the text says shapes, which help more."""
    try:
        given = inspect.signature(value)
    except (TypeError, ValueError):
        return f"{name}(...)"
    untyped = [
        argument.replace(annotation=argument.empty)
        for argument in given.parameters.values()
        if argument.name != "self"
    ]
    line = f"{name}{given.replace(parameters=untyped, return_annotation=given.empty)}"
    return textwrap.fill(line, 88, subsequent_indent="    ", break_long_words=False)


def in_fence(text):
    # Not "python": what is so called in docs/ is run by tests/test_docs.py.
    return ["```py", text, "```", ""]


def methods(cls):
    """Public methods that a class of boxloss defines itself and says something about."""
    for name, value in vars(cls).items():
        if inspect.isfunction(value) and not name.startswith("_") and value.__doc__:
            yield name, value


def documented(value):
    """The docstring as it is in the source: what losses share is written once, at their bases."""
    return inspect.cleandoc(in_source.get(value, inspect.getdoc(value)))


def page(name):
    """The text of one page."""
    module = importlib.import_module(f"boxloss.{name}")
    lines = [f"# boxloss.{name}", "", markdown(inspect.getdoc(module)), ""]
    for called, value in public(module):
        lines += [f"## {called}", "", *in_fence(signature(called, value))]
        if value.__doc__:
            lines += [markdown(documented(value)), ""]
        if inspect.isclass(value):
            for method, function in methods(value):
                lines += [f"### {called}.{method}", "", *in_fence(signature(method, function))]
                lines += [markdown(inspect.getdoc(function)), ""]
    return "\n".join(lines).rstrip() + "\n"


def index():
    lines = [
        "# The interface",
        "",
        "Written by `python scripts/make_api.py` from the docstrings. Types are in the source,",
        "where `mypy` and editors find them.",
        "",
    ]
    for name in MODULES:
        doc = inspect.getdoc(importlib.import_module(f"boxloss.{name}")) or ""
        first = " ".join(doc.split("\n\n")[0].split())
        lines.append(f"- [boxloss.{name}]({name}.md): {first}")
    return "\n".join(lines) + "\n"


def pages():
    """{file name: text}."""
    return {"index.md": index(), **{f"{name}.md": page(name) for name in MODULES}}


def stale():
    """Names of files that are missing, too many, or not what they should be."""
    wanted = pages()
    kept = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    return sorted(name for name in wanted | kept if wanted.get(name) != kept.get(name))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args(argv).check:
        return 1 if stale() else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        with write_atomically(FOLDER / name) as path:
            path.write_text(text, encoding="utf-8")
    print(f"{len(wanted)} pages in docs/api", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
