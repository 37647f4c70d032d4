"""How a formula of boxes is run: the one place that knows.

A formula says what one box costs. It takes the sides of the true and of the predicted box, two
tuples of tensors (...), and gives named terms (...). Written once, it is run in one of two ways:

- Operation by operation, unchanged, with the backend's own derivative. That serves eager calls,
  second derivatives, PyTorch (whose compiler fuses by itself) and whatever is traced by others.
- Fused, where XLA compiles it (TensorFlow and JAX). XLA differentiates a formula of sides well, but
  it puts the gradient of the four sides back into an array (..., 4) by a scatter or a
  concatenation, and neither is vectorised: on JAX that took 90 ms where the arithmetic takes 4.
  So every side is repeated along the last axis, the gradient is taken of the repeated sides, and
  of its four copies that of the place along the axis is chosen. All arrays of the loop then have
  the shape of the boxes. LLVM moves what is equal for the four places out of the innermost loop:
  no number is computed four times.

`errors` is the value of each box, `scalar` the sum of the errors by explicit factors.
"""

import functools

from boxloss.tensors import boxes, one_loop, ops


def total(terms):
    """The sum of named addends, in their order."""
    first, *others = terms.values()
    for term in others:
        first = first + term
    return first


def terms_by_sides(formula, y_true, y_pred, mask=None):
    """The formula, unchanged, of boxes (..., K) whose padding is replaced by zeros first."""
    return formula(*(boxes.fill_sides(boxes.split(x), mask) for x in (y_true, y_pred)))


def terms_and_errors(formula, y_true, y_pred, mask=None):
    """The named terms (...) of boxes (..., K) and (..., L), and their sum, the errors (...).

    Padding, where `mask` (...) is False, is filled before the arithmetic. What uses the outcome
    must have no gradient there.
    """
    if ops.compiles_to_one_loop(y_pred):
        if ops.backend() == "tensorflow":
            # The gradient of all terms together is written by hand in `one_loop`; the sum below is
            # differentiated as usual.
            terms = one_loop.terms(formula, y_true, y_pred, mask)
            return terms, total(terms)
        terms = terms_by_sides(formula, y_true, y_pred, mask)
        # The terms serve whoever reads the shares of a loss; their derivative is JAX's own. XLA
        # drops the part of the two that nobody uses.
        return terms, _jax_errors(formula)(y_true, y_pred, _all_real(y_pred, mask))
    terms = terms_by_sides(formula, y_true, y_pred, mask)
    return terms, total(terms)


def errors(formula, y_true, y_pred, mask=None):
    """The sum of the terms of each box, (...); see `terms_and_errors`."""
    return terms_and_errors(formula, y_true, y_pred, mask)[1]


def scalar(formula, y_true, y_pred, mask, factor):
    """The sum of errors times their factors, (); `factor` is a `losses.reduction.Factor`."""
    if ops.backend() == "tensorflow" and ops.compiles_to_one_loop(y_pred):
        value = one_loop.scalar(formula, y_true, y_pred, mask, factor)
        # None: the gradient cannot share the loop of the value here, see `one_loop.scalar`.
        if value is not None:
            return value
    return factor.applied(*masked(errors(formula, y_true, y_pred, mask), mask))


# Masks --------------------------------------------------------------------------------------------


def masked(values, mask):
    """`values` (B, N), 0 where `mask` is False, and the mask to count by.

    Where XLA compiles, the values are written to memory once: fused into the loop of a sum they
    would not be vectorised (on JAX 28 ms instead of 4). Padding is written as -0.0, and the mask is
    read from that: otherwise the true boxes would be read once more only to count them.
    """
    if not ops.compiles_to_one_loop(values):
        return ops.where(mask, values, ops.zeros_like(values)), mask
    # Two reads of the mask would be two reads of the true boxes, 16 bytes each for one bit.
    values = ops.written(one_loop.with_marks(values, mask))
    return values, one_loop.marks(values)


def count(mask, dtype):
    """How many of (B, N) are True, (B,)."""
    # As integers: XLA vectorises only those sums.
    return ops.cast(ops.sum(ops.cast(mask, "int32"), axis=-1), dtype)


# JAX ----------------------------------------------------------------------------------------------


def _all_real(boxes, mask):
    return ops.ones_like(boxes[..., 0], dtype="bool") if mask is None else mask


def _jax_errors(formula):
    """`errors(y_true, y_pred, mask)` with a forward derivative that XLA makes one loop of.

    `jax.custom_jvp`, not `custom_vjp`: JAX turns a forward derivative round, and `jax.jvp`,
    `jax.hessian` and `jax.vmap` keep working.
    """
    import jax

    @jax.custom_jvp
    def errors(y_true, y_pred, mask):
        return total(terms_by_sides(formula, y_true, y_pred, mask))

    @functools.partial(errors.defjvp, symbolic_zeros=True)
    def derivative(primals, tangents):
        *pair, mask = primals
        value = tangent = None
        # A boxes tensor that nobody differentiates, mostly the truth, has a symbolic zero as its
        # tangent. To skip it halves the work, for each place repeats the whole geometry.
        for place in (0, 1):
            if isinstance(tangents[place], jax.custom_derivatives.SymbolicZero):
                continue
            repeated, slope = _jax_slope(formula, pair, place, mask)
            part = (slope * tangents[place]).sum(axis=-1)
            tangent = part if tangent is None else tangent + part
            # The value is a by-product of the repeated formula: any of its four equal copies.
            value = repeated[..., 0] if value is None else value
        if value is None:
            value = total(terms_by_sides(formula, *pair, mask))
            tangent = ops.zeros_like(value)
        return value, tangent

    return errors


def _jax_slope(formula, pair, place, mask):
    """The errors, repeated, and their derivative by `pair[place]`, both of its shape."""
    import jax

    like = pair[place]

    def repeated(x):
        sides = [jax.numpy.broadcast_to(x[..., i : i + 1], like.shape) for i in range(x.shape[-1])]
        return boxes.fill_sides(sides, mask[..., None])

    sides = [repeated(x) for x in pair]

    def value(moved):
        return total(formula(*[moved if i == place else sides[i] for i in (0, 1)]))

    value, pull = jax.vjp(value, sides[place])
    (slopes,) = pull(ops.ones_like(value))
    # Place 0 takes the slope by x1, place 1 that by y1, and so on. A chain of selects is
    # vectorised; `stack` would become the concatenation that this function exists to avoid.
    axis = jax.lax.broadcasted_iota("int32", like.shape, like.ndim - 1)
    slope = slopes[-1]
    for i in range(like.shape[-1] - 2, -1, -1):
        slope = ops.where(axis == i, slopes[i], slope)
    return value, slope
