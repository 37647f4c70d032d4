"""3-D boxes: values, gradients, volumes against polygons, the scene's laws, degenerate boxes."""

import math

import numpy as np
import pytest
from contract import check_config, check_finite
from gradients import value_and_gradient
from loss_table import variants
from oracles.boxes3d import ORACLES
from shapely import affinity, geometry

import boxloss
from boxloss import functional
from boxloss.functional.box3d_pair import Box3DPair
from boxloss.tensors import ops

VARIANTS = variants("box3d")
every_variant = pytest.mark.parametrize("name, arguments", VARIANTS, ids=str)

# name: (prediction, truth)
PAIRS = {
    "P": ([1.0, 2.0, 0.5, 2.0, 4.0, 1.5, 0.3], [1.4, 1.7, 0.7, 1.8, 4.4, 1.6, 0.1]),
    "Q": ([10.0, -3.0, -1.0, 1.8, 4.2, 1.6, 1.2], [10.5, -2.6, -0.8, 1.7, 4.0, 1.5, 1.45]),
    "E": ([1.0, 2.0, 3.0, 2.0, 4.0, 1.5, math.pi / 4], [1.3, 1.9, 3.2, 2.2, 3.6, 1.4, 0.2]),
}
# As in checked_rows.py: computed outside boxloss. row, pair, value, gradient
ROWS = [
    (
        "iou3d",
        "P",
        0.5201424572,
        (-0.4252226, 0.0988353, -0.5260154, -0.01581665, -0.02369404, -0.03274804, 0.04001348),
    ),
    (
        "iou3d",
        "Q",
        0.6116879566,
        (-0.2468625, -0.3872857, -0.3993321, -0.06272513, 0.02476118, -0.01687167, -0.03041235),
    ),
    (
        "iou3d",
        "E",
        0.5298258369,
        (-0.1210571, 0.01941754, -0.5529903, -0.05194957, 0.04015252, -0.03698099, 0.2001915),
    ),
    (
        "giou3d_aligned",
        "P",
        0.8763967481,
        (-0.2402485, 0.1903741, -0.6650507, 0.05323918, 0.03410997, -0.04331239, 0.7439937),
    ),
    (
        "giou3d_aligned",
        "Q",
        1.022886705,
        (-0.2630374, -0.2230328, -0.566428, -0.0201689, 0.06121534, -0.0411346, -0.6272764),
    ),
    (
        "giou3d_aligned",
        "E",
        1.001062812,
        (-0.0775177, 0.01243383, -0.6745642, 0.005576532, 0.1332594, -0.04666575, 0.1281906),
    ),
    (
        "giou3d_smallest",
        "P",
        0.7517655157,
        (-0.4979068, 0.1279524, -0.6919683, -0.06522143, -0.02303835, -0.04535768, 0.6929754),
    ),
    (
        "giou3d_smallest",
        "Q",
        0.8872357923,
        (-0.3605082, -0.3712909, -0.6049244, -0.1176878, -0.00246238, -0.04672442, -0.5141557),
    ),
    (
        "giou3d_smallest",
        "E",
        0.886095858,
        (-0.2819731, 0.04848543, -0.7009975, -0.1003407, 0.02784246, -0.04877148, 0.4628979),
    ),
    (
        "giou3d_hull",
        "P",
        0.6003871341,
        (-0.1951596, 0.2017566, -0.7246628, -0.0271627, 0.001565582, -0.04784191, 0.7364767),
    ),
    (
        "giou3d_hull",
        "Q",
        0.7027503995,
        (-0.3052259, -0.2713522, -0.6572795, -0.004878338, 0.019374, -0.05432657, -0.352578),
    ),
    (
        "giou3d_hull",
        "E",
        0.7390867146,
        (-0.1023995, 0.05542718, -0.7347981, -0.08527112, 0.07422653, -0.05146408, 0.3312347),
    ),
    (
        "diou3d_aligned",
        "P",
        0.5283058712,
        (-0.4477423, 0.1135259, -0.536471, -0.01749953, -0.02516458, -0.03315019, 0.03462072),
    ),
    (
        "diou3d_aligned",
        "Q",
        0.6238406214,
        (-0.270671, -0.4088905, -0.4089858, -0.06526187, 0.02251011, -0.01744601, -0.02331193),
    ),
    (
        "diou3d_aligned",
        "E",
        0.533441306,
        (-0.136552, 0.0245825, -0.5630121, -0.05306999, 0.0390321, -0.03713505, 0.2001915),
    ),
    (
        "diou3d_smallest",
        "P",
        0.5290985657,
        (-0.4480483, 0.1151945, -0.5374006, -0.01640963, -0.02500883, -0.03323208, 0.03508708),
    ),
    (
        "diou3d_smallest",
        "Q",
        0.6259167019,
        (-0.273746, -0.411746, -0.4104052, -0.06397243, 0.02270548, -0.01765901, -0.02622787),
    ),
    (
        "diou3d_smallest",
        "E",
        0.5339780074,
        (-0.1376818, 0.02476814, -0.5644473, -0.05241837, 0.03953332, -0.03718418, 0.1984482),
    ),
]


def random_pairs(count, seed=0):
    """Truths and predictions (count, 7) of cars and people that overlap more or less."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate(
        [
            rng.uniform(-40, 40, (count, 2)),
            rng.uniform(-2, 1, (count, 1)),
            np.exp(rng.uniform(np.log(0.4), np.log(6), (count, 2))),
            rng.uniform(1, 2.5, (count, 1)),
            rng.uniform(-7, 7, (count, 1)),
        ],
        axis=1,
    )
    size = rng.choice([0.1, 0.5, 2.0], (count, 1))
    prediction = truth + size * rng.normal(0, [0.8, 0.8, 0.4, 0.5, 0.5, 0.3, 0.6], (count, 7))
    prediction[:, 3:6] = np.abs(prediction[:, 3:6]) + 0.05
    return truth, prediction


def errors(name, truth, arguments, dtype=None):
    loss = boxloss.get(name, **arguments, dtype=dtype)
    return lambda p: loss.tensors(truth[None], p[None]).box_errors[0]


# Values and gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("row, pair, value, gradient", ROWS, ids=str)
def test_the_checked_numbers_are_reproduced(row, pair, value, gradient):
    name, _, enclosure = row.partition("_")
    arguments = {"enclosure": enclosure} if enclosure else {}
    prediction, truth = (np.array([box], "float64") for box in PAIRS[pair])
    got, slope = value_and_gradient(errors(name, truth, arguments, "float64"), prediction)
    exact = ops.dtype_name(ops.convert_to_tensor(truth)) == "float64"
    np.testing.assert_allclose(got[0], value, rtol=2e-9 if exact else 1e-6)
    np.testing.assert_allclose(slope[0], gradient, rtol=2e-6 if exact else 1e-4, atol=2e-6)


@every_variant
def test_values_and_gradients_are_those_of_clipped_polygons(name, arguments):
    truth, prediction = random_pairs(60)
    got, slope = value_and_gradient(errors(name, truth, arguments, "float64"), prediction)
    if ops.dtype_name(ops.convert_to_tensor(truth)) != "float64":
        pytest.skip("this backend has no float64 here")
    for i in range(len(truth)):

        def oracle(moved, i=i):
            return ORACLES[name](truth[i], moved, **arguments)

        np.testing.assert_allclose(got[i], oracle(prediction[i]), rtol=1e-8, atol=1e-8)
        step = 1e-6
        numeric = [
            (oracle(prediction[i] + move) - oracle(prediction[i] - move)) / (2 * step)
            for move in step * np.eye(7)
        ]
        slack = 1e-5 * (1 + np.abs(numeric).max())
        np.testing.assert_allclose(slope[i], numeric, rtol=2e-4, atol=slack)


def polygon(box):
    x, y, _, w, length, _, heading = map(float, box)
    upright = geometry.box(-w / 2, -length / 2, w / 2, length / 2)
    turned = affinity.rotate(upright, heading, origin=(0, 0), use_radians=True)
    return affinity.translate(turned, x, y)


def special(truth, prediction):
    """Makes the first pairs equal, written otherwise, nested, stacked, parallel and upright."""
    t, p = truth, prediction
    p[:200] = t[:200]
    p[200:400] = t[200:400] + [0, 0, 0, 0, 0, 0, np.pi]
    p[400:600] = t[400:600][:, [0, 1, 2, 4, 3, 5, 6]] + [0, 0, 0, 0, 0, 0, np.pi / 2]
    p[600:800] = t[600:800] * [1, 1, 1, 0.5, 0.25, 0.5, 1]
    p[800:1000] = t[800:1000]
    p[800:1000, 2] += 0.5 * (t[800:1000, 5] + p[800:1000, 5])  # one upon the other
    p[1000:1200, 6] = t[1000:1200, 6]
    t[1200:2000, 6] = p[1200:2000, 6] = 0
    return t.astype("float32"), p.astype("float32")


@pytest.mark.slow(15)
def test_volumes_agree_with_shapely_on_ten_thousand_pairs():
    """The shared ground by another library, times the height that both share."""
    truth, prediction = special(*random_pairs(10_000))
    expected = []
    for a, b in zip(truth.astype("float64"), prediction.astype("float64"), strict=True):
        ground = polygon(a).intersection(polygon(b)).area
        tops, bottoms = (a[2] + a[5] / 2, b[2] + b[5] / 2), (a[2] - a[5] / 2, b[2] - b[5] / 2)
        shared = ground * max(0.0, min(tops) - max(bottoms))
        hull = polygon(a).union(polygon(b)).convex_hull.area * (max(tops) - min(bottoms))
        union = a[3:6].prod() + b[3:6].prod() - shared
        expected.append((shared / union, union / hull))
    iou, share = np.transpose(expected)
    pair = Box3DPair(*map(ops.convert_to_tensor, (truth, prediction)))
    np.testing.assert_allclose(ops.convert_to_numpy(pair.iou), iou, atol=1e-5)
    got = ops.convert_to_numpy(pair.union / pair.enclosing_volume("hull"))
    np.testing.assert_allclose(got, share, atol=1e-5)


def test_at_heading_zero_the_volumes_are_products_of_three_intervals():
    truth, prediction = random_pairs(2000)
    truth[:, 6] = prediction[:, 6] = 0
    low, high = (
        [box[:, :3] + side * box[:, 3:6] / 2 for box in (truth, prediction)] for side in (-1, 1)
    )
    sides = np.maximum(np.minimum(*high) - np.maximum(*low), 0)
    shared = sides.prod(-1)
    union = truth[:, 3:6].prod(-1) + prediction[:, 3:6].prod(-1) - shared
    around = (np.maximum(*high) - np.minimum(*low)).prod(-1)
    tolerance = 1e-12 if ops.dtype_name(ops.convert_to_tensor(truth)) == "float64" else 1e-5
    got = functional.iou3d_loss(truth, prediction)
    np.testing.assert_allclose(got, 1 - shared / union, atol=tolerance)
    got = functional.giou3d_loss(truth, prediction, enclosure="aligned")
    np.testing.assert_allclose(got, 2 - shared / union - union / around, atol=tolerance)


# The scene ----------------------------------------------------------------------------------------


def turned(boxes, angle):
    x, y = boxes[:, 0].copy(), boxes[:, 1].copy()
    boxes = boxes.copy()
    boxes[:, 0] = math.cos(angle) * x - math.sin(angle) * y
    boxes[:, 1] = math.sin(angle) * x + math.cos(angle) * y
    boxes[:, 6] += angle
    return boxes


@every_variant
def test_turning_moving_and_scaling_the_scene_changes_nothing_but_aligned_enclosures(
    name, arguments
):
    arguments = {**arguments, "clockwise": False}
    truth, prediction = random_pairs(40)

    def value(change):
        return errors(name, change(truth), arguments, "float64")(change(prediction))

    expected = ops.convert_to_numpy(value(lambda x: x))
    moved = ops.convert_to_numpy(value(lambda x: x + np.array([7, -30, 4, 0, 0, 0, 0])))
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    scaled = ops.convert_to_numpy(value(lambda x: x * np.array([64.0] * 6 + [1])))
    np.testing.assert_allclose(scaled, expected, atol=1e-6)
    got = ops.convert_to_numpy(value(lambda x: turned(x, 0.7)))
    if arguments.get("enclosure") == "aligned":
        assert np.abs(got - expected).max() > 1e-3  # as its docstring says
    else:
        np.testing.assert_allclose(got, expected, atol=1e-5)


@every_variant
def test_the_writing_of_the_heading_does_not_matter(name, arguments):
    truth, prediction = (x.astype("float32") for x in random_pairs(40))
    expected, slope = value_and_gradient(errors(name, truth, arguments), prediction)
    for columns, angle in (([0, 1, 2, 3, 4, 5, 6], -3 * np.pi), ([0, 1, 2, 4, 3, 5, 6], np.pi / 2)):
        other = prediction[:, columns] + np.float32([0, 0, 0, 0, 0, 0, angle])
        if arguments.get("clockwise") and angle == np.pi / 2:
            other[:, 6] -= np.pi  # the same rectangle
        got, gradient = value_and_gradient(errors(name, truth, arguments), other)
        np.testing.assert_allclose(got, expected, atol=2e-5)
        same = np.isclose(gradient[:, columns], slope, rtol=1e-2, atol=2e-3).all(-1)
        # Which of two rectangles is the smallest can be a matter of rounding.
        assert same.mean() >= (0.95 if arguments.get("enclosure") == "smallest" else 1)


@every_variant
def test_origin_and_direction_of_the_heading_are_only_writing(name, arguments):
    truth, prediction = (x.astype("float32") for x in random_pairs(40))
    enclosure = {k: v for k, v in arguments.items() if k == "enclosure"}
    expected = ops.convert_to_numpy(errors(name, truth, enclosure)(prediction))
    bottom = [x - np.float32([0, 0, 0.5, 0, 0, 0, 0]) * x[:, 5:6] for x in (truth, prediction)]
    got = errors(name, bottom[0], {**enclosure, "origin": "bottom"})(bottom[1])
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)
    clockwise = [x * np.float32([1, 1, 1, 1, 1, 1, -1]) for x in (truth, prediction)]
    got = errors(name, clockwise[0], {**enclosure, "clockwise": True})(clockwise[1])
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)
    wrong = ops.convert_to_numpy(errors(name, truth, {**enclosure, "origin": "bottom"})(prediction))
    assert np.abs(wrong - expected).max() > 1e-2


@every_variant
def test_equal_boxes_of_any_size_cost_the_minimum(name, arguments):
    boxes = np.float32([[0.3, -0.7, 2, 1, 0.4, 0.8, 0.9], [0.3, 0.7, 1, 1, 1, 1, -2]])
    sides = [1e-6, 1e-3, 1.0, 1e3, 1e6]
    truth = np.concatenate([boxes * np.float32([side] * 6 + [1]) for side in sides])
    value, gradient = value_and_gradient(errors(name, truth, arguments), truth)
    assert np.isfinite(gradient).all()
    if boxloss.get(name, **arguments).minimum is None:
        assert name == "giou3d" and arguments["enclosure"] == "aligned" and (value > 0.1).all()
        return
    np.testing.assert_allclose(value, 0, atol=1e-6)
    np.testing.assert_array_equal(gradient, 0 * gradient)


def test_only_the_aligned_enclosure_is_above_zero_for_equal_boxes():
    box = np.float32([[1, 2, 3, 2, 4, 1.5, 0.2]])
    got = float(functional.giou3d_loss(box, box, enclosure="aligned")[0])
    np.testing.assert_allclose(got, 0.327, atol=5e-4)  # of a 2 x 4 box at 0.2 rad, by hand below
    w = 2 * math.cos(0.2) + 4 * math.sin(0.2)
    length = 2 * math.sin(0.2) + 4 * math.cos(0.2)
    np.testing.assert_allclose(got, 1 - 8 / (w * length), rtol=1e-6)


# Degenerate boxes ---------------------------------------------------------------------------------

BASE = [5.0, 3.0, 1.0, 10.0, 6.0, 2.0, 0.4]
DEGENERATE = {
    "no width": (BASE, [4, 3, 1, 0, 5, 2, 1.0]),
    "no height": (BASE, [4, 3, 1, 8, 5, 0, 1.0]),
    "point inside": (BASE, [4, 3, 1, 0, 0, 0, 0.2]),
    "point at the centre": (BASE, [5, 3, 1, 0, 0, 0, 0.4]),
    "point outside": (BASE, [40, 3, 9, 0, 0, 0, 0.4]),
    "true height 0": ([4, 3, 1, 8, 5, 0, 1.0], BASE),
    "true point": ([4, 3, 1, 0, 0, 0, 1.0], BASE),
    "equal points": ([4, 3, 1, 0, 0, 0, 1.0], [4, 3, 1, 0, 0, 0, -2.0]),
    "points apart": ([4, 3, 1, 0, 0, 0, 1.0], [1e6, 3, 1, 0, 0, 0, 1.0]),
    "equal plates": ([4, 3, 1, 7, 5, 0, 1.0], [4, 3, 1, 7, 5, 0, 1.0]),
    "crossed walls": ([4, 3, 1, 7, 0, 2, 0.0], [4, 3, 1, 7, 0, 2, np.pi / 2]),
    "negative width": (BASE, [4, 3, 1, -8, 5, 2, 1.0]),
    "all negative": (BASE, [4, 3, 1, -8, -5, -2, 1.0]),
    "negative truth": ([4, 3, 1, -8, 5, -2, 1.0], BASE),
    "one upon the other": (BASE, [5, 3, 3, 10, 6, 2, 0.4]),
    "above": (BASE, [5, 3, 9, 10, 6, 2, 0.4]),
    "far": (BASE, [5e6, -4e6, 1e6, 10, 6, 2, 0.4]),
    "tiny in huge": ([0, 0, 0, 1e6, 4e5, 1e6, 0.3], [3, 4, 1, 1e-6, 1e-5, 1e-6, 1.3]),
    "huge around tiny": ([3, 4, 1, 1e-6, 1e-5, 1e-6, 1.3], [0, 0, 0, 1e6, 4e5, 1e6, 0.3]),
    "a plate in a mast": ([0, 0, 0, 1e5, 1e5, 1e-4, 0.1], [4, 5, 1, 1e-3, 1e-3, 1e5, 0.3]),
    "tiny": ([1e-6, 0, 0, 1e-6, 4e-7, 1e-6, 0.3], [1.2e-6, 3e-7, 0, 8e-7, 7e-7, 1e-6, -0.3]),
    "touching": ([0, 0, 0, 4, 4, 2, 0.0], [4, 0, 0, 4, 4, 2, 0.0]),
    "shared faces": ([0, 0, 0, 4, 4, 2, 0.0], [1, 0, 0, 2, 4, 2, 0.0]),
    "quarter turn": (BASE, [5, 3, 1, 10, 6, 2, 0.4 + np.pi / 2]),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@every_variant
def test_value_and_gradient_are_finite_on_degenerate_boxes(name, arguments, dtype):
    value = check_finite(boxloss.get(name, **arguments), DEGENERATE, dtype)
    assert (value >= 0).all(), np.array(list(DEGENERATE))[value < 0]


@every_variant
def test_negative_extents_cost_more_than_none_and_are_opened(name, arguments):
    truth = np.float32([BASE] * 6)
    prediction = np.float32([[4, 3, 1, 8, 5, 2, 1]] * 6)
    for i, column in enumerate((3, 4, 5)):
        prediction[2 * i, column], prediction[2 * i + 1, column] = -3, 0
    value, gradient = value_and_gradient(errors(name, truth, arguments), prediction)
    for i, column in enumerate((3, 4, 5)):
        assert value[2 * i] > value[2 * i + 1] + 0.1, column
        assert (gradient[2 * i : 2 * i + 2, column] < 0).all(), column


# The ladder -------------------------------------------------------------------------------------


@every_variant
def test_terms_sum_to_box_errors(name, arguments):
    truth, prediction = (x.astype("float32")[None] for x in random_pairs(30))
    tensors = boxloss.get(name, **arguments).tensors(truth, prediction).numpy()
    np.testing.assert_allclose(sum(tensors.terms.values()), tensors.box_errors, rtol=1e-6)
    own = {"iou3d": set(), "giou3d": {"hull"}, "diou3d": {"center"}}[name]
    assert set(tensors.terms) == {"overlap", "inversion"} | own


def test_the_difference_of_the_headings_is_wrapped():
    truth = np.float32([[[1, 2, 3, 8, 4, 2, 0.1], [-1] * 7]])
    prediction = np.float32([[[2, 0, 4, 9, 3, 2, 3.0], [5] * 7]])
    tensors = boxloss.IoU3DLoss().tensors(truth, prediction).numpy()
    expected = [[1, -2, 1, 1, -1, 0, 2.9 - np.pi], [0] * 7]
    np.testing.assert_allclose(tensors.residuals[0], expected, atol=1e-6)
    np.testing.assert_array_equal(tensors.coordinate_errors, np.abs(tensors.residuals))
    assert tensors.box_errors[0, 1] == 0


@every_variant
def test_the_config_carries_every_argument(name, arguments):
    check_config(name, arguments)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: boxloss.IoU3DLoss(origin="center"),
            "`origin` must be one of 'bottom', 'middle'. Received: origin='center'",
        ),
        (
            lambda: boxloss.GIoU3DLoss(enclosure="convex"),
            "`enclosure` must be one of 'aligned', 'hull', 'smallest'. Received: "
            "enclosure='convex'",
        ),
        (
            lambda: functional.diou3d_loss(np.zeros((2, 7)), np.zeros((2, 7)), clockwise=1),
            "`clockwise` must be True or False. Received: clockwise=1",
        ),
        (
            lambda: boxloss.DIoU3DLoss()(np.zeros((1, 2, 5)), np.zeros((1, 2, 5))),
            "`y_true` must have shape (B, N, 7). "
            "Received: y_true.shape=(1, 2, 5), y_pred.shape=(1, 2, 5)",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
