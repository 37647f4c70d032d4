"""Functions of tensors, compiled on the first use that pays.

`Compiled` decides call by call what is worth compiling: a set of shapes is compiled when it comes
for the third time, or at once where it is large. Shapes that never come back (other numbers of
boxes at every call) cost no compilation; they run operation by operation at first, and on
TensorFlow from then on in one graph for all shapes.
"""

import collections
import functools
import math

from boxloss.tensors import ops, tapes

COMPILING_CALL = 3  # The call with the same shapes that compiles them.
MAX_PROGRAMS = 16  # Compiled sets of shapes; more run in the graph for all shapes.
CALLS_BEFORE_GRAPH = 8  # Calls operation by operation, before the graph for all shapes is built.
# Numbers of one argument from which the first call compiles: operation by operation a loss keeps
# about 50 arrays of (B, N), which for 10^7 boxes are gigabytes.
LARGE = 4 * 500_000


class Compiled:
    """`function(*tensors)`, any of them None, compiled where that pays; same value, same gradient.

    `function` must be pure: tensors in, a tensor or a structure of tensors out; `is_scalar`:
    that is one tensor (). `traces` counts how often it was traced.
    """

    def __init__(self, function, is_scalar=False):
        self.function = function
        self.is_scalar = is_scalar
        self.traces = 0
        self._programs = {}
        self._calls = collections.Counter()
        self._unseen = 0

    def __call__(self, *tensors):
        backend = ops.backend()
        if backend == "tensorflow":
            return ops.unconverted(self._call_tensorflow)(tensors)
        if backend == "jax":
            return self._call_jax(tensors)
        if backend == "torch":
            from boxloss.tensors import compiled_torch

            return compiled_torch.call(self, tensors)
        return self.function(*tensors)

    def traced(self, *tensors):
        """`function`, counted: whoever compiles it traces this."""
        self.traces += 1
        return self.function(*tensors)

    def is_worth_it(self, signature):
        """Whether this call's shapes are compiled, or to be compiled now."""
        calls = self._calls[signature]
        if calls >= COMPILING_CALL:
            return True
        if len(self._calls) > 1000:
            self._calls.clear()
        # Counts of shapes that came once or twice are dropped now and then: the table must not grow
        # with a stream of shapes.
        calls = COMPILING_CALL if _is_large(signature) else calls + 1
        if (
            calls == COMPILING_CALL
            and sum(count == COMPILING_CALL for count in self._calls.values()) >= MAX_PROGRAMS
        ):
            calls = COMPILING_CALL - 1
        self._calls[signature] = calls
        return calls == COMPILING_CALL

    # TensorFlow ---------------------------------------------------------------------------------

    def _call_tensorflow(self, tensors):
        import tensorflow as tf

        # A variable counts as a tensor, but tapes are asked about tensors only.
        tensors = tuple(
            tf.convert_to_tensor(x) if isinstance(x, tf.Variable) else x for x in tensors
        )
        present = [x for x in tensors if x is not None]
        if tf.distribute.has_strategy() or tf.config.functions_run_eagerly():
            # Sums over replicas cannot be in a function of their own under XLA.
            return self.function(*tensors)
        if not tf.executing_eagerly():
            # In someone's graph: a cluster of its own, where at most the number of images is
            # unknown, as in fit. It takes few values: XLA compiles for each.
            known = all(x.shape.rank is not None and None not in x.shape[1:] for x in present)
            return self.function(*tensors) if tapes.in_xla() or not known else self._xla(tensors)
        # The derivatives of the programs below are written by hand, and only backwards.
        if tapes.push_forward(present):
            return self.function(*tensors)  # no program here has a forward derivative
        if self.is_worth_it(signature_of(tensors)):
            return self._xla(tensors)
        # Shapes that change with every call, as the number of boxes of one image does, would
        # compile anew each time. One graph with open shapes is traced once.
        self._unseen += 1
        if self._unseen <= CALLS_BEFORE_GRAPH:
            return self.function(*tensors)
        return self._graph(tuple(None if x is None else x.shape.rank for x in tensors))(*tensors)

    def _graph(self, ranks):
        """The graph for all shapes; one for each set of ranks, which it cannot leave open."""
        import tensorflow as tf

        key = ("graph", ranks)
        if key not in self._programs:
            self._programs[key] = tf.function(self.traced, reduce_retracing=True, autograph=False)
        return self._programs[key]

    def _program(self, key, function, tensors, watched=()):
        """`function(*tensors)` compiled by XLA, a call without arguments; `key` names the function.

        It is traced outside of `tapes.paused()`, inside of which the function's own GradientTapes
        would record nothing. And it is traced for these shapes alone: tf.function would look at
        each argument of each call again.
        """
        import tensorflow as tf

        # Which arguments are watched belongs to the key: a program that stops the gradient of the
        # others is wrong for whoever watches them in the next call.
        key = (key, watched, signature_of(tensors))
        program = self._programs.get(key)
        places = [index for index, x in enumerate(tensors) if x is not None]
        present = [tensors[index] for index in places]
        if program is None:

            def traced(*present):
                self.traces += 1
                arguments = [None] * len(tensors)
                for index, x in zip(places, present, strict=True):
                    # Nobody will ask for a gradient of the others: see `one_loop`.
                    free = not x.dtype.is_floating or index in watched
                    arguments[index] = x if free else tf.stop_gradient(x)
                return function(*arguments)

            specs = [tf.TensorSpec(x.shape, x.dtype) for x in present]
            # A concrete function is called by its tensors alone. `tf.function` would look at the
            # type and shape of every argument again at each call.
            compiled = tf.function(traced, jit_compile=True, autograph=False)
            program = compiled.get_concrete_function(*specs)
            if tf.executing_eagerly():  # what belongs to someone's graph stays there
                self._programs[key] = program
        return lambda: program(*present)

    def _with_gradients(self, watched, tensors, upstream=None):
        """The outcome, and its gradients for the arguments `watched`."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch([tensors[index] for index in watched])
            outcome = self.function(*tensors)
        gradients = tape.gradient(
            [x for x in tf.nest.flatten(outcome) if x is not None],
            [tensors[index] for index in watched],
            output_gradients=upstream,
            unconnected_gradients="zero",
        )
        return outcome, gradients

    def _xla(self, tensors):
        """Compiled by XLA, with a gradient of its own.

        TensorFlow's gradient of a compiled function would keep, and copy, intermediates.
        """
        import tensorflow as tf

        floats = [i for i, x in enumerate(tensors) if x is not None and x.dtype.is_floating]
        watched = tuple(i for i in floats if tapes.watch([tensors[i]]))
        # Below 4 bytes the factor from above must be applied before the gradient is rounded.
        if self.is_scalar and watched and all(tensors[i].dtype.size >= 4 for i in watched):
            return self._at_once(tensors, watched)
        if not tf.executing_eagerly():
            watched = tuple(floats)  # A tape outside of this graph cannot be seen.
        if not watched:
            return self._program("value", self.function, tensors)()
        return self._one_by_one(tensors, watched)

    def _at_once(self, tensors, watched):
        """A scalar has one gradient, up to a factor: one program gives both.

        Half precision is left out: there the factor belongs before the rounding.
        """
        import tensorflow as tf

        def both(*tensors):
            value, gradients = self._with_gradients(watched, tensors)
            return value, *gradients

        program = self._program("both", both, tensors, watched)

        @tf.custom_gradient
        def run(*_):
            with tapes.paused():
                value, *gradients = program()

            def gradient(upstream):
                # A tape that is open now will differentiate this gradient, and a finished number
                # has no derivative: it is computed again, in operations that the tape sees.
                if tapes.watch([x for x in tensors if x is not None]):
                    return self._with_gradients(watched, tensors, [upstream])[1]
                # `tape.gradient(loss, ...)` starts with 1: multiplying by it would read and write
                # every gradient once more.
                if _is_one(upstream):
                    return gradients
                return [upstream * x for x in gradients]

            return value, gradient

        return run(*(tensors[index] for index in watched))

    def _one_by_one(self, tensors, watched):
        """Nothing but the arguments is kept between the program of the value and the gradient's."""
        import tensorflow as tf

        program = self._program("value", self.function, tensors, watched)
        structure = None

        @tf.custom_gradient
        def run(*_):
            nonlocal structure
            with tapes.paused():
                structure = program()
            outcome = [x for x in tf.nest.flatten(structure) if x is not None]

            def gradient(*upstream):
                wanted = [x for x in (*tensors, *upstream) if x is not None]
                if tapes.watch(wanted):
                    # A second derivative: XLA takes minutes to compile that of a fused loop.
                    return self._with_gradients(watched, tensors, upstream)[1]

                def gradients(*arguments):
                    own, upstream = arguments[: len(tensors)], arguments[len(tensors) :]
                    return self._with_gradients(watched, own, upstream)[1]

                return self._program("gradient", gradients, (*tensors, *upstream), watched)()

            return outcome, gradient

        outcome = iter(run(*(tensors[index] for index in watched)))
        return tf.nest.map_structure(lambda x: x if x is None else next(outcome), structure)

    # JAX ----------------------------------------------------------------------------------------

    def _call_jax(self, tensors):
        if self.is_worth_it(signature_of(tensors)):
            return self._jit(*tensors)
        return self.function(*tensors)

    @functools.cached_property
    def _jit(self):
        import jax

        return jax.jit(self.traced)


def signature_of(tensors):
    """dtype and shape of each, hashable; None stays None."""
    return tuple(x if x is None else (x.dtype, *x.shape) for x in tensors)


def _is_large(signature):
    known = [x[1:] for x in signature if x is not None and None not in x]
    return any(math.prod(shape) >= LARGE for shape in known)


def _is_one(upstream):
    """Whether the gradient from above is known to be 1, without waiting for an accelerator."""
    import tensorflow as tf

    if not tf.executing_eagerly():
        upstream = tf.get_static_value(upstream)
        return upstream is not None and upstream == 1
    return "CPU" in upstream.backing_device and float(upstream) == 1.0


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
