"""One notion of id, number, flag, name, size and file name for every reader and for results."""

import doctest
import math

import numpy as np
import pytest

from boxloss.datasets import values

NAN = float("nan")


@pytest.mark.parametrize("written", [7, 7.0, "7", "7.0", " 7 ", "7e0", "0.7e1", "7.", np.int64(7)])
def test_a_whole_number_in_any_notation_is_that_number(written):
    for read in (values.whole_number, values.identifier):
        assert read(written) == 7 and type(read(written)) is int
    assert values.number(written) == 7.0 and type(values.number(written)) is float
    assert values.size(written) == 7
    assert values.flag(written) is True


@pytest.mark.parametrize(
    "written, whole, identity",
    [
        ("0.000e+00", 0, 0),
        (-1, -1, -1),
        ("007", 7, "007"),
        ("0", 0, 0),
        (2**60 + 1, 2**60 + 1, 2**60 + 1),
        (str(2**60 + 1), 2**60 + 1, 2**60 + 1),
        (1e300, None, None),
        ("1e300", None, "1e300"),
        ("9" * 5000, None, "9" * 5000),
        (1.5, None, None),
        ("1.5", None, "1.5"),
        ("img 7", None, "img 7"),
        ("1_000", None, "1_000"),
        ("", None, None),
        (NAN, None, None),
        (True, None, None),
        (None, None, None),
        ([7], None, None),
        ({"x": 7}, None, None),
    ],
)
def test_what_is_a_whole_number_and_what_is_an_id(written, whole, identity):
    assert values.whole_number(written) == whole
    assert values.identifier(written) == identity


@pytest.mark.parametrize(
    "written, expected",
    [
        ("-.5", -0.5),
        ("1e-3", 0.001),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ("0,5", None),
        ("1 2", None),
        ("0x10", None),
        (True, None),
        (np.float32(0.5), 0.5),
        (None, None),
        ([1], None),
    ],
)
def test_a_number_or_its_text_is_a_number(written, expected):
    assert values.number(written) == expected


def test_not_a_number_is_read_as_such():
    assert math.isnan(values.number("nan")) and math.isnan(values.number(NAN))


@pytest.mark.parametrize("yes", [1, 1.0, True, "1", "1.0", "true", "TRUE", " yes ", 2, -1])
@pytest.mark.parametrize("no", [0, 0.0, False, None, "0", "0.0", "false", "No", "", NAN, "nan", []])
def test_flags(yes, no):
    assert values.flag(yes) is True
    assert values.flag(no) is False
    assert values.flag("Unspecified") is False


@pytest.mark.parametrize(
    "written, expected",
    [
        (" cell ", "cell"),
        (7, "7"),
        (7.0, "7"),
        (0.5, "0.5"),
        ("7.0", "7.0"),
        ("007", "007"),
        ("  ", None),
        (None, None),
        (True, None),
        (NAN, None),
        (["cell"], None),
    ],
)
def test_a_name_may_be_a_number(written, expected):
    assert values.name(written) == expected


@pytest.mark.parametrize("none", [None, NAN, "nan", 0, "0", -1, "-1", "unknown", "", [40], True])
def test_a_size_that_tells_nothing(none):
    assert values.size(none) is None
    assert values.size("40") == values.size(40.0) == values.size(39.8) == 40


def test_ids_are_found_in_any_notation():
    ids = values.Ids([("007", "a"), (12, "b"), ("x", "c")])
    assert [ids.get(key) for key in ("007", 7, "7.0", 12, "12", 12.0, "012", "x")] == list(
        "aaabbbbc"
    )
    assert [ids.get(key) for key in (None, True, 1.5, [1], "y", 8)] == [None] * 6
    assert 7 in ids and 8 not in ids and len(ids) == 3
    assert not ids.add("12.0", "d") and not ids.add(None, "d") and ids.get(12) == "b"


def test_an_id_that_several_have_is_nobodys():
    ids = values.Ids([("007", "a"), ("07", "b")])
    assert (ids.get("007"), ids.get("07"), ids.get(7)) == ("a", "b", None)
    assert ids.add(7, "c") and ids.get(7) == "c"


@pytest.mark.parametrize(
    "text, paths",
    [
        ("a.png", "a.png"),
        ("./sub//a.png/", "sub/a.png a.png"),
        ("sub\\a.png", "sub\\a.png sub/a.png a.png"),
        ("/home/me/images/a.png", "home/me/images/a.png me/images/a.png images/a.png a.png"),
        ("C:\\me\\a.png", "me/a.png a.png"),
        ("../images/a.png", ""),
        ("x/../../a.png", ""),
        ("a..b.png", "a..b.png"),
        ("a%20b.png", "a%20b.png|a b.png"),
        ("/data/local-files/?d=sub/a.png", "sub/a.png a.png"),
        ("https://host/x/a.png?w=5", "x/a.png a.png"),
        ("..", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_the_paths_that_a_file_name_may_mean(text, paths):
    expected = paths.split("|") if "|" in paths else paths.split()
    found = [path for path, _ in values.paths_of(text)]
    assert [path for path in found if path in expected] == expected
    assert len(found) == len(expected) or "?" in text
    for path in found:
        assert path and not path.startswith("/") and ".." not in path.split("/")


def test_what_was_taken_off_a_path_is_reported():
    assert list(values.paths_of("images\\sub\\a.png")) == [
        ("images\\sub\\a.png", ""),
        ("images/sub/a.png", ""),
        ("sub/a.png", "images"),
        ("a.png", "images/sub"),
    ]


def test_of_a_hostile_name_only_the_last_parts_are_tried():
    found = [path for path, _ in values.paths_of("a/" * 100_000)]
    assert found[0] == "/".join("a" * values.MOST_PARTS) and len(found) == values.MOST_PARTS


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a.png", "a"),
        ("x/y.z/a.b.png", "a.b"),
        ("x\\a.png", "a"),
        ("C:\\x\\a", "a"),
        (".hidden", ".hidden"),
        ("0007", "0007"),
    ],
)
def test_stems(text, expected):
    assert values.stem(text) == expected


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(values).failed == 0
