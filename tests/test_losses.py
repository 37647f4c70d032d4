"""Properties of every loss in the registry."""

import json

import keras
import numpy as np
import pytest
from checked_rows import ARGUMENTS as ROW_ARGUMENTS
from checked_rows import PAIRS, ROWS
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import ARGUMENTS, REQUIRED, alone, examples, make, pad, padding, variants
from oracles import ORACLES, one_sided_gradients
from oracles.geometry import inversion
from pairs import ALL, FLAT, INVERTED, ORDERED, arrays

import boxloss
from boxloss import functional
from boxloss.tensors import ops

EVERY = boxloss.names()
BOX = boxloss.names("box")
OVERLAP = [name for name in BOX if "inversion" in make(name).tensors(*examples(make(name))).terms]
LOW = {"bfloat16": 2.0**-8, "float16": 2.0**-11}


def id_of(value):
    return value if isinstance(value, str) else json.dumps(value, default=str)


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


# Values and gradients -----------------------------------------------------------------------------


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


# The ladder ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, arguments", [v for k in ("box", "class") for v in variants(k)], ids=id_of
)
def test_terms_sum_to_box_errors(name, arguments):
    loss = make(name, **arguments)
    tensors = loss.tensors(*examples(loss)).numpy()
    total = sum(tensors.terms.values())
    np.testing.assert_allclose(total, tensors.box_errors, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", EVERY)
def test_every_level_has_its_shape(name):
    loss = make(name)
    tensors = loss.tensors(*examples(loss, images=3, boxes=5)).numpy()
    assert tensors.box_errors.shape == (3, 5)
    assert tensors.image_losses.shape == (3,)
    assert tensors.loss.shape == ()
    assert {term.shape for term in tensors.terms.values()} == {(3, 5)}
    if loss.kind == "box":
        assert tensors.residuals.shape == tensors.coordinate_errors.shape == (3, 5, 4)


def check_padding(loss, calls):
    """Rows of padding, whatever the predictions there hold, change nothing in any of `calls`."""
    y_true, y_pred = examples(loss)
    value, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    # Other shapes are fused in another way: what cancels, as in an angle's gradient, differs by the
    # last bits of what is large.
    rounding = 1e-6 * np.abs(gradient).max()
    true, pred = pad(loss, y_true, y_pred, 6)
    garbage = np.float32([np.nan, 1e38, np.inf, -np.inf, -1.0, 0.0])
    pred[:, 5:] = garbage.reshape(-1, *[1] * (pred.ndim - 2))
    for call in calls:
        padded, slope = value_and_gradient(lambda p: loss(true, p), pred)
        np.testing.assert_allclose(padded, value, rtol=1e-6, err_msg=call)
        np.testing.assert_allclose(slope[:, :5], gradient, rtol=1e-5, atol=rounding, err_msg=call)
        np.testing.assert_array_equal(slope[:, 5:], np.zeros_like(slope[:, 5:]), err_msg=call)
    for field in loss.tensors(true, pred).numpy()[:3]:
        if field is not None:
            np.testing.assert_array_equal(field[:, 5:], np.zeros_like(field[:, 5:]))


@pytest.mark.parametrize("name", EVERY)
def test_padding_changes_neither_value_nor_gradient(name):
    check_padding(make(name), ["operation by operation"])


# A compilation takes a second or two: one loss of each way of being computed here, all of them in
# the slow tests.
COMPILED = ("l1", "giou", "ciou", "wiou", "inner_iou", "kl", "dfl", "kld", "sigmoid_focal")


@pytest.mark.parametrize(
    "name",
    [name if name in COMPILED else pytest.param(name, marks=pytest.mark.slow(2)) for name in EVERY],
)
def test_padding_changes_nothing_in_the_third_call_which_is_compiled(name):
    check_padding(make(name), ["first", "second", "compiled"])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -7.0])
@pytest.mark.parametrize("name", BOX)
def test_a_mask_hides_whatever_stands_in_truth_and_prediction(name, garbage):
    loss = make(name)
    y_true, y_pred = examples(loss)
    mask = np.ones((3, 5), bool)
    mask[0, 1] = mask[2, 3:] = False
    expected = loss.tensors(np.where(mask[..., None], y_true, -1), y_pred).numpy()
    y_true[~mask] = y_pred[~mask] = garbage
    got, gradient = value_and_gradient(lambda p: loss(y_true, p, mask=mask), y_pred)
    np.testing.assert_allclose(got, expected.loss, rtol=1e-6)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", EVERY)
def test_all_padding_costs_nothing(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    y_true[:] = padding(loss)
    value, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", EVERY)
def test_no_boxes_and_no_images_cost_nothing(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    assert float(loss(y_true[:, :0], y_pred[:, :0])) == 0
    for true, pred in ((y_true[:, :0], y_pred[:, :0]), (y_true[:0], y_pred[:0])):
        tensors = loss.tensors(true, pred).numpy()
        assert tensors.box_errors.shape == true.shape[:2]
        assert tensors.image_losses.shape == true.shape[:1]


@pytest.mark.parametrize("name", alone(EVERY))
def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients_of_images(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    _, whole = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    for i in range(3):
        # A loss for each, which computes it at once: the third call of one loss would compile.
        alone, part = slice(i, i + 1), make(name)
        _, one = value_and_gradient(lambda p, a=alone, f=part: f(y_true[a], p), y_pred[alone])
        # Angles: sums of hundreds of addends in float32.
        atol = 1e-6 if loss.kind in ("rotated", "box3d") else 1e-8
        np.testing.assert_allclose(whole[i], one[0] / 3, rtol=1e-4, atol=atol)


def uneven(loss):
    """A batch whose images have 1, 0 and 3 boxes, and its box errors."""
    y_true, y_pred = examples(loss, boxes=3)
    y_true[0, 1:] = y_true[1] = padding(loss)
    return y_true, y_pred, loss.tensors(y_true, y_pred).numpy().box_errors


@pytest.mark.parametrize("name", EVERY)
def test_the_normalizer_says_what_divides_an_image(name):
    y_true, y_pred, e = uneven(make(name))
    sums = e.sum(1)
    for normalizer, expected in (
        ("image", [sums[0], 0, sums[2] / 3]),
        ("batch", sums * 3 / 4),
        ("none", sums),
        (2.5, sums / 2.5),
    ):
        loss = make(name, normalizer=normalizer)
        tensors = loss.tensors(y_true, y_pred).numpy()
        np.testing.assert_allclose(tensors.image_losses, expected, rtol=1e-5, err_msg=normalizer)
        np.testing.assert_allclose(tensors.loss, np.mean(expected), rtol=1e-5)
        np.testing.assert_allclose(as_numpy(loss.call(y_true, y_pred)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_weights_of_images_and_of_boxes_scale_and_divide_nothing(name):
    loss = make(name)
    y_true, y_pred, e = uneven(loss)
    images = np.float32([2.0, 5.0, 0.25])
    expected = (2.0 * e[0, 0] + 0.25 * e[2].mean()) / 3
    for weight in (images, images[:, None]):
        np.testing.assert_allclose(float(loss(y_true, y_pred, weight)), expected, rtol=1e-5)
    boxes = np.random.default_rng(1).uniform(0, 2, e.shape).astype("float32")
    tensors = loss.tensors(y_true, y_pred, boxes).numpy()
    sums = (boxes * e).sum(1)
    np.testing.assert_allclose(tensors.loss, (sums[0] + sums[2] / 3) / 3, rtol=1e-5)
    np.testing.assert_allclose(tensors.box_errors, e, rtol=1e-6)


def test_a_weight_beside_one_box_an_image_weighs_the_image():
    loss = make("giou", normalizer="none")
    y_true, y_pred = examples(loss, images=2, boxes=1)
    e = loss.tensors(y_true, y_pred).numpy().box_errors[:, 0]
    value = float(loss(y_true, y_pred, np.float32([[3.0], [0.5]])))
    np.testing.assert_allclose(value, (3 * e[0] + 0.5 * e[1]) / 2, rtol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_keras_reductions(name):
    y_true, y_pred, _ = uneven(make(name))
    images = make(name).tensors(y_true, y_pred).numpy().image_losses
    weight = np.float32([1.0, 2.0, 0.5])
    for reduction, expected in (
        ("sum", (images * weight).sum()),
        ("mean", (images * weight).mean()),
        ("sum_over_batch_size", (images * weight).mean()),
        ("mean_with_sample_weight", (images * weight).sum() / weight.sum()),
        (None, images * weight),
    ):
        got = as_numpy(make(name, reduction=reduction)(y_true, y_pred, weight))
        np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=str(reduction))


@pytest.mark.parametrize("name", EVERY)
def test_box_reduction_none_leaves_boxes_to_the_caller(name):
    loss = make(name, box_reduction="none", reduction="sum")
    y_true, y_pred, e = uneven(make(name))
    np.testing.assert_allclose(as_numpy(loss.call(y_true, y_pred)), e, rtol=1e-6)
    boxes = np.random.default_rng(1).uniform(0, 2, e.shape).astype("float32")
    np.testing.assert_allclose(float(loss(y_true, y_pred, boxes)), (boxes * e).sum(), rtol=1e-5)
    images = np.float32([2.0, 5.0, 0.25])
    expected = (images[:, None] * e).sum()
    np.testing.assert_allclose(float(loss(y_true, y_pred, images)), expected, rtol=1e-5)


def test_coordinates_are_summed_or_averaged():
    y_true, y_pred = examples(make("l1"))
    errors = np.abs(y_pred - y_true)
    summed = make("l1").tensors(y_true, y_pred).numpy()
    mean = make("l1", coordinate_reduction="mean").tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(summed.box_errors, errors.sum(-1), rtol=1e-6)
    np.testing.assert_allclose(mean.box_errors, errors.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(mean.terms["x2"], errors[..., 2] / 4, rtol=1e-6)


def test_distances_are_measured_in_units_of_the_image():
    y_true, y_pred = examples(make("ltrb_l1"))
    loss = boxloss.LTRBL1Loss(image_shape=(480, 640))
    expected = np.abs(y_pred - y_true) / np.float32([640, 480, 640, 480])
    tensors = loss.tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(tensors.coordinate_errors, expected, rtol=1e-5)
    np.testing.assert_allclose(tensors.box_errors, expected.mean(-1), rtol=1e-5)
    got = as_numpy(functional.ltrb_l1_loss(y_true, y_pred, image_shape=(480, 640)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    shapes = np.float32([[480, 640], [240, 320], [100, 50]])
    tensors = loss.tensors(y_true, y_pred, image_shape=shapes).numpy()
    expected = np.abs(y_pred - y_true) / np.tile(shapes[:, ::-1], 2)[:, None]
    np.testing.assert_allclose(tensors.coordinate_errors, expected, rtol=1e-5)
    np.testing.assert_allclose(tensors.terms["y1"], expected[..., 1] / 4, rtol=1e-5)
    with pytest.raises(ValueError, match="^`image_shape` must be"):
        boxloss.LTRBL1Loss()


def test_float64_stays_float64():
    if ops.dtype_name(as_tensor(np.float64([1.0]))) != "float64":
        pytest.skip("this backend has no float64 here")
    y_true, y_pred = (x.astype("float64") for x in examples(make("ciou")))
    assert ops.dtype_name(make("ciou", dtype="float64")(y_true, y_pred)) == "float64"
    assert ops.dtype_name(make("ciou")(y_true, y_pred)) == "float32"
    assert ops.dtype_name(functional.ciou_loss(y_true, y_pred)) == "float64"


# Formats ------------------------------------------------------------------------------------------


def written_as(box_format, xyxy, width=640.0, height=480.0):
    """xyxy pixels in another format, by hand."""
    x1, y1, x2, y2 = np.moveaxis(np.asarray(xyxy, "float64"), -1, 0)
    if box_format.startswith("rel_"):
        x1, x2, y1, y2 = x1 / width, x2 / width, y1 / height, y2 / height
    layouts = {
        "xyxy": (x1, y1, x2, y2),
        "yxyx": (y1, x1, y2, x2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "center_xywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        "center_yxhw": ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
    }
    return np.stack(layouts[box_format.removeprefix("rel_")], axis=-1).astype("float32")


@pytest.mark.parametrize("box_format", boxloss.boxes.FORMATS)
@pytest.mark.parametrize("name", alone(BOX))
def test_the_format_changes_nothing_but_the_writing(name, box_format):
    y_true, y_pred = examples(make(name))
    arguments = {"image_shape": (480, 640)}
    expected = make(name, **arguments).tensors(y_true, y_pred).numpy()
    loss = make(name, bounding_box_format=box_format, **arguments)
    padded = pad(loss, written_as(box_format, y_true), written_as(box_format, y_pred), 2)
    got = loss.tensors(*padded).numpy()
    np.testing.assert_allclose(got.box_errors[:, :5], expected.box_errors, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(got.residuals[:, :5], expected.residuals, atol=1e-3)
    np.testing.assert_array_equal(got.box_errors[:, 5:], 0)


def test_an_image_shape_for_each_image_is_a_tensor():
    y_true, y_pred = examples(make("diou"), images=2)
    shapes = np.float32([[480, 640], [200, 300]])
    loss = make("diou", bounding_box_format="rel_xywh")
    written = [
        np.concatenate(
            [written_as("rel_xywh", x[i : i + 1], s[1], s[0]) for i, s in enumerate(shapes)]
        )
        for x in (y_true, y_pred)
    ]
    got = loss.tensors(*written, image_shape=shapes).numpy().box_errors
    expected = make("diou").tensors(y_true, y_pred).numpy().box_errors
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert np.abs(loss.tensors(*written).numpy().box_errors - expected).max() > 1e-3


@pytest.mark.parametrize("name", ["l1", "giou", "mpdiou"])
def test_an_image_shape_for_all_images_may_be_an_array(name):
    y_true, y_pred = (x / 128 for x in examples(make(name)))
    loss = make(name, bounding_box_format="rel_xywh")
    got = loss.tensors(y_true, y_pred, image_shape=np.array([240, 320])).numpy()
    expected = loss.tensors(y_true, y_pred, image_shape=(240, 320)).numpy()
    np.testing.assert_allclose(got.box_errors, expected.box_errors, rtol=1e-5)
    np.testing.assert_allclose(got.residuals, expected.residuals, rtol=1e-5)


def test_coordinates_can_be_measured_in_another_format():
    truth, prediction = np.float32([[[10, 20, 50, 40]]]), np.float32([[[16, 22, 50, 48]]])
    tensors = make("l1", coordinate_format="center_xywh").tensors(truth, prediction).numpy()
    got = {name: float(term[0, 0]) for name, term in tensors.terms.items()}
    assert got == {"center_x": 3.0, "center_y": 5.0, "width": 6.0, "height": 6.0}
    np.testing.assert_array_equal(tensors.residuals[0, 0], [6, 2, 0, 8])


def test_encoded_coordinates_are_measured_as_given_and_minus_one_is_a_value():
    truth, prediction = np.float32([[[-1, -1, -1, -1]]]), np.float32([[[0, -1, 1, -1]]])
    l1, l2 = (
        make(name, coordinate_format="encoded", bounding_box_format="xywh") for name in ("l1", "l2")
    )
    assert float(l1(truth, prediction)) == 3.0
    assert float(l1(truth, prediction, mask=np.array([[False]]))) == 0.0
    both = boxloss.WeightedSum({l1: 2.0, l2: 1.0}, bounding_box_format="xywh")
    assert float(both(truth, prediction)) == 2 * 3.0 + 5.0
    with_boxes = boxloss.WeightedSum(
        {l1: 2.0, make("giou", bounding_box_format="xywh"): 1.0}, bounding_box_format="xywh"
    )
    assert float(with_boxes(truth, prediction)) == 0.0


# Serialisation and registry -----------------------------------------------------------------------

COMMON = [
    {"normalizer": "batch"},
    {"normalizer": 3.5, "reduction": "sum"},
    {"box_reduction": "none", "reduction": "none"},
    {"mining": boxloss.HardestBoxes(fraction=0.5, scope="batch"), "name": "mine"},
    {"mining": boxloss.FocalWeighting(gamma=0.5)},
    {"mining": boxloss.HardestImages(count=2), "dtype": "float64"},
]


def all_arguments():
    for name in EVERY:
        for arguments in [*COMMON, *ARGUMENTS.get(name, [])]:
            yield name, {**REQUIRED.get(name, {}), **arguments}
        if name in BOX:
            yield name, {"bounding_box_format": "rel_xywh", "image_shape": (480.0, 640.0)}
    for name in ("l1", "smooth_l1"):
        yield name, {"coordinate_reduction": "mean", "coordinate_format": "center_xywh"}


@pytest.mark.parametrize("name, arguments", list(all_arguments()), ids=id_of)
def test_every_argument_survives_a_round_trip(name, arguments):
    loss = make(name, **arguments)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is type(loss)
    assert back.get_config() == loss.get_config()
    for argument, value in arguments.items():
        got = getattr(back, argument)
        if isinstance(value, tuple) and argument == "base":
            got, value = got.get_config(), make(value[0], **value[1]).get_config()
        assert (got or "none") == (value or "none"), argument


COMMONEST = ["l1", "smooth_l1", "iou", "giou", "diou", "ciou"]
OTHERS = [name for name in BOX if name not in COMMONEST]


# A model of several outputs, each with its loss: models are slow to build and to save.
@pytest.mark.parametrize(
    "names",
    [
        COMMONEST,
        *(pytest.param(OTHERS[i::3], marks=pytest.mark.slow(30)) for i in range(3)),
    ],
    ids="-".join,
)
def test_a_compiled_model_saves_and_loads_with_its_losses(names, tmp_path):
    losses = {
        name: boxloss.get(
            name,
            **REQUIRED.get(name, {}) | (ARGUMENTS.get(name) or [{}])[0] | {"normalizer": "batch"},
        )
        for name in names
    }
    inputs = keras.Input((8,))
    boxes = keras.layers.Reshape((5, 4))(keras.layers.Dense(20)(inputs))
    outputs = {name: keras.layers.Rescaling(1.0, name=name)(boxes) for name in names}
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss=losses)
    y_true = {name: examples(make(name))[0] for name in names}
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    model.fit(x, y_true, epochs=1, verbose=0)
    before = model.evaluate(x, y_true, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    after = keras.models.load_model(tmp_path / "model.keras")
    again = after.evaluate(x, y_true, verbose=0, return_dict=True)
    assert set(before) == {"loss", *(f"{name}_loss" for name in names)}
    for key, value in before.items():
        np.testing.assert_allclose(again[key], value, rtol=1e-6, err_msg=key)
    for name, loss in losses.items():
        assert after.loss[name].get_config() == loss.get_config()


@pytest.mark.parametrize(
    "misspelt, near",
    [("cious", "ciou"), ("siuo", "siou"), ("smoth_l1", "smooth_l1"), ("GIoUs", "giou")],
)
def test_a_misspelt_name_gets_a_near_match(misspelt, near):
    with pytest.raises(ValueError) as error:
        boxloss.get(misspelt)
    listed = ", ".join(map(repr, EVERY))
    assert str(error.value) == (
        f"`name` must be one of {listed}. Did you mean {near!r}? Received: name={misspelt!r}"
    )


@pytest.mark.parametrize("name", EVERY)
def test_a_class_says_what_it_is(name):
    cls = type(make(name))
    assert cls.name == name
    assert cls.kind in boxloss.losses.KINDS
    assert name in boxloss.names(cls.kind)
    assert isinstance(cls.recovers_disjoint, bool) and isinstance(cls.recovers_inverted, bool)
    assert getattr(boxloss, cls.__name__) is cls


# Wrong input --------------------------------------------------------------------------------------


def message_of(call):
    with pytest.raises(ValueError) as error:
        call()
    return str(error.value)


def zeros(*shape):
    return np.zeros(shape, "float32")


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 1, 4)),
            "`y_true` and `y_pred` must be boxes of the same shape (B, N). "
            "Received: y_true.shape=(2, 3, 4), y_pred.shape=(2, 1, 4)",
        ),
        (
            lambda: make("l1")(zeros(2, 3, 5), zeros(2, 3, 5)),
            "`y_true` must have shape (B, N, 4). "
            "Received: y_true.shape=(2, 3, 5), y_pred.shape=(2, 3, 5)",
        ),
        (
            lambda: make("l1")(zeros(3, 4), zeros(3, 4)),
            "`y_true` must have shape (B, N, 4) (one image is a batch of one: y_true[None]). "
            "Received: y_true.shape=(3, 4), y_pred.shape=(3, 4)",
        ),
        (
            lambda: functional.ciou_loss(zeros(3, 4), zeros(1, 4)),
            "`y_true` and `y_pred` must be boxes of the same shape (...). "
            "Received: y_true.shape=(3, 4), y_pred.shape=(1, 4)",
        ),
        (
            lambda: make("giou", bounding_box_format="xywhh"),
            "`bounding_box_format` must be one of 'center_xywh', 'center_yxhw', 'rel_center_xywh', "
            "'rel_xywh', 'rel_xyxy', 'rel_yxyx', 'xywh', 'xyxy', 'yxyx'. Did you mean 'xywh'? "
            "Received: bounding_box_format='xywhh'",
        ),
        (
            lambda: make("smooth_l1", beta=-0.1),
            "`beta` must be a number of at least 0. Received: beta=-0.1",
        ),
        (
            lambda: functional.smooth_l1_loss(zeros(3, 4), zeros(3, 4), beta=float("nan")),
            "`beta` must be a number of at least 0. Received: beta=nan",
        ),
        (
            lambda: make("iou", mode="ln"),
            "`mode` must be one of 'linear', 'log', 'square'. Received: mode='ln'",
        ),
        (
            lambda: make("ciou", gated=1),
            "`gated` must be True or False. Received: gated=1",
        ),
        (
            lambda: make("giou", image_shape=(0, 4)),
            "`image_shape` must be (height, width), two numbers above 0. Received: image_shape=0",
        ),
        (
            lambda: make("giou", image_shape=5),
            "`image_shape` must be (height, width). Received: image_shape=5",
        ),
        (
            lambda: make("mpdiou").tensors(
                zeros(2, 3, 4), zeros(2, 3, 4), image_shape=np.ones((1, 2))
            ),
            "`image_shape` must be (height, width), or a tensor (B, 2) of them. "
            "Received: image_shape.shape=(1, 2) for B=2",
        ),
        (
            lambda: make("l1")(zeros(2, 3, 4), zeros(2, 3, 4), image_shape=np.ones((2, 3))),
            "`image_shape` must be (height, width), or a tensor (B, 2) of them. "
            "Received: image_shape.shape=(2, 3) for B=2",
        ),
        (
            lambda: make("giou", normalizer="boxes"),
            "`normalizer` must be one of 'batch', 'image', 'none'. Received: normalizer='boxes'",
        ),
        (
            lambda: make("giou", normalizer="positives"),  # it has no background
            "`normalizer` must be one of 'batch', 'image', 'none'. "
            "Received: normalizer='positives'",
        ),
        (
            lambda: make("softmax", normalizer="boxes"),
            "`normalizer` must be one of 'batch', 'image', 'none', 'positives'. "
            "Received: normalizer='boxes'",
        ),
        (
            lambda: make("giou", normalizer=0),
            "`normalizer` must be a number above 0. Received: normalizer=0",
        ),
        (
            lambda: make("giou", normalizer="batch", reduction="sum"),
            '`reduction` must be a mean with normalizer="batch", which already divides by all '
            "boxes. Received: reduction='sum'",
        ),
        (
            lambda: make("giou", normalizer="none", box_reduction="none"),
            '`normalizer` and `mining` must be the defaults with box_reduction="none", which '
            "leaves boxes to the caller. Received: normalizer='none', mining=None",
        ),
        (
            lambda: make("giou", mining="hardest"),
            "`mining` must be HardestBoxes, HardestImages or FocalWeighting. "
            "Received: mining='hardest'",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), zeros(3)),
            "`sample_weight` must have shape (B,), (B, 1) or (B, N). "
            "Received: sample_weight.shape=(3,) for boxes (2, 3)",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), mask=np.ones((2, 1), bool)),
            "`mask` must have the shape (B, N) of the boxes. "
            "Received: mask.shape=(2, 1) for boxes (2, 3)",
        ),
        (
            lambda: make("giou")(zeros(2, 3, 4), zeros(2, 3, 4), mask=np.ones((2, 3), "float32")),
            "`mask` must be of dtype bool, True = real. Received: dtype float32",
        ),
        (
            lambda: make("softmax")(np.zeros((2, 3), "int32"), zeros(2, 4, 5)),
            "`y_true` must have shape (B, N) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(2, 3), y_pred.shape=(2, 4, 5)",
        ),
        (
            lambda: make("sigmoid_focal")(np.zeros(3, "int32"), zeros(3, 5)),
            "`y_true` must have shape (B, N) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(3,), y_pred.shape=(3, 5)",
        ),
        (
            lambda: make("varifocal")(zeros(3, 2), zeros(3, 5)),
            "`y_true` must have shape (B, N, 2) and `y_pred` (B, N, classes). "
            "Received: y_true.shape=(3, 2), y_pred.shape=(3, 5)",
        ),
        (
            lambda: functional.iou_matrix(zeros(4), zeros(3, 4)),
            "`a` must have shape (..., boxes, 4). Received: a.shape=(4,)",
        ),
        (
            lambda: functional.giou_matrix(zeros(1, 3, 4), zeros(2, 5, 4)),
            "`a` and `b` must have the same axes before (boxes, 4), or one of them none. "
            "Received: a.shape=(1, 3, 4), b.shape=(2, 5, 4)",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(call, message):
    assert message_of(call) == message


@pytest.mark.parametrize("name", ["l1", "giou", "softmax", "gwd", "kl", "dfl", "focal_eiou"])
def test_functions_take_nested_lists(name):
    arrays = examples(make(name))
    if name == "kl":
        arrays = arrays[0], *np.split(arrays[1], 2, axis=-1)
    function = getattr(functional, f"{name}_loss")
    got = as_numpy(function(*(x.tolist() for x in arrays)))
    np.testing.assert_allclose(got, as_numpy(function(*arrays)), rtol=1e-6)


# Pairwise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iou", "giou", "ciou"])
def test_a_matrix_holds_every_pair(name):
    rng = np.random.default_rng(3)
    a = np.sort(rng.uniform(0, 20, (2, 3, 2, 2)), axis=-2).reshape(2, 3, 4)
    b = np.sort(rng.uniform(0, 20, (2, 5, 2, 2)), axis=-2).reshape(2, 5, 4)
    matrix = as_numpy(getattr(functional, f"{name}_matrix")(a, b))
    assert matrix.shape == (2, 3, 5)
    for i, j, k in np.ndindex(matrix.shape):
        expected = 1 - ORACLES[name](a[i, j], b[i, k])
        np.testing.assert_allclose(matrix[i, j, k], expected, rtol=1e-5, atol=1e-6)


def test_operations_named_like_builtins_do_not_replace_them():
    assert ops.all(as_tensor(np.array([True]))) and ops.any(as_tensor(np.array([True])))
    assert ops.arithmetic_dtype(np.float64([1]), np.float32([1])) == "float32"
