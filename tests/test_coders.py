"""Coders: decode is the inverse of encode, by hand, and finite; losses that decode inside."""

import keras
import numpy as np
import pytest
from gradients import as_numpy, value_and_gradient

import boxloss
from boxloss import coders

POINTS, STRIDES = coders.grid(64, 96, (8, 16))
ANCHORS = np.concatenate([POINTS - 2 * STRIDES[:, None], POINTS + STRIDES[:, None]], axis=1)
SIZES = np.stack([3 * STRIDES, 2 * STRIDES], axis=1)
CODERS = {
    "deltas": coders.DeltaCoder(ANCHORS),
    "weighted deltas": coders.DeltaCoder(ANCHORS, weights=(10, 10, 5, 5), clip=2.0),
    "distances": coders.DistanceCoder(POINTS, STRIDES),
    "bins": coders.BinCoder(POINTS, STRIDES, bins=8),
    "grid": coders.GridCoder(POINTS, STRIDES, clip=5.0),
    "anchor grid": coders.AnchorGridCoder(POINTS, STRIDES, SIZES),
}
# Locations between whole numbers, and anchors with such ends.
ODD = {coders.DeltaCoder: {"anchors": ANCHORS + 0.5}}
LOCATED = ("distances", "bins", "grid", "anchor grid")
ODD |= {type(CODERS[name]): {"points": POINTS + 0.5} for name in LOCATED}
every_coder = pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)


def boxes_near_points(seed=0):
    """(2, A, 4) boxes around their location, within what every coder can express."""
    rng = np.random.default_rng(seed)
    middle = POINTS + rng.uniform(-0.9, 0.9, (2, *POINTS.shape)) * STRIDES[:, None]
    half = rng.uniform(1.0, 3.0, middle.shape) * STRIDES[:, None]
    return np.concatenate([middle - half, middle + half], axis=-1).astype("float32")


@every_coder
def test_decoding_what_was_encoded_gives_the_boxes(coder):
    boxes = boxes_near_points()
    encoded = coder.encode(boxes)
    assert tuple(encoded.shape) == (2, len(POINTS), coder.size)
    np.testing.assert_allclose(as_numpy(coder.decode(encoded)), boxes, atol=2e-3)


@every_coder
def test_whole_numbers_and_lists_are_boxes_too(coder):
    # Half a stride is no whole number: points of one dtype with the boxes would be cut.
    coder = type(coder)(**{**coder.get_config(), **ODD.get(type(coder), {})})
    boxes = np.round(boxes_near_points()).astype("int64")
    expected = as_numpy(coder.encode(boxes.astype("float32")))
    for given in (boxes, boxes.tolist()):
        np.testing.assert_array_equal(as_numpy(coder.encode(given)), expected)
    ones = np.ones((1, len(POINTS), coder.size), "int64")
    decoded = as_numpy(coder.decode(ones.astype("float32")))
    for given in (ones, ones.tolist()):
        np.testing.assert_array_equal(as_numpy(coder.decode(given)), decoded)


def test_deltas_by_hand():
    anchor, box = [[10.0, 20, 30, 60]], np.float32([[[15, 10, 35, 30]]])
    # Centres (20, 40) and (25, 20), sides (20, 40) and (20, 20).
    expected = [10 * 5 / 20, 10 * -20 / 40, 0, 5 * np.log(0.5)]
    coder = coders.DeltaCoder(anchor, weights=(10, 10, 5, 5))
    np.testing.assert_allclose(as_numpy(coder.encode(box))[0, 0], expected, atol=1e-6)


def test_a_side_grows_to_the_clip_and_no_further():
    coder = coders.DeltaCoder([[0.0, 0, 16, 16]])
    huge = np.float32([[[0, 0, 50, 50]]])
    value, gradient = value_and_gradient(coder.decode, huge)
    np.testing.assert_allclose(value[0, 0], [-492, -492, 508, 508], rtol=1e-5)
    np.testing.assert_array_equal(gradient[0, 0, 2:], 0)


def test_yolo_cells_by_hand():
    points, strides = coders.grid(32, 32, (16,))
    # The cell (1, 0) has its corner at x = 16, y = 0.
    yolox = coders.GridCoder(points, strides).decode(
        np.zeros((1, 4, 4), "float32") + [0.25, 0.5, 0, 0]
    )
    np.testing.assert_allclose(as_numpy(yolox)[0, 1], [12, 0, 28, 16], atol=1e-5)
    v5 = coders.AnchorGridCoder(points, strides, [[10, 20]] * 4).decode(
        np.zeros((1, 4, 4), "float32")
    )
    # s(0) = 1/2: the middle of the cell and the anchor's own size.
    np.testing.assert_allclose(as_numpy(v5)[0, 1], [24 - 5, 8 - 10, 24 + 5, 8 + 10], atol=1e-5)


def test_bins_hold_two_neighbours_of_each_distance():
    logits = as_numpy(coders.bin_logits(np.float32([[0.0, 1.25, 6.9, 99.0]]), 8)).reshape(4, 8)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.zeros((4, 8))
    expected[0, 0], expected[1, 1:3], expected[2, 6:8] = 1, [0.75, 0.25], [0.1, 0.9]
    expected[3, 7] = 1
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


@every_coder
def test_extreme_predictions_and_flat_boxes_stay_finite(coder):
    for fill in (-1e4, 0.0, 1e4):
        x = np.full((1, len(POINTS), coder.size), fill, "float32")
        value, gradient = value_and_gradient(coder.decode, x)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    flat = np.concatenate([POINTS, POINTS], axis=-1)[None]
    assert np.isfinite(as_numpy(coder.encode(flat))).all()


@every_coder
def test_a_decoded_loss_is_the_loss_of_decoded_boxes(coder):
    rng = np.random.default_rng(1)
    y_true = boxes_near_points()
    y_pred = as_numpy(coder.encode(boxes_near_points(seed=2))).astype("float32")
    y_true[1, 5:] = -1
    padded = np.where((y_true == -1).all(-1, keepdims=True), np.nan, y_pred)
    loss = boxloss.DecodedBoxLoss("giou", coder)
    plain = boxloss.GIoULoss()
    decoded = as_numpy(coder.decode(y_pred)).astype("float32")
    weight = rng.uniform(0, 1, y_true.shape[:2]).astype("float32")
    got, gradient = value_and_gradient(lambda p: loss(y_true, p, weight), padded)
    np.testing.assert_allclose(got, float(plain(y_true, decoded, weight)), rtol=1e-5)
    assert np.isfinite(gradient).all() and np.abs(gradient[0]).max() > 0
    np.testing.assert_array_equal(gradient[1, 5:], 0)
    tensors = loss.tensors(y_true, y_pred).numpy()
    expected = plain.tensors(y_true, decoded).numpy()
    np.testing.assert_allclose(tensors.box_errors, expected.box_errors, rtol=1e-4, atol=1e-6)


def test_encoded_truth_is_decoded_and_rows_of_minus_one_are_boxes():
    coder = CODERS["deltas"]
    boxes = boxes_near_points()
    y_pred = as_numpy(coder.encode(boxes_near_points(seed=2))).astype("float32")
    y_true = as_numpy(coder.encode(boxes)).astype("float32")
    y_true[0, 0] = -1
    loss = boxloss.DecodedBoxLoss(
        boxloss.CIoULoss(box_reduction="none", reduction="none"), coder, truth="encoded"
    )
    plain = boxloss.CIoULoss()
    decoded = [as_numpy(coder.decode(x)).astype("float32") for x in (y_true, y_pred)]
    expected = plain.tensors(*decoded).numpy().box_errors
    np.testing.assert_allclose(as_numpy(loss(y_true, y_pred)), expected, rtol=1e-5, atol=1e-6)
    assert expected[0, 0] > 0.1
    mask = np.ones(y_true.shape[:2], bool)
    mask[0, 0] = False
    assert as_numpy(loss(y_true, y_pred, mask=mask))[0, 0] == 0


@every_coder
def test_a_decoded_loss_survives_a_round_trip(coder):
    loss = boxloss.DecodedBoxLoss(
        boxloss.SmoothL1BoxLoss(beta=0.3, normalizer="batch"), coder, truth="boxes"
    )
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    y_true = boxes_near_points()
    y_pred = as_numpy(coder.encode(boxes_near_points(seed=2))).astype("float32")
    assert float(again(y_true, y_pred)) == float(loss(y_true, y_pred)) > 0


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: coders.DeltaCoder([[0, 0, 0, 5]]),
            "`anchors` must have x1 < x2 and y1 < y2. Received: one that has not",
        ),
        (
            lambda: coders.DistanceCoder(POINTS, STRIDES[1:]),
            "`strides` must be numbers above 0, one for each of `points`. "
            "Received: 119 for 120 points".replace("119", str(len(POINTS) - 1)).replace(
                "120", str(len(POINTS))
            ),
        ),
        (
            lambda: coders.GridCoder([[1, 2, 3]], [8]),
            "`points` must be finite numbers of shape (A, 2). Received: points.shape=(1, 3)",
        ),
        (
            lambda: boxloss.DecodedBoxLoss(boxloss.GIoULoss(), "deltas"),
            "`coder` must be of boxloss.coders. Received: coder='deltas'",
        ),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_a_loss_in_another_format_is_refused():
    with pytest.raises(
        ValueError,
        match="^`loss` must be a name or a loss of kind 'box' with bounding_box_format='xyxy'",
    ):
        boxloss.DecodedBoxLoss(boxloss.GIoULoss(bounding_box_format="xywh"), CODERS["deltas"])


@pytest.mark.parametrize("name", ["kl", "dfl", "gwd"])
def test_a_loss_of_what_no_coder_decodes_is_refused(name):
    with pytest.raises(ValueError, match="^`loss` must be one of 'alpha_iou', "):
        boxloss.DecodedBoxLoss(name, CODERS["deltas"])
