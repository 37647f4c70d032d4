"""Pictures are judged by their pixels: where lines are, and in which colour."""

import numpy as np
import pytest

from boxloss.report import drawing

GREY = np.full((480, 640, 3), 100, "uint8")


def is_bluer(pixel):
    return int(pixel[2]) > int(pixel[0]) + 60


def is_more_orange(pixel):
    return int(pixel[0]) > int(pixel[2]) + 60


def colours_along(image, edge):
    """The most colourful pixel of an edge that is one pixel wide in the box's coordinates."""
    (x1, y1), (x2, y2) = edge
    area = image[y1 - 2 : y2 + 3, x1 - 2 : x2 + 3].reshape(-1, 3).astype(int)
    return area[np.argmax(area.max(axis=1) - area.min(axis=1))]


def test_each_edge_has_the_colour_of_its_own_sign():
    truth, prediction = [200, 150, 400, 300], [160, 190, 440, 260]  # errors -40 +40 +40 -40
    image = drawing.draw_errors(GREY, truth, prediction, values=False)
    left = colours_along(image, ((160, 200), (160, 250)))
    top = colours_along(image, ((210, 190), (390, 190)))
    right = colours_along(image, ((440, 200), (440, 250)))
    bottom = colours_along(image, ((210, 260), (390, 260)))
    assert is_bluer(left) and is_bluer(bottom)
    assert is_more_orange(top) and is_more_orange(right)


def test_an_edge_without_error_has_no_colour():
    image = drawing.draw_errors(GREY, [100, 100, 300, 300], [100, 100, 380, 300], values=False)
    left = colours_along(image, ((100, 120), (100, 280)))
    assert left.max() - left.min() < 20


def test_the_truth_is_solid_and_the_prediction_dashed():
    image = drawing.draw_errors(GREY, [100, 100, 300, 300], [200, 200, 500, 400], values=False)
    truth = image[120:180, 98:103].max(axis=(1, 2))  # its left edge
    prediction = image[220:380, 498:503].astype(int)
    drawn = (prediction != 100).any(axis=(1, 2))
    assert (truth > 200).all()
    assert 0.2 < drawn.mean() < 0.95
    assert np.count_nonzero(np.diff(drawn.astype(int))) >= 10  # many dashes


def test_colours_saturate_at_the_limit_and_are_apart_for_the_colour_blind():
    assert drawing.diverging(-5) == drawing.diverging(-1) == drawing.NEGATIVE
    assert drawing.diverging(0) == drawing.ZERO
    # Deuteranopes and protanopes keep the blue-yellow axis: the two ends lie far apart on it.
    blue_yellow = [2 * c[2] - c[0] - c[1] for c in (drawing.NEGATIVE, drawing.POSITIVE)]
    assert blue_yellow[0] > 200 and blue_yellow[1] < -200


def test_values_are_written_beside_the_edges():
    plain = drawing.draw_errors(GREY, [200, 150, 400, 300], [195, 150, 410, 300], values=False)
    written = drawing.draw_errors(GREY, [200, 150, 400, 300], [195, 150, 410, 300])
    changed = (plain != written).any(axis=2)
    assert changed[215:235, 140:190].any() and changed[215:235, 412:470].any()
    assert changed[120:148, 270:330].any() and changed[304:330, 270:330].any()
    assert not changed[180:270, 215:385].any()  # never inside


def test_the_given_image_is_never_changed():
    image = GREY.copy()
    drawing.draw_errors(image, [10, 10, 50, 50], [12, 9, 60, 48])
    drawing.draw_boxes(image, [[10, 10, 50, 50]], ["cat"])
    drawing.illustrate(image, [10, 10, 50, 50], [12, 9, 60, 48])
    np.testing.assert_array_equal(image, GREY)


def test_small_images_are_enlarged_by_a_whole_number_and_boxes_with_them():
    small = np.full((48, 64, 3), 100, "uint8")
    image = drawing.draw_errors(small, [8, 8, 40, 32], [8, 8, 40, 32], values=False)
    assert image.shape == (384, 512, 3)
    rows, columns = np.nonzero((image != 100).any(axis=2))
    np.testing.assert_allclose([columns.min(), columns.max()], [64, 320], atol=4)
    np.testing.assert_allclose([rows.min(), rows.max()], [64, 256], atol=4)


@pytest.mark.parametrize(
    "truth, prediction",
    [
        (np.zeros((0, 4)), np.zeros((0, 4))),
        ([[10, 10, 50, 50]], [[np.nan] * 4]),
        ([[np.nan] * 4], [[10, 10, 50, 50]]),
        ([[10, 10, 10, 10]], [[10, 10, 10, 10]]),
        ([[60, 60, 20, 20]], [[-1e30, -1e9, 1e9, 1e30]]),
        ([[10, 10, 50, 50]], [[np.inf, 0, -np.inf, 5]]),
    ],
)
def test_any_box_can_be_drawn(truth, prediction):
    assert drawing.draw_errors(GREY, truth, prediction).shape == GREY.shape


def test_a_prediction_without_truth_is_purple_and_a_missed_truth_stays_white():
    image = drawing.draw_errors(
        GREY, [[50, 50, 150, 150], [np.nan] * 4], [[np.nan] * 4, [300, 300, 400, 400]]
    )
    truth = image[60:140, 48:53].reshape(-1, 3).max(axis=0)
    false = colours_along(image, ((300, 310), (300, 390)))
    assert (truth > 200).all()
    assert false[0] > false[1] + 60 and false[2] > false[1] + 40


def test_hostile_text_is_drawn_as_plain_letters():
    image = drawing.draw_boxes(GREY, [[50, 50, 150, 150]], ["\x00\n\u202ecat\U0001f600" * 1000])
    assert image.shape == GREY.shape


def test_the_illustration_has_the_asked_width_and_explains_itself():
    image = drawing.illustrate(GREY, [200, 150, 260, 190], [190, 150, 265, 200], 640, caption="x")
    assert image.shape[1] == 640 and image.dtype == np.uint8
    legend = image[-60:].astype(int)
    assert any(map(is_bluer, legend.reshape(-1, 3))) and any(
        map(is_more_orange, legend.reshape(-1, 3))
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: drawing.draw_errors(GREY[..., 0], [], []),
            "`image` must be uint8 of shape (height, width, 3). "
            "Received: image of uint8 (480, 640)",
        ),
        (
            lambda: drawing.draw_errors(GREY, [[0, 0, 1, 1]], []),
            "`truth` and `prediction` must have the same shape. "
            "Received: truth.shape=(1, 4), prediction.shape=(0, 4)",
        ),
        (
            lambda: drawing.draw_errors(GREY, [], [], limit=0),
            "`limit` must be a number above 0. Received: limit=0",
        ),
        (
            lambda: drawing.draw_boxes(GREY, np.zeros((2, 5))),
            "boxes must have shape (n, 4) or (4,). Received: shape (2, 5)",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
