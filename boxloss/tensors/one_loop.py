"""TensorFlow's fused loops: a formula and its gradient in as few loops as XLA can be brought to.

Why this file. A loss with its gradient must read two boxes and write one gradient, and at a
million boxes memory is what it waits for. XLA's CPU compiler writes one outcome by one loop. Left
alone it makes a loop for the errors, one for the gradient and one for the number of real boxes, and
each reads the boxes and computes the geometry again. `scalar` makes one loop of the three: ciou
takes 4.2 ms instead of 6.5 at a million boxes, siou 4 adds instead of 5 to 7. What is below is the
price of that:

1. Two outcomes of one loop. XLA does not take a reduction with several outcomes apart if they have
   one shape. So gradient and errors are the outcomes of a reduction over an axis of two equal
   halves, which LLVM reduces to nothing. The gradient has four numbers per box and the error one:
   the error leaves the loop as four bytes, each where the gradient of one side is.
2. The factor of a box in the scalar is mostly one over the number of real boxes of its image, which
   nobody knows before the boxes are read. The loop takes every box for real, marks those that are
   not (an error of -0.0), and where there were any, the gradient is scaled afterwards.
3. Places and zeros that XLA can see through become constants in memory or branches in the loop;
   LLVM must see through them. Hence the arithmetic with bits.

`terms` is the pair of loops without 1 and 2, for everything that is not a scalar under a tape.
"""

import functools

from boxloss.tensors import boxes, ops, tapes


def terms(formula, y_true, y_pred, mask=None):
    """Named terms (...) of a formula, as `formulas.terms_and_errors`; their gradient is one loop.

    Nothing but the boxes is kept for it: it computes the terms again.
    """
    import tensorflow as tf

    # A custom gradient returns a tuple of tensors. The names of the terms come out by this list,
    # which the formula fills while it is traced.
    names, pair = [], (y_true, y_pred)
    places = _watched(pair)

    # The tensors that carry the gradient are the arguments; the others are closed over. Were all of
    # them arguments, `gradient` would have to return those of the truth, which nobody wants.
    @tf.custom_gradient
    def terms_of(*_):
        sides = (boxes.fill_sides(boxes.split(x), mask) for x in pair)
        outcome = formula(*sides)
        names[:] = outcome

        def gradient(*upstream):
            return [_gradient(formula, pair, i, mask, upstream) for i in places]

        return tuple(outcome.values()), gradient

    values = terms_of(*(pair[i] for i in places))
    return dict(zip(names, values, strict=True))


def _watched(pair):
    """The places in `pair` of which a gradient can be asked for: not those behind stop_gradient.

    To trace the gradient of the true boxes takes a third of the time of a compilation, and they
    are seldom learned. `compiled` puts a stop_gradient before what no tape watches.
    """
    operations = [getattr(x, "op", None) if hasattr(x, "graph") else None for x in pair]
    stopped = [op is not None and op.type == "StopGradient" for op in operations]
    return [i for i in (0, 1) if not stopped[i]] or [0, 1]


def _gradient(formula, pair, index, mask, upstream):
    return _terms_and_gradient(formula, pair, index, mask, upstream)[1]


def _terms_and_gradient(formula, pair, index, mask, upstream):
    """The terms, and their gradient with respect to `pair[index]`, of (y_true, y_pred).

    Every side is repeated along the last axis and the gradient of each side is chosen by its place
    there, which is given too. The outcome has the shape of the boxes, so XLA writes it by one loop
    over them, of which LLVM lifts all that is the same for the four sides out of the innermost:
    every number is computed once, in registers, and vectorised over the boxes.

    `upstream`: (...) of each term, or one tensor (...) of all of them.
    """
    import tensorflow as tf

    def repeated(x, like):
        return tuple(tf.broadcast_to(x[..., i : i + 1], tf.shape(like)) for i in range(x.shape[-1]))

    like = pair[index]
    masks = None if mask is None else tf.broadcast_to(mask[..., None], tf.shape(like))
    sides = [boxes.fill_sides(repeated(x, like), masks) for x in pair]
    with tf.GradientTape() as tape:
        tape.watch(sides[index])
        terms = list(formula(*sides).values())
    # The sum of the terms has one upstream gradient, which is that of each term.
    upstream = upstream if isinstance(upstream, (list, tuple)) else [upstream] * len(terms)
    gradients = tape.gradient(
        terms,
        sides[index],
        output_gradients=[tf.broadcast_to(u[..., None], tf.shape(like)) for u in upstream],
        unconnected_gradients="zero",
    )
    place = _place(like)
    gradient = gradients[-1]
    for i in range(len(gradients) - 2, -1, -1):
        gradient = tf.where(tf.equal(place, tf.constant(i, tf.uint32)), gradients[i], gradient)
    return terms, gradient, place


def _place(like):
    """0, 1, 2, ... along the last axis, in a way that LLVM sees through and XLA does not.

    Of places known to XLA it would make constants in memory, and a branch for each side of each
    box of the loop.
    """
    import tensorflow as tf

    # The sign bit, moved out: zero whatever the number is. XLA's simplifier does not follow two
    # shifts, LLVM's does.
    zero = tf.bitwise.right_shift(tf.bitcast(like, tf.uint32), tf.constant(31, tf.uint32))
    zero = tf.bitwise.right_shift(zero, tf.constant(1, tf.uint32))
    return zero + tf.constant(list(range(like.shape[-1])), tf.uint32)


# Marks: errors of -0.0 are padding ---------------------------------------------------------------


def with_marks(values, mask):
    """`values`, and -0.0 outside `mask`, which no value inside is and which changes no sum."""
    values = values + ops.hidden_zero(mask)  # -0.0 + 0.0 = 0.0
    return ops.where(mask, values, -ops.zeros_like(values))


def marks(values):
    """The mask of `with_marks`."""
    return ops.not_equal(ops.bits(values), ops.bits(-ops.zeros_like(values)))


def _count(real, dtype):
    """How many of (B, N) are True, (B,)."""
    import tensorflow as tf

    # Sixteen in a byte first, one from each sixteenth of an image: half the time of a plain sum.
    images, boxes = tf.shape(real)[0], tf.shape(real)[1]
    whole = boxes - boxes % 16
    bytes_ = tf.reshape(tf.cast(real[:, :whole], tf.int8), [images, 16, whole // 16])
    number = tf.reduce_sum(tf.cast(tf.reduce_sum(bytes_, axis=1), tf.int32), axis=-1)
    return tf.cast(number + tf.reduce_sum(tf.cast(real[:, whole:], tf.int32), axis=-1), dtype)


# Value and gradient in one loop -------------------------------------------------------------------


@functools.cache
def writes_several():
    """Whether XLA makes a vectorised loop of a reduction with several outcomes.

    It does for CPUs from TensorFlow 2.21; that of 2.15 takes two to five times as long as for two
    loops. On GPUs it has not been measured.
    """
    import tensorflow as tf

    # By the version, because a wrong guess costs time and nothing else: to time both ways here
    # would cost two compilations.
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    return version >= (2, 21) and not tf.config.list_physical_devices("GPU")


def scalar(formula, y_true, y_pred, mask, factor):
    """The sum of errors times their factors, (), its gradient written by the loop of its value.

    None where that cannot be or would not pay: where no tape watches the boxes, so that nobody is
    known to ask for the gradient, or where one watches the weights, whose gradient are the errors.
    """
    import tensorflow as tf

    pair = y_true, y_pred
    weights = [x for x in (factor.box, factor.image) if x is not None]
    # The four bytes of a float32 error fit the four sides of a box, and nothing else: boxes of five
    # or seven numbers take two loops.
    if not writes_several() or y_pred.shape[-1] != 4 or tapes.watch(weights):
        return None
    if not tapes.watch(pair):
        return None
    # The gradient that shares the loop should be the one that is asked for: that of the
    # predictions, in a training.
    places = sorted(_watched(pair), key=lambda i: not tapes.watch([pair[i]]))

    @tf.custom_gradient
    def run(*_):
        # Point 2 above: as if each of the N boxes of each image were real.
        every = tf.cast(tf.shape(mask)[1], y_pred.dtype) * tf.ones_like(y_pred[:, 0, 0])
        by_box = factor.of_boxes(every, tf.shape(mask))
        slope, marked = _gradient_and_errors(formula, pair, places[0], mask, by_box)
        number = _count(marks(marked), y_pred.dtype)
        assumed, true = factor.divisor(every), factor.divisor(number)

        @tf.custom_gradient
        def first_slope(*_):
            def second(upstream):
                """A reduction of several outcomes has no derivative: that of two loops has."""
                with tf.GradientTape() as tape:
                    tape.watch(arguments)
                    again = _gradient(
                        formula, pair, places[0], mask, factor.of_boxes(number, tf.shape(mask))
                    )
                return tape.gradient(again, arguments, upstream, unconnected_gradients="zero")

            return _corrected(slope, assumed, true), second

        def gradient(upstream):
            slopes = [first_slope(*arguments)]
            for i in places[1:]:
                slopes.append(_corrected(_gradient(formula, pair, i, mask, by_box), assumed, true))
            return [upstream * x for x in slopes]

        return factor.sum(marked, true), gradient

    arguments = [pair[i] for i in places]
    return run(*arguments)


def _corrected(gradient, assumed, true):
    """`gradient` as it is with the `true` divisors of the images; None: there are none."""
    import tensorflow as tf

    if assumed is None:
        return gradient
    ratio = tf.reshape(assumed / true, [-1, 1, 1])
    # Images without padding, the usual batch of a dense head, need no correction. A `tf.cond` would
    # do, but XLA copies the gradient for it.
    # A loop of one round or none: XLA lets it write where it reads, and copies for a condition.
    _, gradient = tf.while_loop(
        lambda wrong, _: wrong,
        lambda _, gradient: (tf.constant(False), gradient * ratio),
        (tf.reduce_any(tf.not_equal(assumed, true)), gradient),
    )
    return gradient


def _gradient_and_errors(formula, pair, index, mask, factor):
    """Gradient (..., 4) and errors (...), -0.0 at padding, of one loop.

    Two outcomes of one loop have one shape. So it writes the four bytes of the error of a box where
    the gradients of its four sides are.
    """
    import tensorflow as tf

    terms, gradient, place = _terms_and_gradient(formula, pair, index, mask, factor)
    errors = terms[0]
    for term in terms[1:]:
        errors = errors + term
    errors = with_marks(errors, tf.broadcast_to(mask[..., None], tf.shape(errors)))
    # Place i along the last axis keeps byte i of the error; outside of the loop the four bytes are
    # put together again.
    shift = place * tf.constant(8, tf.uint32)
    one_byte = tf.cast(tf.bitwise.right_shift(tf.bitcast(errors, tf.uint32), shift), tf.uint8)
    gradient, byte = _written_together(gradient, one_byte)
    word = tf.cast(byte[..., 0], tf.uint32)
    for i in (1, 2, 3):
        part = tf.bitwise.left_shift(tf.cast(byte[..., i], tf.uint32), tf.constant(8 * i, "uint32"))
        word = tf.bitwise.bitwise_or(word, part)
    return gradient, ops.written(tf.bitcast(word, tf.float32))


def _written_together(*tensors):
    """`tensors` of one shape, as the outcomes of one reduction, which XLA does not take apart.

    It goes over an axis along which everything is repeated twice, and takes the last.
    """
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    # The reducer gets the accumulators first and then the new values. To keep the new ones makes
    # the reduction over two equal copies an identity, whatever its initial value.
    numbers = [tf.TensorSpec([], x.dtype) for x in tensors]
    last = tf.function(lambda *both: both[len(tensors) :], autograph=False)
    return gen_xla_ops.xla_variadic_reduce_v2(
        [tf.broadcast_to(x[..., None], tf.concat([tf.shape(x), [2]], 0)) for x in tensors],
        [tf.zeros([], x.dtype) for x in tensors],
        [tensors[0].shape.rank],
        last.get_concrete_function(*numbers, *numbers),
    )
