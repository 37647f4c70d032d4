"""Every Python block of the README runs and prints what stands below it."""

import contextlib
import io
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)


def blocks_of(path):
    return [match.groups() for match in BLOCK.finditer(path.read_text())]


def run_block(code):
    """What a block of code prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    return out.getvalue()


def test_the_readme_has_a_block_with_its_output():
    blocks = blocks_of(ROOT / "README.md")
    assert blocks and blocks[0][1]
    assert len(blocks[0][0].strip().splitlines()) <= 12


@pytest.mark.parametrize("code, output", blocks_of(ROOT / "README.md"))
def test_a_block_prints_what_the_readme_shows(code, output):
    printed = run_block(code)
    if output is not None:
        assert printed == output


def test_a_changed_block_would_be_seen():
    code, output = blocks_of(ROOT / "README.md")[0]
    assert run_block(code.replace("12, 20", "13, 20")) != output
