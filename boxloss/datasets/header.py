"""Image headers: format, size and orientation without decoding a pixel.

Decoders trust the size that a header claims and allocate for it, so it is checked here first. JPEG,
PNG, BMP, WebP and TIFF are known; anything else is refused, because its size could not be checked.

EXIF orientation of JPEG files is applied, everywhere in boxloss: `Header.width` and `height` are
those of the upright picture, as viewers, browser-based annotation tools, Detectron2 and OpenCV's
`imread` show it. An annotation made on the unrotated picture has the two swapped and is reported.
"""

import io
import os
import stat
import struct
from dataclasses import dataclass

from boxloss.files import one_line

MAX_PIXELS = 64_000_000  # 192 MB as RGB; phones end at 50 megapixels
# An uncompressed picture of that many pixels, of 16 bits each, and a phone's film behind it.
MAX_BYTES = 2**29
TAIL = 4096
END_OF_JPEG = b"\xff\xd9"
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
BLOCK = 8192
KNOWN = "be a JPEG, PNG, BMP, WebP or TIFF file"


class BadImageError(ValueError):
    """A picture that cannot be used: `path: image must rule. Received: received`."""

    def __init__(self, rule, received, path=None):
        place = "" if path is None else f"{one_line(path)}: "
        super().__init__(f"{place}image must {rule}. Received: {received}")
        self.rule = rule
        self.received = received


@dataclass(frozen=True)
class Header:
    """`width` and `height` in pixels of the upright picture; `orientation` 1..8 as in EXIF."""

    format: str
    width: int
    height: int
    orientation: int = 1


def open_image(path):
    """Open a picture to read bytes. Raises BadImageError, or OSError where there is none."""
    _check_file(os.stat(path))
    return open(path, "rb")


def _check_file(found):
    """Refuse what would be read for ever, or until the memory is full."""
    if not stat.S_ISREG(found.st_mode):
        raise BadImageError("be a regular file", "a pipe, a device or a folder")
    if found.st_size > MAX_BYTES:
        raise BadImageError(f"have at most {MAX_BYTES} bytes", f"{found.st_size} bytes")


def header_of(path):
    """The Header of the picture at `path`; raises as `read_header` and `open_image` do.

    A small picture is read in one system call, without a file object: of a data set of 100,000 this
    takes half the time.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        _check_file(found)
        start = os.read(handle, BLOCK)
    finally:
        os.close(handle)
    if len(start) == found.st_size:
        return read_header(io.BytesIO(start))
    with open(path, "rb") as file:
        return read_header(file)


def read_header(file):
    """The Header of an open binary file. Raises BadImageError; reads some hundred bytes."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise BadImageError("hold data", "0 bytes")
    file.seek(0)
    start = file.read(32)
    parser = _parser_of(start)
    if parser is None:
        raise BadImageError(KNOWN, f"first bytes {start[:12]!r}")
    try:
        header = parser(file, start)
    except (struct.error, IndexError, EOFError, OSError):
        header = None
    if header is None or header.width < 1 or header.height < 1:
        raise BadImageError("have a readable header", f"first bytes {start[:12]!r}, {size} bytes")
    if header.width * header.height > MAX_PIXELS:
        received = f"{header.width} x {header.height}"
        raise BadImageError(f"have at most {MAX_PIXELS} pixels", received)
    if not _is_complete(file, header.format, size):
        received = f"a {header.format} of {size} bytes without its end"
        raise BadImageError("be complete", received)
    return header


def _parser_of(start):
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if start.startswith(b"BM"):
        return _bmp
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp
    if start[:4] in (b"II*\0", b"MM\0*"):
        return _tiff
    return None


def _is_complete(file, format, size):
    """Whether the end marker is there: decoders fill what a cut file lacks with grey, silently.

    It need not be the last thing in the file. Phones write a film behind the picture, cameras a
    second picture, and some programs zeros.
    """
    if format in ("WebP", "BMP"):  # they begin with their length
        file.seek(4 if format == "WebP" else 2)
        length = struct.unpack("<I", file.read(4))[0]
        return length + (8 if format == "WebP" else 0) <= size
    if format == "PNG":
        return _has_last_chunk(file, size)
    if format != "JPEG":
        return True
    start = _scan_offset(file)
    if start is None:
        return False
    # Mostly the end is at the end, so the last bytes are looked at first; but not those before the
    # main scan, because the thumbnail inside EXIF has an end marker of its own.
    file.seek(max(size - TAIL, start))
    return END_OF_JPEG in file.read() or _holds(file, start, END_OF_JPEG)


def _has_last_chunk(file, size):
    """Whether the chunks of a PNG, each with its length, lead to IEND inside the file."""
    file.seek(max(size - 12, 0))
    if file.read() == END_OF_PNG:
        return True
    position = 8
    while position + 12 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        position += 12 + length
        if kind == b"IEND":
            return position <= size
    return False


def _holds(file, start, marker):
    """Whether `marker` occurs anywhere behind `start`; reads block by block."""
    file.seek(start)
    before = b""
    while block := file.read(2**20):
        if marker in before + block:
            return True
        before = block[-len(marker) + 1 :]
    return False


def _segments(file):
    """(marker, length of its body) of each JPEG segment; the file is then at the body."""
    file.seek(2)
    while True:
        byte = file.read(1)
        if byte != b"\xff":
            raise EOFError
        while byte == b"\xff":  # fill bytes
            byte = file.read(1)
        marker = byte[0]
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # without a body
            continue
        length = struct.unpack(">H", file.read(2))[0] - 2
        body = file.tell()
        yield marker, max(length, 0)
        file.seek(body + max(length, 0))


def _jpeg(file, start):
    orientation = 1
    for marker, length in _segments(file):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            _, height, width = struct.unpack(">BHH", file.read(5))
            if orientation >= 5:
                width, height = height, width
            return Header("JPEG", width, height, orientation)
        if marker == 0xE1:
            orientation = _orientation(file.read(length), orientation)
        if marker in (0xD9, 0xDA):
            return None


def _scan_offset(file):
    """Where the first scan of a JPEG begins; None where the file ends before."""
    try:
        return next(file.tell() for marker, _ in _segments(file) if marker == 0xDA)
    except (EOFError, IndexError, struct.error, StopIteration):
        return None


def _orientation(exif, default):
    """Tag 0x0112 of the first directory, 1..8; `default` where there is none."""
    if not exif.startswith(b"Exif\0\0"):
        return default
    try:
        value = dict(_tiff_tags(io.BytesIO(exif[6:]))).get(0x0112, default)
    except (struct.error, KeyError):
        return default
    return value if 1 <= value <= 8 else default


def _tiff_tags(file):
    """(tag, value) of the short and long scalars in the first directory of a TIFF structure."""
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    file.seek(4)
    file.seek(struct.unpack(order + "I", file.read(4))[0])
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = file.read(12 * count)
    for index in range(count):
        tag, kind = struct.unpack_from(order + "HH", entries, 12 * index)
        if kind in (3, 4):
            layout = order + ("H" if kind == 3 else "I")
            yield tag, struct.unpack_from(layout, entries, 12 * index + 8)[0]


def _tiff(file, start):
    tags = dict(_tiff_tags(file))
    return Header("TIFF", tags.get(256, 0), tags.get(257, 0))


def _png(file, start):
    return Header("PNG", *struct.unpack(">II", start[16:24]))


def _bmp(file, start):
    if struct.unpack("<I", start[14:18])[0] == 12:
        return Header("BMP", *struct.unpack("<HH", start[18:22]))
    width, height = struct.unpack("<ii", start[18:26])
    return Header("BMP", width, abs(height))  # negative: stored top row first


def _webp(file, start):
    kind = start[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", start[26:30])
        return Header("WebP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", start[21:25])
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        width = int.from_bytes(start[24:27], "little") + 1
        return Header("WebP", width, int.from_bytes(start[27:30], "little") + 1)
    return None
