"""Rows grouped by keys, such as the boxes of each image."""

import numpy as np


def groups(*keys):
    """{(key, ...): rows} in the order of the rows."""
    if not len(keys[0]):
        return {}
    order = np.lexsort(keys[::-1])
    stacked = np.stack([key[order] for key in keys], axis=1)
    starts = np.flatnonzero(np.any(stacked[1:] != stacked[:-1], axis=1)) + 1
    firsts = stacked[np.concatenate([[0], starts])].tolist()
    return dict(zip(map(tuple, firsts), np.split(order, starts), strict=True))
