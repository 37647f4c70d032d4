"""Four steps of detector training; run by test_detector_devices.py, as devices are fixed at start.

    python tests/detector_devices_child.py tensorflow|jax OUT.npz
    python tests/detector_devices_child.py process OUT.npz PORT 0|1

The first trains on one device and on two of the same machine, the second as one of two processes
on JAX. OUT.npz gets the weights, flat, and the losses of the epochs: "one_weights", "two_losses"...
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow" if sys.argv[1] == "tensorflow" else "jax"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # see training.devices
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
if sys.argv[1] == "jax":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np

from boxloss.detector import Detector, catalogue
from boxloss.tensors import ops
from boxloss.training import Criterion, TrainingModel, box_loss, devices

KIND, OUT, *REST = sys.argv[1:]
BATCH, STEPS, EPOCHS = 4, 2, 2
# As deep as nano, so that everything is there, and as narrow as possible.
catalogue.SIZES["nano"] = {
    "channels": (8, 8, 8, 8),
    "depths": (1, 1, 1, 1),
    "pyramid": 8,
    "head": 8,
}


def data(share=slice(None)):
    """Images (8, 64, 64, 3) with 0 to 3 boxes, and what belongs to them; `share` of each batch."""
    rng = np.random.default_rng(0)
    count = BATCH * STEPS
    x = rng.uniform(0, 255, (count, 64, 64, 3)).astype("float32")
    corner = rng.uniform(0, 30, (count, 3, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 30, corner.shape)], axis=-1)
    labels = rng.integers(0, 2, (count, 3))
    for i, real in enumerate(np.resize([1, 3, 0, 2], count)):
        boxes[i, real:], labels[i, real:] = -1, -1
    y = {
        "boxes": boxes.astype("float32"),
        "labels": labels.astype("int32"),
        "ignore": np.zeros((count, 3), "float32"),
        "index": np.arange(count, dtype="int32"),
    }

    def shared(array):
        rest = array.shape[1:]
        return array.reshape(STEPS, BATCH, *rest)[:, share].reshape(-1, *rest)

    return shared(x), {name: shared(array) for name, array in y.items()}


def trained(share=slice(None)):
    """(weights, losses of the epochs, weights at the start)."""
    keras.utils.set_random_seed(0)
    detector = Detector(["a", "b"], image_size=64)
    # On TensorFlow each replica normalises by its own images: only fixed statistics give the same
    # numbers. Batches as small as these also make rounding grow fast.
    for layer in detector.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model = TrainingModel(detector, Criterion(box_loss("ciou")), BATCH * STEPS)
    # SGD, whose steps are as large as the gradients.
    model.compile(keras.optimizers.SGD(0.02))
    start = flat(detector)
    x, y = data(share)
    history = model.fit(
        x, y, batch_size=len(x) // STEPS, epochs=EPOCHS, shuffle=False, verbose=0
    ).history
    return flat(detector), np.array(history["loss"]), start


def flat(detector):
    return np.concatenate([ops.numpy_of(v).ravel() for v in detector.variables])


def on_devices():
    scope = devices.scope(2)  # TensorFlow must not be awake yet
    one = trained()
    with scope:
        return {"one": one, "two": trained()}


def as_process(port, index):
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=index)
    assert len(jax.devices()) == 2 and len(jax.local_devices()) == 1
    half = BATCH // 2
    with devices.scope(2):
        return {"two": trained(slice(half * index, half * index + half))}


if __name__ == "__main__":
    found = as_process(*map(int, REST)) if KIND == "process" else on_devices()
    names = ("weights", "losses", "start")
    np.savez(
        OUT,
        **{
            f"{key}_{name}": x
            for key, xs in found.items()
            for name, x in zip(names, xs, strict=True)
        },
    )
