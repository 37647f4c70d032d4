"""Put the page together: template, style, script and data in one file."""

import base64
import hashlib
import html
import importlib.resources
import math
import pathlib

from boxloss.files import output, write_atomically
from boxloss.report.page.content import as_json, page_content
from boxloss.report.page.crops import names_of
from boxloss.report.page.cutting import write_pictures
from boxloss.report.page.modules import join_modules
from boxloss.report.page.whole import check_comparable, limited


def write_page(report, folder, title=None, compare=None, worst=None, sort=None):
    """Write `folder`/index.html, its crops/ and images/; returns the path of index.html.

    report, compare: BoxReport. worst: only that many rows, the largest box errors first, get
    pictures (None: all). sort: key of the column that the page sorts by first. Pictures of
    an earlier page that this one does not have are removed. ValueError where files of somebody else
    have these names; see `files.output`. Of more than `whole.MOST_ROWS` rows the page has the
    worst, and the numbers of all.
    """
    folder = pathlib.Path(folder)
    if compare is not None:
        check_comparable(report, compare)
    report, whole = limited(report, worst_rows)
    chosen = worst_rows(report.rows, worst)
    with output(folder, ("index.html", *names_of(report, chosen))) as place:
        pictured, cropped = write_pictures(folder, report, chosen, place)
        for below in ("images", "crops"):
            place.sweep(below)
        title = title or report.title
        content = page_content(report, title, pictured, cropped, compare, sort, whole)
        page = assemble(content)
        with write_atomically(folder / "index.html") as temporary:
            # Bytes, because the policy's hashes are of exactly these line ends.
            temporary.write_bytes(page.encode("utf-8", "xmlcharrefreplace"))
    return folder / "index.html"


def worst_rows(rows, count):
    """Positions of the `count` rows with the largest box errors; rows without one come first."""
    order = sorted(range(len(rows)), key=lambda i: -_badness(rows[i].box_error))
    return order if count is None else order[:count]


def _badness(error):
    return math.inf if error is None or math.isnan(error) else error


def assemble(content):
    """The whole HTML text. Only the title is text in HTML, and it is escaped."""
    style = _file("style.css")
    script = join_modules(_modules(), "main")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            # Opened from disk, a browser may not count the file's own folder as 'self'.
            "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    parts = {
        "policy": html.escape(policy, quote=True),
        "title": html.escape(content["title"]),
        "style": style,
        "data": as_json(content),
        "script": script,
    }
    pieces = _file("template.html").split("{{")
    page = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        page += [parts[name], rest]
    return "".join(page)


def _file(name):
    return (_assets() / name).read_text("utf-8")


def _assets():
    return importlib.resources.files("boxloss.report.page") / "assets"


def _modules():
    """{name: text} of the JavaScript modules."""
    files = (file for file in _assets().iterdir() if file.name.endswith(".js"))
    return {file.name[:-3]: file.read_text("utf-8") for file in files}


def _hash(text):
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
    return f"'sha256-{digest}'"
