"""Rotated boxes: values, gradients, degenerate boxes, and the ladder's fifth coordinate."""

import numpy as np
import pytest
from checked_rows import ARGUMENTS as ROW_ARGUMENTS
from checked_rows import PAIRS, ROWS
from contract import check_config, check_finite
from gradients import value_and_gradient
from oracles.rotated import ORACLES
from shapely import affinity, geometry

import boxloss
from boxloss import functional
from boxloss.functional.rotated_pair import RotatedPair
from boxloss.tensors import ops

NAMES = boxloss.names("rotated")
VARIANTS = [
    ("gwd", {}),
    ("gwd", {"function": "sqrt", "tau": 2.0}),
    ("gwd", {"normalize": True}),
    ("kld", {}),
    ("kld", {"sqrt": True, "tau": 2.0}),
    ("kld", {"direction": "true_to_pred"}),
    ("probiou", {}),
    ("probiou", {"mode": "l2"}),
    ("kfiou", {}),
    ("kfiou", {"mode": "log", "center_weight": 0.5}),
    ("rotated_iou", {}),
    ("rotated_iou", {"mode": "log"}),
    ("rotated_iou", {"mode": "square"}),
    ("rotated_giou", {}),
    ("rotated_giou", {"mode": "log"}),
]
every_variant = pytest.mark.parametrize("name, arguments", VARIANTS, ids=str)


def random_pairs(count, seed=0):
    """Truths and predictions (count, 5) that overlap more or less, some not at all."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate(
        [
            rng.uniform(-40, 40, (count, 2)),
            np.exp(rng.uniform(np.log(4), np.log(90), (count, 2))),
            rng.uniform(-7, 7, (count, 1)),
        ],
        axis=1,
    )
    size = rng.choice([0.1, 0.5, 2.0], (count, 1))
    prediction = truth + size * rng.normal(0, [12, 12, 6, 6, 0.6], (count, 5))
    prediction[:, 2:4] = np.abs(prediction[:, 2:4]) + 1
    return truth, prediction


def errors(name, truth, arguments, dtype=None):
    loss = boxloss.get(name, **arguments, dtype=dtype)
    return lambda p: loss.tensors(truth[None], p[None]).box_errors[0]


@pytest.mark.parametrize(
    "row, pair, value, gradient", [row for row in ROWS if row[1] in "RS"], ids=str
)
def test_the_checked_numbers_are_reproduced(row, pair, value, gradient):
    name, arguments = ROW_ARGUMENTS[row]
    prediction, truth = (np.array([box], "float64") for box in PAIRS[pair])
    got, slope = value_and_gradient(errors(name, truth, arguments, "float64"), prediction)
    np.testing.assert_allclose(got[0], value, rtol=1e-8)
    np.testing.assert_allclose(slope[0], gradient, rtol=2e-6, atol=1e-9)


@every_variant
def test_values_and_gradients_are_those_of_matrices_and_polygons(name, arguments):
    truth, prediction = random_pairs(60)
    got, slope = value_and_gradient(errors(name, truth, arguments, "float64"), prediction)
    for i in range(len(truth)):

        def oracle(moved, i=i):
            return ORACLES[name](truth[i], moved, **arguments)

        np.testing.assert_allclose(got[i], oracle(prediction[i]), rtol=1e-8, atol=1e-8)
        step = 1e-5
        numeric = [
            (oracle(prediction[i] + move) - oracle(prediction[i] - move)) / (2 * step)
            for move in step * np.eye(5)
        ]
        np.testing.assert_allclose(
            slope[i], numeric, rtol=2e-4, atol=2e-6 * (1 + np.abs(numeric).max())
        )


def polygon(box):
    cx, cy, w, h, angle = map(float, box)
    upright = geometry.box(-w / 2, -h / 2, w / 2, h / 2)
    turned = affinity.rotate(upright, angle, origin=(0, 0), use_radians=True)
    return affinity.translate(turned, cx, cy)


def special(truth, prediction):
    """Makes the first pairs equal, turned, nested, aligned, touching."""
    t, p = truth, prediction
    p[:200] = t[:200]
    p[200:400] = t[200:400] + [0, 0, 0, 0, np.pi]
    p[400:600] = t[400:600][:, [0, 1, 3, 2, 4]] + [0, 0, 0, 0, np.pi / 2]
    p[600:800] = t[600:800] + [0, 0, 0, 0, np.pi / 2]
    p[800:1000] = t[800:1000] * [1, 1, 0.5, 0.25, 1]
    p[1000:1200] = t[1000:1200] * [1, 1, 1, 0.5, 1]
    t[1200:1600, :4], p[1200:1600, :4] = np.round(t[1200:1600, :4]), np.round(p[1200:1600, :4])
    p[1200:1600, 4] = t[1200:1600, 4] = 0
    p[1600:1800] = t[1600:1800]
    p[1600:1800, 0] += t[1600:1800, 2] * np.cos(t[1600:1800, 4])
    p[1600:1800, 1] += t[1600:1800, 2] * np.sin(t[1600:1800, 4])
    return t.astype("float32"), p.astype("float32")


def test_areas_agree_with_shapely_on_ten_thousand_pairs():
    truth, prediction = special(*random_pairs(10_000))
    expected = []
    for a, b in zip(truth, prediction, strict=True):
        a, b = polygon(a), polygon(b)
        shared = a.intersection(b).area
        union = a.area + b.area - shared
        expected.append((shared / union, union / a.union(b).convex_hull.area))
    iou, hull = np.transpose(expected)
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
        tensors = [ops.convert_to_tensor(x.astype(dtype)) for x in (truth, prediction)]
        if ops.dtype_name(tensors[0]) != dtype:
            continue  # JAX without 64 bits
        pair = RotatedPair(*tensors)
        np.testing.assert_allclose(ops.convert_to_numpy(pair.iou), iou, atol=tolerance)
        share = ops.convert_to_numpy(pair.union / pair.hull)
        np.testing.assert_allclose(share, hull, atol=tolerance)


def test_at_angle_zero_the_iou_is_that_of_upright_boxes():
    truth, prediction = random_pairs(2000)
    truth[:, 4] = prediction[:, 4] = 0
    upright = [
        np.concatenate([x[:, :2] - x[:, 2:4] / 2, x[:, :2] + x[:, 2:4] / 2], axis=1)
        for x in (truth, prediction)
    ]
    got, slope = value_and_gradient(lambda p: functional.rotated_iou_loss(truth, p), prediction)
    expected, sides = value_and_gradient(lambda p: functional.iou_loss(upright[0], p), upright[1])
    np.testing.assert_allclose(got, expected, atol=1e-12)
    x1, y1, x2, y2 = sides.T
    by_sides = np.stack([x1 + x2, y1 + y2, (x2 - x1) / 2, (y2 - y1) / 2], axis=1)
    np.testing.assert_allclose(slope[:, :4], by_sides, atol=1e-9)


# One box has many writings -----------------------------------------------------------------------


@every_variant
def test_the_writing_of_the_angle_does_not_matter(name, arguments):
    truth, prediction = random_pairs(40)
    expected, slope = value_and_gradient(errors(name, truth, arguments, "float64"), prediction)
    turned = prediction + [0, 0, 0, 0, -3 * np.pi]
    got, gradient = value_and_gradient(errors(name, truth, arguments, "float64"), turned)
    np.testing.assert_allclose(got, expected, atol=1e-9)
    np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-8)
    swapped = prediction[:, [0, 1, 3, 2, 4]] + [0, 0, 0, 0, np.pi / 2]
    got, gradient = value_and_gradient(errors(name, truth, arguments, "float64"), swapped)
    np.testing.assert_allclose(got, expected, atol=1e-9)
    np.testing.assert_allclose(gradient[:, [0, 1, 3, 2, 4]], slope, rtol=1e-6, atol=1e-8)


@every_variant
def test_equal_boxes_of_any_size_cost_the_minimum(name, arguments):
    boxes = np.float32([[0.3, -0.7, 1.0, 0.4, 0.9], [0.3, 0.7, 1.0, 1.0, -2.0]])
    sides = [1e-6, 1e-3, 1.0, 1e3, 1e6]
    truth = np.concatenate([boxes * np.float32([side] * 4 + [1]) for side in sides])
    minimum = boxloss.get(name, **arguments).minimum
    value, gradient = value_and_gradient(errors(name, truth, arguments), truth)
    np.testing.assert_allclose(value, minimum, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0 * gradient)
    again = truth + np.float32([0, 0, 0, 0, np.pi])  # rounded: not quite the same angle
    value, gradient = value_and_gradient(errors(name, truth, arguments), again)
    scaled = name != "gwd" or arguments.get("normalize")
    np.testing.assert_allclose(value if scaled else value[:8], minimum, rtol=1e-6, atol=2e-5)
    assert np.isfinite(gradient).all()


@every_variant
def test_the_angle_of_a_square_is_seen_only_by_exact_areas(name, arguments):
    truth, prediction = np.float64([[3, 4, 8, 8, 0.1]]), np.float64([[3, 4, 8, 8, 0.7]])
    value, _ = value_and_gradient(errors(name, truth, arguments), prediction)
    minimum = boxloss.get(name, **arguments).minimum
    assert (value[0] > minimum + 0.01) == name.startswith("rotated")


@every_variant
def test_the_value_does_not_depend_on_the_unit(name, arguments):
    truth, prediction = (x.astype("float32") for x in random_pairs(30))
    unit = np.float32([2.0**13] * 4 + [1])
    unit = np.where(np.arange(30)[:, None] < 15, unit, 1 / unit)
    expected, _ = value_and_gradient(errors(name, truth, arguments), prediction)
    got, _ = value_and_gradient(errors(name, truth * unit, arguments), prediction * unit)
    if name == "gwd" and not arguments.get("normalize"):
        assert np.abs(got - expected).max() > 0.1  # as its docstring says
    else:
        np.testing.assert_allclose(got, expected, atol=1e-6)


# Degenerate boxes ---------------------------------------------------------------------------------

BASE = [5.0, 3.0, 10.0, 6.0, 0.4]
DEGENERATE = {
    "no width": (BASE, [4, 3, 0, 5, 1.0]),
    "no height": (BASE, [4, 3, 8, 0, 1.0]),
    "point inside": (BASE, [4, 3, 0, 0, 0.2]),
    "point at the centre": (BASE, [5, 3, 0, 0, 0.4]),
    "point outside": (BASE, [40, 3, 0, 0, 0.4]),
    "true width 0": ([4, 3, 0, 5, 1.0], BASE),
    "true point": ([4, 3, 0, 0, 1.0], BASE),
    "equal points": ([4, 3, 0, 0, 1.0], [4, 3, 0, 0, -2.0]),
    "points apart": ([4, 3, 0, 0, 1.0], [1e6, 3, 0, 0, 1.0]),
    "equal lines": ([4, 3, 7, 0, 1.0], [4, 3, 7, 0, 1.0]),
    "crossed lines": ([4, 3, 7, 0, 0.0], [4, 3, 7, 0, np.pi / 2]),
    "parallel lines": ([4, 3, 7, 0, 0.3], [6, 8, 7, 0, 0.3]),
    "negative width": (BASE, [4, 3, -8, 5, 1.0]),
    "both negative": (BASE, [4, 3, -8, -5, 1.0]),
    "negative truth": ([4, 3, -8, 5, 1.0], BASE),
    "far": (BASE, [5e6, -4e6, 10, 6, 0.4]),
    "tiny in huge": ([0, 0, 1e6, 4e5, 0.3], [3, 4, 1e-6, 1e-5, 1.3]),
    "huge around tiny": ([3, 4, 1e-6, 1e-5, 1.3], [0, 0, 1e6, 4e5, 0.3]),
    "thin and crossed": ([0, 0, 1000, 1e-3, 0.1], [4, 5, 1e-3, 900, 0.3]),
    "huge": ([1e6, 0, 1e6, 4e5, 0.3], [1.2e6, 3e5, 8e5, 7e5, -0.3]),
    "tiny": ([1e-6, 0, 1e-6, 4e-7, 0.3], [1.2e-6, 3e-7, 8e-7, 7e-7, -0.3]),
    "equal square": ([4, 3, 6, 6, 0.0], [4, 3, 6, 6, 0.0]),
    "touching": ([0, 0, 4, 4, 0.0], [4, 0, 4, 4, 0.0]),
    "shared side": ([0, 0, 4, 4, 0.0], [1, 0, 2, 4, 0.0]),
    "quarter turn": (BASE, [5, 3, 10, 6, 0.4 + np.pi / 2]),
    "large angle": (BASE, [4, 3, 9, 6, 1e4]),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@every_variant
def test_value_and_gradient_are_finite_on_degenerate_boxes(name, arguments, dtype):
    check_finite(boxloss.get(name, **arguments), DEGENERATE, dtype)


@every_variant
def test_negative_sides_cost_more_than_none_and_are_opened(name, arguments):
    truth = np.float32([BASE] * 4)
    prediction = np.float32([[4, 3, -8, 5, 1], [4, 3, 0, 5, 1], [4, 3, 8, -5, 1], [4, 3, 8, 0, 1]])
    value, gradient = value_and_gradient(errors(name, truth, arguments), prediction)
    assert value[0] > value[1] + 0.1 and value[2] > value[3] + 0.1
    assert (gradient[:2, 2] < 0).all() and (gradient[2:, 3] < 0).all()


@every_variant
def test_equal_degenerate_boxes_cost_the_minimum(name, arguments):
    truth = np.float32([[4, 3, 0, 0, 1], [4, 3, 7, 0, 1], [4, 3, 0, 7, 1]])
    value, _ = value_and_gradient(errors(name, truth, arguments), truth)
    np.testing.assert_allclose(value, boxloss.get(name, **arguments).minimum, rtol=1e-6)


# The ladder -------------------------------------------------------------------------------------


@every_variant
def test_terms_sum_to_box_errors(name, arguments):
    truth, prediction = (x.astype("float32")[None] for x in random_pairs(30))
    tensors = boxloss.get(name, **arguments).tensors(truth, prediction).numpy()
    np.testing.assert_allclose(sum(tensors.terms.values()), tensors.box_errors, rtol=1e-6)
    expected = {
        "rotated_iou": {"overlap"},
        "rotated_giou": {"overlap", "hull"},
        "kfiou": {"kfiou", "center"} if arguments.get("center_weight") else {"kfiou"},
    }.get(name, {name})
    assert set(tensors.terms) == expected | {"inversion"}


@pytest.mark.parametrize("name", NAMES)
def test_the_difference_of_the_angles_is_wrapped(name):
    truth = np.float32([[[1, 2, 8, 4, 0.1], [1, 2, 8, 4, 0.0], [-1] * 5]])
    prediction = np.float32([[[2, 0, 9, 3, 3.0], [1, 2, 8, 4, np.pi / 2], [7] * 5]])
    tensors = boxloss.get(name).tensors(truth, prediction).numpy()
    np.testing.assert_allclose(
        tensors.residuals[0],
        [[1, -2, 1, -1, 2.9 - np.pi], [0, 0, 0, 0, -np.pi / 2], [0] * 5],
        atol=1e-6,
    )
    np.testing.assert_array_equal(tensors.coordinate_errors, np.abs(tensors.residuals))
    assert tensors.box_errors[0, 2] == 0


@every_variant
def test_the_config_carries_every_argument(name, arguments):
    check_config(name, arguments)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("gwd", {"tau": 0.5}, "`tau` must be a number of at least 1. Received: tau=0.5"),
        (
            "gwd",
            {"function": "log"},
            "`function` must be one of 'log1p', 'sqrt'. Did you mean 'log1p'? "
            "Received: function='log'",
        ),
        ("probiou", {"mode": "l3"}, "`mode` must be one of 'l1', 'l2'."),
        ("kld", {"sqrt": 1}, "`sqrt` must be True or False. Received: sqrt=1"),
        ("kfiou", {"center_weight": -1.0}, "`center_weight` must be a number of at least 0."),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError) as error:
        boxloss.get(name, **arguments)
    assert str(error.value).startswith(message)


def test_boxes_of_four_numbers_are_refused():
    box = np.zeros((1, 2, 4), "float32")
    with pytest.raises(ValueError) as error:
        boxloss.get("gwd")(box, box)
    assert str(error.value) == (
        "`y_true` must have shape (B, N, 5). Received: y_true.shape=(1, 2, 4), "
        "y_pred.shape=(1, 2, 4)"
    )
