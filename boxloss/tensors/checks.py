"""Every error message about an argument.

One sentence, one line: the argument, the rule, what was received. Static shapes only: a dimension
that a graph does not know matches anything, and no check costs work on the device.
"""

import difflib
import inspect
import math
import numbers

import numpy as np


def one_of(argument, value, allowed):
    """`value` if it is among `allowed`, else an error that names a near match."""
    allowed = sorted(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    message = f"`{argument}` must be one of {', '.join(map(repr, allowed))}."
    near = difflib.get_close_matches(str(value).lower(), allowed, n=1)
    # A typing error is the usual reason, and the list alone is long.
    if near:
        message += f" Did you mean {near[0]!r}?"
    raise ValueError(f"{message} Received: {argument}={value!r}")


def _keyword_arguments(owner):
    parameters = inspect.signature(owner).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def arguments_of(argument, given, owner, reserved=()):
    """Each name in `given` is a keyword argument of the class `owner`, and not `reserved`."""
    allowed = _keyword_arguments(owner) - set(reserved)
    for name in given:
        one_of(argument, name, allowed)


def no_other_arguments(owner, given):
    """Nothing is left of the keyword arguments of the class `owner`; else what was meant."""
    for name, value in given.items():
        allowed = sorted(_keyword_arguments(owner))
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(
            f"`{name}` must be an argument of {owner.__name__}, one of "
            f"{', '.join(map(repr, allowed))}.{hint} Received: {name}={value!r}"
        )


def number(argument, value, rule, holds):
    """`value` as a float if it is a finite real number for which `holds` is true."""
    # bool is a number in Python; True as a weight is a mistake that nobody would see.
    good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not good or not _is_finite(value) or not holds(value):
        raise ValueError(f"`{argument}` must be {rule}. Received: {argument}={value!r}")
    return float(value)


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above 1e308, which a broken file may hold
        return False


def positive(argument, value):
    return number(argument, value, "a number above 0", lambda x: x > 0)


def non_negative(argument, value):
    return number(argument, value, "a number of at least 0", lambda x: x >= 0)


def fraction(argument, value):
    return number(argument, value, "a number above 0 and at most 1", lambda x: 0 < x <= 1)


def count(argument, value):
    number(argument, value, "a whole number of at least 1", lambda x: x >= 1 and x == int(x))
    return int(value)


def flag(argument, value):
    if not isinstance(value, bool):
        raise ValueError(f"`{argument}` must be True or False. Received: {argument}={value!r}")
    return value


def exactly_one(**arguments):
    given = [name for name, value in arguments.items() if value is not None]
    if len(given) != 1:
        names = " and ".join(f"`{name}`" for name in arguments)
        received = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise ValueError(f"exactly one of {names} must be given. Received: {received}")


def image_shape(value):
    """(height, width), both above 0, as a tuple of floats."""
    try:
        height, width = value
    except (TypeError, ValueError):
        raise ValueError(
            f"`image_shape` must be (height, width). Received: image_shape={value!r}"
        ) from None
    rule = "(height, width), two numbers above 0"
    return tuple(number("image_shape", side, rule, lambda x: x > 0) for side in (height, width))


def image_shapes(shape, images):
    """The shape of a tensor of (height, width): of each of `images`, or one for all."""
    if shape != (2,) and not _match(shape, (images, 2)):
        raise ValueError(
            "`image_shape` must be (height, width), or a tensor (B, 2) of them. "
            f"Received: image_shape.shape={shape} for B={images}"
        )


def shape_of(x):
    """The static shape of a tensor, an array or nested lists."""
    from boxloss.tensors import ops  # not above: whoever checks numbers needs no Keras

    return ops.static_shape(x) if hasattr(x, "shape") else np.shape(x)


def numeric(argument, x):
    """ValueError, with the remedy, where `x` is nothing that becomes a tensor of numbers.

    Without it the libraries answer with a page about what they could not convert, and PyTorch,
    TensorFlow and numpy each in another way.
    """
    if type(x).__name__ == "RaggedTensor":
        raise ValueError(
            f"`{argument}` must have as many boxes in each image, padded with rows of -1: "
            f"{argument}.to_tensor(-1.0). Received: a RaggedTensor"
        )
    if isinstance(x, (list, tuple)):
        x = _array_of(argument, x)
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        kind = "None" if x is None else f"a {type(x).__name__}"
        hint = f" ({argument}[KEY] of it)" if isinstance(x, dict) else ""
        raise ValueError(f"`{argument}` must be a tensor or an array{hint}. Received: {kind}")
    if getattr(dtype, "kind", "") in ("U", "S", "O") or str(getattr(dtype, "name", "")) == "string":
        raise ValueError(f"`{argument}` must hold numbers. Received: dtype {dtype}")


def _array_of(argument, x):
    """A list as an array; rows of several lengths are an error, lists of tensors are left alone."""
    try:
        return np.asarray(x)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            return np.zeros(())
        raise ValueError(
            f"`{argument}` must have as many boxes in each image, padded with rows of -1. "
            "Received: lists of several lengths"
        ) from None
    except Exception:  # symbolic tensors in a list, which the backend stacks
        return np.zeros(())


def _match(a, b):
    return len(a) == len(b) and all(
        m is None or n is None or m == n for m, n in zip(a, b, strict=True)
    )


def boxes(y_true, y_pred, size=4, prediction_size=None, rank=None):
    """Both end in boxes of `size` numbers (predictions of `prediction_size`) and are alike before.

    `rank` 3 asks for (B, N, size); None allows any leading axes.
    """
    true, pred = shape_of(y_true), shape_of(y_pred)
    wanted = prediction_size or size
    lead = "B, N" if rank == 3 else "..."
    received = f"Received: y_true.shape={true}, y_pred.shape={pred}"
    for argument, shape, last in (("y_true", true, size), ("y_pred", pred, wanted)):
        if len(shape) < 1 or (rank and len(shape) != rank) or shape[-1] not in (None, last):
            alone = rank == 3 and len(shape) == 2 and shape[-1] == last
            hint = f" (one image is a batch of one: {argument}[None])" if alone else ""
            raise ValueError(f"`{argument}` must have shape ({lead}, {last}){hint}. {received}")
    if not _match(true[:-1], pred[:-1]):
        raise ValueError(
            f"`y_true` and `y_pred` must be boxes of the same shape ({lead}). {received}"
        )


def same_shape(**tensors):
    """The two `tensors` are alike in every axis."""
    shapes = {name: shape_of(x) for name, x in tensors.items()}
    if not _match(*shapes.values()):
        names = " and ".join(f"`{name}`" for name in shapes)
        received = ", ".join(f"{name}.shape={shape}" for name, shape in shapes.items())
        raise ValueError(f"{names} must have the same shape. Received: {received}")


def two_sets(a, b):
    """Boxes (..., N, 4) and (..., M, 4), alike before, or one of them without further axes."""
    shapes = {"a": shape_of(a), "b": shape_of(b)}
    for argument, shape in shapes.items():
        if len(shape) < 2 or shape[-1] not in (None, 4):
            raise ValueError(
                f"`{argument}` must have shape (..., boxes, 4). Received: {argument}.shape={shape}"
            )
    leads = [shape[:-2] for shape in shapes.values()]
    if all(leads) and not _match(*leads):
        raise ValueError(
            "`a` and `b` must have the same axes before (boxes, 4), or one of them none. "
            f"Received: a.shape={shapes['a']}, b.shape={shapes['b']}"
        )


def labels(y_true, y_pred, trailing=(), rank=None):
    """`y_true` (..., *trailing) holds one label per row of the logits `y_pred` (..., C).

    `rank` 3 asks for logits (B, N, C); None allows any leading axes.
    """
    true, pred = shape_of(y_true), shape_of(y_pred)
    shape = ", ".join(("B", "N", *map(str, trailing)))
    lead = true[: len(true) - len(trailing)]
    good = bool(pred) and (not rank or len(pred) == rank) and _match(lead, pred[:-1])
    if not good or not _match(true[len(lead) :], trailing):
        raise ValueError(
            f"`y_true` must have shape ({shape}) and `y_pred` (B, N, classes). "
            f"Received: y_true.shape={true}, y_pred.shape={pred}"
        )


def mask(mask, lead):
    from boxloss.tensors import ops

    if not _match(ops.static_shape(mask), lead):
        raise ValueError(
            "`mask` must have the shape (B, N) of the boxes. "
            f"Received: mask.shape={ops.static_shape(mask)} for boxes {lead}"
        )
    if ops.dtype_name(mask) != "bool":
        raise ValueError(
            f"`mask` must be of dtype bool, True = real. Received: dtype {ops.dtype_name(mask)}"
        )


def sample_weight(shape, lead):
    """A weight is a scalar, (B,), (B, 1) or (B, N)."""
    b, n = lead
    good = shape == () or _match(shape, (b,)) or _match(shape, (b, 1)) or _match(shape, (b, n))
    if not good:
        raise ValueError(
            "`sample_weight` must have shape (B,), (B, 1) or (B, N). "
            f"Received: sample_weight.shape={shape} for boxes {lead}"
        )
