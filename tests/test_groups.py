"""Images that belong together stay together, and whoever does not say so is warned."""

import numpy as np
import pytest

from boxloss.datasets import groups
from boxloss.datasets.record import _whole_groups

NAMES = ["Town01_02.jpg", "Town01_04.jpg", "Town02_02.jpg", "a/Town03_9.jpg"]


def test_a_group_is_what_the_pattern_finds():
    assert groups.groups_of(NAMES, r"Town\d+") == ["Town01", "Town01", "Town02", "Town03"]
    assert groups.groups_of(NAMES, r"Town0(\d)_") == ["1", "1", "2", "3"]


@pytest.mark.parametrize(
    "pattern, message",
    [
        (
            "Town(",
            "`group_by` must be a regular expression. Received: 'Town(' (missing ), unterminated "
            "subpattern at position 4)",
        ),
        (
            "^Town",
            "`group_by` must match every file name. Received: '^Town', which does not match 1 of "
            "4, the first: 'a/Town03_9.jpg'",
        ),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, message):
    with pytest.raises(ValueError) as error:
        groups.groups_of(NAMES, pattern)
    assert str(error.value) == message


def test_no_group_is_divided_and_the_folds_are_even():
    names = [f"g{i}" for i in range(9) for _ in range(3 + 4 * (i == 5))]
    fold = groups.folds_of_groups(names, 3, seed=4)
    assert {len({f for f, n in zip(fold, names, strict=True) if n == g}) for g in names} == {1}
    assert sorted(np.bincount(fold)) == [9, 10, 12]
    assert (fold == groups.folds_of_groups(names, 3, seed=4)).all()
    assert (fold != groups.folds_of_groups(names, 3, seed=5)).any()
    with pytest.raises(ValueError, match="Received: 9 groups for 10 folds"):
        groups.folds_of_groups(names, 10)


def drive(rng, frames):
    """Pictures that move slowly over one wide scene."""
    scene = np.repeat(np.repeat(rng.uniform(0, 255, (6, 60)), 8, axis=0), 8, axis=1)
    return [scene[:, 2 * i : 2 * i + 60] for i in range(frames)]


def test_frames_of_a_drive_look_alike_and_single_pictures_do_not():
    rng = np.random.default_rng(0)
    drives = [frame for _ in range(6) for frame in drive(rng, 12)]
    singles = [drive(rng, 1)[0] for _ in range(72)]
    assert groups.share_alike(drives) > 2 * groups.ALIKE
    assert groups.share_alike(singles) < groups.ALIKE
    assert groups.share_alike(drives[:10]) == 0.0  # too few to say


def test_a_thumbnail_is_the_mean_of_each_tile():
    picture = np.random.default_rng(1).uniform(0, 255, (37, 50, 3))
    small = groups._thumbnail(picture)
    rows, columns = (np.linspace(0, side, 17).astype(int) for side in (37, 50))
    tile = picture[rows[3] : rows[4], columns[9] : columns[10]]
    np.testing.assert_allclose(small[3, 9], tile.mean())


@pytest.mark.parametrize("fraction, least, most", [(0.2, 5, 20), (0.5, 20, 45), (0.9, 40, 59)])
def test_a_split_takes_whole_groups(fraction, least, most):
    names = [f"drive{i % 12}" for i in range(60)]
    validate = _whole_groups(names, fraction)
    chosen = {name for name, held in zip(names, validate, strict=True) if held}
    assert least <= sum(validate) <= most and sum(validate) == 5 * len(chosen)
    with pytest.raises(ValueError, match="two groups or more to divide. Received: 1"):
        _whole_groups(["one"] * 9, fraction)
