"""WIoU and GHM-R, whose weights come from other boxes, their state, and WeightedSum."""

import keras
import numpy as np
import pytest
from gradients import as_numpy, value_and_gradient
from loss_table import box_examples, make
from oracles import geometry as plain

import boxloss
from boxloss import functional

MU = 0.02


def one_minus_iou(y_true, y_pred):
    return np.array([1 - plain.geometry(t, p).iou for t, p in zip(y_true, y_pred, strict=True)])


def batch(images=3, boxes=5, seed=0):
    return box_examples(np.random.default_rng(seed), images, boxes)


# GHM-R --------------------------------------------------------------------------------------------


def harmonised(d, bins, counts=None):
    """GHM-R of a flat array of errors, in plain numpy."""
    norm = np.abs(d) / np.sqrt(d**2 + MU**2)
    index = np.minimum((norm * bins).astype(int), bins - 1)
    if counts is None:
        counts = np.bincount(index, minlength=bins)
    return len(d) / (bins * counts[index]) * (np.sqrt(d**2 + MU**2) - MU)


def test_ghm_r_weighs_by_the_counts_of_the_batch():
    y_true, y_pred = (x.astype("float64") for x in batch())
    y_pred = y_true + 0.002 * (y_pred - y_true)  # errors around mu, in many bins
    d = (y_pred - y_true).reshape(-1)
    expected = harmonised(d, 10).reshape(y_true.shape)
    np.testing.assert_allclose(as_numpy(functional.ghm_r_loss(y_true, y_pred)), expected, rtol=1e-6)
    tensors = make("ghm_r", dtype="float64").tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(tensors.coordinate_errors, expected, rtol=1e-6)
    np.testing.assert_allclose(tensors.box_errors, expected.sum(-1), rtol=1e-6)
    given = np.arange(1.0, 11.0)
    got = as_numpy(functional.ghm_r_loss(y_true, y_pred, histogram=given))
    np.testing.assert_allclose(got.reshape(-1), harmonised(d, 10, given), rtol=1e-6)


def test_padding_is_in_no_histogram():
    y_true, y_pred = batch()
    padded = [
        np.concatenate([x, np.full((3, 4, 4), -1, "float32")], axis=1) for x in (y_true, y_pred)
    ]
    loss = make("ghm_r", mu=3.0)
    expected = loss.tensors(y_true, y_pred).numpy()
    got = loss.tensors(*padded).numpy()
    np.testing.assert_allclose(got.box_errors[:, :5], expected.box_errors, rtol=1e-6)
    np.testing.assert_allclose(got.loss, expected.loss, rtol=1e-6)


def test_the_weights_of_ghm_r_are_constants_in_the_gradient():
    y_true, y_pred = batch()
    loss = make("ghm_r", mu=3.0, normalizer="none", reduction="sum")
    _, slope = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    d = (y_pred - y_true).astype("float64")
    weight = loss.tensors(y_true, y_pred).numpy().coordinate_errors / (np.sqrt(d**2 + 9) - 3)
    np.testing.assert_allclose(slope, weight * d / np.sqrt(d**2 + 9), rtol=1e-4)


# State --------------------------------------------------------------------------------------------


def test_the_running_mean_moves_when_called_and_only_then():
    y_true, y_pred = batch()
    mean = boxloss.RunningMean()
    loss = boxloss.WIoULoss(running_mean=mean, momentum=0.25)
    loss.tensors(y_true, y_pred)
    assert float(as_numpy(mean.value)) == 1.0
    fixed = boxloss.WIoULoss(running_mean=1.0)
    with pytest.warns(UserWarning, match="holds running_mean=1.0 fixed"):
        expected = float(fixed(y_true, y_pred))
    np.testing.assert_allclose(float(loss(y_true, y_pred)), expected, rtol=1e-6)
    batch_mean = one_minus_iou(y_true.reshape(-1, 4), y_pred.reshape(-1, 4)).mean()
    moved = 1.0 + 0.25 * (batch_mean - 1.0)
    np.testing.assert_allclose(as_numpy(mean.value), moved, rtol=1e-5)
    again = boxloss.WIoULoss(running_mean=float(moved)).tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(loss.tensors(y_true, y_pred).numpy().loss, again.loss, rtol=1e-5)
    mean.stop()
    loss(y_true, y_pred)
    np.testing.assert_allclose(as_numpy(mean.value), moved, rtol=1e-5)


@pytest.mark.parametrize("version", [2, 3])
def test_a_running_mean_that_has_fallen_to_0_divides_nothing(version):
    mean = boxloss.RunningMean()
    loss = boxloss.WIoULoss(version=version, momentum=1.0, running_mean=mean)
    y_true, y_pred = batch()
    assert float(loss(y_true, y_true)) == 0 == float(as_numpy(mean.value))
    for prediction in (y_true, y_pred):
        value, gradient = value_and_gradient(
            lambda p: loss.tensors(y_true, p).box_errors, prediction
        )
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_the_histogram_follows_its_momentum():
    y_true, y_pred = batch()
    counts = boxloss.GradientHistogram(bins=10)
    loss = boxloss.GHMRBoxLoss(mu=5.0, momentum=0.75, histogram=counts)
    loss(y_true, y_pred)
    first = as_numpy(counts.value)
    np.testing.assert_allclose(first.sum(), 0.25 * y_true.size)
    loss(y_true, y_pred)
    np.testing.assert_allclose(as_numpy(counts.value), first * 1.75, rtol=1e-6)


def trained(tmp_path=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    outputs = keras.layers.Reshape((5, 4))(keras.layers.Dense(20)(inputs))
    model = keras.Model(inputs, outputs)
    mean = boxloss.RunningMean(name="wiou_mean")
    model.wiou_mean = mean
    loss = boxloss.WIoULoss(running_mean=mean, momentum=0.5)
    model.compile("adam", loss=loss)
    return model, mean


def test_in_fit_the_state_moves_and_in_evaluation_it_stands():
    model, mean = trained()
    y_true, _ = batch(images=8)
    x = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
    seen = []

    class See(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(float(as_numpy(mean.value)))

        def on_test_end(self, logs=None):
            seen.append(float(as_numpy(mean.value)))

    mean.value.assign(0.25)
    model.fit(
        x, y_true, epochs=2, batch_size=4, verbose=0, validation_data=(x, y_true),
        callbacks=[boxloss.MoveLossState(mean), See()],
    )  # fmt: skip
    assert 0.25 < seen[0] == seen[1] < seen[2] == seen[3]
    after = float(as_numpy(mean.value))
    model.evaluate(x, y_true, verbose=0)
    assert float(as_numpy(mean.value)) == after == seen[3]


def test_the_state_is_saved_with_weights_and_with_a_compiled_loss(tmp_path):
    model, mean = trained()
    mean.value.assign(0.375)
    if "wiou_mean" in {layer.name for layer in model._flatten_layers()}:
        model.save_weights(tmp_path / "model.weights.h5")
        other, fresh = trained()
        other.load_weights(tmp_path / "model.weights.h5")
        assert float(as_numpy(fresh.value)) == 0.375
    loss = boxloss.WIoULoss.from_config(model.loss.get_config())
    assert float(as_numpy(loss.running_mean.value)) == 0.375
    assert loss.get_config() == model.loss.get_config()


# WeightedSum --------------------------------------------------------------------------------------


def test_a_weighted_sum_has_every_level():
    y_true, y_pred = batch()
    loss = boxloss.WeightedSum(
        {"l1": 5.0, "giou": 2.0, boxloss.InnerIoULoss(base="siou", ratio=1.25): 0.5}
    )
    l1, giou, inner = (
        make(name, **arguments).tensors(y_true, y_pred).numpy()
        for name, arguments in (
            ("l1", {}),
            ("giou", {}),
            ("inner_iou", {"base": "siou", "ratio": 1.25}),
        )
    )
    tensors = loss.tensors(y_true, y_pred).numpy()
    expected = 5 * l1.box_errors + 2 * giou.box_errors + 0.5 * inner.box_errors
    np.testing.assert_allclose(tensors.box_errors, expected, rtol=1e-6)
    np.testing.assert_allclose(tensors.terms["giou/hull"], 2 * giou.terms["hull"], rtol=1e-6)
    np.testing.assert_allclose(sum(tensors.terms.values()), expected, rtol=1e-6)
    np.testing.assert_allclose(tensors.coordinate_errors, 5 * l1.coordinate_errors, rtol=1e-6)
    np.testing.assert_allclose(float(loss(y_true, y_pred)), expected.mean(), rtol=1e-6)
    back = boxloss.WeightedSum.from_config(loss.get_config())
    np.testing.assert_allclose(float(back(y_true, y_pred)), expected.mean(), rtol=1e-6)
    assert back.get_config() == loss.get_config()
    assert loss.minimum == 0.0


def test_a_weighted_sum_moves_its_members():
    y_true, y_pred = batch()
    mean = boxloss.RunningMean()
    loss = boxloss.WeightedSum(
        [(boxloss.WIoULoss(running_mean=mean), 1.0), ("ghm_r", 0.5)], normalizer="batch"
    )
    loss(y_true, y_pred)
    assert 0 < float(as_numpy(mean.value)) < 1
    ghm = make("ghm_r").tensors(y_true, y_pred).numpy()
    got = loss.tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(got.terms["ghm_r/x1"], 0.5 * ghm.terms["x1"], rtol=1e-6)


@pytest.mark.parametrize(
    "losses, message",
    [
        ({"kl": 1.0}, "`losses` must be losses of kind 'box'. Received: 'kl' in losses"),
        ({}, "`losses` must have different names. Received: []"),
        (
            [("giou", 1.0), ("giou", 2.0)],
            "`losses` must have different names. Received: ['giou', 'giou']",
        ),
        (
            {boxloss.GIoULoss(bounding_box_format="xywh"): 1.0},
            "`losses` must have the `bounding_box_format` of the sum, 'xyxy'. Received: "
            "'giou' with bounding_box_format='xywh'",
        ),
        ({"l1": -1.0}, "`weight` must be a number of at least 0. Received: weight=-1.0"),
    ],
)
def test_a_weighted_sum_refuses(losses, message):
    with pytest.raises(ValueError) as error:
        boxloss.WeightedSum(losses)
    assert str(error.value) == message


@pytest.mark.parametrize("base", ["l1", "nwd", "iou_log"])
@pytest.mark.parametrize("name", ["alpha_iou", "inner_iou", "focaler_iou", "unified_iou"])
def test_a_modifier_refuses_what_is_no_overlap_plus_penalties(name, base):
    given = boxloss.IoULoss(mode="log") if base == "iou_log" else make(base)
    with pytest.raises(ValueError, match="`base` must be one of 'ciou', 'diou'"):
        make(name, base=given)


@pytest.mark.parametrize("name", ["alpha_iou", "inner_iou", "focaler_iou", "unified_iou"])
def test_a_modifier_takes_a_loss_object_for_its_arguments(name):
    y_true, y_pred = batch()
    loss = make(name, base=boxloss.SIoULoss(theta=2.5))
    got = loss.tensors(y_true, y_pred).numpy().box_errors
    usual = make(name, base="siou").tensors(y_true, y_pred).numpy().box_errors
    assert np.abs(got - usual).max() > 1e-4
    back = type(loss).from_config(loss.get_config())
    np.testing.assert_allclose(back.tensors(y_true, y_pred).numpy().box_errors, got, rtol=1e-6)


@pytest.mark.parametrize("outlier", ["changed", "plain"])
def test_a_modifier_of_wiou_moves_the_mean_of_the_changed_iou_or_of_the_plain_one(outlier):
    y_true, y_pred = batch()
    y_true[0, 3:] = -1
    state = boxloss.RunningMean(initial=0.8)
    base = boxloss.WIoULoss(running_mean=state, momentum=0.25, outlier=outlier)
    loss = boxloss.InnerIoULoss(base=base, ratio=0.6)
    changed = boxloss.InnerIoULoss(ratio=0.6) if outlier == "changed" else boxloss.IoULoss()
    real = (y_true >= 0).any(-1)
    mean = changed.tensors(y_true, y_pred).numpy().box_errors[real].mean()
    before = float(loss.tensors(y_true, y_pred).loss)
    assert float(loss(y_true, y_pred)) == pytest.approx(before, rel=1e-5)
    assert float(state.read("float32")) == pytest.approx(0.8 + 0.25 * (mean - 0.8), rel=1e-5)
    assert float(loss.tensors(y_true, y_pred).loss) != pytest.approx(before, rel=1e-4)
    assert boxloss.losses.state.states_of(loss) == [state]


def test_only_inner_and_focaler_take_a_loss_that_multiplies_the_overlap():
    for name in ("alpha_iou", "unified_iou"):
        for base in ("wiou", boxloss.PIoULoss()):
            with pytest.raises(ValueError, match="^`base` must be one of 'ciou'"):
                boxloss.get(name, base=base)
