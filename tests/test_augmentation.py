"""Boxes move with the pixels: every test draws coloured rectangles and finds them again."""

import numpy as np
import pytest

from boxloss.datasets import Augmentation, augmentation

COLOURS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)], "uint8"
)
SIZE = 96


def picture(rng, colours, height=SIZE, width=72):
    """A black picture with one rectangle a colour, apart from each other, in a 2 x 3 grid."""
    image = np.zeros((height, width, 3), "uint8")
    boxes = []
    for i in range(len(colours)):
        cell_x, cell_y = i % 2 * width // 2, i // 2 * height // 3
        w, h = rng.integers(14, width // 2 - 4), rng.integers(14, height // 3 - 4)
        x = cell_x + rng.integers(0, width // 2 - w)
        y = cell_y + rng.integers(0, height // 3 - h)
        image[y : y + h, x : x + w] = colours[i]
        boxes.append((x, y, x + w, y + h))
    return image, np.array(boxes, "float32").reshape(-1, 4)


def pixels_of(image, colour):
    """bool (H, W): where `colour` shows, by at least half where it fades into black or grey."""
    near = np.abs(image.astype(int) - colour).max(axis=-1)
    return near <= 127


def tight(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def check_boxes(image, boxes, labels, least):
    """Every box is around the pixels of its colour, and every clearly visible colour has one."""
    assert len(boxes) >= least
    for box, label in zip(boxes, labels, strict=True):
        mask = pixels_of(image, COLOURS[label])
        if min(box[2] - box[0], box[3] - box[1]) >= 3:  # thinner ones fade
            np.testing.assert_allclose(box, tight(mask), atol=1.01)
    for label in range(len(COLOURS)):
        mask = pixels_of(image, COLOURS[label])
        clear = mask.any(axis=0).sum() >= 3 and mask.any(axis=1).sum() >= 3
        assert label in labels or not clear


@pytest.mark.parametrize(
    "settings",
    [
        Augmentation(mosaic=0, scale=(1, 1), flip=0, colour=0),
        Augmentation(mosaic=0, scale=(1, 1), flip=1, colour=0),
        Augmentation(mosaic=0, scale=(1, 1), flip=0, vertical_flip=1, colour=0),
        Augmentation(mosaic=0, scale=(0.6, 0.6), flip=0, colour=0),
        Augmentation(mosaic=0, scale=(1.7, 1.7), flip=0, colour=0),
        Augmentation(mosaic=0, scale=(0.5, 2), flip=0.5, vertical_flip=0.5, colour=0),
        Augmentation(mosaic=1, scale=(0.7, 1.6), flip=0.5, vertical_flip=0.5, colour=0),
    ],
    ids="as-it-is flip vertical smaller larger all mosaic".split(),
)
def test_boxes_stay_around_their_pixels(settings):
    rng = np.random.default_rng(0)
    for _ in range(20):
        # Mosaics: one colour per picture, which shows what came from where.
        each = [[i] for i in range(4)] if settings.mosaic else [range(6)]
        pictures = []
        for labels in each:
            image, boxes = picture(rng, COLOURS[labels])
            pictures.append((image, boxes, np.array(labels), np.zeros(len(boxes), bool)))
        asked = []

        def source(position, pictures=pictures, asked=asked):
            asked.append(position)
            return pictures[len(asked) - 1]

        seen = settings.view(rng, source, 7, 50, SIZE, 100)
        assert seen[0].shape == (SIZE, SIZE, 3) and seen[0].dtype == np.uint8
        assert seen[1].dtype == np.float32
        assert len(asked) == len(each) and 7 in asked and max(asked) < 50
        check_boxes(*seen[:3], least=0 if settings.scale[1] > 1 else 1)


def test_a_flip_is_a_flip():
    image, boxes = picture(np.random.default_rng(0), COLOURS)
    settings = Augmentation(mosaic=0, scale=(1, 1), flip=1, vertical_flip=1, colour=0)
    source = (image, boxes, np.arange(6), np.zeros(6, bool))
    moved = settings.view(np.random.default_rng(0), lambda _: source, 0, 1, SIZE, 9)[1]
    x1, y1, x2, y2 = boxes.T
    offset = moved[0, 0] - (72 - x2[0])  # how far the picture lies from the left
    assert 0 <= offset <= SIZE - 72
    expected = np.stack([72 - x2 + offset, SIZE - y2, 72 - x1 + offset, SIZE - y1], axis=-1)
    np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_whole_pixels_are_copied_unchanged():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3)).astype("uint8")
    canvas = np.full((40, 50, 3), 7, "uint8")
    x, y = augmentation.Place(30, 0, 30, 12, 1, False), augmentation.Place(20, 4, 20, 5, 1, False)
    augmentation.paste(rng, canvas, image, (x, y), (10, 3, 40, 38), 0)
    np.testing.assert_array_equal(canvas[5:21, 12:40], image[4:, :28])
    canvas[5:21, 12:40] = 7
    assert (canvas == 7).all()
    mirrored = (x._replace(mirror=True), y._replace(mirror=True))
    augmentation.paste(rng, canvas, image, mirrored, (10, 3, 50, 38), 0)
    np.testing.assert_array_equal(canvas[5:21, 12:42], image[::-1, ::-1][4:])


@pytest.mark.parametrize(
    "box, expected, share",
    [
        ((0, 0, 10, 10), (10, 10, 20, 20), 1.0),
        ((-5, 0, 5, 10), (10, 10, 15, 20), 0.5),
        ((-9.5, 0, 0.5, 10), None, 0.0),  # half a pixel is left
        ((-20, 0, -3, 10), None, 0.0),
        ((30, 25, 50, 45), (40, 35, 50, 40), 0.125),
    ],
)
def test_boxes_are_cut_at_the_window_and_their_visible_share_is_given(box, expected, share):
    side = augmentation.Place(60, 0, 60, 10, 1.0, False)
    boxes, visible = augmentation.moved(np.float32([box]), (side, side), (10, 10, 50, 40))
    np.testing.assert_allclose(visible, [share])
    if expected:
        np.testing.assert_array_equal(boxes, np.float32([expected]))


def test_boxes_mostly_cut_off_are_ignored_and_gone_ones_are_gone():
    image = np.zeros((SIZE, SIZE, 3), "uint8")
    boxes = np.float32([[0, 0, 40, 40], [50, 50, 96, 96], [0, 60, 30, 90]])
    flags = np.array([False, False, True])
    settings = Augmentation(mosaic=0, scale=(2, 2), flip=0, colour=0, min_visible=0.3)
    kinds = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        source = (image, boxes, np.arange(3), flags)
        _, cut, labels, ignore = settings.view(rng, lambda _, s=source: s, 0, 1, SIZE, 9)
        share = (
            (cut[:, 2:] - cut[:, :2]).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(-1)[labels] / 4
        )
        np.testing.assert_array_equal(ignore, (share < 0.3) | flags[labels])
        assert (cut[:, 2:] - cut[:, :2] >= 1).all()
        assert cut.min(initial=0) >= 0 and cut.max(initial=0) <= SIZE
        kinds |= {"gone"} if len(cut) < 3 else set()
        kinds |= {"ignored"} if ignore[labels < 2].any() else set()
    assert kinds == {"gone", "ignored"}


def test_a_mosaic_with_too_many_boxes_is_not_used():
    source = (
        np.zeros((SIZE, SIZE, 3), "uint8"),
        np.float32([[8, 8, 88, 88]]),
        np.zeros(1, int),
        np.zeros(1, bool),
    )
    settings = Augmentation(mosaic=1, scale=(0.9, 1), flip=0, colour=0)
    for room, most in ((1, 1), (4, 4)):
        counts = [
            len(settings.view(np.random.default_rng(seed), lambda _: source, 0, 1, SIZE, room)[1])
            for seed in range(20)
        ]
        assert max(counts) == most


def test_one_generator_state_gives_one_view():
    image, boxes = picture(np.random.default_rng(0), COLOURS)
    source = (image, boxes, np.arange(6), np.zeros(6, bool))
    views = [
        Augmentation().view(np.random.default_rng(seed), lambda _: source, 0, 9, SIZE, 99)
        for seed in (5, 5, 6)
    ]
    for first, second in zip(views[0], views[1], strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(views[0][0], views[2][0])


def test_colours_change_and_boxes_do_not():
    image, boxes = picture(np.random.default_rng(0), COLOURS)
    image[image.sum(-1) == 0] = 128
    source = (image, boxes, np.arange(6), np.zeros(6, bool))
    plain, strong = (
        Augmentation(mosaic=1, colour=colour).view(
            np.random.default_rng(1), lambda _: source, 0, 9, SIZE, 99
        )
        for colour in (0.0, 0.5)
    )
    np.testing.assert_array_equal(plain[1], strong[1])
    assert np.abs(plain[0].astype(int) - strong[0]).max() > 20


def test_colour_is_a_mild_change_around_the_original():
    image = np.random.default_rng(0).integers(60, 190, (40, 40, 3)).astype("uint8")
    changed = [
        augmentation.recolour(np.random.default_rng(seed), image, 0.2).astype(int)
        for seed in range(200)
    ]
    assert np.abs(np.mean(changed, axis=0) - image).max() < 6
    assert max(np.abs(one - image).max() for one in changed) < 100
    np.testing.assert_array_equal(
        augmentation.recolour(np.random.default_rng(0), image, 0.0), image
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"mosaic": 1.5}, "`mosaic` must be between 0 and 1. Received: mosaic=1.5"),
        ({"flip": -1}, "`flip` must be between 0 and 1. Received: flip=-1"),
        (
            {"scale": (2, 1)},
            "`scale` must be two positive numbers in order. Received: scale=(2, 1)",
        ),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError) as error:
        Augmentation(**arguments)
    assert str(error.value) == message
