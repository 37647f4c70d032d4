"""CSV files: no cell is a formula, everything is read back as it was, umlauts open right."""

import csv

import pytest

from boxloss import files

TEXTS = ["=1+1", "+a", "-x", "@SUM", "\tx", "\rx", "'=x", "''-", "'plain", "7", "-7", 'ä;,"\n', ""]
IDS = ["007", "7", 7, -7, "'7", "7.0", 2**63 + 1, "9007199254740993", "=7", "x", None, "-7", "1e3"]


def written(path, header, rows, **how):
    files.write_csv(path, header, rows, **how)
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def test_no_text_begins_like_a_formula_and_each_is_read_back(tmp_path):
    path = tmp_path / "a.csv"
    cells = [row[0] for row in written(path, ["class"], [[text] for text in TEXTS])[1:]]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    assert cells[TEXTS.index("'plain")] == "'plain" and cells[TEXTS.index("7")] == "7"
    found = [record["class"] for _, record in files.read_csv(path, ["class"], "a table")]
    assert [files.plain_text(cell) for cell in found] == TEXTS


def test_ids_keep_their_type(tmp_path):
    path = tmp_path / "a.csv"
    cells = written(path, ["id", "x"], [[one, 1] for one in IDS], ids=("id",))[1:]
    assert [row[0] for row in cells][:4] == ["'007", "'7", "7", "-7"]
    found = [files.id_of(record["id"]) for _, record in files.read_csv(path, ["id"], "a table")]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in IDS]


def test_ids_of_older_files_that_look_like_numbers_are_texts():
    assert [files.id_of(cell) for cell in ("007", "12", "9" * 400)] == ["007", 12, "9" * 400]


def test_numbers_are_numbers(tmp_path):
    rows = [[-1.25, -2, 0.123456789, None, True]]
    found = written(tmp_path / "a.csv", "abcde", rows, number=".3g", formats={"a": ".4f"})
    assert found == [list("abcde"), ["-1.2500", "-2", "0.123", "", "True"]]
    assert written(tmp_path / "a.csv", "a", [[0.1 + 0.2]])[1] == ["0.30000000000000004"]


@pytest.mark.parametrize("text, marked", [("Kohl", False), ("Rübe", True)])
def test_a_mark_is_written_where_a_spreadsheet_needs_it(tmp_path, text, marked):
    path = tmp_path / "a.csv"
    files.write_csv(path, ["class", "x"], [["a", 1], [text, 2]])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == marked
    assert path.read_text("utf-8-sig") == f"class,x\na,1\n{text},2\n".replace("\n", "\r\n") or (
        path.read_text("utf-8-sig") == f"class,x\na,1\n{text},2\n"
    )
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + f"class,x\n{text},2\n".encode())
        assert [row for _, row in files.read_csv(path, ["x"], "a table")] == [
            {"class": text, "x": "2"}
        ]
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    "data, rest",
    [
        (b"", "file must have the columns of a table. Received: a file without a, b"),
        (b"a\n1\n", "file must have the columns of a table. Received: a file without b"),
        (b"a,b\n1\n", "line 2 must have as many fields as the header. Received: "),
        (b"a,b\n1,2,3\n", "line 2 must have as many fields as the header. Received: "),
        (b"a,b\n1,\xff\n", "file must be a CSV file. Received: "),
        (b"a,b\n1," + b"x" * 2**21, "file must be a CSV file. Received: field larger than"),
    ],
)
def test_other_files_are_one_line(tmp_path, data, rest):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        list(files.read_csv(path, ["a", "b"], "a table"))
    assert str(error.value).startswith(f"{path}: {rest}") and "\n" not in str(error.value)


def test_a_long_field_is_read(tmp_path):
    """Python's own limit of 131,072 characters holds again afterwards."""
    path, limit = tmp_path / "a.csv", csv.field_size_limit()
    path.write_text("a,b\n1," + "x" * 200_000)
    assert [len(record["b"]) for _, record in files.read_csv(path, "ab", "a table")] == [200_000]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("number", [7, 2**53 - 1, 2**53, -(2**60), 2**63 + 1])
def test_ids_that_javascript_would_round_are_texts_in_the_page(number):
    from boxloss.report.page import content

    found = content._exact(number)
    assert found == (number if abs(number) < 2**53 else str(number))
    assert [content._exact(other) for other in ("007", None)] == ["007", None]
