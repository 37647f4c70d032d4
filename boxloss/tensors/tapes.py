"""What TensorFlow knows about the derivatives that somebody will ask for.

Beside `ops.in_xla`, this is the only import from `tensorflow.python`: TensorFlow has no public way
to ask. boxloss must know before a call which gradients are wanted: a program that gives value and
gradient at once takes twice the time of one that gives the value, and a program with a gradient of
its own would be recorded, with all of its intermediates, by every tape that is open.
"""


def _record():
    from tensorflow.python.eager import record

    return record


def watch(tensors):
    """Whether an open tape watches any of the tensors. Tapes outside of a graph are not seen."""
    return bool(tensors) and _record().should_record_backprop(list(tensors))


def push_forward(tensors):
    """Whether a `tf.autodiff.ForwardAccumulator` follows any of the tensors."""
    # A pair of which the second holds the tangents: none where no accumulator is open.
    packed = _record().pywrap_tfe.TFE_Py_PackJVPs(list(tensors))
    return bool(packed[1])


def paused():
    """A context in which no tape records."""
    return _record().stop_recording()
