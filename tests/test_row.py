"""Row: the fields of one line of the error table, and its columns as a mapping."""

import pytest

from boxloss import BoxReport, evaluation
from boxloss.evaluation import Row

COLUMNS = {
    "row": "truth",
    "image_id": 7,
    "file_name": "a.png",
    "annotation_id": "x1",
    "detection": 4,
    "class": "cat",
    "prediction_class": "dog",
    "kind": "cls",
    "size": "medium",
    "score": 0.75,
    **{"truth_x1": 10.0, "truth_y1": 20.0, "truth_x2": 50.0, "truth_y2": 44.0},
    **{"prediction_x1": 8.0, "prediction_y1": 21.0, "prediction_x2": 53.5, "prediction_y2": 44.0},
    **{"error_x1": -2.0, "error_y1": 1.0, "error_x2": 3.5, "error_y2": 0.0},
    "iou": 0.8,
    "box_error": 0.25,
    "term_overlap": 0.2,
    "term_center": 0.05,
    "note": "added",
}


def test_the_columns_of_a_row_are_those_of_the_dict_that_it_was_made_of_in_their_order():
    row = Row.of(COLUMNS)
    assert list(dict(row).items()) == list(COLUMNS.items())
    assert row == COLUMNS and len(row) == len(COLUMNS)
    assert row.get("term_hull") is None and "term_hull" not in row
    with pytest.raises(KeyError):
        row["nothing"]


def test_the_fields_are_what_the_columns_say():
    row = Row.of(COLUMNS)
    assert (row.about, row.class_name, row.detection) == ("truth", "cat", 4)
    assert row.truth == (10, 20, 50, 44) and row.error == (-2, 1, 3.5, 0)
    assert row.terms == {"overlap": 0.2, "center": 0.05} and row.extra == {"note": "added"}


def test_what_is_written_to_a_column_is_in_its_field_and_back():
    row = Row.of(COLUMNS)
    row["class"], row["truth_x2"], row["term_overlap"], row["mark"] = "cow", 52.0, 0.5, 3
    assert row.class_name == "cow" and row.truth == (10, 20, 52, 44)
    assert row.terms["overlap"] == 0.5 and row.extra["mark"] == 3
    # The error follows from the boxes, so it cannot say something else than they do.
    assert row["error_x2"] == 1.5
    row.prediction = None
    assert row["error_x2"] is None and row["prediction_x1"] is None
    del row["mark"], row["term_center"]
    assert "mark" not in row and row.terms == {"overlap": 0.5}


@pytest.mark.parametrize("change", ["set an error", "delete a column"])
def test_what_a_row_cannot_do_is_named(change):
    row = Row.of(COLUMNS)
    with pytest.raises(ValueError, match="Received: (error_y1=2|its deletion)"):
        if change == "set an error":
            row["error_y1"] = 2
        else:
            del row["class"]


def test_a_dict_that_is_no_row_is_named():
    with pytest.raises(ValueError, match="Received: a row without kind"):
        Row.of({name: value for name, value in COLUMNS.items() if name != "kind"})


def test_people_get_plain_dicts_that_json_and_tables_take():
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 90, "height": 60}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [10, 20, 40, 24]}],
    }
    found = [{"image_id": 1, "category_id": 3, "bbox": [12, 20, 40, 20], "score": 0.5}]
    report = BoxReport.from_coco(truth, found, loss=None)
    for rows in (evaluation.error_table(truth, found, loss=None), report.table()):
        assert [type(row) for row in rows] == [dict]
        assert (rows[0]["error_x1"], rows[0]["error_y2"]) == (2, -4)
    assert [type(row) for row in report.rows] == [Row]
    report.rows = rows  # a report takes either
    assert report.rows[0].kind == "ok"
