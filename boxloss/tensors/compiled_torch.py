"""Calls on PyTorch, compiled by torch.compile where that pays; the policy is that of `compiled`.

PyTorch runs a formula operation by operation, each of which reads and writes memory. Its compiler
fuses them, and does so best if it is given value and gradient as one function: that takes a third
of the time of the naive formula. The price is a compilation of many seconds, so small inputs, whose
time is that of the calls and not of memory, stay as they are. A second derivative, a forward one, a
torch.func transform and a user's own torch.compile all take the plain operations, which have
PyTorch's own derivatives.
"""

import functools
import os
import shutil

SMALLEST = 4 * 10_000  # numbers of the largest argument from which a compilation pays


def call(compiled, tensors):
    """`compiled.function(*tensors)`, compiled where that pays."""
    import torch

    if torch.compiler.is_compiling() or not _pays(compiled, tensors):
        return compiled.function(*tensors)
    watched = tuple(
        index
        for index, x in enumerate(tensors)
        if torch.is_grad_enabled() and x is not None and x.requires_grad
    )
    if not watched:
        return _program(compiled, "value", compiled.function)(*tensors)
    if compiled.is_scalar:
        return _fused()[0].apply(compiled, watched, *tensors)
    return _program(compiled, "value", compiled.function)(*tensors)


def _pays(compiled, tensors):
    import torch
    from torch.autograd import forward_ad

    from boxloss.tensors.compiled import signature_of

    present = [x for x in tensors if x is not None]
    if max(x.numel() for x in present) < SMALLEST or not _has_compiler():
        return False
    # Both are private, and there is no public way to ask. Under a transform of torch.func, or with
    # a dual number of forward mode, the function of `_fused` would raise.
    if torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return False
    return compiled.is_worth_it(signature_of(tensors))


@functools.cache
def _has_compiler():
    """Whether torch.compile has what it needs: a GPU, or a compiler of C++."""
    import torch

    named = os.environ.get("CXX", "")
    return torch.cuda.is_available() or any(map(shutil.which, (named, "g++", "clang++")))


def _program(compiled, key, function):
    """`function` compiled for each set of shapes; kept with `compiled` under `key`."""
    import torch

    # One program for each set of shapes, as on TensorFlow: `is_worth_it` counts by shapes.
    if key not in compiled._programs:
        compiled._programs[key] = torch.compile(function, dynamic=False)
    return compiled._programs[key]


@functools.cache
def _fused():
    """The autograd functions, made where torch is at hand."""
    import torch

    class Scalar(torch.autograd.Function):
        """A scalar whose gradients come with its value, up to a factor."""

        @staticmethod
        def forward(ctx, compiled, watched, *tensors):
            # The compiler is given the gradient as a function of its own. Left to autograd, it
            # writes to memory what the backward pass will need: most of the intermediates of the
            # formula.
            both = torch.func.grad_and_value(compiled.function, argnums=watched)
            gradients, value = _program(compiled, ("both", watched), both)(*tensors)
            ctx.compiled, ctx.watched = compiled, watched
            ctx.tensors, ctx.gradients = tensors, gradients
            return value

        @staticmethod
        def backward(ctx, upstream):
            # With `create_graph=True` the gradient itself is differentiated: run the formula again
            # in operations that autograd records.
            if torch.is_grad_enabled():  # a second derivative will be asked for
                value = ctx.compiled.function(*ctx.tensors)
                wanted = [ctx.tensors[i] for i in ctx.watched]
                gradients = torch.autograd.grad(value, wanted, upstream, create_graph=True)
            else:
                gradients = [upstream * x for x in ctx.gradients]
            every = [None] * len(ctx.tensors)
            for index, gradient in zip(ctx.watched, gradients, strict=True):
                every[index] = gradient
            # One for each argument of `forward`; the first two are no tensors.
            return None, None, *every

    return (Scalar,)
