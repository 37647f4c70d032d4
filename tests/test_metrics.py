"""`boxloss.metrics.MeanIoU`: padding as in the losses, state over batches, formats, `fit`."""

import json

import keras
import numpy as np
import pytest
from gradients import as_tensor

import boxloss
from boxloss.metrics import MeanIoU

# IoU by hand: 6 / (20 + 6 - 6); 1; apart, 0; 4 / (8 + 4 - 4) = 1 / 2.
TRUTH = np.float32([[[0, 0, 5, 4], [1, 2, 3, 9], [-1] * 4], [[0, 0, 2, 2], [2, 2, 6, 4], [-1] * 4]])
PREDICTION = np.float32(
    [[[1, 1, 4, 3], [1, 2, 3, 9], [np.nan] * 4], [[7, 7, 9, 9], [2, 2, 4, 4], [np.inf] * 4]]
)
IOU = np.float32([[0.3, 1.0, 0.0], [0.0, 0.5, 0.0]])


def result(metric):
    return float(metric.result())


def test_the_mean_is_over_real_boxes():
    metric = MeanIoU()
    metric.update_state(TRUTH, PREDICTION)
    np.testing.assert_allclose(result(metric), 1.8 / 4, rtol=1e-6)


def test_the_state_is_that_of_all_batches_together():
    metric = MeanIoU()
    metric.update_state(TRUTH[:1], PREDICTION[:1])
    np.testing.assert_allclose(result(metric), 1.3 / 2, rtol=1e-6)
    metric.update_state(TRUTH[1:, :1], PREDICTION[1:, :1])
    # Three boxes: a mean of the means of batches would be 0.325.
    np.testing.assert_allclose(result(metric), 1.3 / 3, rtol=1e-6)
    metric.reset_state()
    assert result(metric) == 0
    metric.update_state(TRUTH[1:], PREDICTION[1:])
    np.testing.assert_allclose(result(metric), 0.25, rtol=1e-6)


def test_no_boxes_are_0_and_not_nan():
    metric = MeanIoU()
    metric.update_state(0 * TRUTH - 1, PREDICTION)
    assert result(metric) == 0


def test_a_mask_hides_boxes_and_a_nan_in_a_real_box_shows():
    mask = np.array([[True, False, True], [True, True, True]])
    metric = MeanIoU()
    metric.update_state(TRUTH, np.where(mask[..., None], PREDICTION, np.nan), mask=mask)
    np.testing.assert_allclose(result(metric), 0.8 / 3, rtol=1e-6)
    prediction = PREDICTION.copy()
    prediction[0, 1, 2] = np.nan
    metric.update_state(TRUTH, prediction)
    assert np.isnan(result(metric))


@pytest.mark.parametrize(
    "weight",
    [[2.0, 0.5], [[2.0], [0.5]], [[1.0, 3.0, 7.0], [0.25, 0.0, 9.0]]],
    ids=["images", "images as a column", "boxes"],
)
def test_weights_give_the_weighted_mean(weight):
    weight = np.float32(weight)
    metric = MeanIoU()
    metric.update_state(TRUTH, PREDICTION, sample_weight=weight)
    each = np.broadcast_to(weight.reshape(2, -1), IOU.shape)[:, :2]
    np.testing.assert_allclose(result(metric), (each * IOU[:, :2]).sum() / each.sum(), rtol=1e-6)


def test_a_box_of_weight_0_is_not_looked_at():
    prediction = PREDICTION.copy()
    prediction[0, 1] = np.nan
    metric = MeanIoU()
    metric.update_state(TRUTH, prediction, sample_weight=np.float32([[1, 0, 1], [1, 1, 1]]))
    np.testing.assert_allclose(result(metric), 0.8 / 3, rtol=1e-6)


@pytest.mark.parametrize("box_format", ["xyxy", "yxyx", "xywh", "center_yxhw"])
def test_every_format_gives_the_same(box_format):
    def written(boxes):
        x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
        layouts = {
            "xyxy": (x1, y1, x2, y2),
            "yxyx": (y1, x1, y2, x2),
            "xywh": (x1, y1, x2 - x1, y2 - y1),
            "center_yxhw": ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
        }
        return np.stack(layouts[box_format], axis=-1)

    metric = MeanIoU(bounding_box_format=box_format)
    truth = np.where(TRUTH == -1, -1, written(TRUTH))
    metric.update_state(truth, written(PREDICTION))
    np.testing.assert_allclose(result(metric), 0.45, rtol=1e-6)


def test_an_inverted_prediction_overlaps_nothing():
    metric = MeanIoU()
    metric.update_state(np.float32([[[1, 1, 3, 4]]]), np.float32([[[3, 4, 1, 1]]]))
    assert result(metric) == 0


def test_low_precision_is_summed_in_float32():
    metric = MeanIoU()
    boxes = as_tensor(np.float32([[[0, 0, 300, 300]]]), "float16")
    metric.update_state(boxes, boxes)
    assert result(metric) == 1


def test_every_argument_survives_a_round_trip():
    metric = MeanIoU(bounding_box_format="rel_xywh", image_shape=(480, 640), name="overlap")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is MeanIoU
    assert back.get_config() == metric.get_config()
    assert (back.bounding_box_format, back.image_shape) == ("rel_xywh", (480.0, 640.0))
    assert back.name == "overlap"


def test_a_compiled_model_reports_it_and_keeps_it_when_saved(tmp_path):
    inputs = keras.Input((2,))
    outputs = keras.layers.Reshape((3, 4), name="boxes")(keras.layers.Dense(12)(inputs))
    model = keras.Model(inputs, outputs)
    # The network answers PREDICTION[i] for the unit vector i.
    prediction = np.where(np.isfinite(PREDICTION), PREDICTION, 0).reshape(2, 12)
    model.layers[1].set_weights([prediction, np.zeros(12, "float32")])
    model.compile("sgd", loss=boxloss.GIoULoss(), metrics=[MeanIoU()])
    x = np.eye(2, dtype="float32")
    logs = model.evaluate(x, TRUTH, batch_size=1, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["mean_iou"], 0.45, rtol=1e-5)
    history = model.fit(x, TRUTH, epochs=1, verbose=0).history
    np.testing.assert_allclose(history["mean_iou"], [0.45], rtol=1e-5)
    model.layers[1].set_weights([prediction, np.zeros(12, "float32")])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    logs = loaded.evaluate(x, TRUTH, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["mean_iou"], 0.45, rtol=1e-5)


def test_wrong_input_says_what_is_wrong():
    with pytest.raises(ValueError) as error:
        MeanIoU().update_state(TRUTH, PREDICTION[:, :1])
    # Keras 2 puts its own words around it.
    assert (
        "`y_true` and `y_pred` must be boxes of the same shape (B, N). "
        "Received: y_true.shape=(2, 3, 4), y_pred.shape=(2, 1, 4)"
    ) in str(error.value)
