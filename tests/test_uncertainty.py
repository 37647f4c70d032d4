"""The losses whose predictions carry more than four numbers: a spread, or a distribution."""

import math

import numpy as np
import pytest
from checked_rows import LOG_VARIANCES, PAIRS, ROWS
from gradients import as_numpy, value_and_gradient

import boxloss
from boxloss import functional

SPREAD = boxloss.names("uncertainty")


def smooth_l1(d):
    return d * d / 2 if d < 1 else d - 0.5


# One coordinate, plain float64: error |d| and log-variance a.
ORACLES = {
    "kl": lambda d, a: math.exp(-a) * smooth_l1(d) + a / 2,
    "gaussian_nll": lambda d, a: (d * d * math.exp(-a) + a + math.log(2 * math.pi)) / 2,
    "laplace_nll": lambda d, a: d * math.exp(-a) + a,
}
CONSTANTS = {"gaussian_nll": math.log(2 * math.pi) / 2, "laplace_nll": math.log(2)}


@pytest.mark.parametrize(
    "row, pair, value, gradient", [row for row in ROWS if row[0] in ("kl_loss", "gaussian_nll")]
)
def test_the_checked_numbers_are_reproduced(row, pair, value, gradient):
    prediction, truth = (np.array([x], "float64") for x in PAIRS[pair])
    spread = np.array([LOG_VARIANCES], "float64")
    function = getattr(functional, row.removesuffix("_loss") + "_loss")
    got, slope = value_and_gradient(lambda p: function(truth, p, spread), prediction)
    np.testing.assert_allclose(got.sum(), value, rtol=1e-8)
    np.testing.assert_allclose(slope[0], gradient, rtol=1e-6)

    loss = boxloss.get(row.removesuffix("_loss"), dtype="float64")
    errors = loss.tensors(truth[None], np.concatenate([prediction, spread], -1)[None]).numpy()
    np.testing.assert_allclose(errors.box_errors[0, 0], value, rtol=1e-8)
    np.testing.assert_allclose(errors.residuals[0], prediction - truth)


@pytest.mark.parametrize("name", SPREAD)
def test_values_and_gradients_are_those_of_the_formula(name):
    rng = np.random.default_rng(0)
    truth, prediction = rng.normal(0, 3, (2, 40, 4))
    spread = rng.normal(0, 2, (40, 4))
    function, step = getattr(functional, f"{name}_loss"), 1e-6
    value, slope = value_and_gradient(lambda p: function(truth, p, spread), prediction)
    _, spread_slope = value_and_gradient(lambda a: function(truth, prediction, a), spread)
    for index in np.ndindex(truth.shape):
        t, p, a = truth[index], prediction[index], spread[index]

        def cost(p, a, t=t):
            return ORACLES[name](abs(p - t), a)

        np.testing.assert_allclose(value[index], cost(p, a), rtol=1e-9)
        expected = (cost(p + step, a) - cost(p - step, a)) / (2 * step)
        np.testing.assert_allclose(slope[index], expected, rtol=1e-5, atol=1e-6)
        expected = (cost(p, a + step) - cost(p, a - step)) / (2 * step)
        np.testing.assert_allclose(spread_slope[index], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", SPREAD)
def test_any_log_variance_is_finite_and_pulled_back(name, dtype):
    distances = [0.0, 1e-6, 0.5, 1.0, 3e4 if dtype == "float16" else 1e6]
    spreads = [-6e4, -1000.0, -89.0, -31.0, -12.0, 0.0, 12.0, 89.0, 6e4]
    d, a = (x.reshape(-1, 1) for x in np.meshgrid(distances, spreads))
    y_pred = np.concatenate([d, -d, 2 + d, 4 - d, a, a, a, a], axis=1)[None].astype("float32")
    truth = np.tile(np.float32([0, 0, 2, 4]), (1, len(d), 1))
    loss = boxloss.get(name)
    value, slope = value_and_gradient(lambda p: loss(truth, p), y_pred, dtype)
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    # Far too sure: descent must raise the log-variance.
    too_sure = (a[:, 0] < -20) & (d[:, 0] >= 0.5)
    assert (slope[0, too_sure, 4:] < 0).all()


@pytest.mark.parametrize("name", ["gaussian_nll", "laplace_nll"])
def test_full_adds_the_constant(name):
    truth, prediction, spread = np.random.default_rng(0).normal(size=(3, 5, 4))
    function = getattr(functional, f"{name}_loss")
    added = as_numpy(function(truth, prediction, spread, full=True)) - as_numpy(
        function(truth, prediction, spread, full=False)
    )
    np.testing.assert_allclose(added, CONSTANTS[name], rtol=1e-6)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


@pytest.mark.parametrize("bins", [2, 8, 16])
def test_the_distribution_focal_loss_is_that_of_the_paper(bins):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, bins - 1.02, (30, 4))
    truth[0] = np.floor(truth[0])
    logits = rng.normal(0, 3, (30, 4 * bins))
    value, slope = value_and_gradient(lambda z: functional.dfl_loss(truth, z, bins=bins), logits)
    for i, side in np.ndindex(30, 4):
        y, s = truth[i, side], softmax(logits[i, side * bins : (side + 1) * bins])
        low = int(np.floor(y))
        expected = -(low + 1 - y) * np.log(s[low]) - (y - low) * np.log(s[low + 1])
        np.testing.assert_allclose(value[i, side], expected, rtol=1e-6)
        s[low] -= low + 1 - y
        s[low + 1] -= y - low
        np.testing.assert_allclose(slope[i, side * bins : (side + 1) * bins], s, atol=1e-6)


def test_distances_outside_the_bins_are_held_inside():
    logits = np.random.default_rng(0).normal(size=(1, 1, 32)).astype("float32")
    loss = boxloss.DFLLoss(bins=8)
    outside = loss.tensors(np.float32([[[-3, 0, 99, 7]]]), logits).numpy()
    inside = loss.tensors(np.float32([[[0, 0, 6.99, 6.99]]]), logits).numpy()
    np.testing.assert_allclose(outside.box_errors, inside.box_errors, rtol=1e-6)


def test_a_sure_distribution_has_no_residual_and_huge_logits_are_finite():
    logits = np.full((1, 1, 4, 8), -1e4, "float32")
    for side, bin in enumerate((2, 0, 5, 6)):
        logits[0, 0, side, bin] = 1e4
    logits = logits.reshape(1, 1, 32)
    truth = np.float32([[[2, 1, 5, 4]]])
    loss = boxloss.DFLLoss(bins=8, coordinate_reduction="mean")
    tensors = loss.tensors(truth, logits).numpy()
    np.testing.assert_array_equal(tensors.residuals[0, 0], [0, 1, 0, 2])
    assert tensors.terms["left"] == 0 and tensors.terms["top"] == 2e4 / 4
    _, slope = value_and_gradient(lambda z: loss(truth, z), logits)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: boxloss.get("kl")(np.zeros((1, 2, 4)), np.zeros((1, 2, 4))),
            "`y_pred` must have shape (B, N, 8). "
            "Received: y_true.shape=(1, 2, 4), y_pred.shape=(1, 2, 4)",
        ),
        (
            lambda: functional.kl_loss(np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((1, 4))),
            "`log_variance` must have the shape of `y_pred`. "
            "Received: log_variance.shape=(1, 4), y_pred.shape=(2, 4)",
        ),
        (
            lambda: boxloss.DFLLoss(bins=1),
            "`bins` must be a whole number of at least 2. Received: bins=1",
        ),
        (
            lambda: boxloss.DFLLoss(bins=8)(np.zeros((1, 2, 4)), np.zeros((1, 2, 64))),
            "`y_pred` must have shape (B, N, 32). "
            "Received: y_true.shape=(1, 2, 4), y_pred.shape=(1, 2, 64)",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
