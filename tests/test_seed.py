"""Why the loss is a tensor: per-example losses first, the scalar last, and nothing lost between."""

import keras
import numpy as np
import pytest
from gradients import as_numpy, as_tensor, value_and_gradient

from boxloss.tensors import ops


@pytest.fixture
def regression():
    """Inputs (32, 6), targets (32, 3) and the weights (6, 3) of a linear model."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(32, 6)), rng.normal(size=(6, 3))
    y = x @ rng.normal(size=(6, 3)) + rng.normal(0, 0.1, (32, 3))
    return x.astype("float32"), y.astype("float32"), weights.astype("float32")


@pytest.fixture
def classification():
    """Inputs (64, 6), labels (64,) of five classes and the weights (6, 5) of a linear model."""
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(64, 6)), rng.normal(size=(6, 5))
    return x.astype("float32"), rng.integers(0, 5, 64), weights.astype("float32")


def squared_errors(x, y, weights):
    loss = keras.losses.MeanSquaredError(reduction="none")
    return loss(as_tensor(y), ops.matmul(as_tensor(x), weights))


def cross_entropies(x, labels, weights):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    return loss(as_tensor(labels), ops.matmul(as_tensor(x), weights))


def test_a_linear_model_has_one_loss_an_example_and_then_one(regression):
    x, y, weights = regression
    losses = as_numpy(squared_errors(x, y, as_tensor(weights)))
    by_hand = ((x @ weights - y) ** 2).mean(axis=1)
    assert losses.shape == (32,)
    np.testing.assert_allclose(losses, by_hand, rtol=1e-5)
    scalar = keras.losses.MeanSquaredError()(y, x @ weights)
    assert tuple(scalar.shape) == ()
    np.testing.assert_allclose(float(scalar), by_hand.mean(), rtol=1e-5)


def test_cross_entropy_of_64_by_5_logits_does_the_same(classification):
    x, labels, weights = classification
    losses = as_numpy(cross_entropies(x, labels, as_tensor(weights)))
    logits = (x @ weights).astype("float64")
    by_hand = np.log(np.exp(logits).sum(1)) - logits[np.arange(64), labels]
    assert losses.shape == (64,)
    np.testing.assert_allclose(losses, by_hand, rtol=1e-5)
    np.testing.assert_allclose(losses.mean(), by_hand.mean(), rtol=1e-6)


def test_a_loop_prints_ten_losses_and_the_total(regression, capsys):
    x, y, weights = regression
    losses = as_numpy(squared_errors(x, y, as_tensor(weights)))[:10]
    for i, loss in enumerate(losses):
        print(f"example {i}: {loss:.4f}")
    print(f"total: {losses.sum():.4f}")
    lines = capsys.readouterr().out.splitlines()
    printed = [float(line.split(": ")[1]) for line in lines]
    assert len(lines) == 11
    np.testing.assert_allclose(sum(printed[:10]), printed[10], atol=1e-3)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients(kind, request):
    x, y, weights = request.getfixturevalue(kind)
    errors = squared_errors if kind == "regression" else cross_entropies
    _, whole = value_and_gradient(lambda w: ops.mean(errors(x, y, w)), weights)
    each = [
        value_and_gradient(lambda w, i=i: errors(x[i : i + 1], y[i : i + 1], w), weights)[1]
        for i in range(len(x))
    ]
    np.testing.assert_allclose(whole, np.mean(each, axis=0), rtol=1e-4, atol=1e-6)
    # One example alone does not give it: the equality above is not trivial.
    assert np.abs(whole - each[0]).max() > 1e-2
