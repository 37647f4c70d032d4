"""Let mypy and pyright read what a user may write: python scripts/check_types.py

Both must accept tests/typed/program.py and refuse every line of tests/typed/mistakes.py that stands
under "# mistakes". Pyright is run as `basedpyright`, a package that brings all that it needs; a
line says so where it is not installed.
"""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "typed" / "program.py"
MISTAKES = ROOT / "tests" / "typed" / "mistakes.py"


def run(*command):
    command = [sys.executable, "-m", *command, str(PROGRAM), str(MISTAKES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.stdout or done.stderr


def mypy():
    """{(file name, line number): what mypy says there}."""
    report = run("mypy", "--no-error-summary", "--cache-dir", ".mypy_cache/typed")
    found = re.findall(r"([\w.]+):(\d+): error: (.*)", report)
    return {(name, int(number)): text for name, number, text in found}


def pyright():
    """{(file name, line number): what pyright says there}; warnings do not count."""
    report = json.loads(run("basedpyright", "--outputjson", "--pythonpath", sys.executable))
    return {
        (pathlib.Path(item["file"]).name, item["range"]["start"]["line"] + 1): item["message"]
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


def mistakes():
    """{line number: text} of what has to be refused."""
    lines = MISTAKES.read_text().splitlines()
    first = lines.index("# mistakes") + 1
    return dict(enumerate(lines[first:], first + 1))


def wrong(found):
    """One line for each place where a checker, which said `found`, should have said otherwise."""
    wanted = {(MISTAKES.name, number): text for number, text in mistakes().items()}
    for name, number in sorted(found.keys() ^ wanted.keys()):
        place = name, number
        rule = "refused" if place in wanted else "accepted"
        yield f"{name}:{number} should be {rule}: {wanted.get(place) or found[place]}"


def main():
    checkers = [mypy]
    if importlib.util.find_spec("basedpyright"):
        checkers.append(pyright)
    else:
        print("not run: pyright (pip install basedpyright)")
    found = [f"{checker.__name__}: {text}" for checker in checkers for text in wrong(checker())]
    print("\n".join(found) or f"{len(mistakes())} mistakes refused by {len(checkers)} checkers")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
