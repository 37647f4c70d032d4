"""Cut the pictures of a page out of its images: in threads, and not twice."""

import collections
import concurrent.futures
import os
import zlib
from typing import NamedTuple

from boxloss.datasets.images import opencv
from boxloss.files import tracked, write_atomically
from boxloss.report.page.crops import CROP_PIXELS, FULL_PIXELS, IMAGE_PIXELS, crop_of, has_full

# OpenCV gives the interpreter free while it decodes, scales and encodes. More threads than this
# only wait for the one that writes the files.
MOST_THREADS = 8


class Cut(NamedTuple):
    """A JPEG file that is made of an image.

    name: below the page's folder. part: [x, y, width, height] in the annotated size, None for the
    whole image. longest: pixels of its longer side at most.
    """

    name: str
    part: list[int] | None
    longest: int
    quality: int


def write_pictures(folder, report, chosen, place):
    """Write images/<i>.jpg and crops/<row>.jpg of the `chosen` rows; (pictured, cropped) flags.

    In large images also crops/<row>-full.jpg, the crop with all its pixels: `cropped` is 2 then.
    Images that cannot be read leave their rows without a picture. place: the `files.Output` of the
    folder. A picture that it lists as cut from the same file at the same place is kept: after
    Ctrl-C the same command goes on where it was.
    """
    for below in ("crops", "images"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    pictured, cropped = [False] * len(report.images), [0] * len(report.rows)
    rows_of = {}
    for i in sorted(chosen):
        rows_of.setdefault(report.rows[i].image_id, []).append(i)
    numbers = [n for n, entry in enumerate(report.images) if entry["id"] in rows_of]
    jobs = (_job(report, place, n, rows_of[report.images[n]["id"]]) for n in numbers)
    for number, made in tracked(_in_threads(jobs), "images cut", len(numbers)):
        if made is None:
            continue
        for cut, key, data in made:
            if data is not None:
                with write_atomically(folder / cut.name, key) as temporary:
                    temporary.write_bytes(data)
        entry = report.images[number]
        pictured[number] = True
        for i in rows_of[entry["id"]]:
            cropped[i] = 2 if has_full(entry["width"], entry["height"]) else 1
    return pictured, cropped


def _job(report, place, number, rows):
    """A function that gives (number, [(cut, key, bytes or None where it is there), ...])."""
    entry = report.images[number]
    cuts, state = _cuts(report, number, rows), report.picture_state(number)
    keys = [None if state is None else zlib.crc32(repr((state, cut)).encode()) for cut in cuts]
    there = [
        key is not None and place.made(cut.name, key) for cut, key in zip(cuts, keys, strict=True)
    ]
    if all(there):
        return lambda: (number, [(cut, None, None) for cut in cuts])

    def encoded():
        picture = report.picture(number)
        if picture is None:
            return number, None
        size = entry["width"], entry["height"]
        pairs = zip(cuts, there, strict=True)
        data = [None if has else _jpeg(picture, cut, size) for cut, has in pairs]
        return number, list(zip(cuts, keys, data, strict=True))

    return encoded


def _cuts(report, number, rows):
    entry = report.images[number]
    size = entry["width"], entry["height"]
    cuts = [Cut(f"images/{number}.jpg", None, IMAGE_PIXELS, 85)]
    for i in rows:
        part = crop_of(report.rows[i], *size)
        cuts.append(Cut(f"crops/{i}.jpg", part, CROP_PIXELS, 82))
        if has_full(*size):
            cuts.append(Cut(f"crops/{i}-full.jpg", part, FULL_PIXELS, 85))
    return cuts


def _in_threads(jobs):
    """What each job gives, in their order; a few are ahead, so that memory stays small."""
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    waiting = collections.deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _jpeg(picture, cut, size):
    """The bytes of a cut of a picture in RGB; size: width and height that `cut.part` is about."""
    cv2 = opencv()
    if cut.part is not None:
        x, y, width, height = cut.part
        # Boxes are in pixels of the annotated size: the file may be a smaller copy.
        down = _part(y, height, picture.shape[0] / size[1])
        picture = picture[down, _part(x, width, picture.shape[1] / size[0])]
    scale = cut.longest / max(picture.shape[:2])
    if scale < 1:
        sides = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, cut.quality])
    if not good:
        raise ValueError(f"OpenCV must be able to write JPEG. Received: no data for {cut.name}")
    return data.tobytes()


def _part(low, length, scale):
    """The slice of at least one pixel from `low` on, `scale` pixels a unit."""
    first = int(low * scale)
    return slice(first, max(round((low + length) * scale), first + 1))
