"""Boxes: their formats, sides and padding.

Everything inside boxloss is `xyxy` = x1, y1, x2, y2 (x to the right, y down). Other formats are
converted once, at the border, by `to_xyxy`; their names are those of Keras.
"""

from typing import get_args

from boxloss.tensors import checks, ops
from boxloss.types import BoundingBoxFormat

COORDINATES = {
    "xyxy": ("x1", "y1", "x2", "y2"),
    "yxyx": ("y1", "x1", "y2", "x2"),
    "xywh": ("x", "y", "width", "height"),
    "center_xywh": ("center_x", "center_y", "width", "height"),
    "center_yxhw": ("center_y", "center_x", "height", "width"),
}
FORMATS = get_args(BoundingBoxFormat)


def check_format(argument, value, also=()):
    return checks.one_of(argument, value, (*FORMATS, *also))


def is_relative(box_format):
    return box_format.startswith("rel_")


def coordinate_names(box_format):
    """What the four numbers of a format are called; "encoded" ones are only numbered."""
    if box_format == "encoded":
        return ("encoded_0", "encoded_1", "encoded_2", "encoded_3")
    return COORDINATES[box_format.removeprefix("rel_")]


def known(x, shape):
    """`x` as a tensor, of `shape` where a TensorFlow graph does not know its rank or last axis."""
    x = ops.convert_to_tensor(x)
    if ops.backend() != "tensorflow" or (x.shape.rank is not None and x.shape[-1] is not None):
        return x
    # A tensor that comes out of `tf.py_function` has no static shape, and without the last axis no
    # side can be taken from it.
    import tensorflow as tf

    return tf.ensure_shape(x, shape)


def split(boxes):
    """(..., 4) as four tensors (...)."""
    return ops.unstack(boxes, 4, axis=-1)


def image_scale(image_shape, boxes):
    """width, height, broadcastable against the (B, N) sides of `boxes`."""
    if isinstance(image_shape, tuple):
        height, width = image_shape
        return width, height
    shape = ops.cast(ops.convert_to_tensor(image_shape), ops.dtype_name(boxes))  # (B, 2) or (2,)
    # (B,) becomes (B, 1): one scale per image, over the boxes (B, N) of that image.
    height, width = ops.unstack(shape, 2, axis=-1)
    return width[..., None], height[..., None]


def _is_xyxy(box_format, image_shape):
    """Whether boxes of a format are xyxy as they are."""
    in_pixels = is_relative(box_format) and image_shape is not None
    return box_format.removeprefix("rel_") == "xyxy" and not in_pixels


def to_xyxy(boxes, box_format, image_shape=None):
    """Boxes (..., 4) of any of `FORMATS` as xyxy.

    Relative formats stay in units of the image, unless `image_shape` = (height, width), or a tensor
    (B, 2) of such pairs, turns them into pixels.
    """
    # The commonest format costs nothing: no split, no stack, and XLA sees the boxes themselves.
    if _is_xyxy(box_format, image_shape):
        return boxes
    return ops.stack(sides_to_xyxy(split(boxes), box_format, image_shape), axis=-1)


def sides_to_xyxy(sides, box_format, image_shape=None):
    """`to_xyxy` of boxes given as four tensors (...)."""
    layout = box_format.removeprefix("rel_")
    a, b, c, d = sides
    if layout in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    if layout == "xywh":
        c, d = a + c, b + d
    elif layout.startswith("center"):
        # Halves are exact in binary, so center formats lose no more than the one subtraction.
        half_width, half_height = c / 2, d / 2
        a, b, c, d = a - half_width, b - half_height, a + half_width, b + half_height
    if is_relative(box_format) and image_shape is not None:
        width, height = image_scale(image_shape, a)
        a, b, c, d = a * width, b * height, c * width, d * height
    return a, b, c, d


def from_xyxy(boxes, box_format, image_shape=None):
    """Boxes (..., 4) in xyxy as any of `FORMATS`; the inverse of `to_xyxy`."""
    if _is_xyxy(box_format, image_shape):
        return boxes
    return ops.stack(sides_from_xyxy(split(boxes), box_format, image_shape), axis=-1)


def sides_from_xyxy(sides, box_format, image_shape=None):
    """`from_xyxy` of boxes given as four tensors (...)."""
    layout = box_format.removeprefix("rel_")
    a, b, c, d = sides
    if is_relative(box_format) and image_shape is not None:
        width, height = image_scale(image_shape, a)
        a, b, c, d = a / width, b / height, c / width, d / height
    if layout == "xywh":
        c, d = c - a, d - b
    elif layout.startswith("center"):
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    if layout in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    return a, b, c, d


def is_real(y_true):
    """(B, N) bool: False for a row of -1, which is padding in every format."""
    # By sides: a reduction of the last axis would cut the loop into which XLA fuses a loss.
    real = None
    for side in ops.unstack(y_true, ops.static_shape(y_true)[-1], axis=-1):
        differs = ops.not_equal(side, -1 * ops.ones_like(side))
        real = differs if real is None else ops.logical_or(real, differs)
    return real


def fill(boxes, mask, value=0.0):
    """`boxes` (..., K) with `value` in the rows that `mask` (...) calls padding.

    Padding must not reach the arithmetic: 0 * NaN is NaN, in the gradient too, so masking the
    result afterwards is too late.
    """
    return ops.where(ops.expand_dims(mask, -1), boxes, ops.ones_like(boxes) * value)


def fill_sides(sides, mask):
    """`fill` of boxes given as tensors (...), one per side; `mask` None fills nothing."""
    if mask is None:
        return tuple(sides)
    return tuple(ops.where(mask, side, ops.zeros_like(side)) for side in sides)


def area(boxes):
    """(..., 4) in xyxy to (...): 0 for a box without extent, also for an inverted one."""
    x1, y1, x2, y2 = split(boxes)
    zero = ops.zeros_like(x1)
    return ops.maximum(x2 - x1, zero) * ops.maximum(y2 - y1, zero)
