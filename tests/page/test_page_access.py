"""The page by keyboard, by screen reader, in any width, light and dark."""

import pathlib
import re
import subprocess
import sys

import pytest
from page_scenes import CHROMIUM, first_row, open_section, scene

from boxloss.report import BoxReport

pytestmark = pytest.mark.page


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
    page.goto((tmp_path / "page" / "index.html").as_uri() + "#tab=boxes")
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


def test_pictures_of_a_page_are_taken_in_light_dark_and_narrow(reports, tmp_path):
    import cv2

    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or set BOXLOSS_CHROMIUM")
    # In a process of its own: this one has a browser open already.
    words = "import sys; from boxloss.report.page.screenshots import take_screenshots as take; "
    words += "print(*take(*sys.argv[1:]), sep='\\n')"
    index = reports[0] / "trained" / "index.html"
    command = [sys.executable, "-c", words, str(index), str(tmp_path / "out"), CHROMIUM]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pictures = {pathlib.Path(path).stem: cv2.imread(path) for path in written.splitlines()}
    names = "light dark large large-dark narrow narrow-dark boxes image map".split()
    assert set(pictures) == {f"page-{name}" for name in names}
    assert pictures["page-light"].shape == (900, 1440, 3)
    assert pictures["page-narrow"].shape == (844, 390, 3)
    assert pictures["page-light"].mean() > 180 > 80 > pictures["page-dark"].mean()
