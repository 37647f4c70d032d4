"""Pictures by OpenCV: the truth solid, the prediction dashed, each edge in the colour of its error.

Nothing is drawn in place: every function takes an image uint8 (H, W, 3) RGB and gives a new one.
Small images are enlarged first, so that lines and numbers stay legible.
"""

import colorsys

import numpy as np

from boxloss.datasets.images import opencv

# Blue to orange through light grey can be distinguished under every common colour blindness, and
# each end is bright enough to be read on the dark casing that is drawn below every line.
NEGATIVE, ZERO, POSITIVE = (70, 150, 255), (232, 232, 232), (255, 140, 0)
TRUTH, FALSE, CASING = (255, 255, 255), (224, 123, 200), (16, 18, 24)
# Of the first classes, as on the page: bright enough for the dark casing, and apart from each other
# under the common colour blindnesses as far as eight colours can be.
CLASS_COLOURS = (
    *((86, 180, 233), (230, 159, 0), (63, 211, 162), (240, 228, 66)),
    *((231, 155, 198), (255, 140, 82), (185, 165, 255), (215, 221, 230)),
)


def class_colour(label):
    """RGB of class number `label`; beyond eight classes, hues a golden angle apart."""
    if label < len(CLASS_COLOURS):
        return CLASS_COLOURS[label]
    # Steps of 0.618 of the circle come near an earlier hue late; where they do, the two strengths
    # distinguish the neighbours.
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618034 % 1, 0.45 + 0.3 * (label % 2), 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def diverging(value):
    """RGB of a signed error in [-1, 1]: blue below 0, orange above, light grey at 0."""
    end = np.array(NEGATIVE if value < 0 else POSITIVE, "float64")
    # The root lets small errors already show a tint.
    share = min(abs(float(value)), 1.0) ** 0.7
    return tuple(int(round(c)) for c in np.array(ZERO) + share * (end - np.array(ZERO)))


def relative_errors(truth, prediction):
    """(n, 4): prediction - truth, by the true width (x1, x2) and height (y1, y2)."""
    sides = np.maximum(truth[:, 2:] - truth[:, :2], 1e-9)
    return (prediction - truth) / np.concatenate([sides, sides], axis=1)


def draw_errors(image, truth, prediction, limit=0.15, values=True, min_side=480):
    """The image with n true boxes and the predictions that belong to them.

    truth, prediction: (n, 4) or (4,), xyxy in pixels. A row with NaN is a box that is not there: a
    missed truth, or a prediction without truth (purple).
    limit: the error, as a share of the true box's width or height, at which colours saturate.
    values: write each edge's signed error (prediction - truth, in pixels of the given image) beside
        it; where boxes crowd, the largest errors are written and what would cover them is left out.
    min_side: images whose longer side is less are enlarged by a whole number. Returns uint8 RGB.
    """
    truth, prediction = (_boxes(which) for which in (truth, prediction))
    if truth.shape != prediction.shape:
        raise ValueError(
            "`truth` and `prediction` must have the same shape. "
            f"Received: truth.shape={truth.shape}, prediction.shape={prediction.shape}"
        )
    if not limit > 0:
        raise ValueError(f"`limit` must be a number above 0. Received: limit={limit!r}")
    canvas = Canvas(image, min_side)
    missing = ~np.isfinite(prediction).all(axis=1)
    alone = ~np.isfinite(truth).all(axis=1)
    for box in truth[~alone]:
        canvas.box(box, TRUTH)
    errors = relative_errors(truth, prediction) / limit
    for i in np.flatnonzero(~missing):
        colours = [FALSE] * 4 if alone[i] else [diverging(error) for error in errors[i]]
        canvas.box(prediction[i], colours, dashed=True)
    # Numbers last, so that no line of a neighbour crosses them.
    if values:
        pairs = np.flatnonzero(~missing & ~alone)
        for i in pairs[np.argsort(-np.abs(errors[pairs]).max(axis=1), kind="stable")]:
            canvas.edge_values(truth[i], prediction[i], errors[i])
    return canvas.image


def draw_boxes(image, boxes, texts=None, colour=POSITIVE, dashed=True, min_side=480):
    """The image with boxes (n, 4) xyxy in pixels and a text at each; for images without truth.

    texts: n of them; no text covers another one. Where there is no free place at its box, a text is
    left out, so give the most important box first.
    colour: RGB of all boxes, or a list of n colours. min_side: as in `draw_errors`.
    """
    canvas = Canvas(image, min_side)
    canvas.boxes(_boxes(boxes), texts or [], colour, dashed)
    return canvas.image


def illustrate(image, truth, prediction, width=960, limit=0.15, caption=None):
    """One box so large that everything can be read: the picture of what a box error is.

    Cuts the surroundings of truth and prediction (4,) out of the image, enlarges them to `width`
    pixels, and adds a strip below that explains lines and colours. Returns uint8 RGB.
    """
    truth, prediction = (np.asarray(box, "float64").reshape(4) for box in (truth, prediction))
    low, high = np.minimum(truth, prediction)[:2], np.maximum(truth, prediction)[2:]
    margin = 0.3 * np.max(high - low)
    size = np.array(image.shape[1::-1])
    low = np.clip(np.floor(low - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(high + margin), low + 1, size).astype(int)
    crop = image[low[1] : high[1], low[0] : high[0]]
    scale = width / crop.shape[1]
    canvas = Canvas(crop, min_side=0, scale=scale)
    shift = np.concatenate([low, low])
    errors = relative_errors(truth[None], prediction[None])[0] / limit
    canvas.box(truth - shift, TRUTH)
    canvas.box(prediction - shift, [diverging(error) for error in errors], dashed=True)
    canvas.edge_values(truth - shift, prediction - shift, errors)
    return np.concatenate([canvas.image, _legend(width, limit, caption)])


def _legend(width, limit, caption):
    """The strip that explains lines and colours, `width` pixels wide."""
    unit = width / 960
    canvas = Canvas(np.full((int(92 * unit), width, 3), 24, "uint8"), min_side=0, line=unit)
    y = 30 * unit
    for x, text, dashed in ((24, "truth", False), (190, "prediction", True)):
        canvas.line((x * unit, y), ((x + 56) * unit, y), TRUTH if not dashed else ZERO, dashed)
        canvas.plain(text, (x + 68) * unit, y)
    left, right = 560 * unit, 800 * unit
    for x in np.arange(left, right):
        canvas.line(
            (x, y - 8 * unit),
            (x, y + 8 * unit),
            diverging(2 * (x - left) / (right - left) - 1),
            bare=True,
        )
    canvas.plain(f"-{limit:.0%}", left - 10 * unit, y, align=1.0)
    canvas.plain(f"+{limit:.0%} of the side", right + 10 * unit, y)
    if caption:
        canvas.plain(caption, 24 * unit, 68 * unit)
    return canvas.image


class Canvas:
    """A scaled copy of an image; coordinates are given in pixels of the original."""

    def __init__(self, image, min_side=480, scale=None, line=None):
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(
                "`image` must be uint8 of shape (height, width, 3). "
                f"Received: image of {image.dtype} {image.shape}"
            )
        self.cv2 = opencv()
        self.scale = scale or max(1, int(np.ceil(min_side / max(image.shape[:2]))))
        height, width = (max(1, int(round(side * self.scale))) for side in image.shape[:2])
        if (height, width) == image.shape[:2]:
            self.image = image.copy()
        else:
            how = self.cv2.INTER_CUBIC if self.scale > 1 else self.cv2.INTER_AREA
            self.image = self.cv2.resize(image, (width, height), interpolation=how)
        # Lines and letters grow with the picture: a poster is looked at from further away.
        self.unit = line or max(1.0, max(height, width) / 640)
        self.plates = []  # left, top, right, bottom of the numbers so far

    def _point(self, x, y):
        """The place of a coordinate, in the sixteenths of a pixel that OpenCV draws with."""
        limit = 2**20  # a box far outside must not overflow OpenCV's integers
        place = (np.array([x, y], "float64") * self.scale - 0.5) * 16
        return tuple(int(v) for v in np.clip(np.nan_to_num(place), -limit, limit))

    def line(self, start, end, colour, dashed=False, bare=False):
        """A line with a dark casing; dashed ones start and end with a dash."""
        start, end = np.array(start, "float64"), np.array(end, "float64")
        pieces = [(start, end)]
        if dashed:
            length = np.linalg.norm(end - start) * self.scale
            count = int(np.clip(length / (7 * self.unit), 3, 200)) | 1
            steps = start + (end - start) * np.linspace(0, 1, count + 1)[:, None]
            pieces = list(zip(steps[:-1:2], steps[1::2], strict=True))
        widths = ((4, CASING), (2, colour))[bare:]
        for width, paint in widths:
            thickness = max(1, int(round(width * self.unit)))
            for a, b in pieces:
                ends = self._point(*a), self._point(*b)
                self.cv2.line(self.image, *ends, paint, thickness, self.cv2.LINE_AA, 4)

    def box(self, box, colours, dashed=False):
        """Edges x1, y1, x2, y2 in one colour or four."""
        if not np.isfinite(box).all():
            return
        x1, y1, x2, y2 = box
        edges = (
            ((x1, y1), (x1, y2)),
            ((x1, y1), (x2, y1)),
            ((x2, y1), (x2, y2)),
            ((x1, y2), (x2, y2)),
        )
        colours = [colours] * 4 if isinstance(colours, tuple) else colours
        for (start, end), colour in zip(edges, colours, strict=True):
            self.line(start, end, colour, dashed)

    def boxes(self, boxes, texts, colour, dashed=False):
        """Boxes (n, 4) in one colour or n of them, then their texts: no line crosses a text."""
        colours = [colour] * len(boxes) if isinstance(colour, tuple) else colour
        for box, paint in zip(boxes, colours, strict=True):
            self.box(box, paint, dashed)
        for box, text, paint in zip(boxes, texts, colours, strict=False):
            self.label(text, box, paint)

    def label(self, text, box, colour=TRUTH):
        """A text at a corner of its box, at the first place that no other text has taken."""
        if not np.isfinite(box).all():
            return
        x1, y1, x2, y2 = box
        places = (
            (x1, y1, (0.0, 1.0)),  # above, beginning or ending with the box
            (x2, y1, (1.0, 1.0)),
            (x1, y2, (0.0, 0.0)),  # below
            (x2, y2, (1.0, 0.0)),
            (x1, y1, (0.0, 0.0)),  # inside
            (x1, y2, (0.0, 1.0)),
            (x2, y1, (0.0, 0.0)),  # beside
            (x1, y1, (1.0, 0.0)),
        )
        any(self.text(text, x, y, at, colour, only_if_free=True) for x, y, at in places)

    def edge_values(self, truth, prediction, shares):
        """Each edge's signed error in pixels, outside both boxes at the middle of the edge."""
        low, high = np.minimum(truth, prediction), np.maximum(truth, prediction)
        (mx, my), gap = (prediction[:2] + prediction[2:]) / 2, 6 * self.unit / self.scale
        places = (
            (low[0] - gap, my, (1.0, 0.5)),
            (mx, low[1] - gap, (0.5, 1.0)),
            (high[2] + gap, my, (0.0, 0.5)),
            (mx, high[3] + gap, (0.5, 0.0)),
        )
        for error, share, (x, y, anchor) in zip(prediction - truth, shares, places, strict=True):
            self.text(f"{error:+.1f}", x, y, anchor, diverging(share), only_if_free=True)

    def text(self, text, x, y, anchor=(0.0, 0.0), colour=TRUTH, only_if_free=False):
        """A text on a dark plate; `anchor`: the share of the plate that lies left of and above
        (x, y). The plate is moved into the image; one that must be free covers no other. Returns
        whether the text was written."""
        text, font, size, weight = self._font(text)
        (width, height), base = self.cv2.getTextSize(text, font, size, weight)
        pad = int(round(3 * self.unit))
        plate = np.array([width + 2 * pad, height + base + 2 * pad])
        corner = np.array([x, y], "float64") * self.scale - plate * np.array(anchor)
        room = np.maximum(np.array(self.image.shape[1::-1]) - plate, 0)
        left, top = (int(v) for v in np.clip(np.nan_to_num(corner), 0, room))
        right, bottom = left + plate[0], top + plate[1]
        if only_if_free and any(
            left < r and right > x and top < b and bottom > y for x, y, r, b in self.plates
        ):
            return False
        self.plates.append((left, top, right, bottom))
        area = self.image[top:bottom, left:right]
        area[:] = (0.2 * area + 0.8 * np.array(CASING)).astype("uint8")
        at = (left + pad, top + pad + height)
        self.cv2.putText(self.image, text, at, font, size, colour, weight, self.cv2.LINE_AA)
        return True

    def plain(self, text, x, y, align=0.0):
        """A text without a plate, vertically centred on y."""
        text, font, size, weight = self._font(text)
        (width, height), _ = self.cv2.getTextSize(text, font, size, weight)
        at = (int(x * self.scale - align * width), int(y * self.scale + height / 2))
        self.cv2.putText(self.image, text, at, font, size, ZERO, weight, self.cv2.LINE_AA)

    def width(self, text):
        """Pixels that a text takes in the picture, without its plate."""
        text, font, size, weight = self._font(text)
        return self.cv2.getTextSize(text, font, size, weight)[0][0]

    def _font(self, text):
        # OpenCV's letters are ASCII; whatever else a class name holds shows as "?".
        text = "".join(c if " " <= c <= "~" else "?" for c in str(text)[:120])
        font, size = self.cv2.FONT_HERSHEY_SIMPLEX, 0.5 * self.unit
        return text, font, size, max(1, int(round(1.2 * self.unit)))


def _boxes(boxes):
    boxes = np.asarray(boxes, "float64")
    if boxes.ndim == 1 and boxes.size == 4:
        boxes = boxes[None]
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape (n, 4) or (4,). Received: shape {boxes.shape}")
    return boxes
