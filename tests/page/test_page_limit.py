"""A page of more rows than it may hold: the worst of them, and the numbers of all."""

import collections
import csv
import json
import re

import cv2
import numpy as np
import pytest
from oracles.tide_points import all_kinds
from page_scenes import report_of, scene

from boxloss import evaluation
from boxloss.report import BoxReport
from boxloss.report.page import cutting, whole

LIMIT = 25


@pytest.fixture
def report(monkeypatch):
    monkeypatch.setattr(whole, "MOST_ROWS", LIMIT)
    truth, results = all_kinds()
    report = BoxReport.from_coco(truth, results, loss=None, score_threshold=0.4)
    rng = np.random.default_rng(3)
    for row in report.rows:  # without Keras
        row.box_error = None if row.error is None else float(rng.uniform(0, 2))
    return report


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.S)[1])


def test_the_page_has_the_worst_rows_and_says_how_many_it_has_not(report, tmp_path, capsys):
    data = data_of(report.to_html(tmp_path))
    total = len(report)
    assert total > 2 * LIMIT
    assert capsys.readouterr().err == (
        f"the page shows the worst {LIMIT} of {total} rows ({total - LIMIT} are not on it); its "
        "Diagnosis counts all of them\n"
    )
    assert data["whole"]["rows"] == total and len(data["rows"]["crop"]) == 4 * LIMIT
    errors = [np.inf if row.box_error is None else row.box_error for row in report.rows]
    shown = [np.inf if error is None else error for error in data["rows"]["error"][:LIMIT]]
    np.testing.assert_allclose(sorted(shown), sorted(errors)[-LIMIT:], rtol=1e-8)
    # Of other thresholds only what explains a missed box: all rows behind are of true boxes.
    boxes = set(zip(data["rows"]["image"], data["rows"]["annotation"], strict=True))
    assert all(data["rows"]["own"][LIMIT:])
    assert len(boxes) <= LIMIT


def test_the_numbers_are_those_of_all_rows(report, tmp_path):
    found = data_of(report.to_html(tmp_path))["whole"]
    table = report.table()
    kinds = collections.Counter(row["kind"] for row in table)
    assert [entry["count"] for entry in found["kinds"]] == [kinds[k] for k in evaluation.KINDS]
    by_class = collections.Counter(row["class"] for row in table if row["row"] == "truth")
    counted = collections.Counter()
    for label, _, boxes, *_ in found["groups"]:
        counted[report.class_names[label]] += boxes
    assert counted == by_class
    right = [row for row in table if row["kind"] == "ok"]
    assert sum(group[3] for group in found["groups"]) == len(right)
    assert sum(group[4] for group in found["groups"]) == kinds["miss"]
    wrong = [row for row in table if row["kind"] != "ok" and row["score"] is not None]
    assert sum(group[5] for group in found["groups"]) == len(wrong)
    wanted = sum(row["iou"] for row in right)
    assert sum(group[6] for group in found["groups"]) == pytest.approx(wanted)
    shares = [100 * row["error_y2"] / (row["truth_y2"] - row["truth_y1"]) for row in right]
    assert found["sides"][0][3]["median"] == pytest.approx(np.median(shares))
    assert found["sides"][0][3]["count"] == len(right)


def test_boxes_csv_has_all_rows(report, tmp_path):
    report.to_html(tmp_path)
    report.to_csv(tmp_path / "boxes.csv")
    with open(tmp_path / "boxes.csv", newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.reader(file))) == 1 + len(report)


def test_a_page_of_fewer_rows_has_no_such_numbers(report, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(whole, "MOST_ROWS", len(report))
    data = data_of(report.to_html(tmp_path))
    assert data["whole"] is None and capsys.readouterr().err == ""


def test_parts_of_two_reports_are_not_compared(report, tmp_path):
    with pytest.raises(ValueError, match=f"of at most {LIMIT} rows. Received: {len(report)} rows"):
        report.to_html(tmp_path, compare=report)
    assert not (tmp_path / "index.html").exists()


def pictured(tmp_path):
    """A report of three images that are files, and the folder of its page."""
    truth, results = scene(tmp_path / "photos", images=3, boxes=2)
    return report_of(truth, results, tmp_path / "photos", "pictures"), tmp_path / "page"


def contents(page):
    return {path.relative_to(page).as_posix(): path.read_bytes() for path in page.rglob("*.jpg")}


def test_pictures_that_were_interrupted_go_on_where_they_were(tmp_path, monkeypatch):
    report, page = pictured(tmp_path)
    report.to_html(page)
    whole_page = contents(page)
    cut, made = cutting._jpeg, []

    def counted(picture, what, size):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(what.name)
        return cut(picture, what, size)

    again = tmp_path / "again"
    monkeypatch.setattr(cutting, "_jpeg", counted)
    monkeypatch.setattr(cutting, "MOST_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        report.to_html(again)
    before = contents(again)
    assert 0 < len(before) < len(whole_page)
    assert all(whole_page[name] == data for name, data in before.items())
    assert not [path for path in again.rglob("*") if path.name.startswith(".boxloss-tmp")]
    made.clear()
    monkeypatch.setattr(cutting, "_jpeg", lambda *what: made.append(what[1].name) or cut(*what))
    report.to_html(again)
    assert contents(again) == whole_page
    assert set(made) == set(whole_page) - set(before)


def test_pictures_of_another_image_or_place_are_cut_again(tmp_path):
    report, page = pictured(tmp_path)
    report.to_html(page)
    before = contents(page)
    name = report.images[0]["file_name"]
    cv2.imwrite(str(tmp_path / "photos" / name), np.full((240, 320, 3), 7, "uint8"))
    report.rows[-1].prediction = (1.0, 2.0, 60.0, 90.0)
    report.rows[-1].truth = None
    report.to_html(page)
    changed = {n for n, data in contents(page).items() if data != before[n]}
    mine = {f"crops/{i}.jpg" for i, row in enumerate(report.rows) if row.image_id == 0}
    assert changed == {"images/0.jpg", *mine, f"crops/{len(report) - 1}.jpg"}
