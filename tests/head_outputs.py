"""Outputs of a head over two images of 64 x 64, and their truth."""

import numpy as np

from boxloss import coders

POINTS, STRIDES = coders.grid(64, 64, (8, 16, 32))
LOCATIONS = len(POINTS)


def head_and_truth(bins=0):
    """Outputs of a head over two images and their truth: two boxes, one box and padding."""
    rng = np.random.default_rng(0)
    reach = rng.uniform(5, 25, (2, LOCATIONS, 4)).astype("float32")
    boxes = np.concatenate([POINTS - reach[..., :2], POINTS + reach[..., 2:]], axis=-1)
    outputs = {"boxes": boxes, "logits": rng.normal(-2, 1, (2, LOCATIONS, 3)).astype("float32")}
    if bins:
        shape = (2, LOCATIONS, 4 * bins)
        outputs["distribution"] = rng.normal(0, 1, shape).astype("float32")
    truth = {
        "boxes": np.full((2, 4, 4), -1, "float32"),
        "labels": np.full((2, 4), -1, "int32"),
        "ignore": np.zeros((2, 4), bool),
        "index": np.array([1, 0], "int32"),
    }
    truth["boxes"][0, :2] = [[4, 6, 40, 30], [30, 20, 60, 63]]
    truth["boxes"][1, 0] = [10, 10, 34, 50]
    truth["labels"][0, :2], truth["labels"][1, 0] = [2, 0], 1
    return outputs, truth
