"""Random views of training pictures: mosaic, scale, position, flips, colour; boxes move along.

Everything is drawn from a generator that the caller seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from boxloss.datasets.images import FILL, opencv, resize

MOSAIC_SCALE = 0.7  # a window of a mosaic is half as wide as the square; between half and whole
Example: TypeAlias = tuple[np.ndarray, ...]  # a picture (H, W, 3) and what is known of its boxes
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training picture.

    mosaic: probability that four pictures share the square, each in a window of its own.
    scale: the picture, fitted to the square, is scaled by a random factor between the two.
    flip, vertical_flip: probability of a mirror image. `vertical_flip` is 0 by default, because
    cars and people are not seen upside down.
    colour: 0 leaves colours alone; brightness, contrast, saturation and tint vary by this share.
    min_visible: a box is ignored in training where less than this share of it is inside the
    picture, and removed where nothing is.
    """

    mosaic: float = 0.5
    scale: tuple = (0.7, 1.4)
    flip: float = 0.5
    vertical_flip: float = 0.0
    colour: float = 0.2
    min_visible: float = 0.25

    def __post_init__(self):
        for name in ("mosaic", "flip", "vertical_flip", "colour", "min_visible"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={value!r}")
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(
                f"`scale` must be two positive numbers in order. Received: scale={self.scale!r}"
            )

    def view(
        self,
        rng: np.random.Generator,
        source: Callable[[int], Example],
        position: int,
        count: int,
        size: int,
        max_boxes: int,
    ) -> Example:
        """(image uint8 (size, size, 3), boxes (n, 4), labels (n,), ignore (n,)).

        source: gives image, boxes, labels, ignore of a position in 0..count-1, the image fitted to
        the square; further columns (n,) that it gives come back too. A mosaic with more than
        `max_boxes` boxes is not used.
        """
        if rng.random() < self.mosaic:
            x, y = rng.uniform(0.3 * size, 0.7 * size, 2).round().astype(int).tolist()
            windows = [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]
            chosen = [position, *rng.integers(0, count, 3)]
            order = rng.permutation(4)
            pictures = [source(int(chosen[place])) for place in order]
            seen = self._compose(rng, pictures, windows, size, MOSAIC_SCALE)
            if len(seen[2]) <= max_boxes:
                return seen
        return self._compose(rng, [source(position)], [(0, 0, size, size)], size, 1.0)

    def _compose(self, rng, pictures, windows, size, factor):
        canvas = np.full((size, size, 3), FILL, "uint8")
        parts = []
        for (image, boxes, labels, ignore, *more), window in zip(pictures, windows, strict=True):
            scale = factor * np.exp(rng.uniform(*np.log(self.scale)))
            mirrors = (rng.random() < self.flip, rng.random() < self.vertical_flip)
            places = [
                place(rng, image.shape[1 - axis], window[axis], window[axis + 2], scale, mirror)
                for axis, mirror in enumerate(mirrors)
            ]
            paste(rng, canvas, image, places, window, self.colour)
            boxes, visible = moved(boxes, places, window)
            kept = visible > 0
            ignore = ignore | (visible < self.min_visible)
            parts.append([column[kept] for column in (boxes, labels, ignore, *more)])
        return canvas, *(np.concatenate(column) for column in zip(*parts, strict=True))


class Place(NamedTuple):
    """One axis of a picture in a window: pixels first..last of the picture, which is mirrored
    before if `mirror`, are scaled and begin at pixel `target` of the canvas."""

    length: int
    first: int
    last: int
    target: int
    scale: float
    mirror: bool

    def pixels(self):
        """The slice of the picture as it is stored."""
        if self.mirror:
            return slice(self.length - self.last, self.length - self.first)
        return slice(self.first, self.last)

    def __call__(self, x):
        """Where edges `x` of the picture lie on the canvas; edges of pixels are whole numbers."""
        x = self.length - x if self.mirror else x
        return (x - self.first) * self.scale + self.target


def place(rng, length, start, end, scale, mirror):
    """A random Place of a side of `length` in the window start..end of the canvas.

    The scaled side lies inside the window where it is smaller and covers it where it is larger.
    Both ends of the map are whole pixels, so that OpenCV's fast `resize` can draw it exactly.
    """
    room = (end - start) - scale * length
    if room >= 0:
        return Place(length, 0, length, start + int(rng.integers(int(room) + 1)), scale, mirror)
    seen = (end - start) / scale
    first = int(rng.integers(int(length - seen) + 1))
    last = min(int(np.ceil(first + seen)) + 1, length)  # one more to interpolate at the edge
    return Place(length, first, last, start, scale, mirror)


def paste(rng, canvas, image, places, window, colour):
    """Draw the image at its places (x, y) in the window of the canvas, recoloured."""
    x, y = places
    part = image[y.pixels(), x.pixels()]
    if x.mirror or y.mirror:  # 1: around the vertical axis, 0: the horizontal, -1: both
        part = opencv().flip(part, 1 if not y.mirror else 0 if not x.mirror else -1)
    part = resize(part, x.scale)
    part = part[: window[3] - y.target, : window[2] - x.target]
    height, width = part.shape[:2]
    canvas[y.target : y.target + height, x.target : x.target + width] = recolour(rng, part, colour)


def moved(boxes, places, window):
    """(boxes float32 (n, 4) cut to the window, visible share (n,); 0 below a pixel a side)."""
    corners = boxes.astype("float64")
    x = np.sort(places[0](corners[:, [0, 2]]), axis=-1)
    y = np.sort(places[1](corners[:, [1, 3]]), axis=-1)
    whole = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
    x, y = np.clip(x, window[0], window[2]), np.clip(y, window[1], window[3])
    width, height = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    visible = np.where((width >= 1) & (height >= 1), width * height / whole, 0)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=-1).astype("float32"), visible


def recolour(rng, image, strength):
    """Vary brightness, contrast, saturation and tint by up to `strength`."""
    draws = rng.uniform(-strength, strength, 6)  # drawn at 0 too: places do not depend on colours
    if strength == 0:
        return image
    brightness, contrast, saturation = draws[:3]
    mixed = (1 + saturation) * np.eye(3) - saturation * LUMA  # rows sum to 1: grey stays grey
    mixed = (1 + contrast) * np.diag(1 + draws[3:] / 4) @ mixed
    shift = 128 * (brightness - contrast)
    return opencv().transform(image, np.column_stack([mixed, np.full(3, shift)]))
