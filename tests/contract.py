"""Parts of the contract that the tests of several kinds of loss check in the same way."""

import keras
import numpy as np
from gradients import value_and_gradient

import boxloss
from boxloss.tensors import ops


def check_finite(loss, pairs, dtype):
    """Value and gradient are finite on every pair; returns the values, in the order of `pairs`.

    pairs: {label: (truth, prediction)}, rows of numbers.
    """
    truth, prediction = (np.float32([pair[i] for pair in pairs.values()])[None] for i in (0, 1))
    if dtype == "float16":
        truth, prediction = truth.clip(-6e4, 6e4), prediction.clip(-6e4, 6e4)
    truth = ops.cast(ops.convert_to_tensor(truth), dtype)
    value, gradient = value_and_gradient(
        lambda p: loss.tensors(truth, p).box_errors, prediction, dtype
    )
    labels = np.array(list(pairs))
    assert np.isfinite(value).all(), labels[~np.isfinite(value[0])]
    assert np.isfinite(gradient).all(), labels[~np.isfinite(gradient[0]).all(-1)]
    return value[0]


def check_config(name, arguments):
    """A loss that is saved and loaded has every argument, also one of all losses."""
    loss = boxloss.get(name, **arguments, normalizer="batch")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert {**again.get_config(), **arguments} == again.get_config()
