"""Synthetic pictures: textured backgrounds with shapes on them, and exact boxes.

A box is tight around all pixels of its shape, those hidden behind a later shape included (amodal,
as people draw boxes around partly hidden things): x1 and y1 are the first column and row of the
shape, x2 and y2 one past the last, so that x2 - x1 is its width in pixels. Shapes lie inside the
picture, and at least half of each stays visible.

Picture i of seed k depends on (k, i) and the other arguments alone, not on how many are made.
"""

import colorsys
import pathlib

import numpy as np

from boxloss.datasets import coco, voc, yolo
from boxloss.datasets.images import opencv
from boxloss.datasets.record import DataSet, Record
from boxloss.files import write_atomically

CLASSES = ("circle", "rectangle", "triangle")
MAX_SHAPES = 5
SCALES = (0.18, 0.5)  # longer side of a shape / shorter side of the picture
VISIBLE = 0.5
# The middle of each class' hues, in degrees, and how far they stray: classes differ in shape and,
# most of the time, in colour, so that a small detector learns them in minutes.
HUES = {"circle": 10.0, "rectangle": 130.0, "triangle": 250.0}
STRAY = 50.0
CONTRAST = 110.0  # distance of a shape's colour from what is behind it, of 441 at most
QUALITY = 95
# What is written below the folder; YOLO's writer makes its files beside data.yaml.
ANNOTATIONS = {"coco": "annotations.json", "voc": "annotations", "yolo": "data.yaml"}
WRITERS = {"coco": coco.write, "voc": voc.write, "yolo": lambda d, p: yolo.write(d, p.parent)}


def write(
    folder,
    count,
    seed=0,
    image_size=160,
    max_size=None,
    classes=CLASSES,
    format="coco",
    suffix=".jpg",
):
    """Write `count` pictures into `folder`/images and their annotations; return the DataSet.

    image_size: side of the square pictures; with `max_size` each side is drawn log-uniformly
    between the two. classes: some of CLASSES. suffix: ".jpg" or ".png" (lossless).
    format: "coco" (`annotations.json`), "voc" (`annotations/*.xml`) or "yolo" (`labels/*.txt` and
    `data.yaml`). Pictures of an earlier call are replaced; a folder that holds others is refused.
    """
    _check(count, image_size, max_size, classes, suffix, format)
    cv2 = opencv()
    folder = pathlib.Path(folder)
    images = _empty_place(folder / "images", [f"{i + 1:06d}{suffix}" for i in range(count)])
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else []
    records = []
    first_id = 1
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        image, boxes, labels = picture(rng, image_size, max_size, classes)
        name = f"{i + 1:06d}{suffix}"
        _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        with write_atomically(images / name) as temporary:
            temporary.write_bytes(data.tobytes())
        records.append(_record(images / name, i + 1, image, boxes, labels, first_id))
        first_id += len(boxes)
    dataset = DataSet(records, sorted(classes), list(range(1, len(classes) + 1)), images)
    WRITERS[format](dataset, annotations_of(folder, format))
    return dataset


def annotations_of(folder, format):
    """Where `write` puts the annotations: the argument of `datasets.load`."""
    return pathlib.Path(folder) / ANNOTATIONS[format]


def _empty_place(images, names):
    """Make the folder; refuse other pictures in it, which would end up in the data set."""
    images.mkdir(parents=True, exist_ok=True)
    others = sorted({path.name for path in images.iterdir()} - set(names))
    if others:
        raise ValueError(
            f"{images}: folder must be empty, or hold what this call replaces. "
            f"Received: {len(others)} other files, the first {others[0]!r}"
        )
    return images


def _check(count, image_size, max_size, classes, suffix, format):
    names = ", ".join(map(repr, CLASSES))
    rules = (
        ("count", count, count >= 1, "at least 1"),
        ("image_size", image_size, image_size >= 32, "at least 32 pixels"),
        ("max_size", max_size, max_size is None or max_size >= image_size, "at least `image_size`"),
        ("classes", classes, set() < set(classes) <= set(CLASSES), f"some of {names}"),
        ("format", format, format in WRITERS, "one of 'coco', 'voc', 'yolo'"),
        ("suffix", suffix, suffix in (".jpg", ".png"), "one of '.jpg', '.png'"),
    )
    for name, value, holds, rule in rules:
        if not holds:
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def _record(path, number, image, boxes, labels, first_id):
    none = np.zeros(len(boxes), bool)
    return Record(
        file_name=path.name,
        path=path,
        image_id=number,
        width=image.shape[1],
        height=image.shape[0],
        boxes=boxes,
        labels=labels,
        annotation_ids=list(range(first_id, first_id + len(boxes))),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1),
        iscrowd=none,
        ignore=none,
        difficult=none,
    )


def picture(rng, image_size, max_size=None, classes=CLASSES):
    """(image uint8 (H, W, 3) RGB, boxes float32 (n, 4) xyxy, labels int64 (n,)), n in 1..5.

    Labels count the sorted `classes`.
    """
    height, width = _sizes(rng, image_size, max_size)
    image = background(rng, height, width)
    classes = sorted(classes)
    owner = np.full((height, width), -1, "int16")  # which shape is on top of each pixel
    boxes, labels, pixels = [], [], []
    for _ in range(int(rng.integers(1, MAX_SHAPES + 1))):
        label = int(rng.integers(len(classes)))
        placed = _place(rng, classes[label], owner, pixels)
        if placed is None:
            continue
        x, y, mask = placed
        h, w = mask.shape
        window = owner[y : y + h, x : x + w]
        window[mask] = len(boxes)
        paint(rng, image[y : y + h, x : x + w], mask, classes[label])
        boxes.append((x, y, x + w, y + h))
        labels.append(label)
        pixels.append(int(mask.sum()))
    return image, np.array(boxes, "float32").reshape(-1, 4), np.array(labels, "int64")


def _sizes(rng, image_size, max_size):
    if max_size is None:
        return image_size, image_size
    return tuple(np.exp(rng.uniform(np.log(image_size), np.log(max_size), 2)).round().astype(int))


def _place(rng, kind, owner, pixels, tries=10):
    """(x, y, mask) of a shape that leaves enough of the earlier ones visible, or None."""
    height, width = owner.shape
    for _ in range(tries):
        # Log-uniform: as many shapes between 18 and 30 % as between 30 and 50 %.
        scale = np.exp(rng.uniform(*np.log(SCALES)))
        mask = shape(rng, kind, scale * min(height, width))
        h, w = mask.shape
        x = int(rng.integers(0, width - w + 1))
        y = int(rng.integers(0, height - h + 1))
        covered = owner.copy()
        covered[y : y + h, x : x + w][mask] = len(pixels)
        left = np.bincount(covered[covered >= 0], minlength=len(pixels))
        if all(left[j] >= VISIBLE * pixels[j] for j in range(len(pixels))):
            return x, y, mask
    return None


def shape(rng, kind, side):
    """bool (h, w): the pixels of a shape about `side` long, cropped tightly."""
    cv2 = opencv()
    middle = int(side) + 2
    canvas = np.zeros((2 * middle, 2 * middle), "uint8")
    if kind == "circle":
        cv2.circle(canvas, (middle, middle), max(int(round(side / 2)), 2), 1, -1)
    else:
        if kind == "rectangle":
            aspect = rng.uniform(0.4, 1.0)
            corners = np.array([[-1, -aspect], [1, -aspect], [1, aspect], [-1, aspect]]) / 2
        else:
            angles = np.array([0, 2, 4]) * np.pi / 3 + rng.uniform(-0.3, 0.3, 3)
            corners = np.stack([np.cos(angles), np.sin(angles)], axis=-1) / np.sqrt(3)
        turn = rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        corners = corners @ rotation * side
        corners *= side / np.ptp(corners, axis=0).max()
        cv2.fillPoly(canvas, [np.round(corners + middle).astype("int32")], 1)
    x, y, w, h = cv2.boundingRect(canvas)
    return canvas[y : y + h, x : x + w].astype(bool)


def background(rng, height, width):
    """Smooth noise of several scales around a dull colour, with fine grain; uint8 (H, W, 3)."""
    cv2 = opencv()
    image = np.empty((height, width, 3), "float32")
    image[:] = rng.uniform(70, 185) + rng.uniform(-25, 25, 3)
    for cells in (3, 7, 17):
        noise = rng.normal(0, 28 / np.sqrt(cells), (cells, cells, 3)).astype("float32")
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image += grain(rng, height, width)
    return np.clip(image, 0, 255).astype("uint8")


def grain(rng, height, width):
    return rng.normal(0, 6, (height, width, 1)).astype("float32")


def colour_of(rng, kind):
    """RGB (3,) in [0, 255] of a shape: a hue of its class, at any but the darkest brightness."""
    hue = (HUES[kind] + rng.uniform(-STRAY, STRAY)) / 360.0 % 1.0
    saturation, value = rng.uniform((0.4, 0.35), 1.0)
    return 255.0 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def paint(rng, window, mask, kind):
    """Colour the pixels of `mask` in `window` (a view of the picture) in one textured colour."""
    behind = window[mask].mean(axis=0)
    colours = np.array([colour_of(rng, kind) for _ in range(8)])
    contrast = np.linalg.norm(colours - behind, axis=-1)
    # The first colour with enough contrast to what is behind, or else the one with the most.
    colour = colours[np.argmax(np.minimum(contrast, CONTRAST))]
    height, width = mask.shape
    shade = np.linspace(-15, 15, width)[None, :, None] * rng.uniform(-1, 1)
    texture = colour + shade + grain(rng, height, width)
    window[mask] = np.clip(texture, 0, 255).astype("uint8")[mask]
