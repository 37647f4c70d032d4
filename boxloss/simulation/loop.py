"""Every step of the simulation in one compiled loop.

The gradient is that of boxloss' own losses by the backend's automatic differentiation: no formula
is written again here. TensorFlow (XLA) and JAX.
"""

import numpy as np

from boxloss.losses import IoULoss
from boxloss.tensors import boxes, formulas, ops

PARAMETRIZATIONS = {"cxcywh": "center_xywh", "xyxy": "xyxy"}
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam's paper


def compiled(function, *arrays):
    """`function` compiled by the backend in use for `arrays` (numpy) of these shapes and dtypes."""
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        # Without AutoGraph: there is no Python control flow to rewrite, and tracing is faster. A
        # concrete function does not warn that the next loss is another function.
        graph = tf.function(function, jit_compile=True, autograph=False).get_concrete_function(
            *(tf.TensorSpec(array.shape, array.dtype) for array in arrays)
        )
        return lambda *arrays: graph(*map(tf.constant, arrays))
    import jax

    return jax.jit(function)


def gradient(function, state):
    """The gradient of the scalar `function(state)`, `state` a tuple of tensors."""
    if ops.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state)
            value = function(state)
        return tape.gradient(value, state, unconnected_gradients="zero")
    import jax

    return jax.grad(function)(state)


def xyxy(state, parametrization):
    """The boxes (..., 4) of four tensors (...)."""
    return boxes.to_xyxy(ops.stack(state, axis=-1), PARAMETRIZATIONS[parametrization])


def parametrize(box, parametrization):
    """Four tensors (...) of boxes (..., 4) in xyxy."""
    return tuple(boxes.split(boxes.from_xyxy(box, PARAMETRIZATIONS[parametrization])))


def errors(loss, y_true, y_pred):
    """The error (...) of every box, by the formula itself where the loss is one.

    The sides are tensors of their own here, which XLA vectorises as they are: to repeat each of
    them along the boxes' last axis, as losses of arrays (..., 4) do, would cost several times more.
    """
    if loss.has_formula():
        terms = formulas.terms_by_sides(loss.formula, y_true, y_pred)
    else:
        terms = loss.errors(y_true, y_pred).terms
    return formulas.total(terms)


def iou_errors(y_true, y_pred):
    """1 - IoU (...) of ordered and inverted boxes alike."""
    loss = IoULoss(dtype=ops.dtype_name(y_pred))
    return formulas.terms_by_sides(loss.formula, y_true, y_pred)["overlap"]


def slope(loss, y_true, state, parametrization):
    """The gradient of every box's error with respect to its own four numbers."""

    def summed(state):
        # The sum over boxes: each error depends on its own box only.
        return ops.sum(errors(loss, y_true, xyxy(state, parametrization)))

    return gradient(summed, state)


def _descend(state, slopes, rate, step_scale):
    return tuple(x - rate * step_scale * g for x, g in zip(state, slopes, strict=True))


def _adam(state, slopes, moments, k, rate, cases):
    """One step of Adam on the mean over all `cases`.

    The mean divides every gradient by `cases`; instead the epsilon is multiplied by it, which is
    the same step and keeps squares of tiny gradients in the range of float32.
    """
    time = ops.cast(k + 1, ops.dtype_name(state[0]))
    first = tuple(BETA_1 * m + (1 - BETA_1) * g for m, g in zip(moments[0], slopes, strict=True))
    second = tuple(
        BETA_2 * v + (1 - BETA_2) * g * g for v, g in zip(moments[1], slopes, strict=True)
    )
    correct_1, correct_2 = 1 - ops.power(BETA_1, time), 1 - ops.power(BETA_2, time)
    state = tuple(
        x - rate * (m / correct_1) / (ops.sqrt(v / correct_2) + EPSILON * cases)
        for x, m, v in zip(state, first, second, strict=True)
    )
    return state, (first, second)


def walk(loss, protocol, parametrization, y_true, start, cases, observe, shapes):
    """Move the boxes `start` to `y_true`, xyxy (..., 4) both; called inside a compiled function.

    `observe(y_true, y_pred, overlap_errors)` gives a tuple of tensors of the static `shapes`.

    Returns the final boxes (..., 4) in xyxy, their 1 - IoU (...), whether each ever overlapped its
    target (...), and the values of `observe` at steps 0 to K, stacked.
    """
    dtype = ops.dtype_name(start)
    # One turn of the loop notes the boxes and then moves them. The last turn notes the final boxes
    # and moves nothing: a second copy of the body behind the loop would double the compilation.
    rates = ops.convert_to_tensor(np.asarray((*protocol.rates, 0.0), dtype))
    turns = protocol.steps + 1
    state = parametrize(start, parametrization)
    zeros = tuple(ops.zeros_like(x) for x in state)
    moments = (zeros, zeros) if protocol.optimizer == "adam" else ()
    records = tuple(ops.zeros((turns, *shape), dtype=dtype) for shape in shapes)
    never = ops.zeros_like(zeros[0], dtype="bool")

    def turn(k, carry):
        state, moments, _, overlapped, records = carry
        y_pred = xyxy(state, parametrization)
        apart = iou_errors(y_true, y_pred)
        overlapped = ops.logical_or(overlapped, ops.less(apart, ops.ones_like(apart)))
        records = tuple(
            ops.slice_update(record, (k, *(0,) * len(value.shape)), value[None])
            for record, value in zip(records, observe(y_true, y_pred, apart), strict=True)
        )
        slopes = slope(loss, y_true, state, parametrization)
        rate = ops.take(rates, k)
        if protocol.optimizer == "adam":
            state, moments = _adam(state, slopes, moments, k, rate, cases)
        else:
            state = _descend(state, slopes, rate, 1.0 + apart)  # 2 - IoU
        return state, moments, apart, overlapped, records

    carry = (state, moments, zeros[0], never, records)
    state, _, apart, overlapped, records = ops.fori_loop(0, turns, turn, carry)
    return xyxy(state, parametrization), apart, overlapped, records


def side_errors(y_true, y_pred):
    """|dx| + |dy| + |dw| + |dh| (...) of centres and sizes, the paper's error."""
    true, pred = (boxes.from_xyxy(box, "center_xywh") for box in (y_true, y_pred))
    return ops.sum(ops.abs(pred - true), axis=-1)
