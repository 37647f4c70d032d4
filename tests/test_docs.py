"""The pages of docs/: their code prints what stands below it, their tables are not stale."""

import pathlib
import re
import runpy

import pytest
from test_readme import blocks_of, run_block

import boxloss
from boxloss.tensors import ops

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
# The programs of this page need Ultralytics, torchvision or Transformers: make test-torch runs them
# (test_adapters_docs.py).
ELSEWHERE = DOCS / "adapters.md"
BLOCKS = [
    pytest.param(*block, id=f"{page.relative_to(ROOT)}:{index}")
    for page in PAGES
    if page != ELSEWHERE
    for index, block in enumerate(blocks_of(page))
]
on_tensorflow = pytest.mark.skipif(
    ops.backend() != "tensorflow", reason="the pages are made on TensorFlow"
)


def test_there_are_blocks_with_their_output():
    assert len(BLOCKS) >= 8
    assert sum(block.values[1] is not None for block in BLOCKS) >= 8


@on_tensorflow
@pytest.mark.parametrize("code, output", BLOCKS)
def test_a_block_prints_what_the_page_shows(code, output):
    printed = run_block(code)
    if output is not None:
        assert printed == output


@on_tensorflow
def test_a_changed_block_would_be_seen():
    code, output = blocks_of(DOCS / "faq.md")[0]
    assert run_block(code) == output != run_block(code.replace("-4, -4]", "-4, -3]"))


def test_every_fence_is_closed_and_every_python_block_is_found():
    for page in PAGES:
        text = page.read_text("utf-8")
        assert text.count("```") % 2 == 0, page
        assert len(re.findall(r"^```python$", text, re.MULTILINE)) == len(blocks_of(page)), page


def targets(page):
    """Files that a page links to or shows."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" not in target and not target.startswith("#"):
            yield page.parent / target.partition("#")[0]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "SECURITY.md", *PAGES], ids=lambda page: page.name
)
def test_a_link_leads_somewhere(page):
    assert [target for target in targets(page) if not target.exists()] == []


@on_tensorflow
def test_the_interface_is_that_of_the_docstrings():
    module = runpy.run_path(str(ROOT / "scripts" / "make_api.py"))
    assert module["stale"]() == [], "run python scripts/make_api.py"


def test_sections_of_a_docstring_become_lists():
    module = runpy.run_path(str(ROOT / "scripts" / "make_api.py"))
    docstring = (
        "What.\n\nArgs:\n    a, b: two\n        lines.\n    c: one.\n\n"
        "path: a file,\n    which is\n    written. Say:\n    x = 1"
    )
    expected = (
        "What.\n\n**Args**\n\n- `a`, `b`: two\n  lines.\n- `c`: one.\n\n"
        "path: a file,\nwhich is\nwritten. Say:\n\n    x = 1"
    )
    assert module["markdown"](docstring) == expected


# Right where others are wrong ---------------------------------------------------------------------


def cells(library):
    """{(loss, case): cell} of one column of the page."""
    found, loss, column = {}, None, None
    for line in (DOCS / "right.md").read_text("utf-8").splitlines():
        if line.startswith("#"):
            loss = line.removeprefix("### ").lower()
        elif line.startswith("| | should be"):
            heads = [head.strip() for head in line.strip("|").split("|")]
            column = heads.index(library) if library in heads else None
        elif line.startswith("| ") and column is not None and loss in ("giou", "ciou"):
            row = [cell.strip() for cell in line.strip("|").split("|")]
            found[loss, row[0]] = row[column]
    return found


@on_tensorflow
@pytest.mark.parametrize("library", ["boxloss", "TensorFlow, by hand"])
def test_the_table_of_peers_is_what_is_measured_here(library):
    module = runpy.run_path(str(ROOT / "scripts" / "benchmarks" / "compare_peers.py"))
    measured = {
        (loss, case): module["cell"](case, row)
        for loss, rows in module["measure"](library)["losses"].items()
        for case, row in rows.items()
    }
    assert measured == cells(library)
    if library == "boxloss":
        page = (DOCS / "right.md").read_text("utf-8")
        assert f"Versions: boxloss {boxloss.__version__}," in page
    assert len(measured) == 2 * len(module["CASES"])
    wrong = [case for case, cell in measured.items() if cell.startswith("**")]
    assert bool(wrong) == (library != "boxloss")


@pytest.mark.parametrize(
    "rule, value, gradient, right",
    [
        ("zero", 0.0, [0, 0, 0, 0], True),
        ("zero", 0.09, [0, 0, 0, 0], False),
        ("zero", 0.0, [0.05, 0, 0, 0], False),
        ("opens x", 1.0, [0.1, 0, -0.1, 0], True),
        ("opens x", 1.0, [0, 0, 0, 0], False),
        ("opens x", 0.0, [0.1, 0, -0.1, 0], False),
        ("opens x", 1.0, [5e6, 0, -5e6, 0], False),
        ("opens y", 1.0, [0, 0.1, 0, -0.1], True),
        ("opens y", 1.0, [0.1, 0, -0.1, 0], False),
        ("nearer", 1.9, [0.1, 0.1, 0.1, 0.1], True),
        ("nearer", 1.9, [0, 0, 0, 0], False),
        ("finite", float("nan"), [0, 0, 0, 0], False),
        ("finite", 1.0, [0, 0, 0, float("inf")], False),
    ],
)
def test_what_counts_as_right(rule, value, gradient, right):
    module = runpy.run_path(str(ROOT / "scripts" / "benchmarks" / "compare_peers.py"))
    assert module["is_right"](rule, value, gradient) == right


@on_tensorflow
def test_the_table_of_published_faults_is_what_the_script_makes():
    made = runpy.run_path(str(ROOT / "scripts" / "benchmarks" / "published_faults.py"))["table"]()
    assert made in (ROOT / "docs" / "right.md").read_text("utf-8")
    assert made.count("**") == 2 * 7
