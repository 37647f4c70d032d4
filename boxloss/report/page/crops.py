"""Which pictures a page has: a crop of each row, and the images, under names of our own."""

import math

CONTEXT = 0.4  # of the longer side of truth and prediction, on each side of them
CROP_PIXELS, IMAGE_PIXELS = 288, 1600  # longest sides of the files
FULL_PIXELS = 4096  # of what a zoom shows around a row of an image that is larger than its file
SMALLEST = 24  # pixels of context even around a point


def crop_of(row, width, height):
    """[x, y, width, height] in whole pixels: what a row's crop shows, inside the image."""
    boxes = [
        box
        for box in (row.truth, row.prediction)
        if box is not None and all(v is not None and math.isfinite(v) for v in box)
    ]
    if not boxes:
        return [0, 0, width, height]
    x1, y1 = (min(min(box[i], box[i + 2]) for box in boxes) for i in (0, 1))
    x2, y2 = (max(max(box[i], box[i + 2]) for box in boxes) for i in (0, 1))
    margin = max(CONTEXT * max(x2 - x1, y2 - y1), SMALLEST / 2)
    left, right = _inside(x1 - margin, x2 + margin, width)
    top, bottom = _inside(y1 - margin, y2 + margin, height)
    return [left, top, right - left, bottom - top]


def _inside(low, high, length):
    """Whole numbers 0 <= low < high <= length, also for a range outside the image."""
    low = min(max(math.floor(low), 0), length - 1)
    return low, min(max(math.ceil(high), low + 1), length)


def has_full(width, height):
    """Whether the file of an image of this size is a smaller copy, so that rows get all pixels."""
    return max(width, height) > IMAGE_PIXELS


def names_of(report, chosen):
    """The names below the page's folder of all pictures that `write_pictures` may write."""
    ids = {report.rows[i].image_id for i in chosen}
    images = [f"images/{n}.jpg" for n, entry in enumerate(report.images) if entry["id"] in ids]
    large = {e["id"] for e in report.images if has_full(e["width"], e["height"])}
    full = [f"crops/{i}-full.jpg" for i in chosen if report.rows[i].image_id in large]
    return images + [f"crops/{i}.jpg" for i in chosen] + full
