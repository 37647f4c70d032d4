"""Box losses in KerasHub's RetinaNet, made here without pretrained weights."""

import importlib.util
import types

import keras
import numpy as np
import pytest

import boxloss
from boxloss.adapters.keras_hub import retinanet_box_loss
from boxloss.tensors import ops

if ops.backend() != "tensorflow":
    pytest.skip("KerasHub's detector is trained on TensorFlow here", allow_module_level=True)
HERE = importlib.util.find_spec("keras_hub") is not None  # its import takes some 15 s


def needs_keras_hub(test):
    """`make test-slow` installs KerasHub; what needs it runs there."""
    absent = pytest.mark.skipif(not HERE, reason="KerasHub is not here: pip install keras-hub")
    return pytest.mark.slow(absent(test))


SIZE = 64


def retinanet(
    box_variance=None, bounding_box_format="xyxy", image_shape=(SIZE, SIZE, 3), num_classes=2
):
    """A RetinaNet of two levels for images of 64 x 64 pixels, seeded."""
    import keras_hub

    keras.utils.set_random_seed(0)
    encoder = keras_hub.models.ResNetBackbone(
        stackwise_num_filters=[64] * 4,
        stackwise_num_blocks=[1] * 4,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        use_pre_activation=False,
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        image_shape=image_shape,
    )
    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=4, use_p5=False, image_shape=image_shape
    )
    made = {"num_classes": num_classes, "bounding_box_format": bounding_box_format}
    made["pre_logits_num_conv_layers"] = 1
    detector = keras_hub.models.RetinaNetObjectDetector(backbone=backbone, **made)
    if box_variance:
        detector.label_encoder.box_variance = box_variance
    return detector


def pictures():
    """Eight images with one or two bright boxes each; the missing second box is padding."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 30, (8, SIZE, SIZE, 3)).astype("float32")
    boxes, labels = np.full((8, 2, 4), -1, "float32"), np.full((8, 2), -1, "float32")
    for image in range(8):
        for box in range(1 + image % 2):
            w, h = rng.integers(20, 40, 2)
            x, y = rng.integers(0, SIZE - w), rng.integers(0, SIZE - h)
            images[image, y : y + h, x : x + w, box] += 200
            boxes[image, box], labels[image, box] = (x, y, x + w, y + h), box
    return images, {"boxes": boxes, "labels": labels}


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(pictures()).batch(4)


def fitted(box_loss, epochs, detector=None):
    """The reported box loss of each epoch."""
    detector = detector or retinanet()
    detector.compile(keras.optimizers.Adam(1e-3), box_loss=box_loss(detector))
    history = detector.fit(dataset(), epochs=epochs, verbose=0, shuffle=False).history
    return history["bbox_regression_loss"]


@needs_keras_hub
@pytest.mark.parametrize("name", ["giou", "ciou", "smooth_l1"])
def test_a_retinanet_learns_boxes_with_the_loss(name):
    losses = fitted(lambda detector: retinanet_box_loss(detector, name), 6)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.95 * losses[0]


@needs_keras_hub
def test_the_size_beside_the_default_huber_is_sane():
    # GIoU is between 0 and 2 a positive anchor and Huber of the first deltas a few units; with
    # Keras' default reduction either would be divided by some thousand anchors once more.
    (default,) = fitted(lambda detector: keras.losses.Huber(reduction="sum"), 1)
    (giou,) = fitted(lambda detector: retinanet_box_loss(detector, "giou"), 1)
    assert 0.05 < giou / default < 20
    assert 0.2 < giou < 2.0


@needs_keras_hub
def test_a_loss_of_coordinates_is_that_of_the_deltas():
    """Huber with the mean of the four coordinates is what KerasHub does by default."""
    huber = boxloss.HuberBoxLoss(coordinate_reduction="mean", bounding_box_format="yxyx")
    ours = fitted(lambda detector: retinanet_box_loss(detector, huber), 2)
    default = fitted(lambda detector: "auto", 2)
    np.testing.assert_allclose(ours, default, rtol=1e-4)


def giou_by_hand(a, b):
    """1 - GIoU of two xyxy boxes."""
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - w * h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return 1 - w * h / union + (hull - union) / hull


def decoded_by_hand(anchor, delta, variance):
    tx, ty, tw, th = np.float64(delta) * variance
    w, h = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x, y = (anchor[0] + anchor[2]) / 2 + tx * w, (anchor[1] + anchor[3]) / 2 + ty * h
    w, h = w * np.exp(tw), h * np.exp(th)
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


@needs_keras_hub
@pytest.mark.parametrize("box_format", ["xyxy", "yxyx", "center_xywh"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.2, 0.3, 0.4]])
def test_the_loss_is_the_weighted_sum_over_decoded_anchors(box_format, variance):
    detector = retinanet(variance, box_format)
    loss = retinanet_box_loss(detector, "giou")
    images = np.zeros((1, SIZE, SIZE, 3), "float32")
    anchors = np.concatenate([np.asarray(x) for x in detector.anchor_generator(images).values()])
    if box_format == "yxyx":
        anchors = anchors[:, [1, 0, 3, 2]]
    if box_format == "center_xywh":
        half = anchors[:, 2:] / 2
        anchors = np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=-1)
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.normal(0, 0.3, (2, 1, len(anchors), 4)).astype("float32")
    weight = np.zeros((1, len(anchors)), "float32")
    weight[0, [3, 50, 200]] = 1 / 3
    by_hand = [
        giou_by_hand(*(decoded_by_hand(anchors[k], x[0, k], variance or 1.0) for x in pair))
        for pair in [(y_true, y_pred)]
        for k in (3, 50, 200)
    ]
    got = float(loss(y_true, y_pred, sample_weight=weight))
    np.testing.assert_allclose(got, np.mean(by_hand), rtol=1e-4)


@needs_keras_hub
def test_images_of_any_size_need_their_shape():
    detector = retinanet(image_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"`image_shape` must be \(height, width\) where"):
        retinanet_box_loss(detector)
    loss = retinanet_box_loss(detector, image_shape=(64, 96))
    assert len(loss.coder.anchors) == 9 * (8 * 12 + 4 * 6)


@needs_keras_hub
def test_it_is_saved_and_loaded_with_its_anchors(tmp_path):
    detector = retinanet()
    loss = retinanet_box_loss(detector, "ciou")
    back = keras.losses.deserialize(keras.losses.serialize(loss))
    rng = np.random.default_rng(2)
    y_true, y_pred = rng.normal(0, 0.3, (2, 2, len(loss.coder.anchors), 4)).astype("float32")
    assert float(back(y_true, y_pred)) == float(loss(y_true, y_pred))


@needs_keras_hub
def test_an_mpdiou_gets_the_image_shape_of_the_detector():
    assert retinanet_box_loss(retinanet(), "mpdiou").loss.image_shape == (SIZE, SIZE)


class DFineObjectDetector:
    """As its namesake is seen from here."""


class RetinaNetObjectDetector:
    """With all that is read of its namesake."""

    def __init__(self, encoding_format="center_xywh"):
        self.label_encoder = types.SimpleNamespace(encoding_format=encoding_format)
        self.backbone = types.SimpleNamespace(image_shape=(SIZE, SIZE, 3))


def test_dfine_is_refused():
    with pytest.raises(ValueError) as caught:
        retinanet_box_loss(DFineObjectDetector())
    assert str(caught.value) == (
        "`detector` must be a RetinaNetObjectDetector: DFineObjectDetector ignores the `box_loss` "
        "it is compiled with. Received: a DFineObjectDetector"
    )


@needs_keras_hub
def test_the_name_of_dfine_is_still_that():
    import keras_hub

    assert keras_hub.models.DFineObjectDetector.__name__ == "DFineObjectDetector"


@pytest.mark.parametrize(
    "detector, loss, message",
    [
        (object(), "giou", "must be a RetinaNetObjectDetector of keras_hub. Received: a object"),
        (RetinaNetObjectDetector("center_yxhw"), "giou", "encoding_format='center_yxhw'"),
        (RetinaNetObjectDetector(), "cious", "Did you mean 'ciou'"),
        (RetinaNetObjectDetector(), "kld", "`loss` must be one of"),
        (RetinaNetObjectDetector(), boxloss.KLBoxLoss(), "a BoxLoss of kind 'box'"),
        (RetinaNetObjectDetector(), "ghm_r", "must cost a box the same in every batch"),
        (
            RetinaNetObjectDetector(),
            boxloss.WIoULoss(running_mean=boxloss.RunningMean()),
            "must cost a box the same in every batch",
        ),
        (RetinaNetObjectDetector(), boxloss.GIoULoss(normalizer="batch"), "`normalizer` and"),
    ],
)
def test_what_cannot_work_is_refused(detector, loss, message):
    with pytest.raises(ValueError, match=message):
        retinanet_box_loss(detector, loss)
