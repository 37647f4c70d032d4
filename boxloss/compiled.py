"""Losses compiled on the first use that pays: one loop for the value, one for the gradient.

Two parts.

- `box_terms` differentiates a formula of the sides of a box. Its gradient is recomputed from the
  boxes, and where XLA compiles it, it is written so that XLA makes a single loop of it.
- `Compiled` runs a function of tensors, and decides call by call what is worth compiling: a set of
  shapes is compiled when it comes for the third time. Shapes that never come back (other numbers
  of boxes at every call) cost no compilation; they run operation by operation at first, and from
  then on in one TensorFlow graph for all shapes.
"""

import collections
import contextlib
import contextvars
import functools

from boxloss import boxes, ops

WARM = 3  # The call with the same shapes that compiles them.
MOST = 16  # Compiled sets of shapes; more run in the graph for all shapes.
UNSEEN = 8  # Calls operation by operation, before the graph for all shapes is built.


# The gradient in one loop -------------------------------------------------------------------------


def box_terms(formula, y_true, y_pred, mask=None):
    """`formula(true, pred)` of the sides of boxes: two tuples of tensors (...), to named terms.

    `y_true` (..., K), `y_pred` (..., L). The terms are tensors (...). With `mask` (...) it is
    `formula(true, pred, mask)`.
    """
    if not _in_one_loop(y_pred):
        masks = () if mask is None else (mask,)
        return formula(boxes.split(y_true), boxes.split(y_pred), *masks)
    import tensorflow as tf

    names = []

    @tf.custom_gradient
    def terms_of(y_true, y_pred):
        masks = () if mask is None else (mask,)
        terms = formula(boxes.split(y_true), boxes.split(y_pred), *masks)
        names[:] = terms

        def gradient(*upstream):
            return _one_loop_gradient(formula, y_true, y_pred, mask, upstream)

        return tuple(terms.values()), gradient

    values = terms_of(y_true, y_pred)
    return dict(zip(names, values, strict=True))


_SIDES_APART = contextvars.ContextVar("sides_apart", default=False)


@contextlib.contextmanager
def sides_apart():
    """Inside, `box_terms` leaves the gradient to the backend.

    For a program that holds the four sides in tensors of their own: they are vectorised as they
    are, and repeating every side for the one loop over (..., 4) costs it several times more.
    """
    token = _SIDES_APART.set(True)
    try:
        yield
    finally:
        _SIDES_APART.reset(token)


def _in_one_loop(y_pred):
    if _SIDES_APART.get():
        return False
    return ops.backend() == "tensorflow" and ops.compiles_to_one_loop(y_pred)


def _one_loop_gradient(formula, y_true, y_pred, mask, upstream):
    """The gradient with respect to both boxes.

    Every side is repeated along the last axis and the gradient of each side is chosen by its place
    there. The outcome has the shape of the boxes, so XLA writes it by one loop over them, of which
    LLVM lifts all that is the same for the four sides out of the innermost: every number is
    computed once, in registers, and vectorised over the boxes.
    """
    import tensorflow as tf

    def repeated(x, like):
        return tuple(tf.broadcast_to(x[..., i : i + 1], tf.shape(like)) for i in range(x.shape[-1]))

    def chosen(gradients, like):
        place = tf.range(like.shape[-1])
        result = gradients[-1]
        for i in range(len(gradients) - 2, -1, -1):
            result = tf.where(tf.equal(place, i), gradients[i], result)
        return result

    outcome = []
    for index, like in enumerate((y_true, y_pred)):
        sides = [repeated(x, like) for x in (y_true, y_pred)]
        with tf.GradientTape() as tape:
            tape.watch(sides[index])
            masks = () if mask is None else (tf.broadcast_to(mask[..., None], tf.shape(like)),)
            terms = formula(*sides, *masks).values()
        gradients = tape.gradient(
            list(terms),
            sides[index],
            output_gradients=[tf.broadcast_to(u[..., None], tf.shape(like)) for u in upstream],
            unconnected_gradients="zero",
        )
        outcome.append(chosen(gradients, like))
    return tuple(outcome)


# Compilation on the third call --------------------------------------------------------------------


class Compiled:
    """`function(*tensors)`, any of them None, compiled where that pays; same value, same gradient.

    `function` must be pure: tensors in, a tensor or a structure of tensors out. `traces` counts how
    often it was traced.
    """

    def __init__(self, function):
        self.function = function
        self.traces = 0
        self._calls = collections.Counter()
        self._unseen = 0

    def __call__(self, *tensors):
        backend = ops.backend()
        if backend == "tensorflow":
            return self._unconverted(tensors)
        if backend == "jax":
            return self._call_jax(tensors)
        return self.function(*tensors)

    def _is_worth_it(self, signature):
        """Whether this call's shapes are compiled, or to be compiled now."""
        calls = self._calls[signature]
        if calls < WARM:
            if len(self._calls) > 1000:
                self._calls.clear()
            self._calls[signature] = calls = calls + 1
            if calls == WARM:
                full = sum(count == WARM for count in self._calls.values()) > MOST
                self._calls[signature] = WARM - 1 if full else WARM
                return not full
            return False
        return True

    # TensorFlow ---------------------------------------------------------------------------------

    @functools.cached_property
    def _unconverted(self):
        """Without AutoGraph, which rewrites what a user's function calls: there is no Python
        control flow over tensors here, and rewritten generators and closures do not all work."""
        import tensorflow as tf

        return tf.autograph.experimental.do_not_convert(self._call_tensorflow)

    def _call_tensorflow(self, tensors):
        import tensorflow as tf

        # A variable counts as a tensor, but tapes are asked about tensors only.
        tensors = tuple(
            tf.convert_to_tensor(x) if isinstance(x, tf.Variable) else x for x in tensors
        )
        if tf.distribute.has_strategy() or tf.config.functions_run_eagerly():
            # Sums over replicas cannot stand in a function of their own under XLA.
            return self.function(*tensors)
        if not tf.executing_eagerly():
            # In someone's graph: a cluster of its own where the shapes are known.
            known = all(x is None or x.shape.is_fully_defined() for x in tensors)
            return self.function(*tensors) if ops.in_xla() or not known else self._xla(tensors)
        signature = tuple(x if x is None else (x.dtype, *x.shape) for x in tensors)
        if self._is_worth_it(signature):
            return self._xla(tensors)
        self._unseen += 1
        return (self.function if self._unseen <= UNSEEN else self._graph)(*tensors)

    def _traced(self, *tensors):
        self.traces += 1
        return self.function(*tensors)

    @functools.cached_property
    def _graph(self):
        import tensorflow as tf

        return tf.function(self._traced, reduce_retracing=True, autograph=False)

    @functools.cached_property
    def _forward(self):
        import tensorflow as tf

        return tf.function(self._traced, jit_compile=True, autograph=False)

    @functools.cache  # noqa: B019 - as many as there are arguments
    def _backward(self, index):
        """The gradient for one argument, a function of all arguments and of the upstream ones."""
        import tensorflow as tf

        def backward(tensors, upstream):
            self.traces += 1
            return self._gradient(index, tensors, upstream)

        return tf.function(backward, jit_compile=True, autograph=False)

    def _gradient(self, index, tensors, upstream):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors[index])
            outcome = tf.nest.flatten(self.function(*tensors))
        return tape.gradient(
            [x for x in outcome if x is not None],
            tensors[index],
            output_gradients=upstream,
            unconnected_gradients="zero",
        )

    def _xla(self, tensors):
        """Value and gradient are compiled apart: nothing but the arguments is kept between them.

        TensorFlow's own gradient of a compiled function would keep, and copy, intermediates.
        """
        import tensorflow as tf
        from tensorflow.python.eager import record

        def is_watched(x):
            if x is None or not (x.dtype.is_floating and tf.is_tensor(x)):
                return False
            return not tf.executing_eagerly() or record.should_record_backprop((x,))

        watched = [index for index, x in enumerate(tensors) if is_watched(x)]
        if not watched:
            return self._forward(*tensors)
        structure = None

        @tf.custom_gradient
        def run(*_):
            nonlocal structure
            with record.stop_recording():
                structure = self._forward(*tensors)
            outcome = [x for x in tf.nest.flatten(structure) if x is not None]

            def gradient(*upstream):
                wanted = [x for x in (*tensors, *upstream) if x is not None]
                if record.should_record_backprop(wanted):
                    # A second derivative: XLA takes minutes to compile that of a fused loop.
                    return [self._gradient(index, tensors, upstream) for index in watched]
                return [self._backward(index)(tensors, upstream) for index in watched]

            return outcome, gradient

        outcome = iter(run(*(tensors[index] for index in watched)))
        return tf.nest.map_structure(lambda x: x if x is None else next(outcome), structure)

    # JAX ----------------------------------------------------------------------------------------

    def _call_jax(self, tensors):
        signature = tuple(x if x is None else (x.dtype, *x.shape) for x in tensors)
        if self._is_worth_it(signature):
            return self._jit(*tensors)
        return self.function(*tensors)

    @functools.cached_property
    def _jit(self):
        import jax

        def traced(*tensors):
            self.traces += 1
            return self.function(*tensors)

        return jax.jit(traced)


_of_functions: collections.OrderedDict = collections.OrderedDict()
FUNCTIONS = 256


def function_call(function, y_true, y_pred, *static):
    """`function(y_true, y_pred, *static)` by the `Compiled` of these `static`, hashable values."""
    key = (function, static)
    compiled = _of_functions.get(key)
    if compiled is None:
        compiled = Compiled(lambda y_true, y_pred: function(y_true, y_pred, *static))
        _of_functions[key] = compiled
        if len(_of_functions) > FUNCTIONS:
            _of_functions.popitem(last=False)
    return compiled(y_true, y_pred)
