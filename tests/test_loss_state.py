"""The state of WIoU and GHM-R in models: saved, loaded, connected, moved in training only."""

import warnings

import keras
import numpy as np
import pytest
from gradients import as_numpy
from loss_table import box_examples
from oracles import geometry

import boxloss
from boxloss.losses.state import states_of
from boxloss.tensors import ops

LOSSES = {
    "wiou": lambda: boxloss.WIoULoss(
        running_mean=boxloss.RunningMean(initial=0.25), momentum=0.5, version=2
    ),
    "ghm_r": lambda: boxloss.GHMRBoxLoss(
        mu=5.0, bins=4, momentum=0.5, histogram=boxloss.GradientHistogram(bins=4)
    ),
    "in a sum": lambda: boxloss.WeightedSum(
        [(boxloss.WIoULoss(running_mean=boxloss.RunningMean(initial=0.25)), 1.0), ("l1", 0.5)]
    ),
    "of two outputs": lambda: {
        "a": boxloss.WIoULoss(running_mean=boxloss.RunningMean(initial=0.25)),
        "b": boxloss.GIoULoss(),
    },
}
NESTED = ("in a sum", "of two outputs")
every_loss = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow(10)) if name in NESTED else name for name in LOSSES],
)


def data(name):
    y, _ = box_examples(np.random.default_rng(0), 8, 5)
    x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    return x, {"a": y, "b": y} if name == "of two outputs" else y


def compiled(name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    boxes = keras.layers.Reshape((5, 4))(keras.layers.Dense(20)(inputs))
    outputs = {"a": boxes, "b": boxes} if name == "of two outputs" else boxes
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss=LOSSES[name]())
    return model


def value(model):
    (state,) = states_of(model.loss)
    return as_numpy(state.value)


def fit(model, name):
    model.fit(*data(name), batch_size=4, verbose=0, callbacks=[boxloss.MoveLossState()])


@every_loss
def test_a_loaded_model_goes_on_with_the_state_of_the_saved_one(name, tmp_path):
    model = compiled(name)
    start = value(model)
    fit(model, name)
    trained = value(model)
    assert np.abs(trained - start).max() > 1e-3
    model.evaluate(*data(name), verbose=0)
    np.testing.assert_array_equal(value(model), trained)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(value(loaded), trained, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the state that stands
        before = loaded.evaluate(*data(name), verbose=0)
    np.testing.assert_allclose(value(loaded), trained, rtol=1e-6)
    np.testing.assert_allclose(before, model.evaluate(*data(name), verbose=0), rtol=1e-5)
    fit(loaded, name)
    moved = value(loaded)
    assert np.abs(moved - trained).max() > 1e-3
    (state,) = states_of(loaded.loss)
    assert any(state.value is variable for variable in loaded.non_trainable_variables)

    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(value(again), moved, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        after = [x.evaluate(*data(name), verbose=0) for x in (loaded, again)]
    np.testing.assert_allclose(*after, rtol=1e-5)


@every_loss
def test_the_state_is_among_the_saved_weights(name, tmp_path):
    model = compiled(name)
    fit(model, name)
    model.save_weights(tmp_path / "model.weights.h5")
    other = compiled(name)
    other.fit(*data(name), epochs=0, verbose=0, callbacks=[boxloss.MoveLossState()])
    assert np.abs(value(other) - value(model)).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(value(other), value(model))


def test_a_loaded_state_that_nobody_moves_warns_once():
    loss = boxloss.WIoULoss.from_config(LOSSES["wiou"]().get_config())
    y_true, y_pred = box_examples(np.random.default_rng(0), 2, 3)
    with pytest.warns(UserWarning) as found:
        loss(y_true, y_pred)
        loss(y_true, y_pred)
    assert [str(warning.message) for warning in found] == [
        f"the layer {loss.state.name!r} was loaded and is frozen: let it move in training by "
        "boxloss.MoveLossState() among the callbacks, or by its start()"
    ]
    assert as_numpy(loss.state.value) == 0.25
    loss.state.start()
    loss(y_true, y_pred)
    assert as_numpy(loss.state.value) > 0.25


@pytest.mark.skipif(ops.backend() != "jax", reason="other backends assign in place")
def test_on_jax_a_state_that_no_model_owns_is_refused():
    model = compiled("wiou")
    (state,) = states_of(model.loss)
    with pytest.raises(ValueError) as error:
        model.fit(*data("wiou"), verbose=0)
    assert str(error.value).startswith(
        "`RunningMean` must belong to the model on JAX, where nothing else can move in fit: give "
        f"fit callbacks=[boxloss.MoveLossState()]. Received: the layer {state.name!r} in no model"
    )


def test_counts_must_fit_the_bins():
    with pytest.raises(ValueError) as error:
        boxloss.GradientHistogram(bins=3, counts=[1.0, 2.0])
    assert str(error.value) == "`counts` must be 3 numbers, one per bin. Received: 2 numbers"


# In the detector ----------------------------------------------------------------------------------


class Head(keras.Model):
    """In the detector's place: what `TrainingModel` asks of it."""

    bins = 0


def detector_step(arguments, training):
    """(state, found truths, found predictions, the model) of one batch of two images."""
    from head_outputs import head_and_truth

    from boxloss import training as package

    outputs, truth = head_and_truth()
    outputs = {key: ops.convert_to_tensor(array) for key, array in outputs.items()}
    criterion = package.Criterion(package.box_loss("wiou", arguments))
    model = package.TrainingModel(Head(), criterion, image_count=2)
    images = ops.zeros((2, 64, 64, 3))
    assigned = model.costs(images, truth, outputs).assignment
    found = as_numpy(assigned.index) >= 0
    model.compute_loss(images, truth, outputs, training=training)
    return (
        criterion.loss.state,
        as_numpy(assigned.boxes)[found],
        as_numpy(outputs["boxes"])[found],
        model,
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_detector_owns_the_running_mean_and_moves_it_in_training(training):
    state, truths, predictions, model = detector_step({"momentum": 0.25}, training)
    assert any(state.value is variable for variable in model.non_trainable_variables)
    pairs = zip(truths, predictions, strict=True)
    mean = np.mean([1 - geometry.geometry(t, p).iou for t, p in pairs])
    expected = 0.75 + 0.25 * mean if training else 1.0
    np.testing.assert_allclose(as_numpy(state.value), expected, rtol=1e-5)


def test_a_given_running_mean_stays_fixed_in_the_detector():
    state, _, _, model = detector_step({"running_mean": 0.5}, True)
    assert state is None and model.loss_states == []


def test_the_detectors_histogram_is_made_where_it_is_used():
    from boxloss.training import box_loss

    assert box_loss("ghm_r").histogram is None
    assert box_loss("ghm_r", {"momentum": 0.5, "bins": 7}).histogram.bins == 7
    assert box_loss("wiou", {"version": 1}).state is None
