"""Five steps on JAX, on one device, on two, or as one of two processes; run by the test beside it.

    python tests/jax_distribution_child.py devices
    python tests/jax_distribution_child.py process PORT 0|1

Prints one JSON object: for each normalizer the trained weights, flat, and the losses; "devices" has
them on one device and on two.
"""

import json
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
if sys.argv[1] == "devices":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import keras
import numpy as np

import boxloss

NORMALIZERS = ("image", "batch", "none", 3.0)
BATCH, STEPS = 8, 5


def data():
    """Features (40, 6) and boxes (40, 7, 4); the images have 0, 1 and 7 boxes in turn."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 6)).astype("float32")
    corner = rng.uniform(0, 8, (BATCH * STEPS, 7, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 6, corner.shape)], axis=-1)
    for i, count in enumerate(np.resize([0, 1, 7], BATCH * STEPS)):
        boxes[i, count:] = -1
    return x, boxes.astype("float32")


def trained(normalizer, share=slice(None)):
    """Weights and losses after `STEPS` steps on this process' `share` of each batch."""
    x, y = (a.reshape(STEPS, BATCH, *a.shape[1:])[:, share] for a in data())
    rng = np.random.default_rng(1)
    # JAX refuses a variable that starts differently on another process.
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Reshape((7, 4))(keras.layers.Dense(28)(inputs)))
    start = rng.uniform(0, 3, 28) + np.tile([0, 0, 6, 6], 7)
    model.layers[1].set_weights([rng.normal(size=(6, 28)) * 0.3, start])
    # SGD, whose steps are as large as the gradients.
    model.compile(keras.optimizers.SGD(0.1), boxloss.GIoULoss(normalizer=normalizer))
    losses = []
    for features, boxes in zip(x, y, strict=True):
        history = model.fit(
            features, boxes, batch_size=len(features), shuffle=False, verbose=0
        ).history
        losses += history["loss"]
    weights = np.concatenate([np.ravel(w) for w in model.get_weights()])
    return {"weights": weights.astype("float64").tolist(), "losses": [float(v) for v in losses]}


def on_devices():
    one = {str(n): trained(n) for n in NORMALIZERS}
    assert len(jax.devices()) == 2
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    return {"one": one, "two": {str(n): trained(n) for n in NORMALIZERS}}


def as_process(port, index):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=index)
    assert len(jax.devices()) == 2 and len(jax.local_devices()) == 1
    parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(parallel)
    half = BATCH // 2
    return {str(n): trained(n, slice(half * index, half * index + half)) for n in NORMALIZERS}


if __name__ == "__main__":
    if sys.argv[1] == "devices":
        print(json.dumps(on_devices()))
    else:
        print(json.dumps(as_process(int(sys.argv[2]), int(sys.argv[3]))))
