"""The functions of boxloss.functional by themselves: nested lists, and matrices of all pairs."""

import numpy as np
import pytest
from gradients import as_numpy, as_tensor
from loss_table import examples, make
from oracles import ORACLES

from boxloss import functional
from boxloss.tensors import ops


@pytest.mark.parametrize("name", ["l1", "giou", "softmax", "gwd", "kl", "dfl", "focal_eiou"])
def test_functions_take_nested_lists(name):
    arrays = examples(make(name))
    if name == "kl":
        arrays = arrays[0], *np.split(arrays[1], 2, axis=-1)
    function = getattr(functional, f"{name}_loss")
    got = as_numpy(function(*(x.tolist() for x in arrays)))
    np.testing.assert_allclose(got, as_numpy(function(*arrays)), rtol=1e-6)


@pytest.mark.parametrize("name", ["iou", "giou", "ciou"])
def test_a_matrix_holds_every_pair(name):
    rng = np.random.default_rng(3)
    a = np.sort(rng.uniform(0, 20, (2, 3, 2, 2)), axis=-2).reshape(2, 3, 4)
    b = np.sort(rng.uniform(0, 20, (2, 5, 2, 2)), axis=-2).reshape(2, 5, 4)
    matrix = as_numpy(getattr(functional, f"{name}_matrix")(a, b))
    assert matrix.shape == (2, 3, 5)
    for i, j, k in np.ndindex(matrix.shape):
        expected = 1 - ORACLES[name](a[i, j], b[i, k])
        np.testing.assert_allclose(matrix[i, j, k], expected, rtol=1e-5, atol=1e-6)


def test_operations_named_like_builtins_do_not_replace_them():
    assert ops.all(as_tensor(np.array([True]))) and ops.any(as_tensor(np.array([True])))
    assert ops.arithmetic_dtype(np.float64([1]), np.float32([1])) == "float32"
