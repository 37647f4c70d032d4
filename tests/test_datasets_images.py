"""Pictures of every kind are read as RGB, upright, or refused with one line."""

import base64
import io
import os
import struct

import cv2
import numpy as np
import pytest

from boxloss import datasets
from boxloss.datasets import header, images

# Left half red-ish, right half blue-ish: 16 x 8 pixels.
COLOURS = np.zeros((8, 16, 3), "uint8")
COLOURS[:, :8], COLOURS[:, 8:] = (200, 30, 60), (20, 160, 220)
# The same in CMYK, as Adobe writes it (values inverted, APP14 marker); OpenCV cannot write CMYK.
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBE"
    "TFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC/"
    "/EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqN"
    "DU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4"
    "ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD7Ar8+q+Sq/VOvwfr9Wq/"
    "aqiv/2Q=="
)


def encoded(suffix, image=COLOURS, *flags):
    return cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, flags)[1].tobytes()


def with_orientation(jpeg, orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = mark + struct.pack(order + "I", 8) + struct.pack(order + "H", 1) + entry + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    "data, tolerance",
    [
        (encoded(".png"), 0),
        (encoded(".bmp"), 0),
        (encoded(".tiff"), 0),
        (encoded(".webp"), 8),
        (encoded(".jpg"), 8),
        (encoded(".jpg", COLOURS, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 8),
        (encoded(".png", (COLOURS.astype("uint16") << 8) + 200), 0),
        (
            encoded(
                ".png", np.dstack([np.full((8, 16), 255, "uint8"), COLOURS])[..., [1, 2, 3, 0]]
            ),
            None,
        ),
        (CMYK, 8),
    ],
    ids="png bmp tiff webp jpeg progressive 16-bit alpha cmyk".split(),
)
def test_a_picture_is_read_as_rgb(tmp_path, data, tolerance):
    if tolerance is None:  # alpha first after the reversal for OpenCV's BGRA
        data = cv2.imencode(".png", np.dstack([COLOURS[..., ::-1], COLOURS[..., :1]]))[1].tobytes()
    path = tmp_path / "picture.dat"
    path.write_bytes(data)
    image = datasets.read_image(path)
    assert image.dtype == np.uint8 and image.shape == COLOURS.shape
    near_edge = slice(2, 6), [2, 3, 4, 11, 12, 13]
    difference = image[near_edge].astype(int) - COLOURS[near_edge]
    assert np.abs(difference).max() <= (tolerance or 0)


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
def test_grey_is_repeated_and_16_bit_divided(depth):
    grey = np.arange(8 * 16, dtype=depth).reshape(8, 16)
    data = encoded(".png", grey if depth == "uint8" else grey * 256 + 255)
    np.testing.assert_array_equal(images.decode(data), np.repeat(grey[..., None], 3, axis=-1))


# What EXIF says of the stored rows and columns, written out: (0th row, 0th column) are shown as ...
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", SHOWN)
def test_a_picture_is_read_upright(orientation, order):
    stored = np.zeros((16, 24, 3), "uint8")
    stored[:8, :8], stored[8:, :8], stored[:8, 16:] = 255, 120, 60
    plain = encoded(".jpg", stored, cv2.IMWRITE_JPEG_QUALITY, 100)
    turned = with_orientation(plain, orientation, order)
    expected = SHOWN[orientation](images.decode(plain))
    np.testing.assert_array_equal(images.decode(turned), expected)
    found = header.read_header(io.BytesIO(turned))
    assert (found.height, found.width) == expected.shape[:2]


def test_an_orientation_that_is_none_is_ignored():
    jpeg = encoded(".jpg")
    for turned in (with_orientation(jpeg, 9), with_orientation(jpeg, 6).replace(b"II*", b"XX*")):
        assert images.decode(turned).shape == COLOURS.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
def test_headers_tell_the_size_that_opencv_decodes(suffix):
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 500), (257, 31)):
        image = rng.integers(0, 256, (height, width, 3)).astype("uint8")
        found = header.read_header(io.BytesIO(encoded(suffix, image)))
        assert (found.height, found.width) == (height, width)


def test_headers_of_webp_of_every_kind():
    lossless = encoded(".webp", COLOURS, cv2.IMWRITE_WEBP_QUALITY, 101)
    assert lossless[12:16] == b"VP8L"
    extended = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0)
    extended += (699).to_bytes(3, "little") + (41).to_bytes(3, "little")
    for data, size in ((lossless, (16, 8)), (extended, (700, 42))):
        found = header.read_header(io.BytesIO(data))
        assert (found.width, found.height) == size


NOISE = np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype("uint8")
PNG = encoded(".png")
HUGE = PNG[:16] + struct.pack(">II", 10_000, 10_000) + PNG[24:]
BROKEN = PNG[:45] + bytes([byte ^ 0x5A for byte in PNG[45:60]]) + PNG[60:]


def cut(suffix):
    data = encoded(suffix, NOISE)
    return data[: len(data) // 2]


def thumbnail_and_cut():
    """A cut JPEG whose EXIF holds a whole one: an end marker that ends nothing."""
    thumbnail = encoded(".jpg")
    body = b"Exif\0\0" + thumbnail
    data = cut(".jpg")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.mark.parametrize(
    "data, rest",
    [
        (b"", "hold data. Received: 0 bytes"),
        (
            b"<html>no picture</html>",
            "be a JPEG, PNG, BMP, WebP or TIFF file. Received: first bytes b'<html>no pic'",
        ),
        (cut(".jpg"), f"be complete. Received: a JPEG of {len(cut('.jpg'))} bytes without its end"),
        (
            thumbnail_and_cut(),
            f"be complete. Received: a JPEG of {len(thumbnail_and_cut())} bytes without its end",
        ),
        (cut(".png"), f"be complete. Received: a PNG of {len(cut('.png'))} bytes without its end"),
        (
            cut(".webp"),
            f"be complete. Received: a WebP of {len(cut('.webp'))} bytes without its end",
        ),
        (cut(".bmp"), f"be complete. Received: a BMP of {len(cut('.bmp'))} bytes without its end"),
        (HUGE, "have at most 64000000 pixels. Received: 10000 x 10000"),
        (
            b"\xff\xd8\xff\xe0",
            r"have a readable header. Received: first bytes b'\xff\xd8\xff\xe0', 4 bytes",
        ),
        (
            b"MM\0*" + bytes(8),
            r"have a readable header. Received: "
            r"first bytes b'MM\x00*\x00\x00\x00\x00\x00\x00\x00\x00', 12 bytes",
        ),
        (
            BROKEN,
            f"be decodable. Received: a PNG of {len(BROKEN)} bytes that OpenCV refuses",
        ),
    ],
    ids="empty html jpeg thumbnail png webp bmp 100-megapixels no-frame tiff broken".split(),
)
def test_a_picture_that_is_none_is_refused_in_one_line(tmp_path, data, rest):
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        datasets.read_image(path)
    assert str(error.value) == f"{path}: image must {rest}"


def test_the_limit_is_checked_before_a_pixel_is_decoded(monkeypatch):
    def imdecode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    with pytest.raises(ValueError, match="at most 64000000 pixels"):
        images.decode(HUGE)


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".jpg"))
    assert datasets.read_image(path).shape == COLOURS.shape


def test_a_header_never_crashes_on_damaged_bytes():
    rng = np.random.default_rng(0)
    whole = [encoded(suffix) for suffix in (".jpg", ".png", ".bmp", ".tiff", ".webp")]
    whole.append(with_orientation(encoded(".jpg"), 6))
    for data in whole:
        for _ in range(300):
            damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
            damaged[rng.integers(len(damaged))] = rng.integers(256)
            try:
                found = header.read_header(io.BytesIO(bytes(damaged)))
            except header.BadImageError:
                continue
            assert 1 <= found.width * found.height <= header.MAX_PIXELS


def test_without_opencv_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ValueError) as error:
        images.decode(PNG)
    assert str(error.value) == (
        "OpenCV must be installed to read or draw images: pip install opencv-python "
        "(or opencv-python-headless). Received: no module named cv2"
    )


def test_a_picture_in_a_folder_with_any_name_is_read(tmp_path):
    path = tmp_path / "ünï côdé 'quoted'\n.png"
    path.write_bytes(PNG)
    assert datasets.read_image(path).shape == COLOURS.shape
    path.write_bytes(b"")
    with pytest.raises(ValueError) as error:
        datasets.read_image(path)
    assert str(error.value) == f"{str(path)!r}: image must hold data. Received: 0 bytes"


@pytest.mark.parametrize(
    "width, height, size", [(40, 30, 64), (30, 40, 64), (97, 33, 32), (15, 300, 64)]
)
def test_letterboxed_boxes_lie_on_the_same_pixels(width, height, size):
    image = np.full((height, width, 3), 255, "uint8")
    x1, y1, x2, y2 = width // 5, height // 5, 4 * width // 5, 4 * height // 5
    image[y1:y2, x1:x2] = 0
    square, boxes, place = datasets.letterbox(image, [[x1, y1, x2, y2]], size)
    assert square.shape == (size, size, 3) and square.dtype == np.uint8
    assert boxes.dtype == np.float32
    rows, columns = np.nonzero(square[..., 0] < 50)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(boxes[0], found, atol=1)
    np.testing.assert_allclose(place.undo(boxes), [[x1, y1, x2, y2]], rtol=1e-5)
    scale = min(size / width, size / height)
    grey = np.all(square == images.FILL, axis=-1)
    expected = size * size - round(width * scale) * round(height * scale)
    assert abs(int(grey.sum()) - expected) <= size


def test_letterboxing_an_image_without_boxes():
    square, boxes, place = datasets.letterbox(COLOURS, np.zeros((0, 4)), 8)
    assert boxes.shape == (0, 4)
    assert (place.scale, place.left, place.top) == (0.5, 0, 2)
    assert place == datasets.letterbox_of(16, 8, 8)
    assert (square[:2] == images.FILL).all() and (square[6:] == images.FILL).all()


def test_reading_a_missing_picture_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        datasets.read_image(tmp_path / "none.jpg")
    assert not os.listdir(tmp_path)
