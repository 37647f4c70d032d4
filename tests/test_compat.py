"""`boxloss.compat`: other libraries' names give other libraries' numbers.

torchvision 0.29.2 (with PyTorch 2.13) and KerasCV 0.9.0 (with Keras 3.15.1): numbers recorded from
their own functions on the pairs below. TensorFlow Addons is compared live in test_addons.py; what
stands here of it was computed by hand.
"""

import inspect
import json

import keras
import numpy as np
import pytest
from gradients import as_numpy, as_tensor, value_and_gradient

from boxloss.compat import keras_cv, tfa, torchvision

PREDICTION = [
    [100, 80, 180, 200],
    [12.5, 33.25, 47.75, 90.5],
    [3, 4, 9, 21],
    [35, 8, 51, 96],
    [7, 1, 9, 5],
]
TRUTH = [[90, 95, 170, 190], [14, 35, 49, 88], [4, 2, 11, 19], [10, 40, 90, 52], [0, 0, 4, 6]]
THIN = np.float32([[0, 0, 1e-3, 1e-3]])


# torchvision --------------------------------------------------------------------------------------

# fmt: off
TORCHVISION = {
    "generalized_box_iou_loss": (
        [0.3928163946, 0.1443456747, 0.5257750544, 1.602673797, 1.407407407],
        [[0.00982587701, -0.005512791543, 0.006912448631, 0.005512791543],
         [-0.02350251229, -0.01506765184, -0.02571200786, 0.01506765184],
         [-0.06803790818, 0.03730703892, -0.1088606532, 0.03219123498],
         [0.01322841302, -0.001888458349, -0.01322841302, 0.001888458349],
         [0.07407407394, 0.03703703697, -0.008230452576, -0.03703703697]],
    ),
    "distance_box_iou_loss": (
        [0.3743904687, 0.1422439886, 0.5010072526, 0.9177743213, 1.307692307],
        [[0.00795550664, -0.004840507592, 0.007576316944, 0.00461828537],
         [-0.02386346391, -0.01442157289, -0.02397642688, 0.01458426931],
         [-0.06279000252, 0.03543397391, -0.09923217019, 0.02450190604],
         [0.001938048975, -0.0001498005005, -0.00292786798, 0.0009982167901],
         [0.05128205124, 0.0, 0.003944773213, 0.0]],
    ),
    "complete_box_iou_loss": (
        [0.3744591687, 0.1422451604, 0.5010095894, 1.172110527, 1.307731343],
        [[0.007962591196, -0.004845230629, 0.007569232388, 0.004623008407],
         [-0.02386252862, -0.01442214876, -0.02397736217, 0.01458484519],
         [-0.06278523846, 0.03543229248, -0.09923693425, 0.02450358747],
         [0.006443007353, -0.000968883842, -0.007432826358, 0.001817300132],
         [0.05140761281, -6.278078533e-05, 0.003819211642, 6.278078533e-05]],
    ),
}
LOGITS, TARGETS = [[-2.0, 0.5, 3.0], [0.0, -7.0, 1.25]], [[0, 1, 1], [0.3, 0, 1]]
TORCHVISION_FOCAL = [
    ({},
     [[0.001352672126, 0.01689337263, 2.732083112e-05],
      [0.1039720771, 5.673976285e-10, 0.003123627857]],
     [[0.003653205147, -0.03448424934, -7.871796162e-05],
      [0.07158883083, 1.700900525e-09, -0.007617213933]]),
    ({"alpha": -1, "gamma": 1.5},
     [[0.005223815466, 0.1099751296, 0.0005018179944],
      [0.2450645359, 2.506425856e-08, 0.02647640616]],
     [[0.01180756585, -0.190263458, -0.001206850315],
      [0.1442300389, 6.261497501e-08, -0.05427476004]]),
    ({"alpha": 0.6, "gamma": 0},
     [[0.05077120442, 0.2844461905, 0.02915241094],
      [0.3188477031, 0.0003645865815, 0.1511574488]],
     [[0.04768116881, -0.2265244013, -0.02845552391],
      [0.092, 0.0003644204778, -0.1336200833]]),
]
TORCHVISION_PAIRWISE = {
    "box_iou": [[0.6303317536, 0.0, 0.0], [0.0, 0.8581966476, 0.0]],
    "generalized_box_iou": [
        [0.6071836054, -0.5817816721, -0.7211030762], [-0.6104174578, 0.8556543254, -0.448054883]],
    "distance_box_iou": [
        [0.6256095313, -0.3273854073, -0.4891208321], [-0.3336668654, 0.8577560114, -0.3233306186]],
    "complete_box_iou": [
        [0.6255408313, -0.3273854074, -0.4893663399], [-0.3337449674, 0.8577548396, -0.3234406235]],
}
# fmt: on


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_losses_and_gradients(name):
    value, gradient = TORCHVISION[name]
    function = getattr(torchvision, name)
    truth = np.float32(TRUTH)
    got, slope = value_and_gradient(lambda p: function(p, truth), np.float32(PREDICTION))
    np.testing.assert_allclose(got, value, rtol=1e-5)
    np.testing.assert_allclose(slope, gradient, rtol=2e-5, atol=1e-7)
    assert list(inspect.signature(function).parameters) == ["boxes1", "boxes2", "reduction", "eps"]
    prediction = np.float32(PREDICTION)
    total = as_numpy(function(prediction, truth, reduction="sum"))
    np.testing.assert_allclose(total, np.sum(value), rtol=1e-5)
    mean = as_numpy(function(prediction, truth, "mean", 1e-7))
    np.testing.assert_allclose(mean, np.mean(value), rtol=1e-5)
    single = as_numpy(function(prediction[0], truth[0]))
    np.testing.assert_allclose(single, value[0], rtol=1e-5)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_bugs_that_are_not_kept(name):
    function = getattr(torchvision, name)
    none = np.zeros((0, 4), "float32")
    assert as_numpy(function(none, none, reduction="mean")) == 0
    assert as_numpy(function(THIN, THIN))[0] == 0
    # A predicted point, a line, and a box inverted on both axes.
    truth = np.float32([[0, 0, 10, 6], [0, 0, 10, 6], [10, 10, 20, 20]])
    value, slope = value_and_gradient(
        lambda p: function(p, truth), np.float32([[4, 1, 4, 1], [4, 1, 8, 1], [20, 20, 10, 10]])
    )
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    assert value[2] > 1
    with pytest.raises(ValueError) as error:
        function(THIN, THIN, reduction="avg")
    assert str(error.value) == (
        "`reduction` must be one of 'mean', 'none', 'sum'. Received: reduction='avg'"
    )


@pytest.mark.parametrize("arguments, value, gradient", TORCHVISION_FOCAL, ids=str)
def test_torchvision_focal_loss(arguments, value, gradient):
    targets = np.float32(TARGETS)
    got, slope = value_and_gradient(
        lambda x: torchvision.sigmoid_focal_loss(x, targets, **arguments), np.float32(LOGITS)
    )
    np.testing.assert_allclose(got, value, rtol=1e-5)
    np.testing.assert_allclose(slope, gradient, rtol=1e-5)
    mean = torchvision.sigmoid_focal_loss(
        np.float32(LOGITS), targets, **arguments, reduction="mean"
    )
    np.testing.assert_allclose(as_numpy(mean), np.mean(value), rtol=1e-5)


@pytest.mark.parametrize("name", TORCHVISION_PAIRWISE)
def test_torchvision_pairwise_overlaps(name):
    got = getattr(torchvision, name)(np.float32(PREDICTION[:2]), np.float32(TRUTH[:3]))
    np.testing.assert_allclose(as_numpy(got), TORCHVISION_PAIRWISE[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", TORCHVISION_PAIRWISE)
def test_torchvision_pairwise_overlaps_of_whole_numbers(name):
    truth = np.array([[1, 2, 6, 9], [3, 3, 4, 8]])
    found = np.float32([[2.5, 2, 7, 8], [0, 0, 3, 3]])
    function = getattr(torchvision, name)
    got, other = as_numpy(function(truth, found)), as_numpy(function(found, truth))
    np.testing.assert_allclose(got, as_numpy(function(np.float32(truth), found)), rtol=1e-6)
    np.testing.assert_allclose(got, other.T, rtol=1e-5)


def test_torchvision_names_of_arguments():
    a, b = np.float32([[1, 1, 3, 4]]), np.float32([[2, 2, 3, 3]])
    assert as_numpy(torchvision.box_area(boxes=a, fmt="xyxy")).tolist() == [6]
    for name in TORCHVISION_PAIRWISE:
        assert as_numpy(getattr(torchvision, name)(boxes1=a, boxes2=b)).shape == (1, 1)


@pytest.mark.parametrize(
    "function, names",
    [
        (torchvision.sigmoid_focal_loss, ("inputs", "targets")),
        (tfa.sigmoid_focal_crossentropy, ("y_true", "y_pred")),
        (keras_cv.FocalLoss().call, ("y_true", "y_pred")),
        (keras_cv.SmoothL1Loss().call, ("y_true", "y_pred")),
    ],
    ids=["torchvision", "tfa", "keras_cv", "smooth_l1"],
)
def test_shapes_never_broadcast(function, names):
    with pytest.raises(ValueError) as error:
        function(np.zeros((1, 3), "float32"), np.zeros((5, 3), "float32"))
    assert str(error.value) == (
        f"`{names[0]}` and `{names[1]}` must have the same shape. "
        f"Received: {names[0]}.shape=(1, 3), {names[1]}.shape=(5, 3)"
    )


def test_torchvision_areas_and_formats():
    # xywh: 2 x 3 at (1, 1); the same box as cxcywh. A box inside it: 1 x 1.
    assert as_numpy(torchvision.box_area(np.float32([[1, 1, 3, 4]]))).tolist() == [6]
    inner = {"xywh": [2, 2, 1, 1], "cxcywh": [2.5, 2.5, 1, 1], "xyxy": [2, 2, 3, 3]}
    outer = {"xywh": [1, 1, 2, 3], "cxcywh": [2, 2.5, 2, 3], "xyxy": [1, 1, 3, 4]}
    for fmt in inner:
        boxes = np.float32([inner[fmt]]), np.float32([outer[fmt]])
        got = as_numpy(torchvision.box_iou(*boxes, fmt=fmt))
        np.testing.assert_allclose(got, [[1 / 6]], rtol=1e-6)


# KerasCV ------------------------------------------------------------------------------------------

IOU = np.array([0.36966824531555176, 0.1418033242225647, 0.48630136251449585])
GIOU = np.array([0.39281636476516724, 0.14434564113616943, 0.5257750749588013])


def three():
    return np.float32(TRUTH[:3]), np.float32(PREDICTION[:3])


@pytest.mark.parametrize(
    "mode, mean, each",
    [
        ("linear", 0.3325909972190857, IOU),
        ("quadratic", 0.5545651912689209, 1 - (1 - IOU) ** 2),
        ("log", 0.40435221791267395, -np.log(1 - IOU)),
    ],
)
def test_keras_cv_iou_loss(mode, mean, each):
    loss = keras_cv.IoULoss("xyxy", mode=mode)
    np.testing.assert_allclose(as_numpy(loss.call(*three())), mean, rtol=1e-5)
    loss = keras_cv.IoULoss("XYXY", mode=mode, axis="no_reduction", reduction="none")
    np.testing.assert_allclose(as_numpy(loss(*three())), each, rtol=1e-5)


def test_keras_cv_giou_loss_of_a_batch_is_a_number_an_image():
    truth, prediction = three()
    assert keras_cv.IoULoss("xyxy").mode == "log"
    loss = keras_cv.GIoULoss("xyxy")
    np.testing.assert_allclose(as_numpy(loss(truth, prediction)), 0.35431236028671265, rtol=1e-5)
    # The batch of three images with the boxes in another order each.
    orders = [[0, 1, 2], [2, 0, 1], [0, 0, 0]]
    batch = np.stack([truth[o] for o in orders]), np.stack([prediction[o] for o in orders])
    expected = [GIOU.mean(), GIOU.mean(), GIOU[0]]
    np.testing.assert_allclose(as_numpy(loss.call(*batch)), expected, rtol=1e-5)
    np.testing.assert_allclose(as_numpy(loss(*batch)), np.mean(expected), rtol=1e-5)
    each = keras_cv.GIoULoss("xyxy", axis="no_reduction").call(*batch)
    np.testing.assert_allclose(as_numpy(each), [GIOU[o] for o in orders], rtol=1e-5)
    assert as_numpy(loss(truth, truth)) == 0


def test_keras_cv_ciou_loss_is_a_number_a_box_in_any_format():
    truth, prediction = three()
    x1, y1, x2, y2 = (np.stack([truth, prediction])[..., i] for i in range(4))
    written = {
        "xyxy": np.stack([x1, y1, x2, y2], -1),
        "yxyx": np.stack([y1, x1, y2, x2], -1),
        "xyWH": np.stack([x1, y1, x2 - x1, y2 - y1], -1),
        "center_xyWH": np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1),
    }
    # KerasCV squares 4 / pi^2; the paper's CIoU, as in torchvision.
    expected = TORCHVISION["complete_box_iou_loss"][0][:3]
    for box_format, (t, p) in written.items():
        loss = keras_cv.CIoULoss(bounding_box_format=box_format, eps=1e-5, reduction="none")
        np.testing.assert_allclose(as_numpy(loss(t, p)), expected, rtol=1e-5, err_msg=box_format)


def test_keras_cv_differentiates_alpha():
    # Formulas with alpha differentiated; the constant alpha gives 0.007962591, ...
    truth = np.float32(TRUTH[:1])
    _, gradient = value_and_gradient(
        lambda p: keras_cv.CIoULoss("xyxy").call(truth, p), np.float32(PREDICTION[:1])
    )
    expected = [[0.007968203, -0.004849013, 0.007560929, 0.004626791]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_keras_cv_smooth_l1_loss():
    truth, prediction = (x / 8 for x in three())
    loss = keras_cv.SmoothL1Loss(reduction="none")
    expected = [0.90625, 0.025634765625, 0.025390625]
    np.testing.assert_allclose(as_numpy(loss(truth, prediction)), expected, rtol=1e-6)
    # Continuous at the cutoff, where KerasCV jumps from 0.005 to -0.4.
    loss = keras_cv.SmoothL1Loss(l1_cutoff=0.1, reduction="none")
    d = np.float32([[0.0999], [0.1001], [2.1]])
    np.testing.assert_allclose(as_numpy(loss(0 * d, d)), [0.0499, 0.0501, 2.05], rtol=1e-3)


def test_keras_cv_focal_loss():
    y = np.float32([[0, 1, 1], [0, 0, 1]])
    p = np.float32([[0.1, 0.6, 0.95], [0.5, 0.01, 0.75]])
    got = as_numpy(keras_cv.FocalLoss(reduction="none")(y, p))
    np.testing.assert_allclose(got, [0.021255282685160637, 0.13446089625358582], rtol=1e-5)
    mean = as_numpy(keras_cv.FocalLoss()(y, p))
    np.testing.assert_allclose(mean, 0.0778580904006958, rtol=1e-5)
    loss = keras_cv.FocalLoss(alpha=0.6, gamma=1.5, from_logits=True, reduction="none")
    got = as_numpy(loss(y, np.float32(LOGITS)))
    np.testing.assert_allclose(got, [0.06837568432092667, 0.11391167342662811], rtol=1e-5)
    # One target: smoothed 1 becomes 0.95, and still weighs alpha (1 - alpha in KerasCV).
    p_t = 0.95 * 0.7 + 0.05 * 0.3
    expected = 0.25 * (1 - p_t) ** 2 * -(0.95 * np.log(0.7) + 0.05 * np.log(0.3))
    loss = keras_cv.FocalLoss(label_smoothing=0.1)
    got = as_numpy(loss(np.float32([[1]]), np.float32([[0.7]])))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_keras_cv_bugs_that_are_not_kept():
    truth = np.tile(np.float32(TRUTH[:1]), (3, 5, 1))
    assert as_numpy(keras_cv.GIoULoss("xyxy")(truth, truth)) == 0
    assert as_numpy(keras_cv.CIoULoss("xyxy")(THIN, THIN)) == 0
    apart = np.float32([[50, 50, 60, 60]])
    value, slope = value_and_gradient(lambda p: keras_cv.IoULoss("xyxy")(THIN, p), apart)
    np.testing.assert_allclose(value, -np.log(1e-6), rtol=1e-6)
    assert np.isfinite(slope).all()


# TensorFlow Addons --------------------------------------------------------------------------------


def test_tfa_reads_the_documented_example():
    # From the docstring of tfa.losses.GIoULoss: 1.5041667, the mean of 1.075 and 1.9333.
    truth = [[4.0, 3.0, 7.0, 5.0], [5.0, 6.0, 10.0, 7.0]]
    prediction = [[3.0, 4.0, 6.0, 8.0], [14.0, 14.0, 15.0, 15.0]]
    np.testing.assert_allclose(as_numpy(tfa.GIoULoss()(truth, prediction)), 1.5041667, rtol=1e-6)
    each = as_numpy(tfa.giou_loss(truth, prediction))
    np.testing.assert_allclose(each, [1.075, 1.9333333], rtol=1e-6)
    # IoU by hand: 2 / (6 + 12 - 2), 0.
    each = as_numpy(tfa.GIoULoss("iou", "none")(truth, prediction))
    np.testing.assert_allclose(each, [1 - 2 / 16, 1], rtol=1e-6)
    # And of SigmoidFocalCrossEntropy.
    got = as_numpy(tfa.SigmoidFocalCrossEntropy()([[1.0], [1.0], [0.0]], [[0.97], [0.91], [0.03]]))
    np.testing.assert_allclose(got, [6.8532745e-06, 1.9097870e-04, 2.0559824e-05], rtol=1e-5)


def test_tfa_keeps_axes_of_length_one():
    for shape in ((1, 7, 4), (5, 1, 4), (1, 1, 4), (1, 4)):
        box = np.ones(shape, "float32")
        assert as_numpy(tfa.giou_loss(box, box)).shape == shape[:-1]


def test_tfa_factors_that_are_false_are_switched_off():
    # Cross-entropy of 0.8 alone, with its weight alone, with its focus alone.
    y, p = [[1.0]], [[0.8]]
    plain = -np.log(0.8)
    for arguments, expected in (
        ({"alpha": 0, "gamma": 0}, plain),
        ({"gamma": 0}, 0.25 * plain),
        ({"alpha": None}, 0.04 * plain),
    ):
        got = as_numpy(tfa.sigmoid_focal_crossentropy(y, p, **arguments))
        np.testing.assert_allclose(got, [expected], rtol=1e-5)


def test_tfa_focal_loss_of_certain_predictions_is_finite():
    for arguments in ({"gamma": 0.5}, {"gamma": 0.5, "from_logits": True}, {}):
        y = np.float32([[1, 0, 1, 0]])
        x = np.float32([[1, 0, 0, 1]]) * (200 if "from_logits" in arguments else 1)
        value, gradient = value_and_gradient(
            lambda p, y=y, a=arguments: tfa.sigmoid_focal_crossentropy(y, p, **a), x
        )
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


# All three ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        tfa.GIoULoss(mode="iou", reduction="sum", name="mine"),
        tfa.SigmoidFocalCrossEntropy(from_logits=True, alpha=0.5, gamma=1.0),
        keras_cv.IoULoss("rel_yxyx", mode="quadratic", axis="no_reduction"),
        keras_cv.GIoULoss("xywh", axis=0, reduction="sum"),
        keras_cv.CIoULoss("center_xywh", eps=1e-3),
        keras_cv.SmoothL1Loss(l1_cutoff=0.3),
        keras_cv.FocalLoss(alpha=0.5, gamma=1, from_logits=True, label_smoothing=0.1),
    ],
    ids=lambda loss: loss.name,
)
def test_every_argument_survives_a_round_trip(loss):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is type(loss)
    assert back.get_config() == loss.get_config()
    kept, given = (
        {name: value for name, value in vars(x).items() if not name.startswith("_")}
        for x in (back, loss)
    )
    assert kept == given


@pytest.mark.parametrize("loss", [tfa.GIoULoss(), keras_cv.CIoULoss("xyxy")], ids=["tfa", "kcv"])
def test_a_model_trains_on_it_and_is_saved(loss, tmp_path):
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(12, use_bias=False)
    model = keras.Model(inputs, keras.layers.Reshape((3, 4))(layer(inputs)))
    model.compile(keras.optimizers.Adam(0.5), loss=loss)
    x = np.eye(2, dtype="float32")
    y = np.stack([TRUTH[:3], PREDICTION[:3]]).astype("float32")
    # Every side is off by more than the three steps of half a pixel that it moves.
    layer.set_weights([(y + np.float32([2, -3, 4, 3])).reshape(2, 12)])
    weights = np.float32([1.0, 0.5])[:, None] * np.ones((1, 3), "float32")
    history = model.fit(x, y, sample_weight=weights, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        back.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-5
    )


def test_low_precision_is_computed_in_float32():
    truth, prediction = (as_tensor(np.float32(x)[:3], "float16") for x in (TRUTH, PREDICTION))
    np.testing.assert_allclose(as_numpy(tfa.giou_loss(truth, prediction)), GIOU, rtol=1e-4)
