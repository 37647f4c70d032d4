"""The recipe of `checked_rows.py` makes its numbers."""

import numpy as np
import pytest
from checked_rows import ROWS
from oracles.checked import STEP, checked


@pytest.mark.parametrize("row, pair, value, gradient", ROWS, ids=lambda x: str(x)[:30])
def test_the_recipe_gives_the_row(row, pair, value, gradient):
    made, slope = checked(row, pair)
    np.testing.assert_allclose(made, value, rtol=1e-8, atol=1e-9)
    # A value of 1 is rounded by 1e-16, which a difference over a short step makes large.
    atol = 1e-7 * np.abs(gradient).max() + 4e-16 * max(1, value) / STEP
    np.testing.assert_allclose(slope, gradient, rtol=2e-6, atol=atol)
