"""Laws that every loss in the registry obeys, on drawn batches.

A batch is drawn as a seed and a few choices (sizes, ties, degenerate pairs, which rows are boxes),
so that shapes stay the same and an example is cheap. `BOXLOSS_EXAMPLES=12` draws more of each, as
`make test-slow` does. A loss is covered by being registered: whether a law of geometry holds for it
is asked of its oracle, the formula in plain Python.
"""

import os

import numpy as np
import pytest
from gradients import as_numpy, as_tensor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loss_table import ARGUMENTS, REQUIRED, alone, examples, make, padding
from oracles import ORACLES
from pairs import ALL, ORDERED

import boxloss
from boxloss.tensors import boxes as box_formats

EXAMPLES = int(os.environ.get("BOXLOSS_EXAMPLES", 3))
# A loss that weighs by the statistics of its batch is no sum over boxes: its own file tests it.
EVERY = alone(boxloss.names())
BOX = alone(boxloss.names("box"))
IMAGES, BOXES, PADDED = 3, 5, 7


def laws(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


law = laws(EXAMPLES)
seeds = st.integers(0, 2**32 - 1)
counts = st.lists(st.integers(0, BOXES), min_size=IMAGES, max_size=IMAGES)


def drawn_loss(data, name, **arguments):
    """The loss with its defaults or with another row of `ARGUMENTS`."""
    rows = [REQUIRED.get(name, {}), *ARGUMENTS.get(name, [])]
    return make(name, **data.draw(st.sampled_from(rows)), **arguments)


def drawn_boxes(data, loss, special=ALL):
    """`y_true`, `y_pred` (IMAGES, BOXES, ...): random, rounded (ties) or pathological."""
    rng = np.random.default_rng(data.draw(seeds))
    y_true, y_pred = examples(loss, IMAGES, BOXES, seed=rng)
    if loss.kind == "box":
        kind = data.draw(st.sampled_from(["random", "rounded", "special"]))
        if kind == "rounded":
            y_true, y_pred = np.round(y_true / 8), np.round(y_pred / 8)
        if kind == "special":
            chosen = [special[i] for i in rng.integers(0, len(special), IMAGES * BOXES)]
            y_true = np.float32([t for _, t, _ in chosen]).reshape(IMAGES, BOXES, 4)
            y_pred = np.float32([p for _, _, p in chosen]).reshape(IMAGES, BOXES, 4)
    return y_true, y_pred, rng


def errors(loss, y_true, y_pred):
    return loss.tensors(y_true, y_pred).numpy().box_errors


def close(got, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


# Padding, order, weights: every kind of loss ------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
@law
@given(st.data())
def test_padding_anywhere_is_the_same_as_slicing(name, data):
    loss = drawn_loss(data, name)
    y_true, y_pred, rng = drawn_boxes(data, loss)
    kept = data.draw(counts)
    garbage = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30]))
    wide_true = np.full((IMAGES, PADDED, *y_true.shape[2:]), padding(loss), y_true.dtype)
    wide_pred = np.full((IMAGES, PADDED, *y_pred.shape[2:]), garbage, y_pred.dtype)
    places = [np.sort(rng.permutation(PADDED)[:n]) for n in kept]
    for i, where in enumerate(places):
        wide_true[i, where], wide_pred[i, where] = y_true[i, : kept[i]], y_pred[i, : kept[i]]
    got = loss.tensors(wide_true, wide_pred).numpy()
    whole = loss.tensors(y_true, y_pred).numpy()
    images = np.zeros(IMAGES)
    for i, where in enumerate(places):
        close(got.box_errors[i, where], whole.box_errors[i, : kept[i]])
        rest = np.setdiff1d(np.arange(PADDED), where)
        assert (got.box_errors[i, rest] == 0).all()
        for field in [got.residuals, got.coordinate_errors, *got.terms.values()]:
            assert field is None or (field[i, rest] == 0).all()
        if kept[i]:
            images[i] = whole.box_errors[i, : kept[i]].astype("float64").mean()
    close(got.image_losses, images)
    close(got.loss, images.mean())


@pytest.mark.parametrize("name", EVERY)
@law
@given(st.data())
def test_the_order_of_boxes_and_images_does_not_matter(name, data):
    loss = drawn_loss(data, name, normalizer=data.draw(st.sampled_from(["image", "batch", "none"])))
    y_true, y_pred, rng = drawn_boxes(data, loss)
    for i, n in enumerate(data.draw(counts)):
        y_true[i, n:] = padding(loss)
    before = loss.tensors(y_true, y_pred).numpy()
    boxes, images = rng.permutation(BOXES), rng.permutation(IMAGES)
    order = np.ix_(images, boxes)
    after = loss.tensors(y_true[order], y_pred[order]).numpy()
    close(after.box_errors, before.box_errors[order])
    close(after.image_losses, before.image_losses[images])
    close(after.loss, before.loss)


@pytest.mark.parametrize("name", EVERY)
@law
@given(st.data())
def test_weights_are_linear_and_those_of_an_image_are_those_of_its_boxes(name, data):
    normalizer = data.draw(st.sampled_from(["image", "batch", 2.5]))
    drawn = drawn_loss(data, name, normalizer=normalizer)
    y_true, y_pred, rng = drawn_boxes(data, drawn, special=ORDERED)

    def loss(*arguments):
        # A new loss each time, or the third call would compile: a second or two an example.
        return type(drawn).from_config(drawn.get_config())(*arguments)

    for i, n in enumerate(data.draw(counts)):
        y_true[i, n:] = padding(drawn)
    first, second = rng.uniform(0, 3, (2, IMAGES, BOXES)).astype("float32")
    a, b = (as_numpy(loss(y_true, y_pred, w)) for w in (first, second))
    close(as_numpy(loss(y_true, y_pred, first + second)), a + b)
    images = rng.uniform(0, 3, IMAGES).astype("float32")
    spread = np.repeat(images[:, None], BOXES, axis=1)
    expected = as_numpy(loss(y_true, y_pred, spread))
    close(as_numpy(loss(y_true, y_pred, images)), expected)
    close(as_numpy(loss(y_true, y_pred, images[:, None])), expected)
    close(as_numpy(loss(y_true, y_pred, 1 + 0 * spread)), as_numpy(loss(y_true, y_pred)))


@pytest.mark.parametrize("name", EVERY)
@law
@given(st.data())
def test_a_mask_is_the_same_as_rows_of_minus_one(name, data):
    loss = drawn_loss(data, name)
    y_true, y_pred, rng = drawn_boxes(data, loss)
    mask = rng.random((IMAGES, BOXES)) < data.draw(st.floats(0, 1))
    padded = np.where(mask.reshape(mask.shape + (1,) * (y_true.ndim - 2)), y_true, padding(loss))
    close(
        as_numpy(loss(y_true, y_pred, mask=mask)),
        as_numpy(loss(padded.astype(y_true.dtype), y_pred)),
    )


# Geometry: where the oracle obeys the law, the loss does ------------------------------------------


def exponent_on_paper(name, arguments, change, pairs=ORDERED):
    """k with oracle(changed pair) = 2^k oracle(pair) on all `pairs`, or None."""
    pairs = [(truth, prediction) for _, truth, prediction in pairs]

    def oracle(pair):
        return ORACLES[name](*pair, **arguments)

    before = np.array([oracle(pair) for pair in pairs])
    moved = [change(*(np.array(box, "float64") for box in pair)) for pair in pairs]
    after = np.array([oracle(pair) for pair in moved])
    for k in (0, 1, 2):
        if np.allclose(after, 2.0**k * before, rtol=1e-7, atol=1e-9):
            return k
    return None


def check_law(data, name, change, special=ORDERED, rtol=1e-4):
    """`change(y_true, y_pred)` does to the loss what it does to the oracle."""
    rows = [REQUIRED.get(name, {}), *ARGUMENTS.get(name, [])]
    arguments = data.draw(st.sampled_from(rows))
    k = exponent_on_paper(name, arguments, change, special)
    if k is None:
        return
    loss = make(name, **arguments)
    y_true, y_pred, _ = drawn_boxes(data, loss, special)
    before = errors(loss, y_true, y_pred)
    changed = [np.asarray(x, "float32") for x in change(y_true, y_pred)]
    scale = np.abs(before).max()
    close(errors(loss, *changed), 2.0**k * before, rtol=rtol, atol=2e-6 * max(1.0, scale))


@pytest.mark.parametrize("name", BOX)
@law
@given(st.data())
def test_a_shift_of_both_boxes_does_what_it_does_on_paper(name, data):
    # Only shifts that float32 takes without rounding the boxes.
    small = [pair for pair in ORDERED if 1 <= np.abs(pair[1:]).max() < 200]
    x, y = data.draw(st.tuples(st.integers(-64, 64), st.integers(-64, 64)))

    def shifted(y_true, y_pred):
        by = np.array([x, y, x, y])
        return y_true + by, y_pred + by

    check_law(data, name, shifted, small, rtol=2e-3)


@pytest.mark.parametrize("name", BOX)
@law
@given(st.data())
def test_twice_the_size_does_what_it_does_on_paper(name, data):
    check_law(data, name, lambda y_true, y_pred: (2 * y_true, 2 * y_pred))


@pytest.mark.parametrize("name", BOX)
@law
@given(st.data())
def test_mirrored_and_turned_boxes_do_what_they_do_on_paper(name, data):
    def mirrored(box):
        x1, y1, x2, y2 = np.moveaxis(box, -1, 0)
        return np.stack([-x2, y1, -x1, y2], axis=-1)

    check_law(data, name, lambda y_true, y_pred: (mirrored(y_true), mirrored(y_pred)), ALL)
    turn = [1, 0, 3, 2]
    check_law(data, name, lambda y_true, y_pred: (y_true[..., turn], y_pred[..., turn]), ALL)


@pytest.mark.parametrize("name", BOX)
@law
@given(st.data())
def test_truth_and_prediction_change_places_where_they_do_on_paper(name, data):
    check_law(data, name, lambda y_true, y_pred: (y_pred, y_true))


def test_the_paper_says_which_laws_hold():
    """The oracles are really asked: known cases, and laws that are known not to hold."""

    def twice(a, b):
        return 2 * a, 2 * b

    def swapped(a, b):
        return b, a

    assert exponent_on_paper("ciou", {}, twice) == 0
    assert exponent_on_paper("l1", {}, twice) == 1
    assert exponent_on_paper("smooth_l1", {"beta": 0.25}, twice) is None
    assert exponent_on_paper("giou", {}, swapped) == 0
    assert exponent_on_paper("giou", {}, lambda a, b: (a + np.array([1, 0, 0, 0]), b)) is None


# Formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("box_format", box_formats.FORMATS)
@law
@given(st.data())
def test_a_format_and_back_is_the_same_box(box_format, data):
    rng = np.random.default_rng(data.draw(seeds))
    boxes = rng.uniform(-200, 800, (IMAGES, BOXES, 4)).astype("float32")
    shape = data.draw(st.sampled_from([None, (480.0, 640.0), (1.0, 3000.0)]))
    written = box_formats.from_xyxy(as_tensor(boxes), box_format, shape)
    close(as_numpy(box_formats.to_xyxy(written, box_format, shape)), boxes, rtol=1e-5, atol=1e-3)
