"""Mining weights by hand, and what they do to a loss."""

import json

import keras
import numpy as np
import pytest
from gradients import as_numpy, value_and_gradient

import boxloss
from boxloss import FocalWeighting, HardestBoxes, HardestImages

# Box errors that L1 gives to predictions moved to the right by them, against boxes at 0.
ERRORS = np.float32([[1, 5, 3, 2], [9, 4, 4, 4], [7, 0, 0, 0], [0, 0, 0, 0]])
REAL = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)


def boxes_with(errors=ERRORS, real=REAL):
    """Truth and prediction (B, N, 4) whose L1 box errors are `errors` where `real`."""
    truth = np.where(real[..., None], np.float32([2, 3, 20, 30]), np.float32(-1))
    prediction = truth.copy()
    prediction[..., 2] += errors
    prediction[~real] = np.nan
    return truth.astype("float32"), prediction.astype("float32")


def gradient_of(loss, truth, prediction):
    """The gradient (B, N) with respect to x2: the weight of each box over its denominators."""
    return value_and_gradient(lambda p: loss(truth, p), prediction)[1][..., 2]


def images_of(mining, errors=ERRORS, real=REAL, **arguments):
    loss = boxloss.L1BoxLoss(mining=mining, **arguments)
    return loss.tensors(*boxes_with(errors, real)).numpy().image_losses


# HardestBoxes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        # Half of 4, of 3 (rounded up to 2), of 1 (1), of 0; the kept are the denominator.
        ({"fraction": 0.5}, [(5 + 3) / 2, (9 + 4) / 2, 7, 0]),
        ({"fraction": 0.25}, [5, 9, 7, 0]),
        ({"fraction": 1.0}, [11 / 4, 17 / 3, 7, 0]),
        ({"count": 1}, [5, 9, 7, 0]),
        ({"count": 3}, [(5 + 3 + 2) / 3, 17 / 3, 7, 0]),
        ({"count": 99}, [11 / 4, 17 / 3, 7, 0]),
        # The 4 hardest of 8: 9, 7, 5 and the first of the fours.
        ({"fraction": 0.5, "scope": "batch"}, [5, (9 + 4) / 2, 7, 0]),
        ({"count": 2, "scope": "batch"}, [0, 9, 7, 0]),
    ],
    ids=str,
)
def test_the_mean_is_over_the_hardest_boxes(arguments, expected):
    np.testing.assert_allclose(images_of(HardestBoxes(**arguments)), expected, rtol=1e-6)


def test_the_batch_normalizer_counts_the_boxes_that_are_kept():
    images = images_of(HardestBoxes(count=1), normalizer="batch")
    np.testing.assert_allclose(images.mean(), (5 + 9 + 7) / 3, rtol=1e-6)


def test_only_kept_boxes_have_a_gradient():
    loss = boxloss.L1BoxLoss(mining=HardestBoxes(fraction=0.5))
    got = gradient_of(loss, *boxes_with())
    # 4 images, 2 kept boxes each in the first two, 1 in the third.
    expected = [[0, 1 / 8, 1 / 8, 0], [1 / 8, 1 / 8, 0, 0], [1 / 4, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_ties_keep_the_lower_index(scope):
    real = np.ones((2, 4), bool)
    loss = boxloss.L1BoxLoss(mining=HardestBoxes(count=2, scope=scope))
    got = gradient_of(loss, *boxes_with(np.full((2, 4), 3, "float32"), real)) > 0
    both = [[True, True, False, False]] * 2
    first = [[True, True, False, False], [False] * 4]
    np.testing.assert_array_equal(got, both if scope == "image" else first)


def test_a_fraction_that_is_exact_on_paper_keeps_no_box_too_many():
    # In float32 0.3 * 50 is a little above 15, and 0.6 * 25, 0.15 * 100, 0.3 * 100,000.
    cases = ((0.3, 50, 15), (0.6, 25, 15), (0.15, 100, 15), (1e-3, 5, 1), (1e-5, 5, 1))
    for fraction, n, kept in (*cases, (0.3, 100_000, 30_000)):
        errors = np.arange(1, n + 1, dtype="float32")[None]
        loss = boxloss.L1BoxLoss(mining=HardestBoxes(fraction=fraction))
        got = gradient_of(loss, *boxes_with(errors, np.ones((1, n), bool)))
        assert (got > 0).sum() == kept, fraction


def test_a_nan_is_the_hardest_and_reaches_the_loss():
    truth, prediction = boxes_with()
    prediction[0, 3, 0] = np.nan
    for scope in ("image", "batch"):
        loss = boxloss.L1BoxLoss(mining=HardestBoxes(count=1, scope=scope))
        images = loss.tensors(truth, prediction).numpy().image_losses
        assert np.isnan(images[0])
        # The one kept box of the batch is the NaN, not the 9 of the second image.
        assert images[1] == (9 if scope == "image" else 0)


# HardestImages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    # The means of the images are 2.75, 5.67, 7 and 0.
    [
        ({"fraction": 0.5}, (17 / 3 + 7) / 2),
        ({"count": 1}, 7),
        ({"count": 3}, (11 / 4 + 17 / 3 + 7) / 3),
        ({"fraction": 1.0}, (11 / 4 + 17 / 3 + 7) / 4),
    ],
    ids=str,
)
def test_the_mean_is_over_the_hardest_images(arguments, expected):
    loss = boxloss.L1BoxLoss(mining=HardestImages(**arguments))
    np.testing.assert_allclose(as_numpy(loss(*boxes_with())), expected, rtol=1e-6)


def test_images_that_tie_keep_the_lower_index():
    errors, real = np.float32([[2, 2], [2, 2], [2, 2]]), np.ones((3, 2), bool)
    images = images_of(HardestImages(count=2), errors, real)
    assert (images > 0).tolist() == [True, True, False]


def test_an_image_with_a_nan_is_the_hardest():
    truth, prediction = boxes_with()
    prediction[0, 1, 0] = np.nan
    loss = boxloss.L1BoxLoss(mining=HardestImages(count=1))
    assert np.isnan(as_numpy(loss(truth, prediction)))


# FocalWeighting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_box_weighs_its_error_over_the_mean_to_the_gamma(gamma):
    e = ERRORS[0].astype("float64")
    images = images_of(FocalWeighting(gamma=gamma))
    expected = [(e * (e / e.mean()) ** gamma).mean()]
    e = ERRORS[1, :3].astype("float64")
    expected += [(e * (e / e.mean()) ** gamma).mean(), 7.0, 0.0]
    np.testing.assert_allclose(images, expected, rtol=1e-5)


def test_the_weight_is_a_constant_in_the_gradient():
    loss = boxloss.L1BoxLoss(mining=FocalWeighting(gamma=2.0))
    got = gradient_of(loss, *boxes_with(ERRORS[:1], REAL[:1]))
    np.testing.assert_allclose(got, (ERRORS[:1] / 2.75) ** 2 / 4, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_perfect_images_have_weight_1_and_a_finite_gradient(gamma):
    loss = boxloss.L1BoxLoss(mining=FocalWeighting(gamma=gamma))
    truth, prediction = boxes_with(0 * ERRORS)
    value, gradient = value_and_gradient(lambda p: loss(truth, p), prediction)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


# All of them --------------------------------------------------------------------------------------

EVERY = [
    HardestBoxes(fraction=0.25),
    HardestBoxes(count=3, scope="batch"),
    HardestImages(fraction=0.3),
    HardestImages(count=2),
    FocalWeighting(gamma=0.7),
]


@pytest.mark.parametrize("mining", EVERY, ids=repr)
def test_all_padding_costs_nothing(mining):
    loss = boxloss.GIoULoss(mining=mining)
    truth, prediction = boxes_with(ERRORS, np.zeros_like(REAL))
    value, gradient = value_and_gradient(lambda p: loss(truth, p), prediction)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("mining", EVERY, ids=repr)
def test_rows_of_padding_change_nothing(mining):
    loss = boxloss.GIoULoss(mining=mining)
    truth, prediction = boxes_with()
    wide = [
        np.concatenate([x, np.full((4, 3, 4), -1, "float32")], axis=1) for x in (truth, prediction)
    ]
    np.testing.assert_allclose(as_numpy(loss(*wide)), as_numpy(loss(truth, prediction)), rtol=1e-6)


@pytest.mark.parametrize("mining", EVERY, ids=repr)
def test_box_errors_are_those_before_mining(mining):
    tensors = boxloss.L1BoxLoss(mining=mining).tensors(*boxes_with()).numpy()
    np.testing.assert_allclose(tensors.box_errors, ERRORS * REAL, rtol=1e-6)


@pytest.mark.parametrize("mining", EVERY, ids=repr)
def test_a_loss_brings_its_mining_back_from_a_file(mining):
    loss = boxloss.CIoULoss(mining=mining)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(config).mining
    assert back == mining
    assert back.get_config() == mining.get_config()
    assert back != HardestBoxes(fraction=0.111)


@pytest.mark.parametrize(
    "mining", [EVERY[0], *(pytest.param(x, marks=pytest.mark.slow) for x in EVERY[1:])], ids=repr
)
def test_mining_trains_and_is_saved_with_the_model(mining, tmp_path):
    inputs = keras.Input((3,))
    outputs = keras.layers.Reshape((4, 4))(keras.layers.Dense(16)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.05), loss=boxloss.L1BoxLoss(mining=mining))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype("float32")
    truth, _ = boxes_with()
    history = model.fit(x, truth, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        back.evaluate(x, truth, verbose=0), model.evaluate(x, truth, verbose=0), rtol=1e-6
    )
    assert back.loss.mining == mining


@pytest.mark.parametrize(
    "make, message",
    [
        (
            HardestBoxes,
            "exactly one of `fraction` and `count` must be given. "
            "Received: fraction=None, count=None",
        ),
        (
            lambda: HardestImages(fraction=0.5, count=1),
            "exactly one of `fraction` and `count` must be given. Received: fraction=0.5, count=1",
        ),
        (
            lambda: HardestBoxes(fraction=0.0),
            "`fraction` must be a number above 0 and at most 1. Received: fraction=0.0",
        ),
        (
            lambda: HardestImages(count=1.5),
            "`count` must be a whole number of at least 1. Received: count=1.5",
        ),
        (
            lambda: FocalWeighting(gamma=-1),
            "`gamma` must be a number of at least 0. Received: gamma=-1",
        ),
        (
            lambda: HardestBoxes(count=1, scope="images"),
            "`scope` must be one of 'batch', 'image'. Did you mean 'image'? "
            "Received: scope='images'",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wrong(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
