"""The rows of the page in a real browser: sorted, filtered, compared, exported."""

import json

import numpy as np
import pytest
from page_scenes import (
    CLASSES,
    HOSTILE_CLASS,
    HOSTILE_FILE,
    count,
    export,
    exported_rows,
    first_row,
    open_section,
    scene,
    shown,
)

from boxloss.report import BoxReport

pytestmark = pytest.mark.page


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
