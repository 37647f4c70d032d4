"""The page of a label audit."""

import json
import re

import numpy as np
import pytest
from page_scenes import audited, audited_truth, count, export, exported_rows, first_row

from boxloss.audit import apply
from boxloss.datasets.edits import write_labels

pytestmark = pytest.mark.page


def audit_rows(reports):
    audit = audited(reports[0])
    return audit.rows, {(r["annotation_id"], r["detection"]): r for r in audit.rows}


def test_a_proposed_box_is_drawn_in_a_dash_of_its_own_where_it_should_be(open_page, reports):
    page = open_page("audit")
    rows, _ = audit_rows(reports)
    moves = [r for r in rows[:4] if r["proposal"] in ("move", "add")]
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
    page.click("#help")
    assert page.locator("#legend-proposal").is_visible()


def test_suspicion_and_proposal_are_words_too(open_page, reports):
    page = open_page("audit")
    rows, _ = audit_rows(reports)
    for row in rows[:4]:
        shown = page.locator(f'.row[aria-rowindex="{row["rank"] + 1}"]')
        assert shown.locator(".suspect").inner_text() == row["suspected"]
        assert shown.locator(".propose").inner_text().startswith(row["proposal"])
        label = shown.locator("svg.crop").get_attribute("aria-label")
        assert f"suspected {row['suspected']}, proposed {row['proposal']}" in label
    names = {"shift": ("x", "y"), "resize": ("width", "height")}
    for kind, of in names.items():
        page.click(f'[data-chip="suspects:{kind}"]')
        row = next(r for r in rows if r["proposal"] == "move" and r["suspected"] == kind)
        x, y = (row[f"corrected_{s}2"] - row[f"truth_{s}2"] for s in "xy")
        scale = 2 if kind == "resize" else 1
        words = f"move: {of[0]} {scale * x:+.1f}, {of[1]} {scale * y:+.1f}".replace("-", "−")
        assert first_row(page).locator(".propose").inner_text() == words
        page.click(f'[data-chip="suspects:{kind}"]')
    row = next(r for r in rows if r["proposal"] == "move" and r["suspected"] == "edge")
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
        assert (got["suspected"], got["proposal"]) == (row["suspected"], row["proposal"])
        assert (got["correction"] or None) == row["correction"]
        assert got["corrected_class"] == (row["corrected_class"] or "")
        x1 = row["corrected_x1"]
        assert (float(got["corrected_x1"]) if got["corrected_x1"] else None) == (
            None if x1 is None else pytest.approx(x1, rel=1e-6)
        )


def test_marks_of_a_review_are_written_into_the_labels(open_page, reports, tmp_path):
    page = open_page("audit")
    rows, _ = audit_rows(reports)
    page.click('[data-chip="suspects:swap"]')
    page.locator("#rows .row").first.focus()
    page.keyboard.press("w")  # the label is wrong: take the proposal
    page.click('[data-chip="suspects:swap"]')
    page.click('[data-chip="suspects:spurious"]')
    page.locator("#rows .row").first.focus()
    page.keyboard.press("a")  # the label is right
    (tmp_path / "marks.json").write_text(export(page, "review"))
    edits = apply.edits_of_marks(tmp_path / "marks.json")
    swap = next(row for row in rows if row["suspected"] == "swap")
    assert [(edit.action, edit.file_name) for edit in edits] == [("relabel", swap.file_name)]
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps(audited_truth(reports[0])))
    done = write_labels(edits, truth, None, tmp_path / "new")
    before = {e["id"]: e for e in json.loads(truth.read_text())["annotations"]}
    after = {e["id"]: e for e in json.loads(open(done["labels"]).read())["annotations"]}
    changed = [number for number in before if before[number] != after[number]]
    assert changed == [swap.annotation_id] and after.keys() == before.keys()
    assert after[changed[0]]["category_id"] == swap["corrected_category_id"]


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
    page.click("#help")
    assert page.locator("#help-box .legend").is_visible()
    assert not page.locator("#legend-proposal").is_visible()
    assert page.locator("path.proposal, .suspect, .propose").count() == 1  # the legend's own
