"""docs/losses.md is what scripts/make_catalogue.py makes of the registry."""

import math
import pathlib
import re
import runpy

import numpy as np
import pytest
from loss_table import alone, make
from pairs import ORDERED, arrays

import boxloss
from boxloss.tensors import ops

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "losses.md"
PICTURES = ROOT / "docs" / "pictures" / "losses"
# They are older than the habit of naming a source, or written out in their formula.
CLASSICAL = {"gaussian_nll", "l1", "l2", "laplace_nll", "log_cosh", "softmax"}


@pytest.fixture(scope="module")
def catalogue():
    return runpy.run_path(str(ROOT / "scripts" / "make_catalogue.py"))


def rows():
    """{name: cells after the name} of the page's tables."""
    found = re.findall(r"^\| \[(\w+)\]\(#\1\) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def test_every_loss_has_a_row_a_section_and_a_picture():
    assert sorted(rows()) == boxloss.names()
    sections = re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == boxloss.names()
    pictures = {path.stem: path.stat().st_size for path in PICTURES.glob("*.svg")}
    assert sorted(pictures) == boxloss.names()
    assert max(pictures.values()) < 40_000


@pytest.mark.parametrize("name", boxloss.names())
def test_a_row_tells_range_flags_and_paper(name):
    minimum, value_range, apart, disjoint, inverted, source = rows()[name]
    loss = make(name)
    if loss.minimum is not None:
        assert float(minimum) == pytest.approx(loss.minimum, rel=1e-2)
    assert re.search(r"\d|base|unbounded", value_range)
    if loss.kind != "class":
        flags = loss.recovers_disjoint, loss.recovers_inverted
        assert (disjoint == "yes", inverted == "yes") == flags
    assert (source == "-") == (name in CLASSICAL)


def bounds(name, loss):
    """The ends of a row's range as numbers."""
    cell = rows()[name][1]
    if cell == "that of the base":
        return bounds(loss.base, make(loss.base))
    low, high = re.match(r"\[(.*), ([^)\]]*)[)\]]", cell).groups()
    known = {"e": math.e, "inf": math.inf, "beta": getattr(loss, "beta", 0)}
    known["tau"] = getattr(loss, "tau", 1)
    ends = (end.replace("^", "**").replace("2 beta", "2 * beta") for end in (low, high))
    return tuple(eval(end, known) for end in ends)


@pytest.mark.parametrize("name", alone(boxloss.names("box")) + boxloss.names("rotated"))
def test_costs_are_in_the_range_of_the_row(name):
    loss = make(name, **({"version": 1} if name == "wiou" else {}))
    truths, predictions = (x.astype("float32")[None] for x in arrays(ORDERED))
    if name == "mpdiou":  # inside its image
        truths, predictions = truths.clip(0, 480), predictions.clip(0, 480)
    if loss.kind == "rotated":
        truths, predictions = (
            np.concatenate([box[..., :4], np.ones_like(box[..., :1]) * turn], axis=-1)
            for box, turn in zip((truths, predictions), (0.2, 0.9), strict=True)
        )
        truths[..., 2:4], predictions[..., 2:4] = (
            box[..., 2:4] - box[..., :2] for box in (truths, predictions)
        )
    costs = loss.tensors(truths, predictions).numpy().box_errors
    low, high = bounds(name, loss)
    assert np.float32(low) <= costs.min() and costs.max() <= np.float32(high)


@pytest.mark.skipif(ops.backend() != "tensorflow", reason="the page is made on TensorFlow")
def test_the_page_is_not_stale(catalogue):
    made, kept = catalogue["page"]().splitlines(), PAGE.read_text("utf-8").splitlines()
    assert made == kept, "run python scripts/make_catalogue.py"


@pytest.mark.skipif(ops.backend() != "tensorflow", reason="the page is made on TensorFlow")
def test_a_slide_and_a_zoom_by_hand(catalogue):
    # Equal boxes at s widths: the hull is 1 + s boxes, the union 2: GIoU loss 2 - 2 / (1 + s).
    value, slope, _ = catalogue["along"]("giou", np.float32([1.5, 3]), np.float32([1, 1]))
    np.testing.assert_allclose(value, [2 - 2 / 2.5, 2 - 2 / 4], rtol=1e-5)
    np.testing.assert_allclose(slope, [2 / 2.5**2, 2 / 4**2], rtol=1e-5)
    # Around one centre, k times as large: IoU 1 / k^2, whose derivative by ln k is -2 / k^2.
    value, _, slope = catalogue["along"]("iou", np.float32([0, 0]), np.float32([2, 5]))
    np.testing.assert_allclose(value, [1 - 1 / 4, 1 - 1 / 25], rtol=1e-5)
    np.testing.assert_allclose(slope, [2 / 4, 2 / 25], rtol=1e-5)
    assert catalogue["slope_apart"]("iou") == 0
