"""Pictures of the page: a crop of each row, and the images, as JPEG files with our own names."""

import math

from boxloss.datasets.images import opencv
from boxloss.files import write_atomically

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


def write_pictures(folder, report, chosen):
    """Write images/<i>.jpg and crops/<row>.jpg of the `chosen` rows; (pictured, cropped) flags.

    In large images also crops/<row>-full.jpg, the crop with all its pixels: `cropped` is 2 then.
    Images that cannot be read leave their rows without a picture.
    """
    cv2 = opencv()
    crops, images = folder / "crops", folder / "images"
    crops.mkdir(parents=True, exist_ok=True)
    images.mkdir(exist_ok=True)
    pictured, cropped = [False] * len(report.images), [0] * len(report.rows)
    of_image = {}
    for i in sorted(chosen):
        of_image.setdefault(report.rows[i].image_id, []).append(i)
    for number, entry in enumerate(report.images):
        rows = of_image.get(entry["id"])
        picture = report.picture(number) if rows else None
        if picture is None:
            continue
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _write_jpeg(cv2, images / f"{number}.jpg", picture, IMAGE_PIXELS, 85)
        pictured[number] = True
        for i in rows:
            x, y, w, h = crop_of(report.rows[i], entry["width"], entry["height"])
            # Boxes are in pixels of the annotated size: the file may be a smaller copy.
            across = _part(x, w, picture.shape[1] / entry["width"])
            down = _part(y, h, picture.shape[0] / entry["height"])
            part = picture[down, across]
            _write_jpeg(cv2, crops / f"{i}.jpg", part, CROP_PIXELS, 82)
            cropped[i] = 1
            if has_full(entry["width"], entry["height"]):
                _write_jpeg(cv2, crops / f"{i}-full.jpg", part, FULL_PIXELS, 85)
                cropped[i] = 2
    return pictured, cropped


def _part(low, length, scale):
    """The slice of at least one pixel from `low` on, `scale` pixels a unit."""
    first = int(low * scale)
    return slice(first, max(round((low + length) * scale), first + 1))


def _write_jpeg(cv2, path, image, longest, quality):
    scale = longest / max(image.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise ValueError(f"OpenCV must be able to write JPEG. Received: no data for {path.name}")
    with write_atomically(path) as temporary:
        temporary.write_bytes(data.tobytes())
