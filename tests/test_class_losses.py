"""Class losses against plain loops, at extreme logits, and their two columns of truth."""

import math

import numpy as np
import pytest
from gradients import as_numpy, value_and_gradient

import boxloss
from boxloss import functional


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def sigmoid(x):
    return math.exp(log_sigmoid(x))


def cross_entropy(x, y):
    return -y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x)


def softmax(label, x):
    top = max(x)
    return top + math.log(sum(math.exp(v - top) for v in x)) - x[int(label)]


def sigmoid_focal(label, x, alpha=0.25, gamma=2.0):
    total = 0.0
    for c, v in enumerate(x):
        right = c == label
        p = sigmoid(v) if right else sigmoid(-v)
        ln = log_sigmoid(v) if right else log_sigmoid(-v)
        total -= (alpha if right else 1 - alpha) * (1 - p) ** gamma * ln
    return total


def quality_focal(true, x, beta=2.0):
    label, quality = true
    total = 0.0
    for c, v in enumerate(x):
        y = quality if c == label else 0.0
        total += abs(y - sigmoid(v)) ** beta * cross_entropy(v, y)
    return total


def varifocal(true, x, alpha=0.75, gamma=2.0):
    label, quality = true
    total = 0.0
    for c, v in enumerate(x):
        q = quality if c == label else 0.0
        total += (
            q * cross_entropy(v, q) if q > 0 else alpha * sigmoid(v) ** gamma * cross_entropy(v, 0)
        )
    return total


ORACLES = {
    "softmax": softmax,
    "sigmoid_focal": sigmoid_focal,
    "quality_focal": quality_focal,
    "varifocal": varifocal,
}
VARIANTS = [
    ("softmax", {}),
    ("sigmoid_focal", {}),
    ("sigmoid_focal", {"alpha": 0.0}),
    ("sigmoid_focal", {"alpha": 1.0, "gamma": 0.0}),
    ("sigmoid_focal", {"alpha": 0.4, "gamma": 0.5}),
    ("quality_focal", {}),
    ("quality_focal", {"beta": 0.0}),
    ("quality_focal", {"beta": 1.5}),
    ("varifocal", {}),
    ("varifocal", {"alpha": 1.0, "gamma": 0.0}),
    ("varifocal", {"alpha": 0.0, "gamma": 0.7}),
]
QUALITY = ("quality_focal", "varifocal")
every_variant = pytest.mark.parametrize("name, arguments", VARIANTS, ids=str)


def truth(name, labels, qualities):
    if name in QUALITY:
        return np.stack([labels, qualities], axis=-1).astype("float64")
    return np.asarray(labels, "int32")


def test_every_class_loss_has_an_oracle():
    # The rows of MAL are in test_fine_grained, with those of the other losses of its detectors.
    assert sorted({*ORACLES, "mal"}) == boxloss.names("class")


@every_variant
def test_values_and_gradients_are_those_of_a_plain_loop(name, arguments):
    rng = np.random.default_rng(0)
    # The last label is background for the sigmoid losses, which have one logit less than softmax.
    labels, qualities = rng.integers(0, 5, 40), rng.uniform(0, 1, 40)
    qualities[:6] = [0, 1, 0, 1, 0.5, 1e-3]
    logits = rng.normal(0, 3, (40, 5 if name == "softmax" else 4))
    true = truth(name, labels, qualities)
    loss = getattr(functional, f"{name}_loss")
    value, gradient = value_and_gradient(lambda x: loss(true, x, **arguments), logits)
    for i in range(40):

        def oracle(x, i=i):
            return ORACLES[name](true[i], list(x), **arguments)

        np.testing.assert_allclose(value[i], oracle(logits[i]), rtol=1e-6)
        steps = 1e-5 * np.eye(logits.shape[1])
        numeric = [(oracle(logits[i] + s) - oracle(logits[i] - s)) / 2e-5 for s in steps]
        np.testing.assert_allclose(gradient[i], numeric, rtol=1e-4, atol=1e-6)


def test_the_power_0_weighs_a_score_that_is_right_as_any_other():
    # ln 2: the cross-entropy of a coin with itself.
    value = functional.quality_focal_loss(np.float32([[0, 0.5]]), np.float32([[0.0]]), beta=0.0)
    np.testing.assert_allclose(as_numpy(value), [math.log(2)], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@every_variant
def test_extreme_logits_are_finite(name, arguments, dtype):
    size = 3 if name == "softmax" else 2
    extremes = [-1e4, -90.0, -17.0, 0.0, 17.0, 90.0, 1e4]
    logits = np.float32([[a, b, 0.0][:size] for a in extremes for b in extremes])
    n = len(logits)
    loss = boxloss.get(name, **arguments)
    labels = ((0, 0.0), (0, 0.3), (0, 1.0), (2, 0.0))  # and qualities, an image each
    true = np.stack([truth(name, [label] * n, [quality] * n) for label, quality in labels])
    value, gradient = value_and_gradient(
        lambda x: loss.tensors(true, x).box_errors, np.stack([logits] * len(labels)), dtype
    )
    assert value.shape == (4, n) and np.isfinite(value).all() and (value >= 0).all()
    assert np.isfinite(gradient).all()


def test_a_logit_far_on_the_right_side_costs_nothing_and_on_the_wrong_one_its_size():
    logits = np.float32([[[1e4, -1e4], [-1e4, -1e4]]])
    focal = boxloss.get("sigmoid_focal", alpha=0.5).tensors(np.int32([[0, 0]]), logits).numpy()
    np.testing.assert_allclose(focal.box_errors, [[0, 0.5e4]])
    true = np.float32([[[0, 1], [0, 1]]])
    for name in QUALITY:
        np.testing.assert_allclose(
            boxloss.get(name).tensors(true, logits).numpy().box_errors, [[0, 1e4]]
        )


@pytest.mark.parametrize("name", QUALITY)
def test_a_class_of_minus_one_is_padding_whatever_its_quality(name):
    true = np.float32([[[0, 0.4], [-1, 0.9], [-1, -1], [-1, np.nan]]])
    logits = np.float32([[[1, 2]] + [[np.nan, np.inf]] * 3])
    value, gradient = value_and_gradient(lambda x: boxloss.get(name)(true, x), logits)
    expected = ORACLES[name](true[0, 0], [1.0, 2.0])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_array_equal(gradient[0, 1:], 0)


@pytest.mark.parametrize("name", ["sigmoid_focal", *QUALITY])
def test_positives_are_the_rows_that_are_not_background(name):
    labels, qualities = [[0, 1, 2, 2, -1], [2, 2, 2, 2, 2]], np.full((2, 5), 0.5)
    true = truth(name, labels, qualities)
    logits = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    tensors = boxloss.get(name, normalizer="positives").tensors(true, logits).numpy()
    assert tensors.coordinate_errors.shape == (2, 5, 2)
    np.testing.assert_allclose(tensors.coordinate_errors.sum(-1), tensors.box_errors, rtol=1e-6)
    sums = tensors.box_errors.sum(1)
    np.testing.assert_allclose(tensors.image_losses, [sums[0] / 2, sums[1]], rtol=1e-6)


@pytest.mark.parametrize("name", QUALITY)
def test_the_quality_has_no_gradient(name):
    logits = np.float32([[0.3, -1.0]])

    def loss(true):
        return getattr(functional, f"{name}_loss")(true, logits)

    _, gradient = value_and_gradient(loss, np.float32([[1, 0.4]]))
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", QUALITY)
def test_truth_without_quality_is_refused(name):
    with pytest.raises(ValueError) as error:
        boxloss.get(name)(np.zeros((2, 3), "int32"), np.zeros((2, 3, 4), "float32"))
    assert str(error.value) == (
        "`y_true` must have shape (B, N, 2) and `y_pred` (B, N, classes). "
        "Received: y_true.shape=(2, 3), y_pred.shape=(2, 3, 4)"
    )
