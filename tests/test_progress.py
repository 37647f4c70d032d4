"""The line that says how far a long piece of work is."""

import io

import pytest

from boxloss import files
from boxloss.files import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Each item takes one second of this clock."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))


def test_a_terminal_sees_how_far_it_is_and_what_is_left_and_then_nothing(clock, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert list(files.tracked((i for i in range(300)), "images cut", 300)) == list(range(300))
    lines = [line.rstrip() for line in screen.getvalue().split("\r")]
    # Nothing in the first two seconds; 2 of 300 took 3 seconds by the clock.
    assert lines[1] == "images cut 2/300, about 7 minutes left"
    assert "images cut 250/300, about 50 seconds left" in lines
    assert lines[-2:] == ["", ""]


def test_the_line_is_erased_when_the_work_is_interrupted(clock, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with pytest.raises(KeyboardInterrupt):
        for item in files.tracked(range(300), "folds"):
            if item == 20:
                raise KeyboardInterrupt
    work = files.tracked(range(300), "folds")
    for item in work:
        if item == 20:
            break
    work.close()
    assert screen.getvalue().endswith(f"\r{'':79}\r")


def test_where_nobody_looks_nothing_is_written(clock, capsys):
    assert list(files.tracked(range(300), "folds")) == list(range(300))
    assert capsys.readouterr().err == ""


def test_a_first_item_that_takes_long_needs_no_estimate(monkeypatch):
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert list(files.tracked("abc", "folds")) == ["a", "b", "c"]
    assert screen.getvalue().startswith("\rfolds 1/3, about 40 seconds left")
