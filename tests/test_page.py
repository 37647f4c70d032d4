"""The explorer page in a real browser, opened from disk: `make test-page`."""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from boxloss import evaluation, noise
from boxloss.audit import LabelAudit
from boxloss.report import BoxReport

pytestmark = pytest.mark.page

HOSTILE_FILE = "<img src=x onerror=alert(1)>.png"
HOSTILE_CLASS = "</script><script>alert(1)</script>"
CLASSES = ["cat", HOSTILE_CLASS, "dog"]
CHROMIUM = os.environ.get("BOXLOSS_CHROMIUM") or shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run")


def scene(folder, seed=0, images=12, boxes=8, shift=6.0, pictures=True):
    """A report of `images` images, its truth and its results; one image has a hostile name."""
    import cv2

    truth_rng, rng = np.random.default_rng(7), np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    truth = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 2 * i + 1, "name": name} for i, name in enumerate(CLASSES)],
    }
    results = []
    for i in range(images):
        name = HOSTILE_FILE if i == 1 else f"picture {i:04d}.png"
        if pictures:
            cv2.imwrite(str(folder / name), rng.integers(60, 200, (240, 320, 3)).astype("uint8"))
        truth["images"].append({"id": i, "file_name": name, "width": 320, "height": 240})
        for _ in range(boxes):
            x, y = truth_rng.uniform(0, 220), truth_rng.uniform(0, 150)
            w, h = truth_rng.uniform(15, 100), truth_rng.uniform(15, 90)
            category = int(truth_rng.integers(0, 3)) * 2 + 1
            number = len(truth["annotations"]) + 1
            truth["annotations"].append(
                {"id": number, "image_id": i, "category_id": category, "bbox": [x, y, w, h]}
            )
            if rng.random() < 0.85:
                dx, dy, dw, dh = rng.normal(0, shift, 4)
                box = [x + dx, y + dy, max(w + dw, 2), max(h + dh, 2)]
                score = float(rng.uniform(0.5, 1))
                found = {"image_id": i, "category_id": category, "bbox": box, "score": score}
                results.append(found)
        false = [float(rng.uniform(0, 250)), float(rng.uniform(0, 200)), 30.0, 20.0]
        results.append({"image_id": i, "category_id": 1, "bbox": false, "score": 0.55})
    return truth, results


def report_of(truth, results, folder, title):
    """A report whose box errors are 1 - IoU and a second term, without Keras."""
    rows = evaluation.error_table(truth, results, loss=None, score_threshold=0.5)
    for row in rows:
        row["box_error"] = None if row["iou"] is None else 1 - row["iou"] + 0.125
        row["term_overlap"] = None if row["iou"] is None else 1 - row["iou"]
        row["term_center"] = None if row["iou"] is None else 0.125
    report = BoxReport.from_coco(truth, results, folder, loss=None, score_threshold=0.5)
    report.rows, report.title, report.loss = rows, title, "made up"
    return report


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """(folder with page/ and other.csv, the report, the other run's report)."""
    folder = tmp_path_factory.mktemp("page")
    now = report_of(*scene(folder / "photos"), folder / "photos", "New <b>run</b>")
    before = report_of(*scene(folder / "photos", 1, shift=3.0), folder / "photos", "old run")
    now.to_html(folder / "page")
    now.to_html(folder / "compared", compare=before)
    before.to_csv(folder / "other.csv")
    trained(now).to_html(folder / "trained")
    audited(folder).to_html(folder / "audit", worst=None, loss=None)
    return folder, now, before


def trained(report):
    """The report with a made-up history of its true boxes, but the first."""
    rng = np.random.default_rng(5)
    rows = report.table()
    for row in [row for row in rows if row["row"] == "truth"][1:]:
        row["history_mean_error"] = float(rng.uniform(0.05, 0.9))
        row["history_std_error"] = float(rng.uniform(0, 0.3))
        row["history_found"] = float(rng.uniform(0, 1))
        row["history_forgotten"] = int(rng.integers(0, 6))
    copy = BoxReport._of(
        **{name: getattr(report, name) for name in ("images", "class_names", "category_ids")},
        **{name: getattr(report, name) for name in ("loss", "title", "iou_threshold")},
        rows=rows,
        pictures=report.picture,
        score_threshold=None,
    )
    return copy


def audited(folder):
    """The audit of a scene with a box of each kind of label error."""
    truth, results = scene(folder / "photos", 2, shift=1.0)
    truth, _ = noise.alter(truth, noise.KINDS, 0.08, seed=0)
    return LabelAudit(truth, results, folder / "photos")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or set BOXLOSS_CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, reports):
    """A function that opens a page; at the end nothing may have gone wrong in any of them."""
    wrong, contexts = [], []

    def open_one(which="page", **options):
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.on(
            "request",
            lambda r: r.url.startswith(("file:", "blob:")) or wrong.append(r.url),
        )
        page.goto((reports[0] / which / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def shown(page, name):
    return [text.strip() for text in page.locator(f"#rows .row .{name}").all_inner_texts()]


def count(page):
    return int(page.locator("#count").inner_text().split()[0])


def first_row(page):
    rows = page.locator("#rows .row").all()
    return min(rows, key=lambda row: int(row.get_attribute("aria-rowindex")))


def export(page, what):
    page.click("#export")
    with page.expect_download() as download:
        page.click(f"[data-export={what}]")
    return open(download.value.path(), encoding="utf-8", newline="").read()


def exported_rows(page):
    return list(csv.DictReader(io.StringIO(export(page, "csv"))))


def test_it_opens_from_disk_with_the_worst_box_first_and_pictures(open_page, reports):
    page = open_page()
    errors = sorted((r["box_error"] for r in reports[1].rows if r["box_error"]), reverse=True)
    assert count(page) == len(reports[1])
    assert first_row(page).locator(".error b").inner_text() == f"{errors[0]:.4f}"
    loaded = page.evaluate(
        """async () => {
          const image = document.querySelector('#rows image');
          const check = new Image(); check.src = image.href.baseVal; await check.decode();
          return check.naturalWidth;
        }"""
    )
    assert loaded > 10


def test_hostile_names_show_as_text(open_page):
    page = open_page()
    assert page.locator("#title").inner_text() == "New <b>run</b>"
    page.fill("#search", "onerror")
    page.locator("#count", has_text="in 1 images").wait_for()
    assert set(shown(page, "what .file")) == {HOSTILE_FILE}
    page.click("#reset")
    labels = page.locator("#classes label span").all_inner_texts()
    assert labels == CLASSES
    assert page.locator("img").count() == 0 and page.locator("script").count() == 2


@pytest.mark.parametrize("key, name", [("iou", "iou"), ("x2", "error_x2"), ("score", "score")])
def test_every_head_sorts_both_ways(open_page, reports, key, name):
    page = open_page()
    value = [r[name] for r in reports[1].rows if r[name] is not None]
    wanted = sorted(map(abs, value), reverse=key != "iou")
    page.click(f"#head [data-sort={key}]")
    way = "ascending" if key == "iou" else "descending"
    assert page.locator(f"#head [aria-sort={way}] button").get_attribute("data-sort") == key
    got = [abs(float(row[name])) for row in exported_rows(page) if row[name]]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    page.click(f"#head [data-sort={key}]")
    got = [abs(float(row[name])) for row in exported_rows(page) if row[name]]
    np.testing.assert_allclose(got, wanted[::-1], rtol=1e-6)
    assert exported_rows(page)[-1][name] == ""  # rows without the number come last both ways


def test_filters_by_kind_class_and_size_combine(open_page, reports):
    page = open_page()
    page.click('[data-chip="kinds:miss"]')
    missed = [r for r in reports[1].rows if r["kind"] == "miss"]
    assert count(page) == len(missed) > 0
    page.locator("#classes input").nth(1).check()
    missed = [r for r in missed if r["class"] == HOSTILE_CLASS]
    assert count(page) == len(missed) > 0
    page.click('[data-chip="sizes:medium"]')
    missed = [r for r in missed if r["size"] == "medium"]
    assert count(page) == len(missed)
    assert {r["kind"] for r in exported_rows(page)} <= {"miss"}
    page.click("#reset")
    assert count(page) == len(reports[1])


def test_the_histogram_brushes_a_range(open_page, reports):
    page = open_page()
    frame = page.locator("#histogram svg").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + 30)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] + 9, frame["y"] + 30, steps=5)
    page.mouse.up()
    errors = np.array([r["box_error"] for r in reports[1].rows if r["box_error"]])
    middle = (errors.min() + errors.max()) / 2
    got = [float(row["box_error"]) for row in exported_rows(page)]
    # A screen pixel of the brush is one part in 260 of the range.
    slack = np.ptp(errors) / 200
    assert min(got) > middle - slack
    assert (errors > middle + slack).sum() <= len(got) <= (errors > middle - slack).sum()
    assert page.locator("#histogram .brush").count() == 1
    page.fill("#range-low", "0.2")
    page.fill("#range-high", "0.3")
    page.press("#range-high", "Enter")
    assert count(page) == ((errors >= 0.2) & (errors <= 0.3)).sum()
    page.click("#range-clear")
    assert count(page) == len(reports[1])


def open_section(page, name, drawn):
    """Open it and wait for what it draws: a browser tells the page of it after the click."""
    page.click(f"#{name} > summary")
    page.wait_for_selector(drawn)


def test_the_summary_counts_the_selection(open_page, reports):
    page = open_page()
    open_section(page, "summary", "#summary-table td")
    lines = [line.split("\t") for line in page.locator("#summary-table tr").all_inner_texts()]
    cats = [r for r in reports[1].rows if r["class"] == "cat"]
    truths = [r for r in cats if r["row"] == "truth"]
    found = 100 * np.mean([r["kind"] == "ok" for r in truths])
    errors = [r["box_error"] for r in cats if r["box_error"] is not None]
    line = next(line for line in lines if line[0] == "cat")
    assert line[1:3] == [str(len(truths)), str(len(cats) - len(truths))]
    assert float(line[3]) == pytest.approx(found, abs=0.06)
    assert line[5:7] == [f"{np.mean(errors):.4f}", f"{np.median(errors):.4f}"]
    bias = np.mean([r["error_y2"] for r in cats if r["error_y2"] is not None])
    assert line[-1] == f"{bias:+.1f}".replace("-", "−")


def test_the_whole_image_opens_with_all_its_boxes_and_numbers(open_page, reports):
    page = open_page()
    first_row(page).locator(".picture").click()
    row = max(reports[1].rows, key=lambda r: r["box_error"] or 0)
    assert page.locator("#viewer-title").inner_text() == row["file_name"]
    others = [r for r in reports[1].rows if r["image_id"] == row["image_id"]]
    assert page.locator("#viewer-picture g").count() == len(others)
    values = page.locator("#viewer-picture text.value").all_text_contents()
    wanted = [f"{row[f'error_{side}']:+.1f}".replace("-", "−") for side in ("x1", "y1", "x2", "y2")]
    assert values == wanted
    assert f"{row['box_error']:.6f}" in page.locator("#viewer-facts").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer-place").inner_text().startswith("2 of")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()


def test_another_image_is_shown_whole_whatever_was_seen_before(open_page):
    page = open_page()
    first_row(page).locator(".picture").click()
    page.click("#viewer-box")
    page.keyboard.press("Escape")
    page.fill("#search", "picture 0005")
    page.locator("#count", has_text="in 1 images").wait_for()
    first_row(page).locator(".picture").click()
    assert page.locator("#viewer-title").inner_text() == "picture 0005.png"
    assert page.locator("#viewer-picture svg").get_attribute("viewBox") == "0 0 320 240"


def test_values_of_sides_at_the_border_are_in_sight(open_page):
    page = open_page("audit")
    first_row(page).locator(".picture").click()
    places = """() => {
      const box = (element) => element.getBoundingClientRect();
      const frame = box(document.querySelector('#viewer-picture'));
      return [...document.querySelectorAll('#viewer-picture text.value')].map(box).map((b) =>
        [b.left - frame.left, b.top - frame.top, frame.right - b.right, frame.bottom - b.bottom]);
    }"""
    found = []
    for _ in range(60):
        found += page.evaluate(places)
        page.keyboard.press("ArrowRight")
    assert len(found) > 150
    assert np.min(found) >= -1


def test_two_runs_compared_show_which_boxes_got_worse(open_page, reports):
    page = open_page("compared")
    rows, others = reports[1].rows, {r["annotation_id"]: r for r in reports[2].rows}
    worse = 0
    for row in rows:
        before = others[row["annotation_id"]]["box_error"] if row["row"] == "truth" else None
        both = before is not None and row["box_error"] is not None
        worse += (both and row["box_error"] > before + 1e-6) or (
            row["row"] == "truth" and before is not None and row["box_error"] is None
        )
    page.click('[data-chip="verdicts:worse"]')
    assert count(page) == worse > 0
    changes = [float(r["change"]) for r in exported_rows(page) if r["change"]]
    assert changes == sorted(changes, reverse=True) and min(changes) > 0
    got = {int(r["annotation_id"]): r for r in exported_rows(page) if r["change"]}
    for number, row in got.items():
        wanted = float(row["box_error"]) - others[number]["box_error"]
        assert float(row["change"]) == pytest.approx(wanted, abs=1e-6)
    assert page.locator("#rows path.other").count() > 0


def test_another_run_s_csv_can_be_chosen_in_the_page(open_page, reports):
    page, built_in = open_page(), open_page("compared")
    page.set_input_files("#compare-file", str(reports[0] / "other.csv"))
    page.wait_for_selector("body.comparing")
    assert [(r["annotation_id"], r["kind"]) for r in exported_rows(page)] == [
        (r["annotation_id"], r["kind"]) for r in exported_rows(built_in)
    ]


def test_exports_hold_the_selection(open_page, reports):
    page = open_page()
    page.click('[data-chip="kinds:ok"]')
    page.click('[data-chip="kinds:bkg"]')
    rows = [r for r in reports[1].rows if r["kind"] in ("ok", "bkg")]
    by_key = {(r["annotation_id"], r["detection"]): r for r in rows}
    for got in exported_rows(page):
        number = int(got["annotation_id"]) if got["annotation_id"] else None
        row = by_key.pop((number, int(got["detection"])))
        for name in ("truth_x1", "prediction_y2", "error_x2", "iou", "box_error", "term_overlap"):
            wanted = "" if row[name] is None else pytest.approx(row[name], rel=1e-6, abs=1e-6)
            assert (float(got[name]) if got[name] else "") == wanted
        assert got["file_name"] == row["file_name"] and got["class"] == row["class"]
    assert not by_key
    content = json.loads(export(page, "coco"))
    wanted = {r["annotation_id"]: r for r in rows if r["row"] == "truth"}
    assert {a["id"] for a in content["annotations"]} == set(wanted)
    assert len(content["predictions"]) == len(rows) - len(wanted)
    for annotation in content["annotations"]:
        row = wanted[annotation["id"]]
        assert annotation["boxloss_box_error"] == pytest.approx(row["box_error"], rel=1e-6)
        assert annotation["bbox"][2] == pytest.approx(row["truth_x2"] - row["truth_x1"], abs=1e-3)
        category = {c["id"]: c["name"] for c in content["categories"]}[annotation["category_id"]]
        assert category == row["class"]
    names = export(page, "files").splitlines()
    assert sorted(names) == sorted({r["file_name"] for r in rows})


def test_review_marks_outlive_a_reload_and_are_exported(open_page, reports):
    page = open_page()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")  # the second row; the focus moves on
    page.keyboard.press("w")
    page.keyboard.press("s")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("u")  # takes back the skip
    order = exported_rows(page)
    assert [row["review"] for row in order[:5]] == ["", "accept", "wrong label", "", ""]
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator('[data-chip="marks:accept"] small').inner_text() == "1"
    marks = json.loads(export(page, "review"))["marks"]
    assert {(m["detection"], m["mark"]) for m in marks} == {
        (int(order[1]["detection"]), "accept"),
        (int(order[2]["detection"]), "wrong label"),
    }
    page.click('[data-chip="marks:wrong label"]')
    assert count(page) == 1


def test_keys_of_marks_work_as_capitals_too(open_page):
    page = open_page()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+A")
    page.keyboard.press("Enter")
    page.keyboard.press("W")
    page.keyboard.press("Escape")
    assert [row["review"] for row in exported_rows(page)[1:3]] == ["accept", "wrong label"]


def test_the_keyboard_alone_reaches_every_row_and_the_viewer(open_page, reports):
    page = open_page()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    focused = page.evaluate("document.activeElement.getAttribute('aria-rowindex')")
    assert int(focused) == len(reports[1]) + 1
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == "2"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_rows_are_virtual_and_named_for_screen_readers(open_page, reports):
    page = open_page()
    assert page.locator("#rows .row").count() < 25 < len(reports[1])
    table = page.locator("#table")
    assert table.get_attribute("aria-rowcount") == str(len(reports[1]) + 1)
    picture = page.locator("#rows svg.crop").first
    assert "errors in pixels: x1" in picture.get_attribute("aria-label")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select')].filter((e) =>
          !e.textContent.trim() && !e.getAttribute('aria-label') && !e.labels?.length).length"""
    )
    assert unnamed == 0


def test_a_row_says_what_it_is_when_the_keyboard_comes_to_it(open_page, reports):
    page = open_page()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    row = max(reports[1].rows, key=lambda r: r["box_error"] or 0)
    words = page.evaluate("document.activeElement.ariaLabel")
    assert words.startswith(row["class"]) and row["file_name"] in words
    assert f"IoU {row['iou']:.3f}; box error {row['box_error']:.3f}" in words
    assert f"x1 {row['error_x1']:+.1f}".replace("-", "−") in words
    page.keyboard.press("a")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.ariaLabel") == f"marked accept; {words}"


def test_a_filter_that_is_drawn_anew_keeps_the_focus(open_page):
    page = open_page("trained")
    open_section(page, "summary", "#summary-table td")
    open_section(page, "cartography", "#map-table td")
    for button in ("#summary-table tbody button", "#map-table tbody button"):
        page.locator(button).first.focus()
        words = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == words
    page.locator("#ranges button").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('#ranges, #range-low') !== null")


def test_rows_are_read_in_their_order_after_scrolling_back(open_page):
    page = open_page()
    places = "[...document.querySelectorAll('#rows .row')].map((row) => +row.ariaRowIndex)"
    for top in (4000, 3700, 3400, 0):
        page.evaluate(f"document.querySelector('#rows').scrollTop = {top}")
        page.wait_for_timeout(100)
        indices = page.evaluate(places)
        assert len(indices) > 5 and indices == sorted(indices)


def test_text_keeps_its_contrast_in_light_and_dark(open_page):
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        page.locator("#rows .mark.wrong").nth(1).click()
        page.keyboard.press("ArrowUp")
        page.locator("#rows .row").nth(3).hover()
        page.wait_for_timeout(300)
        found = page.evaluate(CONTRASTS)
        assert len(found) > 100
        assert [line for line in found if line[0] < line[1]] == [], scheme


# [contrast, what WCAG AA asks, text] of every text and field, over all grounds that shine through.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => ground.map((v, c) => top[c] * top[3] + v * (1 - top[3]));
  const up = (element) => (element ? [element, ...up(element.parentElement)] : []);
  const groundOf = (element) => up(element).reverse().reduce(
    (ground, e) => over(rgba(getComputedStyle(e).backgroundColor), ground), [255, 255, 255]);
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map(
      (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) =>
    (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const found = [];
  for (const element of document.querySelectorAll('body *:not(svg *)')) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    if ([...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) {
      const opacity = up(element).reduce((all, e) => all * getComputedStyle(e).opacity, 1);
      const ground = groundOf(element);
      const colour = rgba(style.color);
      colour[3] *= opacity;
      found.push([contrast(over(colour, ground), ground), 4.5, element.textContent]);
    }
    if (element.matches('input:not([type=checkbox]), select')) {
      const around = groundOf(element.parentElement);
      const [border, ground] = [over(rgba(style.borderTopColor), around), groundOf(element)];
      const hint = over(rgba(getComputedStyle(element, '::placeholder').color), ground);
      found.push([contrast(border, around), 3, `border of ${element.id}`]);
      found.push([contrast(hint, ground), 4.5, `hint of ${element.id}`]);
    }
  }
  return found;
}"""


def test_the_theme_button_turns_dark_and_is_remembered(open_page):
    page = open_page(color_scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert before != after == page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("which", ["page", "compared", "audit"])
@pytest.mark.parametrize("width", [360, 400, 1020, 1021, 1151, 1401])
def test_nothing_overflows_its_place(open_page, which, width):
    page = open_page(which)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#rows .row").count() > 1
    assert page.evaluate(OVERFLOWS) == []


# What in a row sticks out of its cell, or what cell out of its row or over another one.
OVERFLOWS = """() => {
  const box = (cell) => {
    const inside = [...cell.querySelectorAll('*:not(svg *)')].filter((e) => e.checkVisibility());
    const all = (inside.length ? inside : [cell]).map((e) => e.getBoundingClientRect());
    const [left, top] = ['left', 'top'].map((side) => Math.min(...all.map((b) => b[side])));
    const [right, bottom] = ['right', 'bottom'].map((side) => Math.max(...all.map((b) => b[side])));
    return { left, top, right, bottom, width: right - left, height: bottom - top };
  };
  const found = [];
  for (const row of document.querySelectorAll('#rows .row')) {
    const frame = row.getBoundingClientRect();
    const cells = [...row.children].filter((cell) => cell.checkVisibility());
    const boxes = cells.map((cell) => [cell, box(cell)]).filter(([, b]) => b.width && b.height);
    for (const [cell, b] of boxes) {
      const name = `${cell.className} of row ${row.ariaRowIndex}`;
      const place = cell.getBoundingClientRect();
      if (b.right > frame.right + 1 || b.bottom > frame.bottom + 1) found.push(`${name}: row`);
      if (b.top < frame.top - 1) found.push(`${name}: above its row`);
      if (cell.matches('.side') && (b.left < place.left - 1 || b.right > place.right + 1))
        found.push(`${name}: tile`);
      for (const [other, o] of boxes)
        if (cell !== other && b.left < o.right - 1 && o.left < b.right - 1 &&
            b.top < o.bottom - 1 && o.top < b.bottom - 1)
          found.push(`${name} and ${other.className}`);
    }
  }
  return found;
}"""


def test_texts_from_right_to_left_do_not_turn_the_numbers_beside_them(browser, tmp_path):
    truth, results = scene(tmp_path, images=1, boxes=2, pictures=False)
    for category in truth["categories"]:
        category["name"] = "\u202e" + category["name"]
    BoxReport.from_coco(truth, results, loss=None).to_html(tmp_path / "page")
    page = browser.new_page()
    page.goto((tmp_path / "page" / "index.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    first_row(page).locator(".picture").click()
    predicted = page.locator("#viewer-facts dt", has_text="predicted").locator("xpath=../dd[3]")
    score = re.search(r"\(([\d.]+)\)", predicted.inner_text())
    # The left end of each character of the confidence, as drawn.
    lefts = predicted.evaluate(
        """(dd, text) => {
          const walker = document.createTreeWalker(dd, NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const at = node.data.indexOf(text);
            if (at < 0) continue;
            return [...text].map((_, i) => {
              const range = document.createRange();
              range.setStart(node, at + i);
              range.setEnd(node, at + i + 1);
              return range.getBoundingClientRect().left;
            });
          }
        }""",
        score[1],
    )
    assert lefts == sorted(lefts) and len(lefts) >= 5
    page.close()


def test_a_page_without_rows_and_without_pictures_opens(browser, tmp_path):
    truth, results = scene(tmp_path, images=2, pictures=False)
    truth["annotations"] = []
    BoxReport.from_coco(truth, [], loss=None).to_html(tmp_path / "empty")
    BoxReport.from_coco(truth, results, loss=None).to_html(tmp_path / "bare")
    for name, rows in (("empty", 0), ("bare", len(results))):
        page = browser.new_page()
        wrong = []
        page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
        page.on("console", lambda m, wrong=wrong: m.type == "error" and wrong.append(m.text))
        page.goto((tmp_path / name / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        assert count(page) == rows and wrong == []
        page.close()


def test_pictures_of_a_page_are_taken_in_light_dark_and_narrow(reports, tmp_path):
    import cv2

    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or set BOXLOSS_CHROMIUM")
    # In a process of its own: this one has a browser open already.
    words = "import sys; from boxloss.explorer.screenshots import take_screenshots as take; "
    words += "print(*take(*sys.argv[1:]), sep='\\n')"
    index = reports[0] / "trained" / "index.html"
    command = [sys.executable, "-c", words, str(index), str(tmp_path / "out"), CHROMIUM]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pictures = {pathlib.Path(path).stem: cv2.imread(path) for path in written.splitlines()}
    assert set(pictures) == {f"page-{name}" for name in ("light", "dark", "narrow", "image", "map")}
    assert pictures["page-light"].shape == (900, 1440, 3)
    assert pictures["page-narrow"].shape == (900, 420, 3)
    assert pictures["page-light"].mean() > 180 > 80 > pictures["page-dark"].mean()


# Training history ---------------------------------------------------------------------------------


def history_of(reports):
    """(spread, error, found, forgotten) (n, 4) of the rows with a history, and their number."""
    names = ("std_error", "mean_error", "found", "forgotten")
    rows = [r for r in trained(reports[1]).rows if r.get("history_found") is not None]
    return np.array([[row[f"history_{name}"] for name in names] for row in rows])


def regions_of(values):
    """{name: bool (n,)}: the upper third of spread; of the rest the upper third of error."""
    varied = values[:, 0] >= np.quantile(values[:, 0], 2 / 3)
    high = values[:, 1] >= np.quantile(values[:, 1], 2 / 3)
    return {
        "easy to learn": ~varied & ~high,
        "ambiguous": varied,
        "hard to learn": ~varied & high,
        "all": np.ones(len(values), bool),
    }


def test_the_map_of_training_shows_each_box_once_and_its_numbers_as_text(open_page, reports):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    values = history_of(reports)
    titles = page.locator("#map-plot rect.kept title").all_text_contents()
    assert sum(int(text.split()[0]) for text in titles) == len(values) > 50
    assert page.locator("#map-plot rect.all").count() == len(titles)
    lines = [line.split("\t") for line in page.locator("#map-table tbody tr").all_inner_texts()]
    assert [line[0] for line in lines] == list(regions_of(values))
    for line, chosen in zip(lines, regions_of(values).values(), strict=True):
        error, spread, found, forgotten = values[chosen].mean(axis=0)[[1, 0, 2, 3]]
        wanted = [f"{error:.3f}", f"{spread:.3f}", f"{100 * found:.1f}", f"{forgotten:.2f}"]
        assert line[1:] == [str(chosen.sum()), *wanted]


@pytest.mark.parametrize("region", ["easy to learn", "ambiguous", "hard to learn", "all"])
def test_a_region_of_the_map_filters(open_page, reports, region):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    page.click(f'[data-region="{region}"]')
    wanted = regions_of(history_of(reports))[region].sum()
    # All takes the filter away: boxes without a history come back.
    assert count(page) == (len(reports[1]) if region == "all" else wanted)
    assert page.locator("#map-plot .brush").count() == (region != "all")


def test_the_map_is_brushed_in_both_directions(open_page, reports):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    frame = page.locator("#map-plot .frame").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] + 9, frame["y"] - 9, steps=4)
    page.mouse.up()
    values = history_of(reports)[:, :2]
    low, high = values.min(axis=0), values.max(axis=0)
    middle, slack = (low + high) / 2, (high - low) / 100
    got = len(exported_rows(page))
    least, most = ((values > middle + sign * slack).all(axis=1).sum() for sign in (1, -1))
    assert 0 < least <= got <= most
    frame = page.locator("#map-plot .frame").bounding_box()
    page.mouse.click(frame["x"] + 5, frame["y"] + 5)
    assert count(page) == len(reports[1])


def test_a_page_without_a_history_has_no_map(open_page):
    assert not open_page().locator("#cartography").is_visible()


# The audit's page ---------------------------------------------------------------------------------


def audit_rows(reports):
    audit = audited(reports[0])
    return audit.rows, {(r["annotation_id"], r["detection"]): r for r in audit.rows}


def test_a_proposed_box_is_drawn_in_a_dash_of_its_own_where_it_should_be(open_page, reports):
    page = open_page("audit")
    rows, _ = audit_rows(reports)
    moves = [r for r in rows[:4] if r["correction"] in ("move", "add")]
    assert moves
    for row in moves:
        x1, y1, x2, y2 = (row[f"corrected_{side}"] for side in ("x1", "y1", "x2", "y2"))
        drawn = page.locator(f'.row[aria-rowindex="{row["rank"] + 1}"] path.proposal')
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", drawn.get_attribute("d"))]
        np.testing.assert_allclose(numbers, [x1, y1, x2, y2, x1], atol=1e-3)
    dashes = page.evaluate(
        """() => ['truth', 'found', 'other', 'proposal'].map((name) => {
          const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
          path.setAttribute('class', name);
          document.querySelector('#rows svg').append(path);
          return getComputedStyle(path).strokeDasharray;
        })"""
    )
    assert len(set(dashes)) == 4
    assert page.locator("#legend-proposal").is_visible()


def test_suspicion_and_proposal_are_words_too(open_page, reports):
    page = open_page("audit")
    rows, _ = audit_rows(reports)
    for row in rows[:4]:
        shown = page.locator(f'.row[aria-rowindex="{row["rank"] + 1}"]')
        assert shown.locator(".suspect").inner_text() == row["suspected"]
        assert shown.locator(".propose").inner_text().startswith(row["correction"])
        label = shown.locator("svg.crop").get_attribute("aria-label")
        assert f"suspected {row['suspected']}, proposed {row['correction']}" in label
    names = {"shift": ("x", "y"), "resize": ("width", "height")}
    for kind, of in names.items():
        page.click(f'[data-chip="suspects:{kind}"]')
        row = next(r for r in rows if r["correction"] == "move" and r["suspected"] == kind)
        x, y = (row[f"corrected_{s}2"] - row[f"truth_{s}2"] for s in "xy")
        scale = 2 if kind == "resize" else 1
        words = f"move: {of[0]} {scale * x:+.1f}, {of[1]} {scale * y:+.1f}".replace("-", "−")
        assert first_row(page).locator(".propose").inner_text() == words
        page.click(f'[data-chip="suspects:{kind}"]')
    row = next(r for r in rows if r["correction"] == "move" and r["suspected"] == "edge")
    page.select_option("#sort-column", "extra:suspicion")
    page.click('[data-chip="suspects:edge"]')
    first_row(page).locator(".picture").click()
    words = page.locator("#viewer-picture text.proposed").text_content()
    sides = {s: row[f"corrected_{s}"] - row[f"truth_{s}"] for s in ("x1", "y1", "x2", "y2")}
    side, by = max(sides.items(), key=lambda item: abs(item[1]))
    assert words == f"edge → move: {side} {by:+.1f}".replace("-", "−")
    assert words.split(" → ")[1] in page.locator("#viewer-facts").inner_text()


def test_suspected_kinds_filter_and_boxes_to_remove_are_crossed_out(open_page, reports):
    page = open_page("audit")
    rows, by_key = audit_rows(reports)
    for kind in ("spurious", "missing", "swap"):
        page.click(f'[data-chip="suspects:{kind}"]')
        wanted = [r for r in rows if r["suspected"] == kind]
        assert count(page) == len(wanted) > 0
        paths = page.locator("#rows .row path.proposal").count()
        assert paths == page.locator("#rows .row").count()
        if kind == "spurious":
            d = first_row(page).locator("path.proposal").get_attribute("d")
            assert d.count("M") == 2 and d.count("L") == 2
        page.click(f'[data-chip="suspects:{kind}"]')
    assert count(page) == len(rows)
    for got in exported_rows(page):
        number = int(got["annotation_id"]) if got["annotation_id"] else None
        row = by_key[number, int(got["detection"]) if got["detection"] else None]
        assert (got["suspected"], got["correction"]) == (row["suspected"], row["correction"])
        assert got["corrected_class"] == (row["corrected_class"] or "")
        x1 = row["corrected_x1"]
        assert (float(got["corrected_x1"]) if got["corrected_x1"] else None) == (
            None if x1 is None else pytest.approx(x1, rel=1e-6)
        )


def test_a_proposal_stays_in_its_row_in_a_narrow_window(open_page):
    page = open_page("audit")
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(300)
    row = first_row(page)
    words, sides = row.locator(".propose").bounding_box(), row.locator(".side").first.bounding_box()
    assert words["height"] > 0 and words["y"] + words["height"] <= sides["y"] + 1
    assert row.locator(".what b").bounding_box()["y"] >= row.bounding_box()["y"]


def test_other_pages_speak_of_no_proposal(open_page):
    page = open_page()
    assert not page.locator("#suspect-field").is_visible()
    assert not page.locator("#legend-proposal").is_visible()
    assert page.locator("path.proposal, .suspect, .propose").count() == 1  # the legend's own
