"""The pictures of a run: what the network is trained on, and what it finds in validation images.

OpenCV draws them, curves too: training reads its images with OpenCV, so every run leaves the same
pictures, whatever else is installed. matplotlib stays an extra of `boxloss simulate`.
"""

import numpy as np

from boxloss.datasets import read_image
from boxloss.datasets.images import opencv
from boxloss.files import one_line, write_atomically
from boxloss.report.drawing import CASING, Canvas, class_colour

SHOWN = 16  # images
TILE, GAP, CAPTION = 320, 6, 22  # pixels
IGNORED = (150, 156, 166)


def write_png(path, picture):
    """Write an image uint8 (H, W, 3) RGB, or leave the old file."""
    good, data = opencv().imencode(".png", picture[..., ::-1])
    with write_atomically(path) as temporary:
        temporary.write_bytes(data.tobytes() if good else b"")


def spread(records, count=SHOWN):
    """Up to `count` records that have boxes, evenly spread; the same ones every time."""
    full = [record for record in records if len(record)] or list(records)
    places = np.unique(np.linspace(0, len(full) - 1, count).round().astype(int))
    return [full[i] for i in places]


def batch_picture(batches):
    """Training images as the network gets them: scaled, augmented, with the boxes to learn.

    batches: `datasets.Batches`. Ignored boxes are dashed and grey.
    """
    tiles, class_names = [], batches.dataset.class_names
    for number in range(len(batches)):
        x, y = batches[number]
        for image, boxes, labels, ignore in zip(
            x, y["boxes"], y["labels"], y["ignore"], strict=True
        ):
            canvas = _canvas(np.clip(image, 0, 255).astype("uint8"))
            real = (labels >= 0) & ~ignore
            for box in boxes[(labels >= 0) & ignore]:
                canvas.box(box, IGNORED, dashed=True)
            _draw(canvas, boxes[real], labels[real], class_names)
            tiles.append(canvas.image)
            if len(tiles) == SHOWN:
                return grid(tiles, 4)
    return grid(tiles, 4)


def validation_picture(dataset, results, score_threshold):
    """Validation images twice: with their true boxes, and beside them with what was found.

    dataset: `datasets.DataSet`. results: COCO results of it. Detections below `score_threshold` are
    left out. An image that cannot be read any more is left out too.
    """
    label_of = {number: label for label, number in enumerate(dataset.category_ids)}
    found = {}
    for entry in results:
        if entry["score"] >= score_threshold:
            found.setdefault(entry["image_id"], []).append(entry)
    tiles, captions = [], []
    for record in spread(dataset.records):
        try:
            image = read_image(record.path)
        except (ValueError, OSError):
            continue
        best = sorted(found.get(record.image_id, []), key=lambda entry: -entry["score"])
        x, y, width, height = np.array([e["bbox"] for e in best], "float64").reshape(-1, 4).T
        boxes = np.stack([x, y, x + width, y + height], axis=1)
        labels = [label_of[entry["category_id"]] for entry in best]
        for what in (
            (record.boxes, record.labels, None),
            (boxes, labels, [entry["score"] for entry in best]),
        ):
            canvas = _canvas(image)
            _draw(canvas, what[0], what[1], dataset.class_names, what[2])
            tiles.append(canvas.image)
        captions += [f"{one_line(record.file_name)}: truth", f"found, from {score_threshold:.2f}"]
    return grid(tiles, 4, captions)


def _canvas(image):
    """An image whose longer side is `TILE` pixels."""
    return Canvas(image, scale=TILE / max(image.shape[:2]), line=0.8)


def _draw(canvas, boxes, labels, class_names, scores=None):
    texts = [class_names[label] for label in labels]
    if scores is not None:
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, scores, strict=True)]
    canvas.boxes(boxes, texts, [class_colour(label) for label in labels])


def grid(tiles, columns, captions=()):
    """Tiles of at most TILE x TILE pixels in rows, each in the middle of its place."""
    above = CAPTION if captions else 0
    highest = max([len(tile) for tile in tiles], default=TILE)
    across, down = TILE + GAP, highest + GAP + above
    columns = min(columns, max(len(tiles), 1))
    rows = max(-(-len(tiles) // columns), 1)
    sheet = np.full((rows * down + GAP, columns * across + GAP, 3), CASING, "uint8")
    for number, tile in enumerate(tiles):
        height, width = tile.shape[:2]
        left, top = GAP + number % columns * across, GAP + number // columns * down + above
        x, y = left + (TILE - width) // 2, top + (highest - height) // 2
        sheet[y : y + height, x : x + width] = tile
    words = Canvas(sheet, min_side=0, line=0.8)
    for number, text in enumerate(captions):
        left, top = GAP + number % columns * across, GAP + number // columns * down
        words.plain(fitting(words, text, TILE), left, top + CAPTION / 2)
    return words.image


def fitting(canvas, text, width):
    """The text, its beginning cut where it is wider than `width` pixels: file names differ there
    least."""
    if canvas.width(text) <= width:
        return text
    while text and canvas.width(f"...{text}") > width:
        text = text[1:]
    return f"...{text}"
