"""Build the documentation as a site and check it: python scripts/make_site.py (`make docs`)

docs/, README, CHANGELOG, CONTRIBUTING, SECURITY, the notebooks and the examples become pages of
build/site, made by Zensical. Before that, links that are written for a code host are turned into
links between pages, and formulas between dollar signs into MathML, which browsers set without a
script. Afterwards every link and every anchor is looked up.
"""

import argparse
import html.parser
import json
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from urllib.parse import unquote

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build"
WHOLE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
FOLDERS = ("scripts/examples", "notebooks")  # both are listed on one page
FENCE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|!?\[[^\]]*\])*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r'(!\[[^\]]*\]\(|src=")([^)"\s]+)')
BLOCK = re.compile(r"^\$\$\n?(.+?)\n?\$\$$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<![\w$\\])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])")


# Pages out of other files -------------------------------------------------------------------------


def examples():
    """{path in the repository: page} of the notebooks and the programs."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    programs = sorted((ROOT / "scripts" / "examples").glob("*.py"))
    return {
        path.relative_to(ROOT).as_posix(): f"examples/{path.stem}.md"
        for path in [*notebooks, *programs]
    }


def program(path):
    """The page of a program: the first words of its docstring, then the file."""
    code = (ROOT / path).read_text("utf-8")
    title = re.match(r'"""(.*?)(?::|\.?$)', code, re.MULTILINE)[1]
    return f"# {title}\n\n`{path}`\n\n```python\n{code}```\n"


def notebook(path, page):
    """(Markdown, {page's picture: its bytes}) of a notebook with its output."""
    lines, pictures = [], {}
    for cell in json.loads((ROOT / path).read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [text, ""]
            continue
        lines += ["```python", text, "```", ""]
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            kind = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
            if kind:
                name = f"{page[:-3]}_{len(pictures) + 1}.{kind.partition('/')[2]}"
                pictures[name] = b64decode(data[kind])
                lines += [f"![Output of the cell above]({posixpath.basename(name)})", ""]
            elif output.get("name") != "stderr":
                lines += ["```text", "".join(data["text/plain"]).rstrip(), "```", ""]
    return "\n".join(lines), pictures


def overview(titles):
    """The page that lists the examples; titles: {page: title}."""
    lines = ["# Examples", "", "Notebooks with their output, and programs that a test runs.", ""]
    lines += [f"- [{title}]({posixpath.basename(page)})" for page, title in titles.items()]
    return "\n".join(lines) + "\n"


def title_of(text):
    return re.search(r"^# (.*)", text, re.MULTILINE)[1]


def sources():
    """{page or picture: text or bytes} of everything, links as they are in the repository."""
    made = {
        path.relative_to(ROOT / "docs").as_posix(): path.read_bytes()
        for path in (ROOT / "docs").rglob("*")
        if path.is_file() and path.suffix != ".yml"
    }
    made = {name: data.decode() if name.endswith(".md") else data for name, data in made.items()}
    made |= {page: (ROOT / path).read_text("utf-8") for path, page in WHOLE.items()}
    titles = {}
    for path, page in examples().items():
        if path.endswith(".py"):
            made[page] = program(path)
        else:
            made[page], pictures = notebook(path, page)
            made |= pictures
        titles[page] = title_of(made[page])
    return made | {"examples/index.md": overview(titles)}


# Links and formulas -------------------------------------------------------------------------------


def origin(page):
    """The file of the repository whose links a page has."""
    for path, made in (WHOLE | examples()).items():
        if made == page:
            return path
    return f"docs/{page}"


def moved(target, page):
    """A link of `page` as the site needs it; None where the site does not show its target."""
    path, sign, anchor = target.partition("#")
    if "://" in target or target.startswith("mailto:") or not path:
        return target
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(origin(page)), path))
    if wanted in FOLDERS:
        shown = "examples/index.md"
    elif wanted.startswith("docs/"):
        shown = wanted.removeprefix("docs/")
    else:
        shown = (WHOLE | examples()).get(wanted)
    if shown is None:
        return None if (ROOT / wanted).exists() else target
    return posixpath.relpath(shown, posixpath.dirname(page) or ".") + sign + anchor


def mathml(tex, display="inline"):
    from latex2mathml.converter import convert

    return convert(" ".join(tex.split()), display=display)


def formula(tex):
    """A formula on its own lines; its definitions may go to the next line on a narrow screen."""
    parts = re.split(r"(?<=,)\\quad", tex)
    return f'<div class="formula">{"".join(mathml(part, "block") for part in parts)}</div>'


def prepared(text, page):
    """The Markdown of a page with the site's links and with MathML; code stays as it is."""

    def link(found):
        target = moved(found[2], page)
        return found[1] if target is None else f"[{found[1]}]({target})"

    parts = FENCE.split(text)
    for i in range(0, len(parts), 2):  # the others are code
        part = PICTURE.sub(lambda found: found[1] + (moved(found[2], page) or found[2]), parts[i])
        part = LINK.sub(link, part)
        part = BLOCK.sub(lambda found: formula(found[1]), part)
        parts[i] = INLINE.sub(lambda found: mathml(found[1]), part)
    return "".join(parts)


# Building -----------------------------------------------------------------------------------------


def listed(nav):
    """The pages that a navigation names."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else listed(value)


def configuration(pages, strict=True):
    """docs/site/mkdocs.yml with its places and its empty sections filled in."""
    import yaml

    config = yaml.safe_load((ROOT / "docs" / "site" / "mkdocs.yml").read_text("utf-8"))
    sections = {
        "Examples": ["examples/index.md", *examples().values()],
        "Interface": ["api/index.md"]
        + sorted(page for page in pages if page.startswith("api/") and page != "api/index.md"),
    }
    for section in config["nav"]:
        for name in section.keys() & sections.keys():
            section[name] = sections[name]
    config |= {"docs_dir": "pages", "site_dir": "site", "strict": strict}
    unlisted = sorted(set(pages) - set(listed(config["nav"])))
    if unlisted:
        raise SystemExit(f"`nav` of docs/site/mkdocs.yml must list each page. Missing: {unlisted}")
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def build():
    """Write build/site; returns its path."""
    made = sources()
    shutil.rmtree(BUILD / "pages", ignore_errors=True)
    shutil.rmtree(BUILD / "site", ignore_errors=True)
    for name, content in made.items():
        path = BUILD / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = prepared(content, name).encode()
        path.write_bytes(content)
    config = configuration([name for name in made if name.endswith(".md")])
    (BUILD / "mkdocs.yml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run([*command, "-f", str(BUILD / "mkdocs.yml")])
    if done.returncode:
        raise SystemExit(done.returncode)
    return BUILD / "site"


# Checking -----------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Links, anchors and what a page loads by itself."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.loaded = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "icon", "preload"):
            self.loaded.append(given["href"])
        elif given.get("src"):
            self.loaded.append(given["src"])


def problems(site):
    """One line for each link that leads nowhere and each file that another server would send."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        if name == "404.html":  # its links are from the root of a server
            continue
        found += [f"{name}: loads {url}" for url in page.loaded if "://" in url or url[:2] == "//"]
        for link in [*page.links, *page.loaded]:
            if re.match(r"[a-z]+:|//", link):
                continue
            target, _, anchor = link.partition("#")
            goal = (path.parent / unquote(target)).resolve() if target else path
            goal = goal / "index.html" if goal.is_dir() else goal
            if not goal.is_file():
                found.append(f"{name}: no file for {link}")
            elif anchor and goal in pages and unquote(anchor) not in pages[goal].anchors:
                found.append(f"{name}: no anchor for {link}")
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args(argv)
    site = build()
    found = problems(site)
    print("\n".join(found) or f"{len(list(site.rglob('*.html')))} pages in {site}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
