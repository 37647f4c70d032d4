"""One loop over the boxes: how many XLA writes, and that its arithmetic is exact enough."""

import re

import numpy as np
import pytest
from compiled_calls import batch, repeat, traces
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import box_examples

import boxloss
from boxloss.losses import reduction
from boxloss.tensors import formulas, one_loop, ops

TENSORFLOW = ops.backend() == "tensorflow"
JAX = ops.backend() == "jax"
pytestmark = pytest.mark.skipif(not (TENSORFLOW or JAX), reason="PyTorch runs eagerly")
only_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow's graphs")


def jitted(function):
    """`function`, compiled by XLA."""
    if TENSORFLOW:
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    import jax

    return jax.jit(function)


def test_the_arithmetic_of_one_loop_is_exact_enough():
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-80, 80, 1000)).astype("float32")
    unit, scale = (as_numpy(value) for value in ops.binary_unit(as_tensor(x)))
    assert (unit <= x).all() and (x < 2 * unit).all() and (unit * scale == 1).all()
    a, b = rng.normal(0, 1, 1000).astype("float32"), rng.uniform(0, 1, 1000).astype("float32")

    def loops(a, b, x):
        return ops.angle(a, b), ops.divide_or(a, b, 0.0), ops.divide_or(x, x, 0.0)

    angle, ratio, one = (as_numpy(value) for value in jitted(loops)(*map(as_tensor, (a, b, x))))
    np.testing.assert_allclose(angle, np.arctan2(a.astype(float), b), rtol=4e-7)
    np.testing.assert_allclose(ratio, a.astype(float) / b, rtol=4e-7)
    np.testing.assert_array_equal(one, 1)


def test_roots_of_one_loop_are_exact_enough():
    largest = np.finfo("float32").max
    x = np.concatenate([np.logspace(-37.9, 38.5, 2000), [largest, 1, 4, 2]]).astype("float32")
    nothing = np.float32([0, -0.0, 1e-39, -1e-39, -1, -largest, -np.inf])

    root = jitted(lambda x: ops.safe_sqrt(x))
    value, slope = value_and_gradient(
        root, np.concatenate([x, nothing, np.float32([np.inf, np.nan])])
    )
    exact = np.sqrt(x.astype("float64"))
    np.testing.assert_allclose(value[: len(x)], exact, rtol=2e-7)
    np.testing.assert_allclose(slope[: len(x)], 0.5 / exact, rtol=5e-7)
    np.testing.assert_array_equal(value[len(x) : -2], 0)
    np.testing.assert_array_equal(slope[len(x) : -2], 0)
    # No infinity: the root of the largest number, whose slope is next to nothing.
    assert value[-2] > 1.8e19 and 0 <= slope[-2] < 1e-19 and np.isnan(value[-1])


def test_softplus_of_one_loop_is_exact_enough():
    x = np.concatenate([np.logspace(-30, 1.93, 2000), np.linspace(-3, 3, 2001)])
    x = np.concatenate([-x, x, [0, 1e30, -1e30]]).astype("float32")

    softplus = jitted(lambda x: ops.softplus(x))
    value, slope = value_and_gradient(softplus, x)
    exact = x.astype("float64")
    np.testing.assert_allclose(value, np.logaddexp(0, exact), rtol=4e-7, atol=2e-38)
    sigmoid = np.exp(-np.logaddexp(0, -exact))
    np.testing.assert_allclose(slope, sigmoid, rtol=4e-7, atol=2e-38)


@pytest.mark.parametrize("name", ["one_minus_exp", "exp_of_minus"])
def test_exponentials_of_one_loop_are_exact_enough(name):
    x = np.concatenate([np.logspace(-30, 1.9, 2000), [0, 0.34657, 0.34658, 1.0397, 1e30, np.inf]])
    x = x.astype("float32")

    both = jitted(lambda x: getattr(ops, name)(x))
    value, slope = value_and_gradient(both, x)
    exact = x.astype("float64")
    expected = -np.expm1(-exact) if name == "one_minus_exp" else np.exp(-exact)
    np.testing.assert_allclose(value, expected, rtol=3e-7, atol=2e-38)
    sign = 1 if name == "one_minus_exp" else -1
    np.testing.assert_allclose(slope, sign * np.exp(-exact), rtol=3e-7, atol=2e-38)


@pytest.mark.parametrize("most", [1, 2])
def test_bounded_exponentials_of_one_loop_are_exact_enough(most):
    x = np.concatenate([np.logspace(-30, 0, 2000), np.linspace(0, 1, 2000)]).astype("float32")
    x = most * x

    both = jitted(lambda x: ops.one_minus_exp(x, most))
    value, slope = value_and_gradient(both, x)
    np.testing.assert_allclose(value, -np.expm1(-x.astype("float64")), rtol=3e-7, atol=2e-38)
    np.testing.assert_allclose(slope, np.exp(-x.astype("float64")), rtol=1e-6)


def program_of(function, *arguments):
    """The lines of the program that XLA makes of `function`, and the names of its inputs."""
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
    entry = text[text.index("ENTRY") :].splitlines()
    return entry, re.findall(r"%(\S+) = \S+ parameter", "\n".join(entry))


def readers_of_boxes(function, *arguments):
    entry, inputs = program_of(function, *arguments)
    assert len(inputs) == 2
    return [line for line in entry if "fusion(" in line and any(f"%{x}" in line for x in inputs)]


@only_tensorflow
@pytest.mark.parametrize("name", ["l1", "diou", "siou", "piou"])
def test_one_loop_reads_the_boxes(name):
    """It writes the gradient and the errors, which also hold what counts as padding."""
    import tensorflow as tf

    if not one_loop.writes_several():
        pytest.skip("two loops with this TensorFlow, or on a GPU")
    loss = boxloss.get(name)
    (levels, _), boxes = loss._compiled("loss", None), tf.zeros((3, 40_000, 4))

    def value_and_gradient(y_true, y_pred):
        arguments = (tf.stop_gradient(y_true), y_pred, None, None, None)
        value, gradients = levels._with_gradients((1,), arguments)
        return value, *gradients

    readers = readers_of_boxes(value_and_gradient, boxes, boxes)
    assert len(readers) == 1, "\n".join(readers)


@only_tensorflow
@pytest.mark.parametrize("name", ["giou", "ciou"])
def test_one_loop_reads_the_boxes_in_a_graph_of_ones_own(name):
    """The tape is in that graph, where it can be seen."""
    import tensorflow as tf

    loss, boxes = boxloss.get(name), tf.zeros((3, 40_000, 4))

    def value_and_gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    readers = readers_of_boxes(value_and_gradient, boxes, boxes)
    assert len(readers) == (1 if one_loop.writes_several() else 2), "\n".join(readers)


# name, arguments, weights, whether value and gradient are one loop
SCALARS = [
    ("giou", {}, "of boxes", True),
    ("l1", {"normalizer": "batch", "coordinate_format": "center_xywh"}, "mask", True),
    ("eiou", {"normalizer": "none", "bounding_box_format": "xywh"}, "of images", True),
    ("diou", {"normalizer": 7.0, "reduction": "sum"}, "of boxes", True),
    ("siou", {"reduction": "mean_with_sample_weight"}, "of images", True),
    ("iou", {"box_reduction": "none"}, "of boxes", True),
    ("mpdiou", {"image_shape": (300, 400), "reduction": "sum"}, "none", True),
    ("sum", {}, "of boxes", True),
    ("giou", {"mining": boxloss.HardestBoxes(fraction=0.5)}, "none", False),
    ("iou", {"mining": boxloss.HardestImages(fraction=0.5)}, "mask", False),
    ("diou", {"mining": boxloss.FocalWeighting(gamma=2.0)}, "of images", False),
]


@only_tensorflow
@pytest.mark.parametrize("name, arguments, weights, joint", SCALARS)
def test_value_and_gradient_of_a_scalar_are_the_eager_ones(
    name, arguments, weights, joint, monkeypatch
):
    import tensorflow as tf

    written, original = [], one_loop._written_together
    monkeypatch.setattr(one_loop, "_written_together", lambda *x: written.append(x) or original(*x))
    if name == "sum":
        loss = boxloss.WeightedSum({"giou": 2.0, "l1": 0.25})
    else:
        loss = boxloss.get(name, **arguments)
    y_true, y_pred = map(as_tensor, batch())
    sample_weight = {
        "of images": as_tensor(np.float32([0.5, 3])),
        "of boxes": as_tensor(np.random.default_rng(1).random((2, 6), "float32")),
    }.get(weights)
    mask = as_tensor(np.array([[True, False] * 3, [True] * 6])) if weights == "mask" else None
    watched = [y_true, y_pred]

    def step():
        with tf.GradientTape() as tape:
            tape.watch(watched)
            value = loss(y_true, y_pred, sample_weight, mask)
        return [as_numpy(x) for x in (value, *tape.gradient(value, watched))]

    results = repeat(step)
    assert bool(written) == (joint and one_loop.writes_several())
    for eager, other in zip(results[0], results[-1], strict=True):
        assert abs(eager).max() > 0
        np.testing.assert_allclose(other, eager, rtol=2e-5, atol=2e-7 * abs(eager).max())


@only_tensorflow
@pytest.mark.parametrize("normalizer", ["image", "batch"])
def test_images_full_of_boxes_and_images_without_any_share_a_program(normalizer):
    """The loop that takes every box for real is right about some images, or all, or none."""
    import tensorflow as tf

    loss = boxloss.get("diou", normalizer=normalizer)
    y_true, y_pred = box_examples(np.random.default_rng(3), 3, 37)
    for real in ([37, 37, 37], [37, 21, 0], [0, 0, 0], [1, 36, 37]):
        padded = y_true.copy()
        for image, boxes in enumerate(real):
            padded[image, boxes:] = -1

        def step(function, padded=padded):
            with tf.GradientTape() as tape:
                pred = as_tensor(y_pred)
                tape.watch(pred)
                value = function(as_tensor(padded), pred)
            return [as_numpy(value), as_numpy(tape.gradient(value, pred))]

        expected = step(boxloss.get("diou", normalizer=normalizer))  # its first call is eager
        for got, one in zip(repeat(lambda s=step: s(loss))[-1], expected, strict=True):
            np.testing.assert_allclose(got, one, rtol=2e-5, atol=1e-7)
    assert traces(loss) == 1


@only_tensorflow
def test_nan_and_the_largest_errors_pass_the_bytes_of_one_loop():
    import tensorflow as tf

    loss = boxloss.get("l1", reduction="sum", normalizer="none")
    y_true = np.zeros((1, 9, 4), "float32")
    y_pred = np.float32([0, -0.0, 1e-45, 1e-38, 1.5, -3e30, np.inf, -np.inf, np.nan])
    for value in y_pred:
        boxes = y_true.copy()
        boxes[0, 4, 1] = value

        def step(boxes=boxes):
            with tf.GradientTape() as tape:
                pred = as_tensor(boxes)
                tape.watch(pred)
                return as_numpy(loss(as_tensor(y_true), pred))

        # XLA takes what is smaller than normal numbers for 0.
        np.testing.assert_allclose(repeat(step)[-1], abs(value), rtol=1e-7, atol=1.2e-38)


@only_tensorflow
def test_an_error_of_minus_zero_counts_as_a_box():
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def compiled(errors, mask):
        errors, seen = formulas.masked(errors, mask)
        return reduction.image_losses(errors, seen, normalizer="image")

    errors = tf.constant([[-0.0, 3.0, 0.0], [0.0, -0.0, 0.0], [-4.0, 0.0, -0.0]])
    mask = tf.constant([[True, True, False], [False, False, False], [True, False, True]])
    np.testing.assert_array_equal(compiled(errors, mask), [1.5, 0.0, -2.0])
