"""What the examples share: images of numbers, their boxes, and where the training starts.

Sixteen images of six numbers each, up to five boxes in each, and the weights of a network of two
layers, all of numpy's seeded generator, so that every framework starts from the same.
"""

import argparse
import json

import numpy as np

BOXES, STEPS, RATE = 5, 10, 0.005
# Adam's epsilon, too small to matter: Keras adds it before the correction of the moments' bias,
# optax and PyTorch add it after.
EPSILON = 1e-9


def data():
    """x (16, 6), y_true (16, 5, 4) xyxy in [0, 1], padded with rows of -1; one image has no box."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(16, 6)).astype("float32")
    corner, size = rng.uniform(0, 0.6, (16, BOXES, 2)), rng.uniform(0.1, 0.4, (16, BOXES, 2))
    y_true = np.concatenate([corner, corner + size], axis=-1).astype("float32")
    y_true[::3, 2:] = -1
    y_true[5] = -1
    return x, y_true


def start():
    """The weights: hidden (6, 16), its bias (16,), output (16, 20), its bias (20,)."""
    rng = np.random.default_rng(4)
    weights = [rng.normal(0, 0.3, (6, 16)), np.zeros(16), rng.normal(0, 0.05, (16, 4 * BOXES))]
    weights.append(np.tile([0.2, 0.25, 0.5, 0.6], BOXES))  # a box in the middle
    return [weight.astype("float32") for weight in weights]


def finish(argv, losses, weights):
    """Print the loss of every step as JSON; `--out FILE.npz` keeps them, and the weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    out = parser.parse_args(argv).out
    losses = [float(loss) for loss in losses]
    if out:
        arrays = {f"weight_{i}": np.asarray(weight) for i, weight in enumerate(weights)}
        np.savez(out, losses=losses, **arrays)
    print(json.dumps({"losses": losses}))
