"""The first tab in a real browser: what is wrong, what it costs, where, at any threshold."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from oracles.tide_points import all_kinds
from page_scenes import count, exported_rows

from boxloss import evaluation
from boxloss.report import BoxReport
from boxloss.report.page import whole

pytestmark = pytest.mark.page
THRESHOLD = 0.4
LABELS = dict(
    zip(
        evaluation.KINDS,
        (
            *("found", "wrong place", "wrong class", "both wrong"),
            *("double", "on background", "missed"),
        ),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Pages of one scene at two thresholds, of it against a worse run, and of other shapes."""
    folder = tmp_path_factory.mktemp("diagnosis")
    truth, results = all_kinds()
    worse = [dict(row, bbox=np.add(row["bbox"], [3, 2, 0, 0]).tolist()) for row in results[40:]]

    def report(found, threshold, title="scene"):
        return BoxReport.from_coco(truth, found, loss=None, score_threshold=threshold, title=title)

    report(results, THRESHOLD).to_html(folder / "page")
    report(results, 0.7).to_html(folder / "fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "MOST_ROWS", 25)
        report(results, THRESHOLD).to_html(folder / "limited")
    report(results, THRESHOLD).to_html(folder / "compared", compare=report(worse, 0.6, "worse run"))
    many_classes().to_html(folder / "many")
    return folder, truth, results


def many_classes(classes=300):
    """300 classes with long names, a box and a detection of each in images of 8000 x 6000."""
    categories = [{"id": i, "name": f"a class with quite a long name {i}"} for i in range(classes)]
    boxes = [[37.0 * (i % 200), 900.0 + i, 200.0, 160.0] for i in range(classes)]
    truth = {
        "images": [{"id": 0, "file_name": "large.png", "width": 8000, "height": 6000}],
        "categories": categories,
        "annotations": [
            {"id": i, "image_id": 0, "category_id": i, "bbox": box} for i, box in enumerate(boxes)
        ],
    }
    results = [
        {"image_id": 0, "category_id": (i + i % 2) % classes, "bbox": box, "score": 0.5 + i / 700}
        for i, box in enumerate(boxes)
    ]
    return BoxReport.from_coco(truth, results, loss=None, title="many")


def rows_at(folders, threshold):
    _, truth, results = folders
    return evaluation.error_table(truth, results, loss=None, score_threshold=threshold)


def move_threshold(page, value):
    page.evaluate(
        """(value) => {
          const field = document.querySelector('#threshold');
          field.value = value;
          field.dispatchEvent(new Event('input'));
        }""",
        str(value),
    )
    page.wait_for_timeout(400)  # the rows behind the tab follow when the threshold rests


def diagnosis_text(page):
    return page.locator("#panel-diagnosis").inner_text()


def test_the_page_opens_on_the_diagnosis_with_points_by_kind_and_cocos_numbers(open_page, folders):
    folder, truth, results = folders
    page = open_page(address="", folder=folder / "page")
    assert page.locator("#tab-diagnosis").get_attribute("aria-selected") == "true"
    points = evaluation.lost_points(truth, results)
    shown = [line.split("\n") for line in page.locator("#costs .cost").all_inner_texts()]
    kinds = sorted(LABELS, key=lambda kind: -points.get(kind, -1))[:-1]
    assert shown == [[LABELS[kind], f"{points[kind]:.1f}"] for kind in kinds]
    metrics = evaluation.coco_metrics(truth, results)
    numbers = dict(
        reversed(text.split("\n")) for text in page.locator("#stats .stat").all_inner_texts()
    )
    for name in ("AP", "AP50", "AP75"):
        assert numbers[name] == f"{metrics[name]:.3f}"
    rows = rows_at(folders, THRESHOLD)
    found = sum(row["kind"] == "ok" for row in rows)
    false = sum(row["kind"] != "ok" and row["score"] is not None for row in rows)
    boxes = sum(row["row"] == "truth" for row in rows)
    assert numbers["precision"] == f"{found / (found + false):.2f}"
    assert numbers["recall"] == f"{found / boxes:.2f}"
    first = page.locator("#sentences").inner_text()
    assert f"AP50 is {metrics['AP50']:.3f}" in first
    assert f"boxes of the wrong class: −{points['cls']:.1f} points" in first


def test_a_page_of_the_worst_rows_has_the_diagnosis_of_all(open_page, folders):
    every = open_page(address="", folder=folders[0] / "page")
    limited = open_page(address="", folder=folders[0] / "limited")
    total = len(rows_at(folders, THRESHOLD))
    assert limited.locator("#row-limit").inner_text() == (
        f"The lists have the worst 25 of {total} rows; {total - 25} are not shown. "
        "The Diagnosis counts all of them."
    )
    assert not every.locator("#row-limit").is_visible()
    assert limited.locator("#subtitle").inner_text() == every.locator("#subtitle").inner_text()
    for part in ("sentences", "costs", "stats", "where-table", "sides-words", "sides-box"):
        texts = [page.locator(f"#{part}").inner_text() for page in (limited, every)]
        assert texts[0] == texts[1]
    assert limited.locator("#confusion").inner_text() == every.locator("#confusion").inner_text()
    assert not limited.locator("#threshold-line").is_visible()  # there it has no rows
    assert limited.locator("#count-boxes").inner_text() == "25"


def test_a_dragged_threshold_equals_a_page_built_at_it(open_page, folders):
    page = open_page(address="", folder=folders[0] / "page")
    fresh = open_page(address="", folder=folders[0] / "fresh")
    before = diagnosis_text(page)
    move_threshold(page, 0.7)
    # The button that takes the threshold back is the only difference.
    moved = diagnosis_text(page).replace("Back\n", "")
    assert moved == diagnosis_text(fresh) != before
    assert page.locator("#subtitle").inner_text() == fresh.locator("#subtitle").inner_text()

    def table(page):
        page.click("#tab-boxes")
        rows = exported_rows(page)
        return sorted(json.dumps(row) for row in rows)

    got, want = table(page), table(fresh)
    assert got == want and len(got) == len(rows_at(folders, 0.7))


@pytest.mark.parametrize("threshold", [0.05, 0.333, 0.9])
def test_rows_at_any_threshold_are_those_of_the_error_table(open_page, folders, threshold):
    page = open_page(address="", folder=folders[0] / "page")
    move_threshold(page, threshold)
    page.click("#tab-boxes")
    rows = rows_at(folders, threshold)
    assert count(page) == len(rows)

    def key(row):
        number = {name: str(row[name] or "") for name in ("annotation_id", "kind")}
        return number["annotation_id"], number["kind"], str(row["detection"])

    want = [
        {**row, "detection": "" if row["detection"] is None else row["detection"]} for row in rows
    ]
    assert sorted(map(key, exported_rows(page))) == sorted(map(key, want))


def test_the_threshold_is_dragged_on_the_curves(open_page, folders):
    page = open_page(address="", folder=folders[0] / "page")
    frame = page.locator("#curves-plot .frame").bounding_box()
    y = frame["y"] + frame["height"] / 2
    page.mouse.move(frame["x"] + frame["width"] * 0.2, y)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.6, y, steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)
    value = float(page.locator("#threshold-value").inner_text())
    assert value == pytest.approx(0.6, abs=0.01)
    boxes = page.locator("#count-boxes").inner_text()
    assert int(boxes.replace(",", "")) == len(rows_at(folders, value))
    page.click("#threshold-best")
    assert page.locator("#threshold-value").inner_text() == f"{THRESHOLD:.3f}"


def test_curves_are_those_of_the_matching_and_of_coco(open_page, folders):
    folder, truth, results = folders
    page = open_page(address="", folder=folder / "page")
    data = json.loads(page.locator("#data").text_content())["diagnosis"]
    for place in (0, 30, 55, 90):
        rows = rows_at(folders, place / 100)
        found = sum(row["kind"] == "ok" for row in rows)
        there = sum(row["score"] is not None for row in rows)
        assert data["precision"][place] == pytest.approx(found / there)
        assert data["recall"][place] == pytest.approx(found / len(truth["annotations"]))
    assert np.mean([np.mean(curve) for curve in data["curves"]]) == pytest.approx(
        evaluation.coco_metrics(truth, results)["AP50"]
    )
    worst = int(np.argmin(data["classes"]["AP50"]))
    assert page.locator("#pr-class").input_value() == str(worst)
    drawn = page.locator("#pr-plot .curve").get_attribute("d")
    heights = [float(pair.split()[1]) for pair in drawn[1:].split("L")]
    frame = page.locator("#pr-plot .frame")
    top, height = (float(frame.get_attribute(name)) for name in ("y", "height"))
    want = [top + height * (1 - value) for value in data["curves"][worst]]
    np.testing.assert_allclose(heights, want, atol=0.06)


def test_every_number_leads_to_its_boxes(open_page, folders):
    page = open_page(address="", folder=folders[0] / "page")
    rows = rows_at(folders, THRESHOLD)
    for kind in ("cls", "loc", "miss", "bkg"):
        page.click("#tab-diagnosis")
        page.click(f'#costs [data-kind="{kind}"]')
        assert count(page) == sum(row["kind"] == kind for row in rows) > 0
    page.click("#tab-diagnosis")
    line = page.locator("#where-table tbody tr").first
    name = line.locator("th").inner_text()
    line.locator("td .cell").first.click()  # missed boxes of the worst class
    wanted = [row for row in rows if row["class"] == name and row["kind"] == "miss"]
    assert count(page) == len(wanted) > 0
    page.click("#tab-diagnosis")
    cell = page.locator("#confusion .cell[aria-label^='a → b']")
    number = int(cell.inner_text())
    cell.click()
    taken = [
        row
        for row in rows
        if row["row"] == "truth"
        and row["class"] == "a"
        and row["prediction_class"] == "b"
        and row["kind"] == "cls"
    ]
    assert count(page) == len(taken) == number > 0
    page.click("#tab-diagnosis")
    with_numbers = page.locator("#steps button").all_inner_texts()
    assert len(with_numbers) == 3
    page.locator("#steps button").first.click()
    assert count(page) == int("".join(c for c in with_numbers[0][2:] if c.isdigit()))


def test_the_sides_are_medians_with_the_interval_of_the_sign_test(open_page, folders):
    page = open_page(address="", folder=folders[0] / "page")
    rows = [row for row in rows_at(folders, THRESHOLD) if row["kind"] == "ok"]
    width = [row["truth_x2"] - row["truth_x1"] for row in rows]
    errors = np.sort([100 * row["error_x1"] / w for row, w in zip(rows, width, strict=True)])
    n = len(errors)
    step = int(n / 2 - 0.98 * np.sqrt(n))
    shown = page.locator("#sides-box .side-x1").inner_text()
    numbers = [
        float(t)
        for t in shown.replace("−", "-").replace("[", "").replace("]", "").replace(",", "").split()
    ]
    want = [np.median(errors), errors[step], errors[n - 1 - step]]
    np.testing.assert_allclose(numbers, want, atol=0.051)


def test_missed_rows_show_the_detection_below_the_threshold(open_page, folders):
    page = open_page("page", "#tab=boxes&kinds=miss&causes=too+unsure", folders[0] / "page")
    rows = exported_rows(page)
    assert rows and {row["kind"] for row in rows} == {"miss"}
    low = {row["annotation_id"]: row for row in rows_at(folders, 0.05) if row["row"] == "truth"}
    weak = [low[int(row["annotation_id"])] for row in rows]
    assert {row["kind"] for row in weak} == {"ok"}
    first = page.locator("#rows .row").first
    best = weak[0]
    assert (
        first.locator(".why").inner_text()
        == f"right box at {best['score']:.2f}, IoU {best['iou']:.2f}"
    )
    drawn = first.locator("path.weak").get_attribute("d")
    assert drawn.startswith(f"M{best['prediction_x1']:.3f}"[:6])
    page.goto(page.url.split("#")[0] + "#tab=boxes&kinds=bkg")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert "next: " in page.locator("#rows .row .why").first.inner_text()


def test_filters_live_in_the_address_and_nothing_found_says_so(open_page, folders):
    page = open_page("page", "#tab=boxes", folders[0] / "page")
    page.click('[data-chip="kinds:miss"]')
    page.fill("#search", "12.png")
    page.wait_for_timeout(600)
    number = count(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert count(page) == number and page.locator("#search").input_value() == "12.png"
    page.fill("#search", "wrong place")  # a word that rows print
    page.click('[data-chip="kinds:miss"]')
    page.locator("#count", has_text="images").wait_for()
    page.wait_for_timeout(300)
    assert {row["kind"] for row in exported_rows(page)} == {"loc"}
    page.fill("#search", "no such thing")
    page.locator("#empty").wait_for()
    assert "No box passes" in page.locator("#empty").inner_text()
    page.click("#empty-reset")
    assert count(page) == len(rows_at(folders, THRESHOLD))


def test_two_runs_are_compared_at_one_threshold(open_page, folders):
    page = open_page("page", "", folders[0] / "compared")
    assert page.locator("#tab-compare").get_attribute("aria-selected") == "true"
    _, truth, results = folders
    worse = [dict(row, bbox=np.add(row["bbox"], [3, 2, 0, 0]).tolist()) for row in results[40:]]
    before = evaluation.error_table(truth, worse, loss=None, score_threshold=THRESHOLD)
    kinds = [
        {row["annotation_id"]: row["kind"] for row in rows if row["row"] == "truth"}
        for rows in (rows_at(folders, THRESHOLD), before)
    ]
    fixed = [i for i in kinds[0] if kinds[0][i] == "ok" != kinds[1][i]]
    broken = [i for i in kinds[0] if kinds[1][i] == "ok" != kinds[0][i]]
    facts = [text.split("\n") for text in page.locator("#compare-counts .stat").all_inner_texts()]
    assert [int(number) for number, _ in facts[:2]] == [len(fixed), len(broken)]
    assert len(fixed) > 5
    ap = [evaluation.coco_metrics(truth, found)["AP"] for found in (results, worse)]
    line = page.locator("#compare-metrics tbody tr").first.inner_text().split("\t")
    assert line == ["AP", f"{ap[0]:.3f}", f"{ap[1]:.3f}", f"{ap[0] - ap[1]:+.3f}"]
    now, other = ({}, {})
    for rows, counts in ((rows_at(folders, THRESHOLD), now), (before, other)):
        for row in rows:
            counts[row["kind"]] = counts.get(row["kind"], 0) + 1
            name = row["class"]
            key = (
                name,
                "found" if row["kind"] == "ok" else "false" if row["row"] != "truth" else "",
            )
            counts[key] = counts.get(key, 0) + 1
    points = [evaluation.lost_points(truth, found) for found in (results, worse)]
    for line in page.locator("#compare-kinds tbody tr").all_inner_texts():
        word, *cells = line.replace("−", "-").split("\t")
        kind = next(kind for kind, label in LABELS.items() if label == word)
        counts = [now.get(kind, 0), other.get(kind, 0)]
        assert [int(cell) for cell in cells[:3]] == [*counts, counts[0] - counts[1]]
        if kind != "ok":
            expected = points[0][kind] - points[1][kind]
            assert float(cells[3]) == pytest.approx(expected, abs=0.051)
    details = [
        evaluation.metrics_by_class(
            evaluation.Truth.of(truth), evaluation.Detections.of(r, evaluation.Truth.of(truth))
        )
        for r in (results, worse)
    ]
    lines = page.locator("#compare-classes tbody tr").all_inner_texts()
    assert len(lines) == len(truth["categories"])
    for line in lines:
        name, ap, found, false = line.replace("−", "-").split("\t")
        aps = [each["classes"][name]["AP"] for each in details]
        assert float(ap) == pytest.approx(aps[0] - aps[1], abs=0.0006)
        for cell, what in ((found, "found"), (false, "false")):
            assert int(cell) == now.get((name, what), 0) - other.get((name, what), 0)
    page.locator("#compare-counts button").first.click()
    assert sorted(int(row["annotation_id"]) for row in exported_rows(page)) == fixed


def test_the_gallery_shows_the_crops_of_the_selection(open_page, folders):
    page = open_page("page", "#tab=boxes&kinds=miss", folders[0] / "page")
    page.click("#as-gallery")
    tiles = page.locator("#gallery .tile")
    assert 0 < tiles.count() < 30
    assert set(tiles.locator("b").all_inner_texts()) == {"missed"}
    tiles.nth(1).click()
    assert page.locator("#viewer-place").inner_text().startswith("2 of")


def test_three_hundred_classes_and_a_large_image_stay_in_their_places(open_page, folders):
    for width in (390, 1440):
        page = open_page("page", "", folders[0] / "many", viewport={"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#where-table tbody tr").count() == 300
        assert page.locator("#confusion tr").count() == 15  # the commonest mistakes
    page.click("#tab-boxes")
    assert page.locator("#classes label").count() == 300


@pytest.mark.parametrize("which", ["page", "compared", "many"])
def test_half_the_width_print_and_forced_colours_keep_everything_readable(
    open_page, folders, which
):
    # 200 % zoom of a window of 1440 pixels.
    page = open_page(
        "page", "#tab=diagnosis", folders[0] / which, viewport={"width": 720, "height": 450}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    page.emulate_media(media="print")
    assert page.locator("#sentences").is_visible() and not page.locator("#steps").is_visible()
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#panel-diagnosis')).overflow")
        == "visible"
    )
    page.emulate_media(media="screen", forced_colors="active")
    bar = page.locator("#costs .cost i").first
    assert bar.evaluate("(e) => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_four_hundred_right_boxes_of_one_class_in_one_image_are_all_found(open_page, tmp_path):
    shared = {"image_id": 5, "category_id": 3}
    boxes = [[12.0 * (i % 20), 9.0 * (i // 20), 10.0, 7.0] for i in range(400)]
    truth = {
        "images": [{"id": 5, "file_name": "dense.png", "width": 300, "height": 200}],
        "categories": [{"id": 3, "name": "bee"}],
        "annotations": [{"id": i, **shared, "bbox": box} for i, box in enumerate(boxes)],
    }
    results = [{**shared, "bbox": box, "score": 0.9 - i / 1e3} for i, box in enumerate(boxes)]
    BoxReport.from_coco(truth, results, loss=None).to_html(tmp_path)
    page = open_page("page", "", tmp_path)
    assert "Every box is found and no box is false." in page.locator("#sentences").inner_text()
    page.click("#tab-boxes")
    assert page.locator('[data-chip="kinds:ok"] small').inner_text() == "400"
    assert count(page) == 400


def test_tabs_and_the_skip_link_work_by_keyboard(open_page, folders):
    page = open_page("page", "", folders[0] / "compared")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.focus("#tab-compare")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-diagnosis"
    assert page.locator("#panel-diagnosis").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("#panel-boxes").is_visible()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The text of axe-core, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here for axe-core")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--silent", "--prefix", str(folder), "axe-core@4.11.0"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("axe-core@4.11.0 could not be installed by npm")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["diagnosis", "boxes", "compare"])
def test_axe_finds_nothing_serious(open_page, folders, axe, tab, scheme):
    page = open_page(
        "page", f"#tab={tab}", folders[0] / "compared", color_scheme=scheme, bypass_csp=True
    )
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]][:3])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []
