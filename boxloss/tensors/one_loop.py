"""Formulas of boxes, differentiated in as few loops over the boxes as XLA can be brought to write.

- `box_terms` differentiates a formula of the sides of a box. Its gradient is recomputed from the
  boxes, and where XLA compiles it, it is written so that XLA makes a single loop of it.
- `value_and_gradient` traces a scalar that is linear in such terms, so that their values come out
  of the loop of the gradient: each box is read once, and its geometry computed once.
"""

import contextlib
import contextvars
import functools

from boxloss.tensors import boxes, ops


def box_terms(formula, y_true, y_pred, mask=None):
    """`formula(true, pred)` of the sides of boxes: two tuples of tensors (...), to named terms.

    `y_true` (..., K), `y_pred` (..., L). The terms are tensors (...). Where `mask` (...) is False
    is padding, filled before the arithmetic; what uses the terms must have no gradient there.
    """

    def filled(y_true, y_pred):
        return formula(*(boxes.fill_sides(boxes.split(x), mask) for x in (y_true, y_pred)))

    if not _is_one_loop(y_pred):
        return filled(y_true, y_pred)
    import tensorflow as tf

    names = []
    pair = y_true, y_pred
    watched = _watched(pair)
    joint = _active()
    if joint is not None:
        return joint.terms(formula, pair, mask, watched)

    @tf.custom_gradient
    def terms_of(*_):
        with ops.values_only():
            terms = filled(*pair)
        names[:] = terms

        def gradient(*upstream):
            return [_gradient(formula, pair, i, mask, upstream) for i in watched]

        return tuple(terms.values()), gradient

    values = terms_of(*(pair[i] for i in watched))
    return dict(zip(names, values, strict=True))


# Inside, no tape but those that are open there will ask for a gradient.
tapes_known = ops.Flag("tapes_known")


def _watched(pair):
    """The places in `pair` of which a gradient can be asked for.

    To trace the gradient of the true boxes takes a third of the time of a compilation, and they
    are seldom learned.
    """
    from tensorflow.python.eager import record

    recorded = [i for i in (0, 1) if record.should_record_backprop((pair[i],))]
    return recorded if recorded and tapes_known else [0, 1]


# Inside, `box_terms` leaves the gradient to the backend. For a program that holds the four sides in
# tensors of their own: they are vectorised as they are, and repeating every side for the one loop
# over (..., 4) costs it several times more.
sides_apart = ops.Flag("sides_apart")


def _is_one_loop(y_pred):
    if sides_apart:
        return False
    return ops.backend() == "tensorflow" and ops.compiles_to_one_loop(y_pred)


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

    zero = tf.bitwise.right_shift(tf.bitcast(like, tf.uint32), tf.constant(31, tf.uint32))
    zero = tf.bitwise.right_shift(zero, tf.constant(1, tf.uint32))
    return zero + tf.constant(list(range(like.shape[-1])), tf.uint32)


# Padding that values tell -------------------------------------------------------------------------


def masked(values, mask):
    """`values`, 0 where `mask` is False."""
    joint = _active()
    if joint is not None and any(values is x for x in joint.values):
        return values  # -0.0 already
    return ops.where(mask, values, ops.zeros_like(values))


def seen_mask(mask):
    """`mask` of the boxes, read from their values where those tell it."""
    joint = _active()
    return mask if joint is None or joint.real is None else joint.real


def marked(values, mask):
    """`values` (B, N), 0 outside `mask`, written once, and `mask` as read from them.

    Otherwise XLA would read the true boxes once more only to count them.
    """
    if ops.backend() != "tensorflow" or not ops.compiles_to_one_loop(values) or _active():
        return values, mask
    values = ops.written(_with_marks(values, mask))
    return values, _marks(values)


def _with_marks(values, mask):
    """`values`, and -0.0 outside `mask`, which no value inside is and which changes no sum."""
    values = values + ops.hidden_zero(mask)  # -0.0 + 0.0 = 0.0
    return ops.where(mask, values, -ops.zeros_like(values))


def _marks(values):
    return ops.not_equal(ops.bits(values), ops.bits(-ops.zeros_like(values)))


# Value and gradient in one loop -------------------------------------------------------------------


def value_and_gradient(function, arguments, with_gradients):
    """`with_gradients()`, the scalar `function()` and its gradients, one loop for both.

    `arguments`: the tensors whose gradients are asked for. None where that cannot be: where
    `function` has no `box_terms`, or is not linear in them.

    The gradient of a box needs the factor by which the scalar multiplies its error. So `function`
    is traced once with zeros for the errors, only to ask a tape for the factors; then the loop is
    written; then `with_gradients` is traced with what the loop gives. Most factors are one over the
    number of real boxes, which is not known before the boxes are read. The loop takes all of them
    for real, counts on the way, and where that was wrong the gradients are scaled afterwards.
    """
    import tensorflow as tf

    if not writes_several():
        return None
    joint = _Joint()
    with joint.active():
        with tf.GradientTape() as joint.tape:
            joint.tape.watch(arguments)
            outcome = function()
        if not joint.write(outcome):
            return None
        return with_gradients()


@functools.cache
def writes_several():
    """Whether XLA makes a vectorised loop of a reduction with several outcomes.

    It does for CPUs from TensorFlow 2.21; that of 2.15 takes two to five times as long as for two
    loops. On GPUs it has not been measured.
    """
    import tensorflow as tf

    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    return version >= (2, 21) and not tf.config.list_physical_devices("GPU")


def count(mask, dtype):
    """How many of (B, N) are True, (B,); while the factors are asked for, all of them."""
    joint = _active()
    if joint is None:
        # As integers: XLA vectorises only those sums.
        return ops.cast(ops.sum(ops.cast(mask, "int32"), axis=-1), dtype)
    import tensorflow as tf

    images, boxes = mask.shape
    if joint.real is None:
        joint.count = tf.identity(boxes * tf.ones_like(mask[:, 0], dtype))
        return joint.count
    # Sixteen in a byte first, one from each sixteenth of an image: half the time.
    whole = boxes - boxes % 16
    bytes_ = tf.reshape(tf.cast(mask[:, :whole], tf.int8), [images, 16, whole // 16])
    number = tf.reduce_sum(tf.cast(tf.reduce_sum(bytes_, axis=1), tf.int32), axis=-1)
    return tf.cast(number + tf.reduce_sum(tf.cast(mask[:, whole:], tf.int32), axis=-1), dtype)


def divides(divisor):
    """Tells that image losses are divided by `divisor`, (B,) or (), made from that count."""
    joint = _active()
    if joint is not None:
        joint.divisors.append(divisor)


_joint: contextvars.ContextVar = contextvars.ContextVar("joint", default=None)


def _active():
    # torch.compile cannot look into a context.
    return _joint.get() if ops.backend() == "tensorflow" else None


class _Joint:
    """What `box_terms` says while the factors are asked for, and once the loops are written."""

    def __init__(self):
        self.tape = None
        self.calls = []  # of box_terms, each with the zeros that it gave
        self.count = None  # of real boxes, assumed
        self.counts = False  # whether the factors are made from it
        self.divisors = []  # assumed, then true
        self.written = []  # (errors, gradients) of each call
        self.values = []  # what box_terms gave in the end
        self.real = None  # the mask, as the first errors tell it

    @contextlib.contextmanager
    def active(self):
        token = _joint.set(self)
        try:
            yield
        finally:
            _joint.reset(token)

    def terms(self, formula, pair, mask, watched):
        import tensorflow as tf

        if self.real is None:
            zeros = tf.identity(tf.zeros_like(pair[1][..., 0]))
            self.tape.watch(zeros)
            self.calls.append((formula, pair, mask, watched, zeros))
            return {"total": zeros}
        errors, gradients = self.written[len(self.values)]

        @tf.custom_gradient
        def errors_of(*_):
            return errors, lambda upstream: [self._scaled(x) for x in gradients]

        self.values.append(errors_of(*(pair[i] for i in watched)))
        return {"total": self.values[-1]}

    def write(self, outcome):
        """Write a loop for each call; False where it cannot be."""
        if any(mask is None or pair[1].shape[-1] != 4 for _, pair, mask, *_ in self.calls):
            return False
        zeros = [call[-1] for call in self.calls]
        factors = self.tape.gradient(outcome, zeros) if zeros else []
        if not factors or None in factors:
            return False
        needs = _ancestors(factors)
        if any(x.op in needs for x in zeros):
            return False
        self.counts = self.count is not None and self.count.op in needs
        for (formula, pair, mask, watched, _), factor in zip(self.calls, factors, strict=True):
            first, *others = watched
            gradient, errors = _gradient_and_errors(formula, pair, first, mask, factor)
            rest = [_gradient(formula, pair, i, mask, factor) for i in others]
            self.written.append((errors, [gradient, *rest]))
        self.real = _marks(self.written[0][0])
        return True

    def _scaled(self, gradient):
        """`gradient` as it is with the true divisors."""
        import tensorflow as tf

        if not self.counts:
            return gradient
        assumed, true = self.divisors
        ratio = tf.reshape(assumed / true, [-1, 1, 1])
        # A loop of one round or none: XLA lets it write where it reads, and copies for a condition.
        _, gradient = tf.while_loop(
            lambda wrong, _: wrong,
            lambda _, gradient: (tf.constant(False), gradient * ratio),
            (tf.reduce_any(tf.not_equal(assumed, true)), gradient),
        )
        return gradient


def _ancestors(tensors):
    """The operations of this graph that `tensors` are computed from."""
    found, ahead = set(), [x.op for x in tensors]
    while ahead:
        operation = ahead.pop()
        if operation not in found:
            found.add(operation)
            ahead += [x.op for x in operation.inputs]
    return found


def _gradient_and_errors(formula, pair, index, mask, factor):
    """Gradient (..., 4) and errors (...), -0.0 at padding, of one loop.

    Two outcomes of one loop have one shape. So it writes the four bytes of the error of a box where
    the gradients of its four sides stand.
    """
    import tensorflow as tf

    terms, gradient, place = _terms_and_gradient(formula, pair, index, mask, factor)
    errors = terms[0]
    for term in terms[1:]:
        errors = errors + term
    errors = _with_marks(errors, tf.broadcast_to(mask[..., None], tf.shape(errors)))
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

    numbers = [tf.TensorSpec([], x.dtype) for x in tensors]
    last = tf.function(lambda *both: both[len(tensors) :], autograph=False)
    return gen_xla_ops.xla_variadic_reduce_v2(
        [tf.broadcast_to(x[..., None], [*x.shape, 2]) for x in tensors],
        [tf.zeros([], x.dtype) for x in tensors],
        [tensors[0].shape.rank],
        last.get_concrete_function(*numbers, *numbers),
    )
