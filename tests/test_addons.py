"""boxloss beside TensorFlow Addons 0.23.0, on Keras 2.15, in one process (`make test-addons`).

The tests over the table of losses run in that environment too; here is what needs TFA itself.
"""

import ast
import pathlib

import keras
import numpy as np
import pytest

import boxloss
from boxloss.compat import tfa as compat

PACKAGE = pathlib.Path(boxloss.__file__).parent


@pytest.fixture(scope="module")
def tfa():
    return pytest.importorskip("tensorflow_addons")


def value_and_gradient(function, y_pred):
    """Per box values and the gradient of their sum, by TensorFlow for both libraries."""
    import tensorflow as tf

    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = function(y_pred)
    return value.numpy(), tape.gradient(value, y_pred).numpy()


def two_hundred_pairs():
    """Boxes of 2 to 80, near and far, in [y_min, x_min, y_max, x_max]; no two sides are equal."""
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 60, (200, 2)), rng.uniform(2, 80, (200, 2))
    truth = np.concatenate([corner, corner + size], axis=-1)
    corner = corner + rng.normal(0, 1, (200, 2)) * rng.choice([3, 30, 200], (200, 1))
    size = size * rng.uniform(0.3, 3, (200, 2))
    return truth.astype("float32"), np.concatenate([corner, corner + size], axis=-1).astype(
        "float32"
    )


@pytest.mark.addons
@pytest.mark.parametrize("mode", ["giou", "iou"])
def test_giou_equals_tfa_in_value_and_gradient_on_200_pairs(tfa, mode):
    truth, prediction = two_hundred_pairs()
    expected, slope = value_and_gradient(
        lambda p: tfa.losses.giou_loss(truth, p, mode=mode), prediction
    )
    loss = boxloss.get("iou" if mode == "iou" else "giou", bounding_box_format="yxyx")
    for function in (
        lambda p: compat.giou_loss(truth, p, mode=mode),
        lambda p: loss.tensors(truth[None], p[None]).box_errors[0],
    ):
        got, gradient = value_and_gradient(function, prediction)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)
    theirs = tfa.losses.GIoULoss(mode=mode)(truth, prediction).numpy()
    np.testing.assert_allclose(compat.GIoULoss(mode)(truth, prediction).numpy(), theirs, rtol=1e-5)


@pytest.mark.addons
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("alpha, gamma", [(0.25, 2.0), (0.6, 1.5), (0.0, 0.0)])
def test_focal_loss_equals_tfa_in_value_and_gradient_on_200_rows(tfa, alpha, gamma, from_logits):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 200)
    y = np.eye(5, dtype="float32")[labels][:, :4]  # label 4 is background: a row of zeros
    x = rng.normal(0, 3, (200, 4)).astype("float32")
    if not from_logits:
        x = (1 / (1 + np.exp(-x))).clip(1e-3, 1 - 1e-3).astype("float32")
    arguments = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
    expected, slope = value_and_gradient(
        lambda p: tfa.losses.sigmoid_focal_crossentropy(y, p, **arguments), x
    )
    got, gradient = value_and_gradient(
        lambda p: compat.sigmoid_focal_crossentropy(y, p, **arguments), x
    )
    # Keras adds 1e-7 to a probability of at least 1e-3 before its logarithm.
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-5)
    if from_logits and alpha:
        loss = boxloss.SigmoidFocalLoss(alpha=alpha, gamma=gamma)
        got, gradient = value_and_gradient(
            lambda p: loss.tensors(labels[None], p[None]).box_errors[0], x
        )
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-5)
    weights = rng.uniform(0, 2, 200).astype("float32")
    theirs = tfa.losses.SigmoidFocalCrossEntropy(**arguments)(y, x, sample_weight=weights)
    ours = compat.SigmoidFocalCrossEntropy(**arguments)(y, x, sample_weight=weights)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


# Where boxloss knowingly differs: (what, truth, prediction, value in TFA, value here). Why:
# - inverted: TFA clamps the sides to 0, the cost is flat and cannot be descended. Here the side is
#   collapsed to its middle and its inversion is a cost with a gradient.
# - empty and equal: a pair without area that agrees costs 0; TFA charges every row of padding.
# - flat or point predictions cost the same in both, but have a gradient that opens them only here.
# - equal: the gradient of an exact match is 0 here; TensorFlow gives ties to one side (mode "iou").
# fmt: off
DIFFERENT = [
    # y1 y2 inverted: 1 - (0 - (40 - 40) / 40) there; here IoU 0, hull 10 x 4, union 40: + 3 / 10.
    ("inverted", [0, 0, 10, 4], [8, 1, 5, 3], 1.0, 1.0 + 3 / 10),
    ("empty and equal", [-1, -1, -1, -1], [-1, -1, -1, -1], 1.0, 0.0),
    ("empty and equal", [5, 6, 5, 9], [5, 6, 5, 9], 1.0, 0.0),
    ("a point inside", [0, 0, 10, 4], [5, 2, 5, 2], 1.0, 1.0),
    ("equal", [0, 0, 10, 4], [0, 0, 10, 4], 0.0, 0.0),
]
# fmt: on


@pytest.mark.addons
@pytest.mark.parametrize("what, truth, prediction, theirs, ours", DIFFERENT)
def test_where_boxloss_knowingly_differs_from_tfa(tfa, what, truth, prediction, theirs, ours):
    truth, prediction = np.float32([truth, truth]), np.float32([prediction, prediction])
    there, their_slope = value_and_gradient(lambda p: tfa.losses.giou_loss(truth, p), prediction)
    here, slope = value_and_gradient(lambda p: compat.giou_loss(truth, p), prediction)
    np.testing.assert_allclose(there[0], theirs, atol=1e-6)
    np.testing.assert_allclose(here[0], ours, atol=1e-6)
    if what in ("inverted", "a point inside"):
        # Descent makes y2 - y1 grow here, and nothing move there.
        assert slope[0, 0] > 0 > slope[0, 2]
        assert their_slope[0, 0] <= 0 or their_slope[0, 2] >= 0
    if what == "equal":
        np.testing.assert_array_equal(slope, 0)
        # In mode "giou" the one-sided gradients of overlap and hull happen to cancel.
        _, their_slope = value_and_gradient(
            lambda p: tfa.losses.giou_loss(truth, p, mode="iou"), prediction
        )
        _, slope = value_and_gradient(lambda p: compat.giou_loss(truth, p, mode="iou"), prediction)
        np.testing.assert_array_equal(slope, 0)
        np.testing.assert_allclose(np.abs(their_slope[0]), [1 / 10, 1 / 4] * 2, rtol=1e-5)


@pytest.mark.addons
def test_tfa_drops_axes_and_overflows_where_boxloss_does_not(tfa):
    box = np.float32([[[0, 0, 2, 2]] * 7])
    assert tfa.losses.giou_loss(box, box).shape == (7,)
    assert compat.giou_loss(box, box).shape == (1, 7)
    half = np.float16([[0, 0, 500, 500], [0, 0, 400, 400]])
    assert not np.isfinite(tfa.losses.giou_loss(half, half[::-1]).numpy()).all()
    got = compat.giou_loss(half, half[::-1]).numpy()
    np.testing.assert_allclose(got, [0.36, 0.36], rtol=1e-6)


# Training -----------------------------------------------------------------------------------------


def small_model():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(32, activation="relu")(inputs)
    outputs = keras.layers.Reshape((5, 4))(keras.layers.Dense(20)(hidden))
    keras_model = keras.Model(inputs, outputs)
    return keras_model


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(16, 6)).astype("float32")
    corner = rng.uniform(0, 1, (16, 5, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.3, 1, (16, 5, 2))], axis=-1)
    boxes[::3, 2:] = -1
    boxes[5] = -1
    return x, boxes.astype("float32")


@pytest.mark.addons
@pytest.mark.parametrize("optimizer", ["LAMB", "Lookahead", "MovingAverage"])
def test_a_model_trains_with_the_optimizers_of_tfa(tfa, optimizer):
    keras.utils.set_random_seed(0)
    made = {
        "LAMB": lambda: tfa.optimizers.LAMB(0.02),
        "Lookahead": lambda: tfa.optimizers.Lookahead(tfa.optimizers.LAMB(0.02), sync_period=3),
        "MovingAverage": lambda: tfa.optimizers.MovingAverage(
            keras.optimizers.legacy.Adam(0.01), average_decay=0.9
        ),
    }[optimizer]()
    model = small_model()
    model.compile(made, loss=boxloss.CIoULoss(normalizer="batch"))
    x, y = data()
    history = model.fit(x, y, batch_size=8, epochs=15, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.8 * history[0]


@pytest.mark.addons
def test_losses_of_both_libraries_serve_one_model(tfa, tmp_path):
    inputs = keras.Input((6,))
    boxes = keras.layers.Reshape((5, 4), name="boxes")(keras.layers.Dense(20)(inputs))
    classes = keras.layers.Reshape((5, 3), name="classes")(keras.layers.Dense(15)(inputs))
    model = keras.Model(inputs, {"boxes": boxes, "classes": classes})
    loss = boxloss.get(
        "giou", bounding_box_format="yxyx", mining=boxloss.HardestBoxes(fraction=0.5)
    )
    focal = tfa.losses.SigmoidFocalCrossEntropy(from_logits=True, reduction="sum_over_batch_size")
    model.compile("adam", loss={"boxes": loss, "classes": focal})
    x, y = data()
    y = {"boxes": y, "classes": np.float32(np.random.default_rng(0).random((16, 5, 3)) > 0.6)}
    assert np.isfinite(model.fit(x, y, epochs=2, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        back.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6
    )
    assert back.loss["boxes"].get_config() == loss.get_config()


# The operations -----------------------------------------------------------------------------------

MATHEMATICS = ["tensors/boxes.py", "metrics.py", "functional", "losses", "compat"]


def operations_used():
    for name in MATHEMATICS:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    if node.value.id == "ops":
                        yield file.relative_to(PACKAGE).as_posix(), node.attr


def names_of(module):
    for node in ast.parse((PACKAGE / module).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_keras_2_has_every_operation_that_the_mathematics_uses():
    here = {*names_of("tensors/ops.py"), *names_of("tensors/keras2.py")}
    missing = sorted({f"{file}: {name}" for file, name in operations_used() if name not in here})
    assert missing == []
