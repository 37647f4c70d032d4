"""Boxes fixed by hand on the page, and the way back into the labels: COCO, VOC and YOLO."""

import json

import numpy as np
import pytest
from folders import FORMATS, synthetic_in
from page_scenes import count, export, exported_rows, first_row

from boxloss import cli, datasets
from boxloss.audit import LabelAudit, apply

pytestmark = pytest.mark.page
SIDES = ("x1", "y1", "x2", "y2")


@pytest.fixture(scope="module")
def audits(tmp_path_factory):
    """{format: (images, annotations, DataSet, folder of the page)} of the same labels."""
    root = tmp_path_factory.mktemp("fix")
    found = {}
    for form in FORMATS:
        images, place, dataset = synthetic_in(root / form, form, 5, seed=4)
        LabelAudit(dataset, results_of(dataset), images).to_html(
            root / f"page-{form}", worst=None, loss=None
        )
        found[form] = images, place, dataset, root / f"page-{form}"
    return found


def results_of(dataset):
    """A detection of every box, and one where there is none, in the first image."""
    results = [
        {
            "image_id": record.image_id,
            "category_id": dataset.category_ids[label],
            "bbox": [box[0] + 1, box[1], box[2] - box[0], box[3] - box[1]],
            "score": 0.9,
        }
        for record in dataset.records
        for label, box in zip(record.labels, record.boxes.tolist(), strict=True)
    ]
    return [*results, {**results[0], "bbox": free_place(dataset.records[0]), "score": 0.8}]


def free_place(record):
    """[x, y, width, height] of a place that no box of the image touches."""
    for x, y in ((2, 2), (76, 2), (2, 76), (76, 76), (40, 2), (2, 40)):
        box = np.array([x, y, x + 15, y + 15])
        low = np.maximum(record.boxes[:, :2], box[:2])
        if not (np.minimum(record.boxes[:, 2:], box[2:]) > low).all(axis=1).any():
            return [x, y, 15, 15]
    raise AssertionError("no free place")


def labels_of(dataset):
    """{file name: [(class, box)]}, sorted."""
    return {
        record.file_name: sorted(
            (dataset.class_names[label], tuple(np.round(box.tolist(), 2)))
            for label, box in zip(record.labels, record.boxes, strict=True)
        )
        for record in dataset.records
    }


def difference(before, after):
    """{file name: (labels that are gone, labels that are new)} where two sets differ."""
    found = {}
    for name in before.keys() | after.keys():
        old, new = list(before[name]), list(after[name])
        for label in before[name]:
            match = [m for m in new if m[0] == label[0] and np.allclose(m[1], label[1], atol=0.02)]
            if match:
                old.remove(label)
                new.remove(match[0])
        if old or new:
            found[name] = old, new
    return found


def on_screen(page, sides):
    """The middle of a grip on the screen."""
    box = page.locator(f'.grip[data-sides="{sides}"]').bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def scale_of(page):
    """Screen pixels per image pixel."""
    return page.evaluate("document.querySelector('#viewer-picture svg').getScreenCTM().a")


def focus_label(page, number):
    """Select the row of an annotation; its exported row."""
    rows = exported_rows(page)
    place = next(i for i, row in enumerate(rows) if row["annotation_id"] == str(number))
    page.locator("#rows .row").first.focus()
    page.keyboard.press("Home")
    for _ in range(place):
        page.keyboard.press("ArrowDown")
    return rows[place]


def drag_by_touch(page, start, by):
    client = page.context.new_cdp_session(page)
    for kind, share in (
        ("touchStart", 0),
        ("touchMove", 0.4),
        ("touchMove", 1.0),
        ("touchEnd", None),
    ):
        points = [
            {"x": start[0] + share * by[0], "y": start[1] + share * by[1]}
            for _ in [0]
            if share is not None
        ]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.mark.parametrize("form", FORMATS)
def test_boxes_fixed_by_mouse_keys_and_touch_are_written_into_their_labels(
    form, audits, open_page, tmp_path, capsys
):
    images, place, dataset, folder = audits[form]
    page = open_page(folder=folder, has_touch=True)
    numbers = [record.annotation_ids[0] for record in dataset.records if len(record)][:3]
    rows, wanted = [], []

    rows.append(focus_label(page, numbers[0]))
    page.keyboard.press("f")
    scale = scale_of(page)
    x, y = on_screen(page, "x2")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 3 * scale, y + 40)  # only across
    page.mouse.move(x - 6 * scale, y + 40)
    page.mouse.up()
    wanted.append({"x2": -6})
    page.keyboard.press("Escape")
    assert page.locator("#viewer").is_visible() and page.locator(".grip").count() == 0
    page.keyboard.press("Escape")

    rows.append(focus_label(page, numbers[1]))
    page.keyboard.press("f")
    page.keyboard.press("Tab")  # from the left side to the upper one
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    wanted.append({"y1": 3})
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")

    rows.append(focus_label(page, numbers[2]))
    page.keyboard.press("f")
    scale = scale_of(page)
    drag_by_touch(page, on_screen(page, "x1 y1"), (4 * scale, 5 * scale))
    other = next(name for name in dataset.class_names if name != rows[2]["class"])
    page.select_option("#fix-class", label=other)
    wanted.append({"x1": 4, "y1": 5})
    page.keyboard.press("Escape")
    page.click("#viewer-close")

    marks = tmp_path / "boxloss-review.json"
    marks.write_text(export(page, "review"))
    assert {mark["mark"] for mark in json.loads(marks.read_text())["marks"]} == {"fix"}
    out = tmp_path / "new"
    words = ["audit", "--apply", marks, "--truth", place, "--images", images, "--out", out]
    assert cli.main([str(word) for word in words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["changed"], printed["not_found"]) == (3, 0)

    # Load again: the three labels have changed, each by what the hand did, and nothing else.
    before, after = labels_of(dataset), labels_of(datasets.load(images, printed["labels"]))
    changed = difference(before, after)
    assert set(changed) == {row["file_name"] for row in rows} and len(changed) == 3
    for row, by in zip(rows, wanted, strict=True):
        ((kind, old),), ((new_kind, new),) = changed[row["file_name"]]
        assert kind == row["class"]
        assert new_kind == (other if row is rows[2] else kind)
        moved = dict(zip(SIDES, np.subtract(new, old), strict=True))
        # VOC files of whole numbers keep them; the mouse is in whole pixels of the screen.
        near = 0.6 if form == "voc" else 0.16
        for side in SIDES:
            assert moved[side] == pytest.approx(by.get(side, 0), abs=near if side in by else 0.02)

    # Apply again: nothing is left to do.
    words[4:5], words[-1:] = [printed["labels"]], [tmp_path / "again"]
    assert cli.main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == 0
    again = labels_of(datasets.load(images, printed["labels"]))
    assert difference(after, again) == {}


def test_a_place_without_a_label_becomes_one_by_hand(audits, open_page, tmp_path, capsys):
    images, place, dataset, folder = audits["coco"]
    page = open_page(folder=folder)
    page.click('[data-chip="suspects:missing"]')
    assert count(page) == 1
    page.locator("#rows .row").first.focus()
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    marks = tmp_path / "marks.json"
    page.keyboard.press("Escape")
    page.click("#viewer-close")
    marks.write_text(export(page, "review"))
    words = ["audit", "--apply", marks, "--truth", place, "--out", tmp_path / "new"]
    assert cli.main([str(word) for word in words]) == 0
    printed = json.loads(capsys.readouterr().out)
    after = labels_of(datasets.load(images, printed["labels"]))
    (old, new), *others = difference(labels_of(dataset), after).values()
    x, y, width, height = free_place(dataset.records[0])
    assert old == [] and others == []
    assert new[0][1] == pytest.approx((x + 11, y, x + width, y + height), abs=0.01)


def test_a_false_box_beside_a_label_becomes_a_new_label(reports, open_page, tmp_path):
    """Its row knows the true box that it is near to; that label is not the one to change."""
    page = open_page()
    rows = exported_rows(page)
    place = next(i for i, r in enumerate(rows) if r["row"] == "prediction" and r["truth_x1"])
    page.locator("#rows .row").first.focus()
    page.keyboard.press("Home")
    for _ in range(place):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.click("#viewer-close")
    marks = tmp_path / "marks.json"
    marks.write_text(export(page, "review"))
    (edit,) = apply.edits_of_marks(marks)
    start = [float(rows[place][f"prediction_{side}"]) for side in SIDES]
    assert (edit.action, edit.box) == ("add", None)
    assert edit.new_box == pytest.approx([start[0] + 1, *start[1:]], abs=0.06)


def test_a_fix_outlives_a_reload_is_shown_and_taken_back(audits, open_page):
    folder = audits["coco"][3]
    page = open_page(folder=folder)
    page.locator("#rows .row").first.focus()
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    before = page.locator("#fix-numbers").inner_text()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator('[data-chip="marks:fix"] small').inner_text() == "1"
    row = first_row(page)
    assert row.locator("path.fixed").count() == 1
    assert "fixed by hand" in row.locator("svg.crop").get_attribute("aria-label")
    row.locator(".picture").click()
    assert page.locator("#viewer-picture path.fixed").count() == 1
    assert "fixed by hand" in page.locator("#viewer-facts").inner_text()
    page.keyboard.press("f")
    assert page.locator("#fix-numbers").inner_text() == before
    page.click("#fix-back")
    assert page.locator("#fix-numbers").inner_text() != before
    page.keyboard.press("f")
    assert page.locator("#viewer-picture path.fixed").count() == 0
    page.keyboard.press("Escape")
    assert page.locator('[data-chip="marks:fix"] small').inner_text() == "0"


def test_a_side_stops_at_the_border_and_at_the_opposite_side(audits, open_page):
    page = open_page(folder=audits["coco"][3])
    page.locator("#rows .row").first.focus()
    page.keyboard.press("f")

    def sides():
        return [float(t) for t in page.locator("#fix-numbers").inner_text().split()[1::2]]

    for _ in range(12):
        page.keyboard.press("Shift+ArrowLeft")
    assert sides()[0] == 0
    for _ in range(12):
        page.keyboard.press("Shift+ArrowRight")
    left, _, right, _ = sides()
    assert right - left == pytest.approx(1, abs=0.11)
    names = page.locator(".grip[role=slider]").evaluate_all(
        "all => all.map((grip) => grip.getAttribute('aria-label'))"
    )
    assert names == ["left side", "upper side", "right side", "lower side"]
    assert page.locator(".grip[role=slider]").first.get_attribute("aria-valuemax") == "96"
