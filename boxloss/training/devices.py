"""Several devices for one run: of this host, or of all processes on JAX."""

import contextlib
import os

import keras

from boxloss.tensors import ops

# Replicas. On TensorFlow each device runs the step on its part of the batch with its own copy of
# the variables, and Keras sums the gradients. Two things are then not those of one device: the
# batch normalisation, which knows its own part alone, and sums over a batch. The criterion divides
# by sums within an image, never within a batch, so that its gradient is exact, and the sums per box
# add up over the replicas. On JAX there is one program over a sharded batch, and nothing differs
# but the order of additions. docs/detector.md has the comparison with one device. Keras 3's `fit`
# does not run under MultiWorkerMirroredStrategy, so that only JAX trains on several hosts: see
# `processes`.


def scope(count):
    """The context in which a run over `count` devices is built and trained.

    One device needs none. TensorFlow: MirroredStrategy over GPUs, or over the CPU split in `count`
    where there is no GPU (which only shows that it works). JAX: `keras.distribution`. ValueError
    where the backend or the machine cannot.
    """
    if count == 1:
        return contextlib.nullcontext()
    backend = ops.backend()
    if backend == "tensorflow":
        return _mirrored(count).scope()
    if backend == "jax":
        _check_count(count, len(keras.distribution.list_devices()), "JAX_NUM_CPU_DEVICES")
        devices = keras.distribution.list_devices()[:count]
        return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False).scope()
    raise ValueError(
        "`devices` must be 1 on this backend; TensorFlow and JAX train on several. "
        f"Received: devices={count!r}, backend {backend!r}"
    )


def _mirrored(count):
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        _check_count(count, len(gpus), "CUDA_VISIBLE_DEVICES")
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(count)])
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        # With oneDNN TensorFlow 2.21 drops a convolution on the second of two logical CPUs.
        raise ValueError(
            "`devices` above 1 without a GPU needs TF_ENABLE_ONEDNN_OPTS=0 before TensorFlow is "
            f"imported. Received: devices={count!r}"
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow is awake: it has what it has
        _check_count(count, len(tf.config.list_logical_devices("CPU")), "a process of its own")
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])


def _check_count(count, found, decides):
    if count > found:
        raise ValueError(
            f"`devices` must be at most the number of devices ({decides} decides). "
            f"Received: devices={count!r}, found {found}"
        )
