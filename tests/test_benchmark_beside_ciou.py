"""scripts/benchmarks/beside_ciou.py: it has an example for every loss."""

import pathlib
import runpy

import numpy as np
import pytest
from loss_table import make

import boxloss

SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "benchmarks" / "beside_ciou.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def test_every_loss_has_an_example_that_costs_something(script):
    for name in boxloss.names():
        loss = make(name)
        costs = loss.tensors(*script["example"](loss, 6)).numpy().box_errors
        assert costs.shape == (1, 6) and np.isfinite(costs).all() and costs.max() > 0, name
