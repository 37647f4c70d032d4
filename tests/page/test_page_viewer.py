"""The viewer of whole images, and the marks of a review."""

import json

import numpy as np
import pytest
from page_scenes import count, export, exported_rows, first_row

pytestmark = pytest.mark.page


def test_the_whole_image_opens_with_all_its_boxes_and_numbers(open_page, reports):
    page = open_page()
    first_row(page).locator(".picture").click()
    row = max(reports[1].rows, key=lambda r: r["box_error"] or 0)
    assert page.locator("#viewer-title").inner_text() == row["file_name"]
    others = [r for r in reports[1].rows if r["image_id"] == row["image_id"]]
    assert page.locator("#viewer-picture g:has(path)").count() == len(others)
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


def test_a_double_click_on_a_row_opens_its_image_and_two_taps_do_not(open_page):
    page = open_page()
    page.locator("#rows .row").first.locator(".what b").dblclick()
    assert page.locator("#viewer").is_visible()
    page = open_page(has_touch=True, viewport={"width": 390, "height": 844})
    word = page.locator("#rows .row").first.locator(".what b")
    word.tap()
    word.tap()
    page.wait_for_timeout(300)
    assert not page.locator("#viewer").is_visible()
