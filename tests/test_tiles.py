"""Large pictures in tiles: every pixel is seen, every object is found once, where it is."""

import cv2
import numpy as np
import pytest

from boxloss.detector import inference, tiles


class Squares:
    """A "detector" that finds the coloured rectangles in a square: red is class 0, blue class 1.

    One location for each; a rectangle that is cut by the border is found as far as it is seen, a
    little off, as a detector would. Scores rise with the area.
    """

    image_size = 64
    batches = ()

    def predict_on_batch(self, squares):
        self.batches = [*self.batches, len(squares)]
        boxes = np.zeros((len(squares), 12, 4), "float32")
        logits = np.full((len(squares), 12, 2), -20, "float32")
        for i, square in enumerate(squares):
            place = 0
            for label, channel in enumerate((0, 2)):
                others = [c for c in range(3) if c != channel]
                mask = (square[..., channel] > 200) & (square[..., others].max(-1) < 60)
                _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype("uint8"))
                for x, y, w, h, area in stats[1:]:
                    if area >= 4:
                        boxes[i, place] = (x, y, x + w, y + h)
                        logits[i, place, label] = area / 400
                        place += 1
        return {"boxes": boxes, "logits": logits}


@pytest.fixture(autouse=True)
def plain_numpy(monkeypatch):
    monkeypatch.setattr(
        inference,
        "raw_predictions",
        lambda detector, squares: (
            (out := detector.predict_on_batch(squares))["boxes"],
            1 / (1 + np.exp(-out["logits"])),
        ),
    )


@pytest.mark.parametrize("size", [(200, 130), (64, 64), (65, 300), (30, 500), (10, 10)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_tiles_see_every_pixel_and_overlap_enough(size, overlap):
    width, height = size
    seen = np.zeros((height, width), int)
    found = tiles.tiles_of(width, height, 64, overlap)
    for tile in found:
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert tile.right - tile.left == min(width, 64)
        assert tile.bottom - tile.top == min(height, 64)
    assert seen.min() == 1 or overlap > 0.5 and seen.min() >= 1
    for axis, length in ((0, width), (1, height)):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in found})
        assert spans[0][0] == 0 and spans[-1][1] == length
        for (_, last), (first, _) in zip(spans, spans[1:], strict=False):
            assert last - first >= 64 * overlap - 1


def draw(image, box, channel):
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 0
    image[y1:y2, x1:x2, channel] = 255


def found_in(image, **how):
    (one,) = inference.detect(Squares(), [image], score_threshold=0.4, **how)
    return {
        (int(label), *box.round().astype(int).tolist())
        for label, box in zip(one["labels"], one["boxes"], strict=True)
    }


def test_every_object_is_found_once_and_where_it_is():
    image = np.full((150, 230, 3), 114, "uint8")
    objects = {
        (0, 5, 7, 17, 15),
        (1, 50, 40, 62, 58),  # across the borders of tiles
        (0, 100, 50, 112, 60),
        (1, 215, 140, 230, 150),  # in the last corner
        (1, 120, 90, 130, 99),
    }
    for label, *box in objects:
        draw(image, box, 2 * label)
    assert found_in(image, tile=64, overlap=0.4) == objects
    # Whole, the picture is shrunk to 64 pixels: boxes are no longer exact.
    assert found_in(image) != objects


def test_of_a_cut_object_the_part_that_another_tile_sees_is_dropped():
    image = np.full((64, 110, 3), 114, "uint8")
    draw(image, (40, 20, 60, 30), 0)  # tiles: 0..64 and 46..110
    assert found_in(image, tile=64, overlap=0.25) == {(0, 40, 20, 60, 30)}
    # An object larger than the overlap is kept in its parts.
    draw(image, (20, 40, 100, 50), 0)
    parts = found_in(image, tile=64, overlap=0.25)
    assert parts == {(0, 40, 20, 60, 30), (0, 20, 40, 64, 50), (0, 46, 40, 100, 50)}


def test_batches_of_tiles_have_one_size_and_images_keep_their_order():
    images = [np.full((90, 150, 3), 114, "uint8"), np.full((20, 20, 3), 114, "uint8")]
    draw(images[0], (70, 30, 80, 44), 0)
    draw(images[1], (4, 5, 12, 15), 2)
    detector = Squares()
    first, second = inference.detect(
        detector, images, score_threshold=0.4, batch_size=4, tile=64, overlap=0.2
    )
    assert detector.batches == [4, 4]  # six tiles and one
    assert first["labels"].tolist() == [0] and second["labels"].tolist() == [1]
    np.testing.assert_allclose(first["boxes"], [[70, 30, 80, 44]], atol=0.1)


def test_a_small_picture_is_the_same_with_tiles_and_without():
    image = np.full((50, 64, 3), 114, "uint8")
    draw(image, (30, 10, 41, 27), 0)
    whole, tiled = (
        inference.detect(Squares(), [image], score_threshold=0.4, **how)[0]
        for how in ({}, {"tile": 64})
    )
    for name, value in whole.items():
        np.testing.assert_array_equal(value, tiled[name])


@pytest.mark.parametrize(
    "how, message",
    [
        ({"tile": 0}, "`tile` must be a whole number of at least 1. Received: tile=0"),
        (
            {"tile": 9, "overlap": 1.0},
            "`overlap` must be at least 0 and below 1. Received: overlap=1.0",
        ),
    ],
)
def test_wrong_tiles_are_named(how, message):
    with pytest.raises(ValueError) as error:
        inference.detect(Squares(), [np.zeros((9, 9, 3), "uint8")], **how)
    assert str(error.value) == message
