"""The flat optimizer against Adam in plain loops, and the rate over a run."""

import math

import keras
import numpy as np
import pytest

from boxloss.tensors import ops
from boxloss.training import FlatAdam, Options
from boxloss.training.options import learning_rate


def adam_by_loops(weights, gradients, rate, decay, clip, average):
    """Weights and their average after the given gradients, in float64."""
    weights = [w.astype("float64") for w in weights]
    means, squares, averages = ([np.zeros_like(w) for w in weights] for _ in range(3))
    for t, step in enumerate(gradients, 1):
        norm = math.sqrt(sum((g.astype("float64") ** 2).sum() for g in step))
        share = min(0.0 + average, t / (t + 9))
        for i, g in enumerate(step):
            g = g * min(1.0, clip / norm)
            means[i] = 0.9 * means[i] + 0.1 * g
            squares[i] = 0.999 * squares[i] + 0.001 * g * g
            if weights[i].ndim > 1:
                weights[i] = weights[i] * (1 - rate * decay)
            mean, square = means[i] / (1 - 0.9**t), squares[i] / (1 - 0.999**t)
            weights[i] = weights[i] - rate * mean / (np.sqrt(square) + 1e-7)
            averages[i] = share * averages[i] + (1 - share) * weights[i]
    return weights, averages


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_flat_optimizer_is_adam_with_decoupled_decay(decay):
    rng = np.random.default_rng(0)
    start = [rng.normal(0, 1, shape).astype("float32") for shape in ((3, 4), (4,), (2, 2, 3))]
    steps = [[rng.normal(0, 3, w.shape).astype("float32") for w in start] for _ in range(15)]
    variables = [keras.Variable(w) for w in start]
    optimizer = FlatAdam(0.01, weight_decay=decay, clip=10.0, average=0.5)
    for step in steps:
        optimizer.apply([ops.convert_to_tensor(g) for g in step], variables)
    weights, averages = adam_by_loops(start, steps, 0.01, decay, 10.0, 0.5)
    for variable, average, w, a in zip(
        variables, optimizer.averages(), weights, averages, strict=True
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(variable), w, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(average, a, rtol=1e-4, atol=1e-6)


def test_the_rate_warms_up_and_falls_along_a_cosine():
    options = Options(learning_rate=0.1, warmup=0.1)
    rates = [learning_rate(step, 100, options) for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.linspace(0.01, 0.1, 10))
    assert rates[10] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.1 * 0.51)  # half way down
    assert 0.002 < rates[99] < 0.0021
