"""Operations at the ends of their domains, and the completeness of the checked rows."""

import collections

import numpy as np
import pytest
from checked_rows import ARGUMENTS, PAIRS, ROWS
from gradients import as_numpy, as_tensor, value_and_gradient

import boxloss
from boxloss.tensors import ops

SMALLEST = 1.1754944e-38  # normal float32
DENORMAL = 1e-42


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 1.5, 2, 3, 4])
def test_a_power_is_finite_at_zero_and_below_with_its_gradient(exponent):
    x = np.float32([0.0, -0.0, -2.0, 4.0, 1e-30])
    value, slope = value_and_gradient(lambda x: ops.safe_power(x, exponent), x)
    # Rule: 0 without gradient where x <= 0, whatever the exponent.
    np.testing.assert_array_equal(value[:3], 0)
    np.testing.assert_array_equal(slope[:3], 0)
    np.testing.assert_allclose(value[3], 4.0**exponent, rtol=1e-6)
    np.testing.assert_allclose(slope[3], exponent * 4.0 ** (exponent - 1), rtol=1e-6)
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    if exponent == 0:
        assert value[4] == 1 and slope[4] == 0


@pytest.mark.parametrize("x", [DENORMAL, -DENORMAL, SMALLEST])
def test_denormal_numbers_leave_everything_finite(x):
    x = np.float32([x, 1.0])
    cases = {
        "root": ops.safe_sqrt,
        "power": lambda x: ops.safe_power(x, 1.5),
        "numerator": lambda x: ops.divide_or(x, ops.ones_like(x), 0.0),
        "unit": lambda x: x * ops.binary_unit(ops.abs(x))[1],
        "relu": ops.even_relu,
    }
    for name, function in cases.items():
        value, slope = value_and_gradient(function, x)
        assert np.isfinite(value).all() and np.isfinite(slope).all(), name
    value = as_numpy(ops.divide_or(as_tensor(x), as_tensor(x), 0.5))
    assert np.isfinite(value).all() and value[1] == 1


@pytest.mark.parametrize("size", [DENORMAL, 1e-40, 1e-37])
@pytest.mark.parametrize("name", ["iou", "giou", "ciou", "siou", "nwd", "l1"])
def test_boxes_of_denormal_size_are_finite(name, size):
    truth = np.float32([[0, 0, size, 2 * size]])
    prediction = np.float32([[size, 0, 3 * size, size]])
    function = getattr(boxloss.functional, f"{name}_loss")
    value, gradient = value_and_gradient(lambda p: function(truth, p), prediction)
    assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_every_checked_row_is_whole_and_read_by_a_test():
    pairs = collections.defaultdict(set)
    for row, pair, _, gradient in ROWS:
        pairs[row].add(pair)
        assert len(gradient) == len(PAIRS[pair][0])
    assert len(ROWS) == 245
    assert pairs.keys() == ARGUMENTS.keys()
    for row, (name, _) in ARGUMENTS.items():
        rotated = name in boxloss.names("rotated")
        if rotated or not {*"TU"} & pairs[row]:
            assert pairs[row] == set("RS" if rotated else "ABC"), row
        # `test_losses`, `test_rotated` and `test_uncertainty` read the rows of these kinds.
        assert name in boxloss.names("box") or rotated or row in ("kl_loss", "gaussian_nll")
