"""The same training on one replica and on two: two logical CPUs under MirroredStrategy.

TensorFlow fixes its devices when it starts, so this file makes two before anything else touches it;
in a process where TensorFlow is already awake with one CPU the whole file runs in a child.
"""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import boxloss
from boxloss.tensors import ops

pytestmark = pytest.mark.skipif(
    ops.backend() != "tensorflow", reason="MirroredStrategy belongs to TensorFlow"
)

NORMALIZERS = ("image", "batch", "none", 3.0)
CHILD = "BOXLOSS_REPLICAS_CHILD"


@pytest.fixture(scope="module")
def two_replicas():
    """A function that gives the strategy of 1 or 2 replicas."""
    import tensorflow as tf

    if os.environ.get(CHILD) is None:
        pytest.skip("runs in the child of test_one_and_two_replicas_agree")
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)

    # One strategy for the whole process: a second one numbers its collectives from the start
    # again, and TensorFlow still remembers the shapes of the first.
    made = {n: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(n)]) for n in (1, 2)}
    return made.__getitem__


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param("not slow", marks=pytest.mark.long(90)),
        pytest.param("slow", marks=pytest.mark.slow(50)),
    ],
)
def test_one_and_two_replicas_agree(marked):
    """Runs the rest of this file in a process whose TensorFlow starts with two CPUs."""
    if os.environ.get(CHILD) is not None:
        pytest.skip("this is the child")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marked, __file__],
        env={**os.environ, CHILD: "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert " passed" in result.stdout and "failed" not in result.stdout


# Data ---------------------------------------------------------------------------------------------


def data(images):
    """Features (images, 6) and boxes (images, 7, 4); image i has 0, 1 or 7 boxes, in turn."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, 6)).astype("float32")
    corner = rng.uniform(0, 8, (images, 7, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 6, (images, 7, 2))], axis=-1)
    for i, count in enumerate(np.resize([0, 1, 7], images)):
        boxes[i, count:] = -1
    return x, boxes.astype("float32")


def model_of(loss, optimizer):
    rng = np.random.default_rng(1)
    inputs = keras.Input((6,))
    outputs = keras.layers.Reshape((7, 4))(keras.layers.Dense(28)(inputs))
    model = keras.Model(inputs, outputs)
    start = rng.uniform(0, 3, 28) + np.tile([0, 0, 6, 6], 7)
    model.layers[1].set_weights([rng.normal(size=(6, 28)) * 0.3, start])
    chosen = keras.optimizers.SGD(0.5) if optimizer == "sgd" else keras.optimizers.Adam(0.05)
    model.compile(chosen, loss)
    return model


def trained(strategy, make_loss, optimizer="adam", images=40, weights=None, evaluate=False):
    """The weights and the losses of the epochs after 5 steps of 8 images (the last one uneven)."""
    x, y = data(images)
    with strategy.scope():
        model = model_of(make_loss(), optimizer)
    history = model.fit(
        x, y, sample_weight=weights, batch_size=8, epochs=1, shuffle=False, verbose=0
    )
    evaluated = model.evaluate(x[:32], y[:32], batch_size=8, verbose=0) if evaluate else 0.0
    return [np.array(w) for w in model.get_weights()], history.history["loss"], evaluated


def assert_same(one, two, logged=True):
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)
    if logged:
        np.testing.assert_allclose(two[1], one[1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(two[2], one[2], rtol=1e-5, atol=1e-6)


# Tests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_five_steps_give_the_same_weights_and_loss(two_replicas, normalizer):
    def make():
        return boxloss.GIoULoss(normalizer=normalizer)

    evaluate = normalizer == "batch"
    one = trained(two_replicas(1), make, "sgd", evaluate=evaluate)
    two = trained(two_replicas(2), make, "sgd", evaluate=evaluate)
    assert np.abs(one[0][0] - model_of(make(), "sgd").get_weights()[0]).max() > 1e-3
    assert_same(one, two)


# 37 images leave a last batch of 3 + 2, 33 one of 1 + 0.
@pytest.mark.parametrize(
    "normalizer, images",
    [
        ("batch", 33),
        *(pytest.param(n, 37, marks=pytest.mark.slow) for n in NORMALIZERS),
    ],
    ids=str,
)
def test_adam_and_an_uneven_last_batch_give_the_same_weights(two_replicas, normalizer, images):
    def make():
        return boxloss.CIoULoss(normalizer=normalizer)

    one = trained(two_replicas(1), make, images=images)
    two = trained(two_replicas(2), make, images=images)
    # The loss that Keras logs weighs replicas by their images, whatever the loss.
    assert_same(one, two, logged=False)
    assert np.isfinite(two[1]).all()


@pytest.mark.parametrize("shape", [(40,), (40, 7)], ids=["of images", "of boxes"])
def test_weights_count_once(two_replicas, shape):
    weights = np.random.default_rng(2).uniform(0, 2, shape).astype("float32")

    def make():
        return boxloss.get("l1", normalizer="batch")

    one = trained(two_replicas(1), make, weights=weights)
    assert_same(one, trained(two_replicas(2), make, weights=weights))


def test_reduction_sum_gives_the_gradient_of_one_replica(two_replicas):
    def make():
        return boxloss.DIoULoss(reduction="sum")

    one = trained(two_replicas(1), make, "sgd")
    assert_same(one, trained(two_replicas(2), make, "sgd"))


def test_a_loop_of_ones_own_gets_the_same_loss(two_replicas):
    import tensorflow as tf

    x, y = data(8)
    prediction = np.random.default_rng(3).uniform(0, 9, y.shape).astype("float32")
    loss = boxloss.GIoULoss(normalizer="batch")
    expected = float(loss(y, prediction))
    strategy = two_replicas(2)

    def halves(array):
        return strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(array[4 * c.replica_id_in_sync_group :][:4])
        )

    @tf.function
    def step(y, p):
        return strategy.run(loss, args=(y, p))

    got = strategy.reduce("SUM", step(halves(y), halves(prediction)), axis=None)
    # Keras 2 divides by the replicas in compile(); a loop of one's own has to do that itself.
    got = float(got) / (1 if ops.KERAS_3 else 2)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_call_in_the_scope_but_outside_a_replica_is_the_plain_loss(two_replicas):
    _, y = data(8)
    prediction = np.random.default_rng(3).uniform(0, 9, y.shape).astype("float32")
    loss = boxloss.GIoULoss(normalizer="batch")
    expected = float(loss(y, prediction))
    with two_replicas(2).scope():
        np.testing.assert_allclose(float(loss(y, prediction)), expected, rtol=1e-6)


STATEFUL = {
    "wiou": lambda: boxloss.WIoULoss(
        running_mean=boxloss.RunningMean(initial=0.5), momentum=0.25, normalizer="batch"
    ),
    "ghm_r": lambda: boxloss.GHMRBoxLoss(
        mu=2.0, momentum=0.75, histogram=boxloss.GradientHistogram(), normalizer="batch"
    ),
    "ghm_r of the batch": lambda: boxloss.GHMRBoxLoss(mu=2.0, normalizer="batch"),
}


@pytest.mark.parametrize("name", STATEFUL)
def test_states_and_weights_are_those_of_one_replica(two_replicas, name):
    from boxloss.losses.state import states_of

    outcomes = []
    for count in (1, 2):
        made = []

        def make(made=made):
            made.append(STATEFUL[name]())
            return made[0]

        weights = trained(two_replicas(count), make, "sgd")
        states = [ops.convert_to_numpy(state.value) for state in states_of(made[0])]
        outcomes.append((weights, states))
    (one, before), (two, after) = outcomes
    for a, b in zip(before, after, strict=True):
        assert np.abs(a - 0.5).max() > 1e-3  # it has moved
        np.testing.assert_allclose(b, a, rtol=1e-5)
    assert_same(one, two)
