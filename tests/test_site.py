"""The documentation as a site: scripts/make_site.py, which `make docs` runs."""

import json
import pathlib
import runpy
from collections import deque

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SITE = runpy.run_path(str(ROOT / "scripts" / "make_site.py"))


@pytest.mark.parametrize(
    "target, page, expected",
    [
        ("docs/losses.md#ciou", "index.md", "losses.md#ciou"),
        ("../README.md", "faq.md", "index.md"),
        ("../losses.md", "api/losses.md", "../losses.md"),
        ("../notebooks/4_read_the_errors.ipynb", "faq.md", "examples/4_read_the_errors.md"),
        ("scripts/examples", "index.md", "examples/index.md"),
        ("CHANGELOG.md", "contributing.md", "changes.md"),
        ("../LICENSE", "faq.md", None),  # a file of the repository that is no page
        ("nowhere.md", "faq.md", "nowhere.md"),  # stays, and the build fails
        ("#below", "faq.md", "#below"),
    ],
)
def test_a_link_is_moved_to_the_page_that_shows_its_file(target, page, expected):
    assert SITE["moved"](target, page) == expected


def test_code_is_not_changed_and_pictures_move():
    text = (
        '[<img src="docs/pictures/errors.png">](docs/explorer.md) `$a$ [x](docs/faq.md)`\n\n'
        "```\n[x](docs/faq.md) $a$\n```\n\n[the licence](LICENSE)\n"
    )
    expected = (
        '[<img src="pictures/errors.png">](explorer.md) `$a$ [x](docs/faq.md)`\n\n'
        "```\n[x](docs/faq.md) $a$\n```\n\nthe licence\n"
    )
    assert SITE["prepared"](text, "index.md") == expected


def test_a_formula_becomes_mathml():
    pytest.importorskip("latex2mathml")
    text = SITE["prepared"](
        "It is $d_1$, not 3 $ or 4 $.\n\n$$\n1 - o,\\quad\no = 2\n$$\n", "faq.md"
    )
    assert text.count("<msub><mi>d</mi><mn>1</mn></msub>") == 1 and "3 $ or 4 $." in text
    assert text.count('display="block"') == 2 and "$$" not in text


def test_a_notebook_is_shown_with_its_output(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {
            "cell_type": "code",
            "source": ["print(1)"],
            "outputs": [
                {"output_type": "stream", "name": "stderr", "text": ["a warning"]},
                {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "x"}},
            ],
        },
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setitem(SITE["notebook"].__globals__, "ROOT", tmp_path)
    text, pictures = SITE["notebook"]("a.ipynb", "examples/a.md")
    assert text.startswith("# Title\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n![")
    assert pictures == {"examples/a_1.png": b"hi"} and "(a_1.png)" in text
    assert "a warning" not in text


def test_a_program_has_a_title_and_its_code(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text('"""CIoU on TensorFlow 2.15: python a.py\n\nMore."""\nx = 1\n')
    (tmp_path / "b.py").write_text('"""A loop of 1.5 steps.\n"""\n')
    monkeypatch.setitem(SITE["program"].__globals__, "ROOT", tmp_path)
    text = SITE["program"]("a.py")
    assert text.startswith("# CIoU on TensorFlow 2.15\n\n`a.py`\n\n```python\n") and "x = 1" in text
    assert SITE["program"]("b.py").startswith("# A loop of 1.5 steps\n")


def test_what_is_wrong_in_a_site_is_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="sub/a.html#b">1</a><a href="gone.html">2</a>'
        '<a href="sub/a.html#c">3</a><a href="#top">4</a><a href="//other.org">5</a>'
        '<script src="https://cdn.org/x.js"></script><img src="no.png">'
    )
    (tmp_path / "sub" / "a.html").write_text('<p id="b"></p><a href="../index.html">back</a>')
    assert SITE["problems"](tmp_path) == [
        "index.html: loads https://cdn.org/x.js",
        "index.html: no file for gone.html",
        "index.html: no anchor for sub/a.html#c",
        "index.html: no file for no.png",
    ]


def test_every_page_is_in_the_navigation():
    pytest.importorskip("yaml")
    pages = [page for page in SITE["sources"]() if page.endswith(".md")]
    assert "nav" in SITE["configuration"](pages)
    with pytest.raises(SystemExit, match=r"Missing: \['lost.md'\]"):
        SITE["configuration"]([*pages, "lost.md"])


# The whole site -----------------------------------------------------------------------------------


def clicks(site):
    """{page: clicks from the first page}."""
    found, left = {site / "index.html": 0}, deque([site / "index.html"])
    while left:
        page = left.popleft()
        for link in SITE["Page"](page.read_text("utf-8")).links:
            path = (page.parent / link.partition("#")[0]).resolve()
            if link[:1] != "#" and path.suffix == ".html" and path.is_file() and path not in found:
                found[path] = found[page] + 1
                left.append(path)
    return found


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    pytest.importorskip("zensical", reason="zensical builds the site (make docs)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SITE["build"].__globals__, "BUILD", tmp_path_factory.mktemp("site"))
        yield SITE["build"]


@pytest.mark.slow
def test_the_site_is_built_strictly_and_each_page_is_two_clicks_away(build):
    site = build()
    assert SITE["problems"](site) == []
    pages = {path for path in site.rglob("*.html") if path.name != "404.html"}
    found = clicks(site)
    assert set(found) == pages and max(found.values()) <= 2
    assert len(pages) == len([page for page in SITE["sources"]() if page.endswith(".md")])
    assert "<math" in (site / "losses.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("link", ["[x](gone.md)", "[x](losses.md#gone)", "![x](pictures/gone.png)"])
def test_a_broken_link_fails(build, link, monkeypatch):
    broken = SITE["sources"]() | {"faq.md": f"# Questions\n\n{link}\n"}
    monkeypatch.setitem(build.__globals__, "sources", lambda: broken)
    try:
        found = SITE["problems"](build())
    except SystemExit as failed:
        assert failed.code
    else:
        assert len(found) == 1 and "gone" in found[0]
