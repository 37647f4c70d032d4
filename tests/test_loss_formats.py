"""Box formats of the losses, shapes of images, and what a coordinate is measured in."""

import numpy as np
import pytest
from loss_table import BOX, alone, examples, make, pad

import boxloss


def written_as(box_format, xyxy, width=640.0, height=480.0):
    """xyxy pixels in another format, by hand."""
    x1, y1, x2, y2 = np.moveaxis(np.asarray(xyxy, "float64"), -1, 0)
    if box_format.startswith("rel_"):
        x1, x2, y1, y2 = x1 / width, x2 / width, y1 / height, y2 / height
    layouts = {
        "xyxy": (x1, y1, x2, y2),
        "yxyx": (y1, x1, y2, x2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "center_xywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        "center_yxhw": ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
    }
    return np.stack(layouts[box_format.removeprefix("rel_")], axis=-1).astype("float32")


@pytest.mark.parametrize("box_format", boxloss.boxes.FORMATS)
@pytest.mark.parametrize("name", alone(BOX))
def test_the_format_changes_nothing_but_the_writing(name, box_format):
    y_true, y_pred = examples(make(name))
    arguments = {"image_shape": (480, 640)}
    expected = make(name, **arguments).tensors(y_true, y_pred).numpy()
    loss = make(name, bounding_box_format=box_format, **arguments)
    padded = pad(loss, written_as(box_format, y_true), written_as(box_format, y_pred), 2)
    got = loss.tensors(*padded).numpy()
    np.testing.assert_allclose(got.box_errors[:, :5], expected.box_errors, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(got.residuals[:, :5], expected.residuals, atol=1e-3)
    np.testing.assert_array_equal(got.box_errors[:, 5:], 0)


def test_an_image_shape_for_each_image_is_a_tensor():
    y_true, y_pred = examples(make("diou"), images=2)
    shapes = np.float32([[480, 640], [200, 300]])
    loss = make("diou", bounding_box_format="rel_xywh")
    written = [
        np.concatenate(
            [written_as("rel_xywh", x[i : i + 1], s[1], s[0]) for i, s in enumerate(shapes)]
        )
        for x in (y_true, y_pred)
    ]
    got = loss.tensors(*written, image_shape=shapes).numpy().box_errors
    expected = make("diou").tensors(y_true, y_pred).numpy().box_errors
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert np.abs(loss.tensors(*written).numpy().box_errors - expected).max() > 1e-3


@pytest.mark.parametrize("name", ["l1", "giou", "mpdiou"])
def test_an_image_shape_for_all_images_may_be_an_array(name):
    y_true, y_pred = (x / 128 for x in examples(make(name)))
    loss = make(name, bounding_box_format="rel_xywh")
    got = loss.tensors(y_true, y_pred, image_shape=np.array([240, 320])).numpy()
    expected = loss.tensors(y_true, y_pred, image_shape=(240, 320)).numpy()
    np.testing.assert_allclose(got.box_errors, expected.box_errors, rtol=1e-5)
    np.testing.assert_allclose(got.residuals, expected.residuals, rtol=1e-5)


def test_coordinates_can_be_measured_in_another_format():
    truth, prediction = np.float32([[[10, 20, 50, 40]]]), np.float32([[[16, 22, 50, 48]]])
    tensors = make("l1", coordinate_format="center_xywh").tensors(truth, prediction).numpy()
    got = {name: float(term[0, 0]) for name, term in tensors.terms.items()}
    assert got == {"center_x": 3.0, "center_y": 5.0, "width": 6.0, "height": 6.0}
    np.testing.assert_array_equal(tensors.residuals[0, 0], [6, 2, 0, 8])


def test_encoded_coordinates_are_measured_as_given_and_minus_one_is_a_value():
    truth, prediction = np.float32([[[-1, -1, -1, -1]]]), np.float32([[[0, -1, 1, -1]]])
    l1, l2 = (
        make(name, coordinate_format="encoded", bounding_box_format="xywh") for name in ("l1", "l2")
    )
    assert float(l1(truth, prediction)) == 3.0
    assert float(l1(truth, prediction, mask=np.array([[False]]))) == 0.0
    both = boxloss.WeightedSum({l1: 2.0, l2: 1.0}, bounding_box_format="xywh")
    assert float(both(truth, prediction)) == 2 * 3.0 + 5.0
    with_boxes = boxloss.WeightedSum(
        {l1: 2.0, make("giou", bounding_box_format="xywh"): 1.0}, bounding_box_format="xywh"
    )
    assert float(with_boxes(truth, prediction)) == 0.0
