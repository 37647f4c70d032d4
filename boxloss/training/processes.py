"""One run in several processes, on JAX: who this process is, and what all of them must know.

`jax.distributed` connects them, `keras.distribution` shares each batch among all their devices: the
step is one program over all of them, so that every normalizer and every class count is global.
Each process has read all annotations and holds all variables; it decodes the pictures of its own
share. The first process alone writes the run folder, and alone needs to see it.
"""

import contextlib
import json
import zlib

import keras
import numpy as np

from boxloss.tensors import ops

# A process that hangs or whose machine is gone is found by its heartbeat, one that ended by its
# closed connections. JAX's default of 100 s would keep the others waiting for longer than 30 s.
HEARTBEAT_SECONDS = 20
# At the end the others wait for the first, which evaluates and draws the page.
SHUTDOWN_SECONDS = 24 * 3600
# What XLA says, by backend, where the connection to another process is gone.
LOST = ("gloo", "nccl", "connection", "heartbeat", "coordination", "socket", "unavailable")


class ProcessLost(ValueError):
    """Another process of the run has ended before its time."""


def join(count=None, index=None, coordinator=None, seconds=300):
    """Make this process one of `count` that train together; None is found from the launcher.

    coordinator: HOST:PORT of the first process, on which it listens. ValueError where Keras runs on
    another backend, where JAX finds no launcher, or where the others do not come in `seconds`.
    """
    if ops.backend() != "jax":
        raise ValueError(refusal(ops.backend()))
    import jax

    try:
        jax.distributed.initialize(
            coordinator,
            count,
            index,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
        devices = {}
        for device in jax.devices():
            devices[device.process_index] = devices.get(device.process_index, 0) + 1
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            "`processes` must find each other: give --processes, --process-id and --coordinator "
            f"where the launcher does not say them. Received: {reason}"
        ) from None
    if len(set(devices.values())) > 1:
        raise ValueError(
            "`processes` must have equally many devices each. Received: "
            + ", ".join(f"process {i}: {n}" for i, n in sorted(devices.items()))
        )


def refusal(backend):
    """The sentence for a backend on which a run is one process."""
    return (
        "`processes` must be 1 on this backend: only --backend jax trains in several processes "
        "(TensorFlow also takes --devices N on one machine; Keras' `fit` does not run under "
        f"MultiWorkerMirroredStrategy). Received: backend {backend!r}"
    )


def count():
    """How many processes train together."""
    if ops.backend() != "jax":
        return 1
    import jax

    return jax.process_count()


def index():
    """The number of this process, from 0."""
    if ops.backend() != "jax":
        return 0
    import jax

    return jax.process_index()


def device_count():
    """How many devices all processes have together."""
    import jax

    return jax.device_count()


def is_first():
    """Whether this process writes the run folder."""
    return index() == 0


def share(records):
    """The part of a list that is this process' own: neighbours, so that parts add up in order."""
    first, last = (len(records) * i // count() for i in (index(), index() + 1))
    return records[first:last]


def gathered(value):
    """The JSON values of all processes, in their order; each must call it."""
    if count() == 1:
        return [value]
    from jax.experimental import multihost_utils

    data = np.frombuffer(json.dumps(value).encode(), "uint8")
    # Arrays of one process each must have one shape: short ones are padded.
    lengths = np.asarray(multihost_utils.process_allgather(np.array([len(data)]))).ravel()
    padded = np.zeros(lengths.max(), "uint8")
    padded[: len(data)] = data
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(count(), -1)
    return [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]


def bytes_of_first(make):
    """The bytes that `make()` gives in the first process; the others do not call it."""
    if count() == 1:
        return make()
    from jax.experimental import multihost_utils

    data = np.frombuffer(make() if is_first() else b"", "uint8")
    # The length first: all processes must bring an array of one shape.
    length = int(multihost_utils.broadcast_one_to_all(np.array(len(data))))
    data = data if is_first() else np.zeros(length, "uint8")
    return np.asarray(multihost_utils.broadcast_one_to_all(data)).astype("uint8").tobytes()


def of_first(make):
    """The JSON value that `make()` gives in the first process."""
    return json.loads(bytes_of_first(lambda: json.dumps(make()).encode()))


def check_same(train_set, validation_set):
    """ValueError where the processes have read other annotations."""
    # Each process reads the annotations by itself. A stale copy on one machine would raise no
    # error: its part of each batch would have the boxes of other images.
    marks = gathered([_mark(train_set), _mark(validation_set)])
    other = [i for i, mark in enumerate(marks) if mark != marks[0]]
    if other:
        raise ValueError(
            "`annotations` must be the same in every process. Received: other images or boxes in "
            f"process {', '.join(map(str, other))} than in the first"
        )


def _mark(dataset):
    # Not `hash`: Python salts that of a text differently in every process.
    mark = zlib.crc32(repr(dataset.class_names).encode())
    for record in dataset.records:
        mark = zlib.crc32(record.file_name.encode("utf-8", "surrogatepass"), mark)
        mark = zlib.crc32(np.ascontiguousarray(record.boxes).tobytes(), mark)
        mark = zlib.crc32(np.ascontiguousarray(record.labels).tobytes(), mark)
    return mark


@contextlib.contextmanager
def alone():
    """Within the block Keras makes and runs models in this process only."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextlib.contextmanager
def losses_named(kept):
    """Within the block, what JAX raises where another process has ended is a `ProcessLost`.

    kept: path of the checkpoint.
    """
    try:
        yield
    except Exception as error:
        if count() == 1 or not _is_loss(error):
            raise
        raise ProcessLost(lost_line(kept)) from error


def lost_line(kept):
    """What a process says whose companion has ended."""
    return (
        "all processes of a run must last as long as it does. Received: another one has ended, so "
        f"this one ({index()} of {count()}) stops too; {kept} holds the last state saved, the same "
        "commands with --resume go on from it"
    )


def _is_loss(error):
    # JAX has no error of its own for this, so the words decide. A device without memory raises the
    # same class, and nobody else is to blame for that.
    if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
        return False
    text = str(error).lower()
    return "resource_exhausted" not in text and any(word in text for word in LOST)
