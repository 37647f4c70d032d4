"""Reading pictures: bytes, header, limit, then decoding by OpenCV; and letterboxing.

Every picture becomes uint8 RGB: grey is repeated, alpha is dropped, CMYK is converted by OpenCV,
16-bit is divided by 256. EXIF orientation is applied (see `header`).
"""

import io
from dataclasses import dataclass

import numpy as np

from boxloss.datasets.header import BadImageError, open_image, read_header
from boxloss.types import ArrayLike, PathLike

FILL = 114  # the grey of YOLO's letterbox, close to the mean of natural pictures
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),  # all of them JPEG
    *(".png", ".bmp", ".webp", ".tif", ".tiff"),
)


def opencv():
    """The module cv2. Raises ValueError that says how to install it."""
    try:
        import cv2
    except ImportError:
        raise ValueError(
            "OpenCV must be installed to read or draw images: pip install opencv-python "
            "(or opencv-python-headless). Received: no module named cv2"
        ) from None
    return cv2


def read_image(path: PathLike) -> np.ndarray:
    """The picture at `path`: uint8 (height, width, 3), RGB, upright.

    Raises BadImageError, a ValueError `path: image must ...`, for a file that is no picture, no
    regular file, is cut, has more than `header.MAX_PIXELS` pixels (checked before a pixel is
    decoded) or cannot be decoded, and OSError where it cannot be opened.
    """
    try:
        with open_image(path) as file:
            data = file.read()
        return decode(data)
    except BadImageError as error:
        raise BadImageError(error.rule, error.received, path) from None


def read_fitted(path, size):
    """(the picture at `path` scaled as `fit` does, its width, its height); raises as `read_image`.

    A JPEG of at least twice the size is decoded at a half, a quarter or an eighth, which takes half
    of the time or less. Its pixels are then means over blocks, as those of `fit` are, and differ
    from them by a few levels; where it lies in the square does not change.
    """
    try:
        with open_image(path) as file:
            data = file.read()
        header = read_header(io.BytesIO(data))
        width, height = header.width, header.height
        scale = min(size / width, size / height)
        divisor = 1
        if header.format == "JPEG":
            divisor = next((n for n in (8, 4, 2) if n * scale <= 1), 1)
        if divisor == 1:
            return fit(decode(data, header), size), width, height
        image = decode(data, header, divisor)
        # A side that is no multiple of the divisor ends in a pixel that is only partly picture.
        return (
            resize(image, scale * divisor, area=True)[
                : _scaled(height, scale), : _scaled(width, scale)
            ],
            width,
            height,
        )
    except BadImageError as error:
        raise BadImageError(error.rule, error.received, path) from None


def decode(data, header=None, divisor=1):
    """The picture in the bytes `data`; raises BadImageError.

    header: of the same bytes, where it is known. divisor: 2, 4 or 8 gives a JPEG at this part of
    its size, rounded up.
    """
    cv2 = opencv()
    header = header or read_header(io.BytesIO(data))
    reduced = {
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    flags = reduced.get(divisor, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise BadImageError(
            "be decodable", f"a {header.format} of {len(data)} bytes that OpenCV refuses"
        )
    image = upright(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), header.orientation)
    if image.shape[:2] != (-(-header.height // divisor), -(-header.width // divisor)):
        raise BadImageError(
            "have the size that its header says",
            f"{image.shape[1]} x {image.shape[0]}, header {header.width} x {header.height}",
        )
    return image


def upright(image, orientation):
    """Undo an EXIF orientation (1..8)."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in its square: `x_square = x * scale + left`, y with `top`."""

    scale: float
    left: int
    top: int

    def apply(self, boxes: ArrayLike) -> np.ndarray:
        """Boxes (..., 4), xyxy in pixels of the picture, as pixels of the square; float32."""
        shift = np.array([self.left, self.top, self.left, self.top], "float64")
        return (np.asarray(boxes, "float64") * self.scale + shift).astype("float32")

    def undo(self, boxes: ArrayLike) -> np.ndarray:
        """Boxes (..., 4), xyxy in pixels of the square, as pixels of the picture; float32."""
        shift = np.array([self.left, self.top, self.left, self.top], "float64")
        return ((np.asarray(boxes, "float64") - shift) / self.scale).astype("float32")


def letterbox_of(width: int, height: int, size: int) -> Letterbox:
    """The Letterbox that centres a picture of `width` x `height` in a square of side `size`."""
    scale = min(size / width, size / height)
    return Letterbox(
        scale, (size - _scaled(width, scale)) // 2, (size - _scaled(height, scale)) // 2
    )


def fit(image, size):
    """`image` scaled, aspect kept, to fit into a square of side `size` (not padded)."""
    height, width = image.shape[:2]
    scale = min(size / width, size / height)
    return resize(image, scale, area=scale < 1)


def resize(image, scale, area=False):
    """`image` with both sides times `scale`, rounded, at least 1; `area` averages (for shrinking).

    With fx and fy OpenCV samples at exactly this scale; with a rounded size alone it would stretch
    each axis a little, and boxes would sit up to half a pixel off.
    """
    if scale == 1:
        return image
    cv2 = opencv()
    how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    width, height = (_scaled(side, scale) for side in image.shape[1::-1])
    if min(image.shape[:2]) * scale < 1:  # OpenCV would round it to 0
        return cv2.resize(image, (width, height), interpolation=how)
    return cv2.resize(image, (0, 0), fx=scale, fy=scale, interpolation=how)


def _scaled(length, scale):
    return max(round(length * scale), 1)


def letterbox(
    image: np.ndarray, boxes: ArrayLike, size: int
) -> tuple[np.ndarray, np.ndarray, Letterbox]:
    """Scale `image` to fit a square of side `size`, centred on grey; move `boxes` with it.

    image uint8 (H, W, 3); boxes (n, 4) xyxy in pixels. Returns (uint8 (size, size, 3), float32
    (n, 4), Letterbox).
    """
    height, width = image.shape[:2]
    place = letterbox_of(width, height, size)
    scaled = fit(image, size)
    square = np.full((size, size, 3), FILL, "uint8")
    square[place.top : place.top + scaled.shape[0], place.left : place.left + scaled.shape[1]] = (
        scaled
    )
    return square, place.apply(np.reshape(boxes, (-1, 4))), place
