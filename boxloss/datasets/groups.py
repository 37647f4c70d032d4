"""Images that belong together: the frames of a drive, the slices of a patient.

Two frames of one drive show almost the same. If one of them trains a detector and the other tests
it, the test result is too good: the detector remembers the scene. So a split can keep groups whole,
found by a pattern in the file names. Without a pattern it warns if neighbouring images look alike.
"""

import re
from collections.abc import Sequence

import numpy as np

SIDE = 16  # pixels of the grey thumbnails that are compared
MOST = 200  # neighbouring pairs that are looked at
CLOSE = 0.05  # share of random pairs that are as close by chance
# Of BCCD's neighbours, pictures taken one by one, 12 % are that close; of CARLA's, frames of
# drives, 36 to 62 %.
ALIKE = 0.25


def groups_of(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each file name: what `pattern` matches in it, or its first parenthesis.

    pattern: a regular expression, searched in the name: `^Town\\d+` groups `Town01_000020.jpg` and
    `Town01_000040.jpg`.

    Raises ValueError where the pattern is no regular expression, or does not match a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"`group_by` must be a regular expression. Received: {pattern!r} ({error})"
        ) from None
    found = [compiled.search(name) for name in names]
    lost = [name for name, match in zip(names, found, strict=True) if match is None]
    if lost:
        raise ValueError(
            f"`group_by` must match every file name. Received: {pattern!r}, which does not match "
            f"{len(lost)} of {len(names)}, the first: {lost[0]!r}"
        )
    return [match[1] if compiled.groups else match[0] for match in found if match is not None]


def folds_of_groups(groups: Sequence[str], folds: int, seed: int = 0) -> np.ndarray:
    """int (n,): the fold of each item, such that a group is never divided.

    The largest group goes first, each to the fold that holds the least; groups of one size are
    drawn by `seed`. Raises ValueError where there are fewer groups than folds.
    """
    names, which, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ValueError(
            f"`group_by` must give at least as many groups as folds. "
            f"Received: {len(names)} groups for {folds} folds"
        )
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    held, fold = np.zeros(folds, "int64"), np.zeros(len(names), "int64")
    for group in order:
        fold[group] = held.argmin()
        held[fold[group]] += sizes[group]
    return fold[which]


def share_alike(pictures: Sequence[np.ndarray], seed: int = 0) -> float:
    """The share of neighbours that are closer than `CLOSE` of random pairs: 0.05 by chance.

    pictures: arrays (H, W) or (H, W, C) in the order of their file names.
    """
    if len(pictures) < 20:
        return 0.0
    small = np.stack([_thumbnail(picture) for picture in pictures])
    near = np.abs(small[1:] - small[:-1]).mean(axis=(1, 2))
    a, b = np.random.default_rng(seed).integers(0, len(small), (2, 4000))
    far = np.abs(small[a] - small[b]).mean(axis=(1, 2))[np.abs(a - b) > 1]
    return float(np.mean(near < np.quantile(far, CLOSE)))


def _thumbnail(picture):
    """(SIDE, SIDE) grey means of a picture's tiles."""
    grey = picture.mean(axis=-1) if picture.ndim == 3 else picture.astype("float64")
    rows, columns = (np.linspace(0, side, SIDE + 1).astype(int)[:-1] for side in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    counts = np.diff([*rows, grey.shape[0]])[:, None] * np.diff([*columns, grey.shape[1]])
    return sums / counts


def warning_of(dataset) -> str | None:
    """One line where neighbouring images of a DataSet look alike; None where they do not.

    Reads up to `MOST` pictures from the middle of the set; unreadable ones are passed over.
    """
    from boxloss.datasets.images import read_image

    start = max(0, (len(dataset.records) - MOST) // 2)
    pictures = []
    for record in dataset.records[start : start + MOST]:
        try:
            pictures.append(read_image(record.path))
        except (ValueError, OSError):
            continue
    share = share_alike(pictures)
    if share < ALIKE:
        return None
    return (
        f"{share:.0%} of neighbouring images look nearly the same (frames of one drive?): a split "
        "by image shows a detector the pictures that it is tested on; --group-by keeps groups whole"
    )
