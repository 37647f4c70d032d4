"""Large pictures in tiles: each is predicted by itself, then one NMS runs over all of them."""

from typing import NamedTuple

import numpy as np

from boxloss.tensors import checks

OVERLAP = 0.2
# A box ends at a border of its tile if it is as near as this share of the tile: a detector does not
# draw the side of a cut object exactly there.
NEAR = 0.02


class Tile(NamedTuple):
    """Pixels [left, right) x [top, bottom) of a picture, and which of them a neighbour has too.

    shared: (left, top, right, bottom): the pixels before `left`, above `top`, from `right` on and
    below `bottom` are also those of a neighbour. Where there is none, at a border of the picture,
    it is -inf (left, top) or inf (right, bottom).
    """

    left: int
    top: int
    right: int
    bottom: int
    shared: tuple


def check(tile, overlap):
    """ValueError unless `tile` is None or a side in pixels and `overlap` a share below 1."""
    if tile is not None:
        checks.count("tile", tile)
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be at least 0 and below 1. Received: overlap={overlap!r}")


def tiles_of(width, height, tile, overlap=OVERLAP):
    """The Tiles of a picture, row by row: squares of side `tile`, smaller only if the picture is.

    overlap: the least share of its side that a tile has in common with the next one. They are
    spread evenly, so that the first and the last end at the borders of the picture.
    """
    check(tile, overlap)
    found = []
    for top, bottom, above, below in _spans(height, tile, overlap):
        for left, right, before, after in _spans(width, tile, overlap):
            found.append(Tile(left, top, right, bottom, (before, above, after, below)))
    return found


def _spans(length, tile, overlap):
    """(start, end, end of the tile before, start of the next one) along one axis."""
    if length <= tile:
        return [(0, length, -np.inf, np.inf)]
    step = max(1.0, tile * (1 - overlap))
    count = 1 + int(np.ceil((length - tile) / step))
    # Spread evenly. Steps of a fixed length would leave a last tile that repeats most of the one
    # before.
    starts = np.linspace(0, length - tile, count).round().astype(int).tolist()
    ends = [start + tile for start in starts]
    return list(zip(starts, ends, [-np.inf, *ends], [*starts[1:], np.inf], strict=False))


def whole(boxes, tile):
    """bool (n,): False for boxes (n, 4), in pixels of the picture, of which a neighbour sees more.

    A box that ends at an inner border of its tile is a part of an object. Where it also lies within
    the pixels that the neighbour has too, the neighbour sees all of this part and more, and NMS
    would keep both: the IoU of a part and its whole is small.
    """
    near_x, near_y = NEAR * (tile.right - tile.left), NEAR * (tile.bottom - tile.top)
    left, top, right, bottom = tile.shared
    cut = (boxes[:, 0] <= tile.left + near_x) & (boxes[:, 2] <= left)
    cut |= (boxes[:, 1] <= tile.top + near_y) & (boxes[:, 3] <= top)
    cut |= (boxes[:, 2] >= tile.right - near_x) & (boxes[:, 0] >= right)
    cut |= (boxes[:, 3] >= tile.bottom - near_y) & (boxes[:, 1] >= bottom)
    return ~cut
