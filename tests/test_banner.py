"""The README's first picture: scripts/banner.py."""

import pathlib
import runpy
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
BANNER = runpy.run_path(str(ROOT / "scripts" / "banner.py"))


def row(truth, error, image_id=1, kind="ok", about="truth"):
    prediction = tuple(t + e for t, e in zip(truth, error, strict=True))
    return SimpleNamespace(
        truth=truth, prediction=prediction, error=error, image_id=image_id, kind=kind, about=about
    )


NEAR = [
    row((100, 100, 160, 140), (-9, 0, 0, 0)),
    row((180, 110, 220, 150), (0, 0, 6, 0)),
    row((110, 200, 150, 230), (0, 0, 0, -4)),
]
FAR = row((500, 400, 560, 440), (12, 0, 0, 0))  # off most, in the other corner
OVERLAPPING = row((105, 105, 165, 145), (-12, 0, 0, 0))


def report(rows):
    return SimpleNamespace(images=[{"id": 1, "width": 640, "height": 480}], rows=rows)


def test_three_boxes_near_each_other_that_do_not_overlap_are_chosen():
    rows, corner = BANNER["chosen"](report([FAR, OVERLAPPING, *NEAR[1:], NEAR[0]]))
    assert FAR not in rows and {id(NEAR[1]), id(NEAR[2])} < set(map(id, rows))
    assert not (NEAR[0] in rows and OVERLAPPING in rows)
    low, high = corner, corner + np.array(BANNER["CROP"])
    for one in rows:
        assert (low <= one.truth[:2]).all() and (one.truth[2:] <= high).all()


def test_without_three_found_boxes_it_says_so():
    rows = [*NEAR[:2], row(NEAR[2].truth, (0, 0, 0, -4), kind="bkg")]
    with pytest.raises(ValueError, match="three found boxes"):
        BANNER["chosen"](report(rows))


@pytest.mark.parametrize("error, text", [(-8.6, "−9"), (3.2, "+3"), (-0.4, "0"), (0.0, "0")])
def test_an_error_is_written_in_whole_pixels(error, text):
    assert BANNER["signed"](error) == text


def test_the_kinds_that_cost_most_come_first_and_cells_show_each_side(tmp_path):
    pytest.importorskip("matplotlib")
    cv2 = pytest.importorskip("cv2")
    rows = [SimpleNamespace(**vars(one), file_name="a.png") for one in NEAR]
    cv2.imwrite(str(tmp_path / "a.png"), np.full((480, 640, 3), 90, "uint8"))
    points = {"AP": 81.25, "bkg": 2.5, "miss": 7.1, "loc": 0.2, "cls": 1.0, "both": 0.1, "dupe": 0}
    figure = BANNER["draw"](report(rows), points, tmp_path)
    _, cells, bars = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert bars == ["missed", "−7.1", "on background", "−2.5", "wrong class", "−1.0"]
    shown = [text for text in cells if text[0] in "+−0"]
    order = BANNER["chosen"](report(rows))[0]
    assert shown == [BANNER["signed"](e) for one in order for e in one.error]
    assert "(0.812)" in figure.texts[1].get_text()
