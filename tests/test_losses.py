"""Values and gradients of every loss, against oracles and at the limits of numbers."""

import numpy as np
import pytest
from checked_rows import ARGUMENTS as ROW_ARGUMENTS
from checked_rows import PAIRS, ROWS
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import BOX, EVERY, alone, examples, id_of, make, variants
from oracles import ORACLES, one_sided_gradients
from oracles.geometry import inversion
from pairs import ALL, FLAT, INVERTED, ORDERED, arrays

from boxloss.tensors import ops

OVERLAP = [name for name in BOX if "inversion" in make(name).tensors(*examples(make(name))).terms]
LOW = {"bfloat16": 2.0**-8, "float16": 2.0**-11}


def errors_of(name, arguments, truths):
    """The box errors (n,) of predictions (n, 4) against `truths`, as three images of a batch."""
    loss = make(name, **arguments, dtype=str(truths.dtype) if truths.dtype == "float64" else None)

    def errors(y_pred):
        y_true = ops.reshape(as_tensor(truths), (3, -1, 4))
        return ops.reshape(loss.tensors(y_true, ops.reshape(y_pred, (3, -1, 4))).box_errors, (-1,))

    return errors


def batch_of_pairs():
    """All pairs, filled up with the first ones to a multiple of three."""
    pairs = ALL + ALL[: -len(ALL) % 3]
    return pairs, *arrays(pairs)


def scales(truth, prediction):
    """The longest side of each pair: gradients are compared in its unit."""
    both = np.concatenate([truth.reshape(-1, 2, 2), prediction.reshape(-1, 2, 2)], axis=1)
    return np.maximum((both.max(1) - both.min(1)).max(-1), 1e-9)


def smallest_length(truth, prediction):
    """The smallest positive length between the sides of a pair: no kink is nearer than that."""
    lengths = []
    for axis in (0, 1):
        ends = [truth[axis], truth[axis + 2], prediction[axis], prediction[axis + 2]]
        lengths += [abs(a - b) for a in ends for b in ends if a != b]
    return min(lengths, default=1.0)


# Kinds with other inputs read their rows in test_uncertainty.py and test_rotated.py.
BOX_ROWS = [row for row in ROWS if ROW_ARGUMENTS[row[0]][0] in BOX]


def test_every_checked_row_is_read_somewhere():
    kinds = {row[0]: make(ROW_ARGUMENTS[row[0]][0]).kind for row in ROWS}
    assert set(kinds.values()) == {"box", "rotated", "uncertainty"}
    assert {row for row, kind in kinds.items() if kind == "uncertainty"} == {
        "kl_loss",
        "gaussian_nll",
    }
    assert all((kinds[row] == "rotated") == (pair in "RS") for row, pair, *_ in ROWS)


@pytest.mark.parametrize("row, pair, value, gradient", BOX_ROWS, ids=lambda x: str(x)[:30])
def test_the_checked_numbers_are_reproduced(row, pair, value, gradient):
    name, arguments = ROW_ARGUMENTS[row]
    prediction, truth = PAIRS[pair]
    loss = make(name, **arguments, dtype="float64")
    truth = np.array([[truth]], "float64")

    got, slope = value_and_gradient(
        lambda p: loss.tensors(truth, p).box_errors, np.array([[prediction]], "float64")
    )

    tolerance = 2e-9 if ops.dtype_name(as_tensor(truth)) == "float64" else 1e-5
    np.testing.assert_allclose(got[0, 0], value, rtol=max(tolerance, 1e-8), atol=tolerance)
    np.testing.assert_allclose(slope[0, 0], gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("name", alone(BOX))
def test_every_box_loss_has_an_oracle(name):
    assert name in ORACLES


@pytest.mark.parametrize(
    "name, arguments", [v for v in variants("box") if v[0] in alone(BOX)], ids=id_of
)
def test_values_and_gradients_are_those_of_the_oracle(name, arguments):
    pairs, truths, predictions = batch_of_pairs()
    values, gradients = value_and_gradient(
        errors_of(name, arguments, truths.astype("float32")), predictions.astype("float32")
    )
    scale = scales(truths, predictions)
    for i, (label, truth, prediction) in enumerate(pairs):
        expected = ORACLES[name](truth, prediction, **arguments)
        np.testing.assert_allclose(values[i], expected, rtol=1e-5, atol=1e-6, err_msg=label)
        step = 1e-4 * smallest_length(truth, prediction)
        sides = np.array(one_sided_gradients(name, truth, prediction, step, **arguments))
        if not np.isfinite(sides).all():
            continue  # the formula itself has no gradient there; finiteness is tested below
        low, high = sides.min(0), sides.max(0)
        # What float64 leaves of a difference of large costs over a short step.
        noise = 1e-15 * abs(expected) / step
        slack = 1e-4 * np.abs(sides).max() + 1e-6 / scale[i] + noise
        assert (gradients[i] >= low - slack).all(), (label, gradients[i], sides)
        assert (gradients[i] <= high + slack).all(), (label, gradients[i], sides)


ON_AN_EDGE = [
    ("a line on the left edge", [0, 0, 10, 6], [0, 1, 0, 5]),
    ("a line on the bottom edge", [0, 0, 10, 6], [4, 6, 8, 6]),
    ("a point in a corner", [0, 0, 10, 6], [10, 0, 10, 0]),
    ("a true line on an edge", [4, 1, 4, 5], [4, 0, 10, 6]),
]


@pytest.mark.parametrize(
    "name, arguments", [v for v in variants("box") if v[0] in OVERLAP], ids=id_of
)
def test_at_a_flat_side_the_gradient_lies_between_both_sides_without_inversion(name, arguments):
    """`inversion` has a steep gradient at side 0, under which an error of the rest would hide."""
    loss = make(name, **arguments)
    flat = [pair for pair in FLAT if pair[0] != "tiny far from a point"]
    if "interpolated" not in loss.tensors(*examples(loss)).terms:
        # An interpolated box is not flat: at an edge its gradient is split as that of any box.
        flat = flat + ON_AN_EDGE
    truths, predictions = (x.astype("float32") for x in arrays(flat))

    def rest(y_pred):
        tensors = loss.tensors(truths[None], y_pred[None])
        return (tensors.box_errors - tensors.terms["inversion"])[0]

    _, gradients = value_and_gradient(rest, predictions)
    for i, (label, truth, prediction) in enumerate(flat):
        step = 1e-4
        sides = []
        for sign in (-1, 1):
            moved = np.float64(prediction) + sign * step * np.eye(4)
            costs = [
                ORACLES[name](truth, box, at=prediction, **arguments)
                - inversion(truth, box, prediction)
                for box in [prediction, *moved]
            ]
            sides.append(sign * (np.array(costs[1:]) - costs[0]) / step)
        if not np.isfinite(sides).all():
            continue
        low, high = np.min(sides, axis=0), np.max(sides, axis=0)
        slack = 1e-3 * (1 + np.abs(sides).max())
        assert (gradients[i] >= low - slack).all(), (label, gradients[i], sides)
        assert (gradients[i] <= high + slack).all(), (label, gradients[i], sides)


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("name", BOX)
def test_low_precision_is_the_float32_result_of_the_rounded_boxes(name, dtype):
    _, truths, predictions = batch_of_pairs()
    if dtype == "float16":
        small = np.abs(truths).max(1) < 2000
        small &= np.abs(predictions).max(1) < 2000
        small &= ~((np.abs(predictions) > 0) & (np.abs(predictions) < 1e-3)).any(1)
        count = small.sum() // 3 * 3
        truths, predictions = truths[small][:count], predictions[small][:count]
    rounded_true = as_numpy(as_tensor(truths.astype("float32"), dtype)).astype("float32")
    rounded_pred = as_numpy(as_tensor(predictions.astype("float32"), dtype)).astype("float32")
    expected, slope = value_and_gradient(errors_of(name, {}, rounded_true), rounded_pred)

    loss = make(name)

    def errors(y_pred):
        y_true = ops.reshape(as_tensor(rounded_true, dtype), (3, -1, 4))
        return ops.reshape(loss.tensors(y_true, ops.reshape(y_pred, (3, -1, 4))).box_errors, (-1,))

    value, gradient = value_and_gradient(errors, rounded_pred, dtype)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    limit = 65504.0 if dtype == "float16" else np.inf
    # float16 has no numbers below 6e-8.
    np.testing.assert_allclose(gradient, slope.clip(-limit, limit), rtol=2 * LOW[dtype], atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name, arguments", variants("box"), ids=id_of)
def test_value_and_gradient_are_finite_on_every_pair(name, arguments, dtype):
    truths, predictions = (x.astype("float32") for x in batch_of_pairs()[1:])
    loss = make(name, **arguments)
    if dtype == "float16":
        truths, predictions = truths.clip(-6e4, 6e4), predictions.clip(-6e4, 6e4)

    def errors(y_pred):
        return loss.tensors(as_tensor(truths[:, None], dtype), y_pred).box_errors

    value, gradient = value_and_gradient(errors, predictions[:, None], dtype)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name, arguments",
    [(name, given) for name, given in variants("box") if make(name, **given).minimum is not None],
    ids=id_of,
)
def test_equal_boxes_of_any_size_cost_the_minimum(name, arguments):
    sides = np.float32([[[1e-6]], [[1e-3]], [[1]], [[1e3]], [[1e6]]])
    boxes = sides * np.float32([0.3, 0.7, 1.3, 2.6])
    loss = make(name, **arguments)
    value, gradient = value_and_gradient(lambda p: loss.tensors(boxes, p).box_errors, boxes)
    np.testing.assert_array_equal(value, np.full((5, 1), loss.minimum))
    np.testing.assert_array_equal(gradient, np.zeros((5, 1, 4)))


@pytest.mark.parametrize("name", OVERLAP)
def test_an_inverted_box_costs_more_than_its_collapsed_box(name):
    loss = make(name)
    for label, truth, prediction in INVERTED[:5]:
        x1, y1, x2, y2 = prediction
        if x2 < x1:
            x1 = x2 = (x1 + x2) / 2
        if y2 < y1:
            y1 = y2 = (y1 + y2) / 2
        truth = np.float32([[truth]])
        inverted = loss.tensors(truth, np.float32([[prediction]])).numpy()
        collapsed = loss.tensors(truth, np.float32([[[x1, y1, x2, y2]]])).numpy()
        assert inverted.terms["inversion"][0, 0] > 0.01, label
        assert collapsed.terms["inversion"][0, 0] == 0, label
        assert inverted.loss > collapsed.loss, label


@pytest.mark.parametrize("name", OVERLAP)
def test_ordered_boxes_have_no_inversion(name):
    truths, predictions = arrays(ORDERED)
    terms = make(name).tensors(truths[None], predictions[None]).numpy().terms
    np.testing.assert_array_equal(terms["inversion"], 0 * terms["inversion"])


@pytest.mark.parametrize("name", OVERLAP)
def test_a_flat_prediction_is_pushed_open(name):
    truth = np.float32([[[0, 0, 10, 6]]])
    point = np.float32([[[4, 2, 4, 2]]])
    loss = make(name)
    _, gradient = value_and_gradient(lambda p: loss.tensors(truth, p).loss, point)
    x1, y1, x2, y2 = gradient[0, 0]
    assert x1 > 0 > x2 and y1 > 0 > y2


@pytest.mark.parametrize("name", EVERY)
def test_a_nan_in_a_real_box_reaches_the_scalar(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    y_pred[1, 2, 0] = np.nan
    assert np.isnan(float(loss(y_true, y_pred)))


@pytest.mark.parametrize("name, arguments", variants("box"), ids=id_of)
def test_a_pair_that_nearly_fits_costs_no_less_than_the_minimum(name, arguments):
    rng = np.random.default_rng(0)
    corner, side = rng.uniform(-1, 1, (2000, 2)), 10 ** rng.uniform(-2, 0.3, (2000, 2))
    truths = np.concatenate([corner, corner + side], axis=-1).astype("float32")
    change = rng.normal(0, 1, truths.shape) * 10 ** rng.uniform(-7, -2, (2000, 1))
    change *= rng.integers(0, 2, truths.shape)
    predictions = (truths + change).astype("float32")
    tensors = make(name, **arguments).tensors(truths[None], predictions[None]).numpy()
    assert tensors.box_errors.min() >= make(name, **arguments).minimum
    assert min(term.min() for term in tensors.terms.values()) >= 0
