"""What TensorFlow knows about the code around a call: who compiles it, who asks for derivatives.

The only import from `tensorflow.python` is here: TensorFlow has no public way to ask. boxloss must
know before a call which gradients are wanted: a program that gives value and gradient at once takes
twice the time of one that gives the value, and a program with a gradient of its own would be
recorded, with all of its intermediates, by every tape that is open. And in a graph that XLA
compiles a formula is written in another way (`formulas`).
"""


def _internals():
    from tensorflow import python

    return python


def _record():
    return _internals().eager.record


def in_xla():
    """Whether TensorFlow is building a graph that XLA will compile."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    of_graph = _internals().ops.control_flow_util.GraphOrParentsInXlaContext
    return of_graph(tf.compat.v1.get_default_graph())


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
