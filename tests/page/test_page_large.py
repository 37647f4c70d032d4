"""Images of 8,000 x 6,000 pixels, zooming by keys and fingers, and small or odd screens."""

import cv2
import numpy as np
import pytest
from page_scenes import count, first_row

from boxloss.report import BoxReport

pytestmark = pytest.mark.page
STRIPE = 4  # pixels: of the smaller copy of the image a fifth of a pixel each


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The page of one image of 8,000 x 6,000 with a striped object of 1,200 x 800 and another."""
    folder = tmp_path_factory.mktemp("large")
    image = np.full((6000, 8000, 3), 90, "uint8")
    columns = (np.arange(1200) // STRIPE % 2 * 255).astype("uint8")
    image[2000:2800, 3000:4200] = columns[None, :, None]
    cv2.imwrite(str(folder / "large.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    boxes = [[3000, 2000, 1200, 800], [7000, 5500, 100, 60], [200, 5000, 100, 60]]
    truth = {
        "images": [{"id": 1, "file_name": "large.jpg", "width": 8000, "height": 6000}],
        "categories": [{"id": 1, "name": "striped"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)
        ],
    }
    results = [
        {
            "image_id": 1,
            "category_id": 1,
            "bbox": [x + by, y, w, h],
            "score": 0.9,
        }
        for (x, y, w, h), by in zip(boxes, (300, 20, 10), strict=True)
    ]
    BoxReport.from_coco(truth, results, folder, loss=None).to_html(folder / "page")
    return folder / "page"


def seen(page):
    """x, y, width, height of what the viewer shows, in image pixels."""
    box = page.locator("#viewer-picture svg").get_attribute("viewBox")
    return [float(number) for number in box.split()]


def open_row(page, number):
    page.evaluate(
        "(n) => document.querySelector(`#rows .row[aria-label*='large.jpg'][data-row='${n}']"
        " .picture`).dispatchEvent(new MouseEvent('click', { bubbles: true }))",
        number,
    )


def test_a_zoom_into_a_large_image_shows_all_pixels_of_the_box(open_page, large):
    page = open_page("page", folder=large)
    open_row(page, 0)
    page.click("#viewer-box")
    crop = cv2.imread(str(large / "crops" / "0-full.jpg"))
    width, height = seen(page)[2:]
    assert crop.shape[:2] == (height, width) and width > 1600
    page.wait_for_function("document.querySelector('#viewer-picture image.full') !== null")
    # Stripes that are a fifth of a pixel wide in images/0.jpg are seen as black and white.
    for _ in range(8):
        page.keyboard.press("+")
    page.wait_for_timeout(500)
    shot = page.locator("#viewer-picture").screenshot()
    pixels = cv2.imdecode(np.frombuffer(shot, "uint8"), cv2.IMREAD_GRAYSCALE)
    row = pixels[pixels.shape[0] // 3, 200:-200].astype(int)
    assert (row > 200).mean() > 0.3 and (row < 60).mean() > 0.3


def test_small_images_have_no_second_crop(reports):
    crops = {path.name for path in (reports[0] / "page" / "crops").iterdir()}
    assert crops and not [name for name in crops if "full" in name]


def test_the_next_box_is_shown_at_the_zoom_that_was_chosen(open_page, large):
    page = open_page("page", folder=large)
    open_row(page, 1)
    page.click("#viewer-box")
    page.keyboard.press("+")
    page.keyboard.press("+")
    wide = seen(page)[2]
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        x, y, width, height = seen(page)
        box = page.locator("#viewer-picture .focus .truth").get_attribute("d")
        x1, y1, x2, y2 = [float(n) for n in box.replace("H", " ").replace("V", " ")[1:-1].split()][
            :4
        ]
        assert x <= x1 and x2 <= x + width and y <= y1 and y2 <= y + height, key
        assert width >= wide * 0.999 and width < 8000
        # The box is in the middle, as near as whole pixels allow.
        assert (x1 + x2) / 2 == pytest.approx(x + width / 2, abs=0.2 * width)


def test_keys_and_two_fingers_zoom(open_page, large):
    page = open_page("page", folder=large, has_touch=True)
    open_row(page, 0)
    whole = seen(page)
    page.keyboard.press("+")
    assert seen(page)[2] == pytest.approx(whole[2] / 1.3)
    page.keyboard.press("-")
    assert seen(page)[2] == pytest.approx(whole[2])
    page.keyboard.press("0")
    assert seen(page) == whole
    frame = page.locator("#viewer-picture").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    client = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(places)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x - 50, y), (x + 50, y))
    for far in (70, 90, 100):
        touch("touchMove", (x - far, y), (x + far, y))
    touch("touchEnd")
    after = seen(page)
    assert after[2] == pytest.approx(whole[2] / 2, rel=0.05)  # twice as far apart
    middle = [after[0] + after[2] / 2, after[1] + after[3] / 2]
    assert middle == pytest.approx([4000, 3000], abs=400)


@pytest.mark.parametrize(
    "size", [(1440, 900), (390, 844), (844, 390), (720, 450), (360, 640)], ids=str
)
def test_review_buttons_are_always_in_view(open_page, size):
    width, height = size
    page = open_page("audit", viewport={"width": width, "height": height})
    first_row(page).locator(".picture").click()
    page.keyboard.press("f")
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('#viewer-marks button, #viewer-fix, #viewer-close')]
          .filter((button) => {
            const { left, right, top, bottom } = button.getBoundingClientRect();
            if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight) return true;
            const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return there !== button;
          }).map((button) => button.id || button.title)"""
    )
    assert hidden == []
    picture = page.locator("#viewer-picture").bounding_box()
    assert picture["height"] >= 100 and picture["y"] + picture["height"] <= height


@pytest.mark.parametrize("which", ["page", "audit"])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=str)
def test_texts_in_the_viewer_never_lie_over_each_other(open_page, which, size):
    page = open_page(which, viewport={"width": size[0], "height": size[1]})
    first_row(page).locator(".picture").click()
    page.check("#viewer-names")
    overlapping = """() => {
      const texts = [...document.querySelectorAll('#viewer-picture text')];
      const boxes = texts.map((text) => text.getBoundingClientRect());
      const found = [];
      boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
          found.push(`${texts[i].textContent} | ${texts[j].textContent}`);
      }));
      return found;
    }"""
    wrong = []
    for _ in range(count(page)):
        title = page.locator("#viewer-place").inner_text().split(" · ")[0]
        wrong += [f"{title}: {pair}" for pair in page.evaluate(overlapping)]
        page.keyboard.press("ArrowRight")
    assert wrong == []


# Print, forced colours, borders, words ------------------------------------------------------------


@pytest.mark.parametrize("tab", ["diagnosis", "boxes", "labels"])
def test_a_dark_page_is_printed_dark_on_white_and_whole(open_page, tab):
    page = open_page("audit", f"#tab={tab}", color_scheme="dark")
    page.click("#theme")
    page.click("#theme")  # dark by choice, not by the system alone
    page.set_viewport_size({"width": 794, "height": 1123})  # A4
    page.emulate_media(media="print", color_scheme="dark")
    colours = page.evaluate(
        """() => ['color', 'backgroundColor'].map((name) =>
          getComputedStyle(document.body)[name].match(/\\d+/g).map(Number))"""
    )
    assert max(colours[0]) < 80 and min(colours[1]) > 230
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    for hidden in ("#export", "#theme", "#search"):
        assert not page.locator(hidden).is_visible()
    cut = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() &&
          e.matches('section, .card, .scroll, #rows, #table, .content, .beside') &&
          getComputedStyle(e).overflowY !== 'visible' && e.scrollHeight > e.clientHeight + 1
        ).map((e) => e.id || e.className)"""
    )
    assert cut == []
    if tab == "boxes":
        assert page.locator("#rows .row").first.is_visible()


def test_forced_colours_still_tell_what_is_pressed_and_chosen(open_page):
    page = open_page("audit", forced_colors="active")
    page.locator("#rows .row").first.focus()
    page.keyboard.press("a")
    page.click('[data-chip="suspects:swap"]')
    page.click('[data-chip="suspects:swap"]')
    page.click('[data-chip="kinds:ok"]')

    def look(selector):
        return page.locator(selector).first.evaluate(
            """(e) => { const s = getComputedStyle(e);
            return [s.borderTopColor, s.borderTopWidth, s.backgroundColor].join(' '); }"""
        )

    page.click('[data-chip="kinds:ok"]')
    assert look('#rows .mark[aria-pressed="true"]') != look('#rows .mark[aria-pressed="false"]')
    page.click('[data-chip="kinds:ok"]')
    assert look('[data-chip="kinds:ok"]') != look('[data-chip="kinds:miss"]')
    assert look("#tab-boxes") != look("#tab-diagnosis")
    strokes = page.locator("#rows svg path.truth").first.evaluate(
        "(e) => getComputedStyle(e).stroke"
    )
    assert strokes == "rgb(255, 255, 255)"  # boxes keep their colours on the photograph


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_of_controls_have_a_contrast_of_three(open_page, scheme):
    page = open_page("audit", color_scheme=scheme)
    found = page.evaluate(BORDERS)
    assert len(found) > 25
    assert [line for line in found if line[0] < 3] == []


# [contrast of the border with what is around it, name] of every button and field in sight.
BORDERS = """() => {
  const rgb = (text) => {
    const context = document.createElement('canvas').getContext('2d');
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => v / 255).map(
      (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('button, select, input:not([type=checkbox])')) {
    const style = getComputedStyle(e);
    if (!e.checkVisibility() || parseFloat(style.borderTopWidth) === 0) continue;
    const [a, b] = [light(rgb(style.borderTopColor)), light(groundOf(e.parentElement))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.id || e.textContent]);
  }
  return found;
}"""


def test_words_are_explained_by_tap_and_by_the_keyboard(open_page):
    page = open_page("audit", has_touch=True, viewport={"width": 390, "height": 844})
    box = page.locator("#explain")
    row = first_row(page)
    row.locator(".suspect").tap()
    assert box.is_visible()
    assert box.inner_text().startswith(row.locator(".suspect").inner_text() + ": ")
    frame = box.bounding_box()
    assert frame["x"] >= 0 and frame["x"] + frame["width"] <= 390
    row.locator("span.kind").tap()
    assert "right" in box.inner_text() or "box" in box.inner_text()
    row.locator(".what b").tap()
    assert not box.is_visible()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.evaluate("document.querySelector('#filters').open = true")
    page.focus('[data-chip="kinds:loc"]')
    assert box.inner_text().startswith("wrong place: ")
    page.keyboard.press("Escape")
    assert not box.is_visible()


def test_search_finds_every_word_that_a_row_prints(open_page):
    page = open_page("audit")
    row = first_row(page)
    words = [row.locator(name).first.inner_text() for name in (".propose", ".suspect", ".what b")]
    words += row.locator(".file, .what small:not(.propose)").all_inner_texts()
    for text in page.locator("#rows .row .why").all_inner_texts()[:1]:
        words.append(text)
    for word in words:
        page.fill("#search", word.split("\n")[0])
        page.wait_for_timeout(250)
        assert count(page) >= 1, word


def test_labels_say_how_many_look_wrong_and_where_correction_begins(open_page, reports):
    from page_scenes import audited

    audit = audited(reports[0])
    suspects = audit.suspects()
    labels = sum(row.about == "truth" for row in suspects)
    page = open_page("audit", "#tab=labels")
    page.click("#tab-labels")
    heading = page.locator("#labels-heading").inner_text()
    places = len(suspects) - labels
    words = f"; at {places} {'place' if places == 1 else 'places'} a label seems to be missing"
    expected = f"{labels} of {len(audit.truth)} labels look wrong{words if places else ''}."
    assert heading == expected
    assert page.locator("#count-labels").inner_text() == str(len(suspects)) != str(len(audit))
    page.click("#tab-boxes")
    page.click("#tab-labels")
    assert count(page) == len(suspects)
    page.select_option("#range-column", "extra:suspicion")
    page.click("#tab-boxes")
    assert not page.locator("#labels-heading").is_visible()
    line = page.locator("#histogram line.limit")
    assert line.count() == 1 and "2.5: look wrong" in page.locator("#histogram").inner_text()
    assert page.locator("#suspect-words dt").count() >= 5
