"""The levels of every loss, from terms to the scalar; padding, masks, weights, normalizers."""

import numpy as np
import pytest
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import BOX, EVERY, alone, examples, id_of, make, pad, padding, variants

import boxloss
from boxloss import functional
from boxloss.tensors import ops


@pytest.mark.parametrize(
    "name, arguments", [v for k in ("box", "class") for v in variants(k)], ids=id_of
)
def test_terms_sum_to_box_errors(name, arguments):
    loss = make(name, **arguments)
    tensors = loss.tensors(*examples(loss)).numpy()
    total = sum(tensors.terms.values())
    np.testing.assert_allclose(total, tensors.box_errors, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", EVERY)
def test_every_level_has_its_shape(name):
    loss = make(name)
    tensors = loss.tensors(*examples(loss, images=3, boxes=5)).numpy()
    assert tensors.box_errors.shape == (3, 5)
    assert tensors.image_losses.shape == (3,)
    assert tensors.loss.shape == ()
    assert {term.shape for term in tensors.terms.values()} == {(3, 5)}
    if loss.kind == "box":
        assert tensors.residuals.shape == tensors.coordinate_errors.shape == (3, 5, 4)


def check_padding(loss, calls):
    """Rows of padding, whatever the predictions there hold, change nothing in any of `calls`."""
    y_true, y_pred = examples(loss)
    value, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    # Other shapes are fused in another way: what cancels, as in an angle's gradient, differs by the
    # last bits of what is large.
    rounding = 1e-6 * np.abs(gradient).max()
    true, pred = pad(loss, y_true, y_pred, 6)
    garbage = np.float32([np.nan, 1e38, np.inf, -np.inf, -1.0, 0.0])
    pred[:, 5:] = garbage.reshape(-1, *[1] * (pred.ndim - 2))
    for call in calls:
        padded, slope = value_and_gradient(lambda p: loss(true, p), pred)
        np.testing.assert_allclose(padded, value, rtol=1e-6, err_msg=call)
        np.testing.assert_allclose(slope[:, :5], gradient, rtol=1e-5, atol=rounding, err_msg=call)
        np.testing.assert_array_equal(slope[:, 5:], np.zeros_like(slope[:, 5:]), err_msg=call)
    for field in loss.tensors(true, pred).numpy()[:3]:
        if field is not None:
            np.testing.assert_array_equal(field[:, 5:], np.zeros_like(field[:, 5:]))


@pytest.mark.parametrize("name", EVERY)
def test_padding_changes_neither_value_nor_gradient(name):
    check_padding(make(name), ["operation by operation"])


# A compilation takes a second or two: one loss of each way of being computed here, all of them in
# the slow tests.
COMPILED = ("l1", "giou", "ciou", "wiou", "inner_iou", "kl", "dfl", "kld", "sigmoid_focal")


@pytest.mark.parametrize(
    "name",
    [name if name in COMPILED else pytest.param(name, marks=pytest.mark.slow(2)) for name in EVERY],
)
def test_padding_changes_nothing_in_the_third_call_which_is_compiled(name):
    check_padding(make(name), ["first", "second", "compiled"])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -7.0])
@pytest.mark.parametrize("name", BOX)
def test_a_mask_hides_whatever_stands_in_truth_and_prediction(name, garbage):
    loss = make(name)
    y_true, y_pred = examples(loss)
    mask = np.ones((3, 5), bool)
    mask[0, 1] = mask[2, 3:] = False
    expected = loss.tensors(np.where(mask[..., None], y_true, -1), y_pred).numpy()
    y_true[~mask] = y_pred[~mask] = garbage
    got, gradient = value_and_gradient(lambda p: loss(y_true, p, mask=mask), y_pred)
    np.testing.assert_allclose(got, expected.loss, rtol=1e-6)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", EVERY)
def test_all_padding_costs_nothing(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    y_true[:] = padding(loss)
    value, gradient = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", EVERY)
def test_no_boxes_and_no_images_cost_nothing(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    assert float(loss(y_true[:, :0], y_pred[:, :0])) == 0
    for true, pred in ((y_true[:, :0], y_pred[:, :0]), (y_true[:0], y_pred[:0])):
        tensors = loss.tensors(true, pred).numpy()
        assert tensors.box_errors.shape == true.shape[:2]
        assert tensors.image_losses.shape == true.shape[:1]


@pytest.mark.parametrize("name", alone(EVERY))
def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients_of_images(name):
    loss = make(name)
    y_true, y_pred = examples(loss)
    _, whole = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    for i in range(3):
        # A loss for each, which computes it at once: the third call of one loss would compile.
        alone, part = slice(i, i + 1), make(name)
        _, one = value_and_gradient(lambda p, a=alone, f=part: f(y_true[a], p), y_pred[alone])
        # Angles: sums of hundreds of addends in float32.
        atol = 1e-6 if loss.kind in ("rotated", "box3d") else 1e-8
        np.testing.assert_allclose(whole[i], one[0] / 3, rtol=1e-4, atol=atol)


def uneven(loss):
    """A batch whose images have 1, 0 and 3 boxes, and its box errors."""
    y_true, y_pred = examples(loss, boxes=3)
    y_true[0, 1:] = y_true[1] = padding(loss)
    return y_true, y_pred, loss.tensors(y_true, y_pred).numpy().box_errors


@pytest.mark.parametrize("name", EVERY)
def test_the_normalizer_says_what_divides_an_image(name):
    y_true, y_pred, e = uneven(make(name))
    sums = e.sum(1)
    for normalizer, expected in (
        ("image", [sums[0], 0, sums[2] / 3]),
        ("batch", sums * 3 / 4),
        ("none", sums),
        (2.5, sums / 2.5),
    ):
        loss = make(name, normalizer=normalizer)
        tensors = loss.tensors(y_true, y_pred).numpy()
        np.testing.assert_allclose(tensors.image_losses, expected, rtol=1e-5, err_msg=normalizer)
        np.testing.assert_allclose(tensors.loss, np.mean(expected), rtol=1e-5)
        np.testing.assert_allclose(as_numpy(loss.call(y_true, y_pred)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_weights_of_images_and_of_boxes_scale_and_divide_nothing(name):
    loss = make(name)
    y_true, y_pred, e = uneven(loss)
    images = np.float32([2.0, 5.0, 0.25])
    expected = (2.0 * e[0, 0] + 0.25 * e[2].mean()) / 3
    for weight in (images, images[:, None]):
        np.testing.assert_allclose(float(loss(y_true, y_pred, weight)), expected, rtol=1e-5)
    boxes = np.random.default_rng(1).uniform(0, 2, e.shape).astype("float32")
    tensors = loss.tensors(y_true, y_pred, boxes).numpy()
    sums = (boxes * e).sum(1)
    np.testing.assert_allclose(tensors.loss, (sums[0] + sums[2] / 3) / 3, rtol=1e-5)
    np.testing.assert_allclose(tensors.box_errors, e, rtol=1e-6)


def test_a_weight_beside_one_box_an_image_weighs_the_image():
    loss = make("giou", normalizer="none")
    y_true, y_pred = examples(loss, images=2, boxes=1)
    e = loss.tensors(y_true, y_pred).numpy().box_errors[:, 0]
    value = float(loss(y_true, y_pred, np.float32([[3.0], [0.5]])))
    np.testing.assert_allclose(value, (3 * e[0] + 0.5 * e[1]) / 2, rtol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_keras_reductions(name):
    y_true, y_pred, _ = uneven(make(name))
    images = make(name).tensors(y_true, y_pred).numpy().image_losses
    weight = np.float32([1.0, 2.0, 0.5])
    for reduction, expected in (
        ("sum", (images * weight).sum()),
        ("mean", (images * weight).mean()),
        ("sum_over_batch_size", (images * weight).mean()),
        ("mean_with_sample_weight", (images * weight).sum() / weight.sum()),
        (None, images * weight),
    ):
        got = as_numpy(make(name, reduction=reduction)(y_true, y_pred, weight))
        np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=str(reduction))


@pytest.mark.parametrize("name", EVERY)
def test_box_reduction_none_leaves_boxes_to_the_caller(name):
    loss = make(name, box_reduction="none", reduction="sum")
    y_true, y_pred, e = uneven(make(name))
    np.testing.assert_allclose(as_numpy(loss.call(y_true, y_pred)), e, rtol=1e-6)
    boxes = np.random.default_rng(1).uniform(0, 2, e.shape).astype("float32")
    np.testing.assert_allclose(float(loss(y_true, y_pred, boxes)), (boxes * e).sum(), rtol=1e-5)
    images = np.float32([2.0, 5.0, 0.25])
    expected = (images[:, None] * e).sum()
    np.testing.assert_allclose(float(loss(y_true, y_pred, images)), expected, rtol=1e-5)


def test_coordinates_are_summed_or_averaged():
    y_true, y_pred = examples(make("l1"))
    errors = np.abs(y_pred - y_true)
    summed = make("l1").tensors(y_true, y_pred).numpy()
    mean = make("l1", coordinate_reduction="mean").tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(summed.box_errors, errors.sum(-1), rtol=1e-6)
    np.testing.assert_allclose(mean.box_errors, errors.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(mean.terms["x2"], errors[..., 2] / 4, rtol=1e-6)


def test_distances_are_measured_in_units_of_the_image():
    y_true, y_pred = examples(make("ltrb_l1"))
    loss = boxloss.LTRBL1Loss(image_shape=(480, 640))
    expected = np.abs(y_pred - y_true) / np.float32([640, 480, 640, 480])
    tensors = loss.tensors(y_true, y_pred).numpy()
    np.testing.assert_allclose(tensors.coordinate_errors, expected, rtol=1e-5)
    np.testing.assert_allclose(tensors.box_errors, expected.mean(-1), rtol=1e-5)
    got = as_numpy(functional.ltrb_l1_loss(y_true, y_pred, image_shape=(480, 640)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    shapes = np.float32([[480, 640], [240, 320], [100, 50]])
    tensors = loss.tensors(y_true, y_pred, image_shape=shapes).numpy()
    expected = np.abs(y_pred - y_true) / np.tile(shapes[:, ::-1], 2)[:, None]
    np.testing.assert_allclose(tensors.coordinate_errors, expected, rtol=1e-5)
    np.testing.assert_allclose(tensors.terms["y1"], expected[..., 1] / 4, rtol=1e-5)
    with pytest.raises(ValueError, match="^`image_shape` must be"):
        boxloss.LTRBL1Loss()


def test_float64_stays_float64():
    if ops.dtype_name(as_tensor(np.float64([1.0]))) != "float64":
        pytest.skip("this backend has no float64 here")
    y_true, y_pred = (x.astype("float64") for x in examples(make("ciou")))
    assert ops.dtype_name(make("ciou", dtype="float64")(y_true, y_pred)) == "float64"
    assert ops.dtype_name(make("ciou")(y_true, y_pred)) == "float32"
    assert ops.dtype_name(functional.ciou_loss(y_true, y_pred)) == "float64"
