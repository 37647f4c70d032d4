"""Random views of training pictures: mosaic, scale, position, flips, colour; boxes move along.

Everything is one affine map a picture, drawn from a generator that the caller seeds.
"""

from dataclasses import dataclass

import numpy as np

from boxloss.datasets.images import FILL, opencv

MOSAIC_SCALE = 0.7  # a window of a mosaic is half as wide as the square; between half and whole
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training picture.

    mosaic: probability that four pictures share the square, each in a window of its own.
    scale: the picture, fitted to the square, is scaled by a number between the two.
    flip, vertical_flip: probability of a mirror image. Objects that stand (cars, people) are not
    seen upside down, so `vertical_flip` is off unless asked for.
    colour: 0 leaves colours alone; brightness, contrast, saturation and tint vary by this share.
    min_visible: a box of which less than this share is left at a border is ignored, neither taught
    nor punished; with nothing left it is gone.
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

    def view(self, rng, source, position, count, size, max_boxes):
        """(image uint8 (size, size, 3), boxes (n, 4), labels (n,), ignore (n,)).

        source: gives image, boxes, labels, ignore of a position in 0..count-1, the image fitted to
        the square. A mosaic with more than `max_boxes` boxes is not used.
        """
        if rng.random() < self.mosaic:
            x, y = rng.uniform(0.3 * size, 0.7 * size, 2).round().astype(int)
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
        for (image, boxes, labels, ignore), window in zip(pictures, windows, strict=True):
            scale = factor * np.exp(rng.uniform(*np.log(self.scale)))
            mirror = (rng.random() < self.flip, rng.random() < self.vertical_flip)
            move = affine(rng, image.shape, window, scale, mirror)
            paste(canvas, recolour(rng, image, self.colour), move, window)
            boxes, visible = moved(boxes, move, window)
            kept = visible > 0
            ignore = ignore | (visible < self.min_visible)
            parts.append((boxes[kept], labels[kept], ignore[kept]))
        boxes, labels, ignore = (np.concatenate(column) for column in zip(*parts, strict=True))
        return canvas, boxes, labels, ignore


def affine(rng, shape, window, scale, mirror):
    """(a, b, c, d): x moves to a x + b and y to c y + d, edges of pixels being whole numbers.

    The scaled picture lies inside the window where it is smaller and covers it where it is larger.
    """
    move = []
    for length, start, end, flipped in (
        (shape[1], window[0], window[2], mirror[0]),
        (shape[0], window[1], window[3], mirror[1]),
    ):
        room = (end - start) - scale * length
        first = start + rng.uniform(min(room, 0), max(room, 0))
        move += [-scale, first + scale * length] if flipped else [scale, first]
    return tuple(move)


def paste(canvas, image, move, window):
    """Draw the moved image into its window of the canvas."""
    cv2 = opencv()
    a, b, c, d = move
    x1, y1, x2, y2 = (int(edge) for edge in window)
    # OpenCV's coordinates are those of pixel centres: 0.5 less than those of edges.
    matrix = np.array([[a, 0, a / 2 + b - 0.5 - x1], [0, c, c / 2 + d - 0.5 - y1]])
    canvas[y1:y2, x1:x2] = cv2.warpAffine(
        image,
        matrix,
        (x2 - x1, y2 - y1),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL),
    )


def moved(boxes, move, window):
    """(boxes float32 (n, 4) cut to the window, visible share (n,); 0 below a pixel a side)."""
    a, b, c, d = move
    x = np.sort(boxes[:, [0, 2]].astype("float64") * a + b, axis=-1)
    y = np.sort(boxes[:, [1, 3]].astype("float64") * c + d, axis=-1)
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
