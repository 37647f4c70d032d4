"""Compiled calls: same values and gradients as operation by operation, and few traces."""

import copy
import json
import re

import keras
import numpy as np
import pytest
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import box_examples, examples
from pairs import ALL, arrays

import boxloss
from boxloss import compiled, one_loop, ops, reduction
from boxloss.losses.base import _COMPILED

TENSORFLOW = ops.backend() == "tensorflow"
JAX = ops.backend() == "jax"
pytestmark = pytest.mark.skipif(not (TENSORFLOW or JAX), reason="PyTorch runs eagerly")
only_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow's graphs")


def batch(n=6):
    """Ordinary boxes, exact matches, ties, an inverted box and padding full of NaN."""
    y_true, y_pred = box_examples(np.random.default_rng(0), 2, n)
    y_pred[0, 0] = y_true[0, 0]
    y_pred[0, 1, 0] = y_true[0, 1, 0]
    y_pred[1, 0, 2] = y_pred[1, 0, 0] - 3
    y_true[1, 3:], y_pred[1, 3:] = -1, np.nan
    return y_true, y_pred


def functions_of(loss):
    return [function for function, _ in _COMPILED[loss].values()]


def traces(loss):
    return sum(function.traces for function in functions_of(loss))


def repeat(call, times=compiled.WARM + 1):
    return [call() for _ in range(times)]


@pytest.mark.parametrize("name", ["l1", "giou", "ciou"])
def test_a_compiled_call_has_the_value_and_gradient_of_an_eager_one(name):
    loss = boxloss.get(name)
    y_true, y_pred = batch()
    results = repeat(lambda: value_and_gradient(lambda p: loss(y_true, p), y_pred))
    assert traces(loss) > 0
    value, gradient = results[0]
    for other_value, other_gradient in results[1:]:
        np.testing.assert_allclose(other_value, value, rtol=1e-6)
        np.testing.assert_allclose(other_gradient, gradient, rtol=2e-5, atol=1e-7)
    # Padding and the exact match.
    np.testing.assert_array_equal(results[-1][1][1, 3:], 0)
    np.testing.assert_array_equal(results[-1][1][0, 0], 0)


def test_a_compiled_function_agrees_on_pathological_pairs():
    y_true, y_pred = (array.astype("float32") for array in arrays(ALL))
    results = repeat(
        lambda: value_and_gradient(lambda p: boxloss.functional.ciou_loss(y_true, p), y_pred)
    )
    (value, gradient), (compiled_value, compiled_gradient) = results[0], results[-1]
    assert np.isfinite(compiled_value).all() and np.isfinite(compiled_gradient).all()
    np.testing.assert_allclose(compiled_value, value, rtol=1e-5, atol=1e-6)
    # Relative to the largest of each box: 1 / side for the smallest.
    size = np.maximum(abs(gradient).max(-1, keepdims=True), 1e-30)
    np.testing.assert_allclose(compiled_gradient / size, gradient / size, atol=2e-4)


def test_nan_in_a_real_box_reaches_the_scalar_of_a_compiled_call():
    loss = boxloss.get("giou")
    y_true, y_pred = batch()
    y_pred[0, 2, 1] = np.nan
    assert np.isnan([as_numpy(loss(y_true, y_pred)) for _ in range(compiled.WARM + 1)]).all()
    assert traces(loss) > 0


def test_shapes_that_never_return_are_not_compiled():
    loss = boxloss.get("l1")
    for n in range(1, 41):
        y_true, y_pred = box_examples(np.random.default_rng(n), 1 + n % 3, n)
        expected = abs(y_pred - y_true).sum((1, 2)).mean() / n
        np.testing.assert_allclose(as_numpy(loss(y_true, y_pred)), expected, rtol=1e-5)
    # At most: the first graph, one for any number of boxes, one for any number of images.
    assert traces(loss) <= 3


def test_a_set_of_shapes_that_returns_is_traced_once():
    loss = boxloss.get("l1")
    shapes = [box_examples(np.random.default_rng(n), 2, n) for n in (3, 4)]
    for _ in range(compiled.WARM + 5):
        for y_true, y_pred in shapes:
            loss(y_true, y_pred)
    assert traces(loss) == 2


def test_no_more_than_a_few_shapes_are_compiled():
    function = compiled.Compiled(lambda x: x)
    for n in range(100):
        for _ in range(compiled.WARM):
            function._is_worth_it((n,))
    assert sum(count == compiled.WARM for count in function._calls.values()) == compiled.MOST


def test_every_level_is_the_same_when_compiled():
    loss = boxloss.get("ciou")
    results = repeat(lambda: loss.tensors(*batch()).numpy())
    assert traces(loss) > 0
    first, last = results[0], results[-1]
    assert list(last.terms) == ["overlap", "center", "aspect", "inversion"]
    for one, other in zip(first[:-1], last[:-1], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    for name, term in first.terms.items():
        np.testing.assert_allclose(last.terms[name], term, rtol=1e-5, atol=1e-6)


def test_weights_and_masks_are_arguments_of_the_compiled_call():
    loss = boxloss.get("giou")
    y_true, y_pred = batch()
    mask = np.array([[True, False] * 3, [True] * 6])
    for weight in (np.float32([1, 2]), np.float32([3, 0.5])):
        values = repeat(lambda w=weight: as_numpy(loss(y_true, y_pred, w, mask)))
        np.testing.assert_allclose(values, values[0], rtol=1e-6)
    assert traces(loss) == 1
    assert values[0] != pytest.approx(as_numpy(loss(y_true, y_pred)))


def test_an_attribute_that_changes_is_seen_by_the_next_call():
    loss = boxloss.get("l1")
    y_true, y_pred = batch()
    before = repeat(lambda: as_numpy(loss(y_true, y_pred)))[-1]
    loss.normalizer = 0.5
    sums = as_numpy(loss.tensors(y_true, y_pred).box_errors).sum(-1)
    after = repeat(lambda: as_numpy(loss(y_true, y_pred)))[-1]
    np.testing.assert_allclose(after, sums.mean() * 2, rtol=1e-5)
    assert after != pytest.approx(before)


def test_a_loss_that_has_compiled_is_copied_and_saved_without_it():
    loss = boxloss.get("giou", normalizer="batch")
    y_true, y_pred = batch()
    value = repeat(lambda: as_numpy(loss(y_true, y_pred)))[-1]
    clone = copy.deepcopy(loss)
    config = keras.losses.serialize(loss)
    json.dumps(config)
    for other in (clone, keras.losses.deserialize(config)):
        np.testing.assert_allclose(as_numpy(other(y_true, y_pred)), value, rtol=1e-6)
        assert traces(other) == 0


@only_tensorflow
@pytest.mark.parametrize("xla", [False, True])
def test_inside_a_graph_the_value_and_gradient_are_the_same(xla):
    import tensorflow as tf

    loss = boxloss.get("ciou")
    y_true, y_pred = map(as_tensor, batch())

    def step(y_pred):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    expected = step(y_pred)
    free = tf.TensorSpec((None, None, 4), tf.float32)
    for signature in (None, [free]):
        graph = tf.function(step, jit_compile=xla, input_signature=signature)
        for value, other in zip(expected, graph(y_pred), strict=True):
            np.testing.assert_allclose(other, value, rtol=2e-5, atol=1e-6)


@only_tensorflow
@pytest.mark.parametrize("rank", ["unknown axes", "unknown rank"])
@pytest.mark.parametrize("name", ["l1", "giou", "dfl", "kl", "gwd", "softmax", "varifocal"])
def test_a_graph_may_not_know_the_shape_of_the_boxes(name, rank):
    import tensorflow as tf

    loss = boxloss.get(name)
    y_true, y_pred = map(as_tensor, examples(loss))
    shape = None if rank == "unknown rank" else [None] * len(y_true.shape)
    free = [tf.TensorSpec(shape, y_true.dtype), tf.TensorSpec((None, *y_pred.shape[1:]))]
    got = tf.function(loss, input_signature=free)(y_true, y_pred)
    np.testing.assert_allclose(got, loss(y_true, y_pred), rtol=1e-5)


@only_tensorflow
def test_the_gradient_of_the_truth_and_of_weights_can_be_had():
    import tensorflow as tf

    loss = boxloss.get("l1")
    y_true, y_pred = map(as_tensor, batch())
    weight = as_tensor(np.float32([1, 2]))

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([y_true, y_pred, weight])
            value = loss(y_true, y_pred, weight)
        return [as_numpy(x) for x in tape.gradient(value, [y_true, y_pred, weight])]

    results = repeat(gradients)
    for eager, other in zip(results[0], results[-1], strict=True):
        assert abs(eager).max() > 0
        np.testing.assert_allclose(other, eager, rtol=1e-5, atol=1e-7)


@only_tensorflow
@pytest.mark.parametrize(
    "watched, xla_of_ones_own", [((0,), False), ((1,), False), ((0, 1), False), ((0,), True)]
)
def test_gradients_are_traced_of_the_boxes_that_are_watched(watched, xla_of_ones_own, monkeypatch):
    import tensorflow as tf

    loss = boxloss.get("giou")
    pair = tuple(map(as_tensor, batch()))
    asked, original = set(), one_loop._terms_and_gradient

    def spied(formula, boxes, index, *rest):
        asked.add(index)
        return original(formula, boxes, index, *rest)

    monkeypatch.setattr(one_loop, "_terms_and_gradient", spied)

    def gradients(function):
        with tf.GradientTape() as tape:
            tape.watch([pair[i] for i in watched])
            value = function(*pair)
        return [as_numpy(x) for x in tape.gradient(value, [pair[i] for i in watched])]

    @tf.function(jit_compile=True)
    def graph(y_true, y_pred):
        with tf.GradientTape() as tape:  # the one around the graph cannot be seen here
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value + 0 * tf.reduce_sum(tape.gradient(value, y_pred)[0, 0])

    expected = gradients(loss)
    assert not asked
    got = gradients(graph) if xla_of_ones_own else repeat(lambda: gradients(loss))[-1]
    assert asked == ({0, 1} if xla_of_ones_own else set(watched))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


@only_tensorflow
@pytest.mark.parametrize("where", ["eager", "tape in a graph", "tape around a graph"])
def test_the_gradient_is_that_of_whatever_becomes_of_the_loss(where):
    import tensorflow as tf

    loss = boxloss.get("giou")
    y_true, y_pred = map(as_tensor, batch())

    def cost(y_pred, factor):
        return factor * loss(y_true, y_pred) ** 2

    def step(y_pred, factor):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = (graph if where == "tape around a graph" else cost)(y_pred, factor)
        return tape.gradient(value, y_pred)

    graph = tf.function(cost)
    call = tf.function(step) if where == "tape in a graph" else step
    once = value_and_gradient(lambda p: boxloss.get("giou")(y_true, p), y_pred)
    for factor in (0.5, -3.0):
        results = repeat(lambda f=factor: as_numpy(call(y_pred, tf.constant(f))))
        for result in results:
            np.testing.assert_allclose(result, factor * 2 * once[0] * once[1], rtol=2e-5, atol=1e-7)
    assert traces(loss) > 0


@only_tensorflow
def test_a_gradient_in_half_precision_is_scaled_before_it_is_rounded():
    import tensorflow as tf

    loss = boxloss.get("giou")
    boxes = np.float16([[[[0, 0, 2e-6, 4e-6]]], [[[0, 0, 4e-6, 4e-6]]]])

    def gradient(dtype):
        y_true, y_pred = (as_tensor(x, dtype) for x in boxes)
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = 1e-3 * loss(y_true, y_pred)
        return as_numpy(tape.gradient(value, y_pred))

    expected = gradient("float32")
    assert 1e3 * abs(expected).max() > 65504  # unscaled, float16 cannot hold it
    for result in repeat(lambda: gradient("float16")):
        np.testing.assert_allclose(result, expected, rtol=2e-3)


@only_tensorflow
def test_a_second_derivative_passes_through_the_compiled_gradient():
    import tensorflow as tf

    loss = boxloss.get("giou", reduction="sum")
    y_true, y_pred = (as_tensor(x[:1, :3]) for x in batch())

    def second():
        with tf.GradientTape() as outer:
            outer.watch(y_pred)
            with tf.GradientTape() as inner:
                inner.watch(y_pred)
                value = loss(y_true, y_pred)
            gradient = inner.gradient(value, y_pred)
        return as_numpy(outer.gradient(gradient, y_pred))

    results = repeat(second)
    assert abs(results[0]).max() > 0
    np.testing.assert_allclose(results[-1], results[0], rtol=1e-3, atol=1e-7)


def test_low_precision_is_compiled_too():
    loss = boxloss.get("ciou")
    y_true, y_pred = batch()
    results = repeat(
        lambda: value_and_gradient(
            lambda p: loss(as_tensor(y_true, "float16"), p), y_pred, "float16"
        )
    )
    np.testing.assert_allclose(results[-1][0], results[0][0], rtol=1e-3)
    np.testing.assert_allclose(results[-1][1], results[0][1], rtol=1e-2, atol=1e-3)


def test_the_arithmetic_of_one_loop_is_exact_enough():
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-80, 80, 1000)).astype("float32")
    unit, scale = (as_numpy(value) for value in ops.binary_unit(as_tensor(x)))
    assert (unit <= x).all() and (x < 2 * unit).all() and (unit * scale == 1).all()
    a, b = rng.normal(0, 1, 1000).astype("float32"), rng.uniform(0, 1, 1000).astype("float32")

    def loops(a, b, x):
        return ops.angle(a, b), ops.divide_or(a, b, 0.0), ops.divide_or(x, x, 0.0)

    if TENSORFLOW:
        import tensorflow as tf

        loops = tf.function(loops, jit_compile=True)
    else:
        import jax

        loops = jax.jit(loops)
    angle, ratio, one = (as_numpy(value) for value in loops(*map(as_tensor, (a, b, x))))
    np.testing.assert_allclose(angle, np.arctan2(a.astype(float), b), rtol=4e-7)
    np.testing.assert_allclose(ratio, a.astype(float) / b, rtol=4e-7)
    np.testing.assert_array_equal(one, 1)


@pytest.mark.parametrize("name", ["one_minus_exp", "exp_of_minus"])
def test_exponentials_of_one_loop_are_exact_enough(name):
    x = np.concatenate([np.logspace(-30, 1.9, 2000), [0, 0.34657, 0.34658, 1.0397, 1e30, np.inf]])
    x = x.astype("float32")

    def both(x):
        return getattr(ops, name)(x)

    if TENSORFLOW:
        import tensorflow as tf

        both = tf.function(both, jit_compile=True)
    else:
        import jax

        both = jax.jit(both)
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

    def both(x):
        return ops.one_minus_exp(x, most)

    if TENSORFLOW:
        import tensorflow as tf

        both = tf.function(both, jit_compile=True)
    else:
        import jax

        both = jax.jit(both)
    value, slope = value_and_gradient(both, x)
    np.testing.assert_allclose(value, -np.expm1(-x.astype("float64")), rtol=3e-7, atol=2e-38)
    np.testing.assert_allclose(slope, np.exp(-x.astype("float64")), rtol=1e-6)


@only_tensorflow
def test_boxes_in_a_variable_are_measured_and_moved_on_every_call():
    import tensorflow as tf

    true = tf.constant([[[0.0, 0.0, 4.0, 2.0], [1.0, 1.0, 3.0, 5.0]]])
    pred = tf.Variable(true + [[[1.0, 0.0, 0.5, 0.0], [0.0, 2.0, 0.0, 1.0]]])
    loss = boxloss.GIoULoss()
    for call in (loss, lambda a, b: tf.reduce_mean(boxloss.functional.giou_loss(a, b))):
        slopes = []
        for _ in range(5):  # more calls than are needed before it is compiled
            with tf.GradientTape() as tape:
                cost = call(true, pred)
            slopes.append(tape.gradient(cost, pred).numpy())
        assert np.abs(slopes[0]).max() > 0.01
        for slope in slopes:
            np.testing.assert_allclose(slope, slopes[0], rtol=1e-5, atol=1e-7)


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
    (climb, _), boxes = loss._compiled("loss", None), tf.zeros((3, 40_000, 4))

    def value_and_gradient(y_true, y_pred):
        with one_loop.tapes_known():
            return climb._flat_with_gradients((1,), y_true, y_pred, None, None, None)

    readers = readers_of_boxes(value_and_gradient, boxes, boxes)
    assert len(readers) == 1, "\n".join(readers)


@only_tensorflow
@pytest.mark.parametrize("name", ["giou", "ciou"])
def test_two_loops_read_the_boxes_in_a_graph_of_ones_own(name):
    """One for the errors, which also hold what counts as padding, and one for the gradient."""
    import tensorflow as tf

    loss, boxes = boxloss.get(name), tf.zeros((3, 40_000, 4))

    def value_and_gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    readers = readers_of_boxes(value_and_gradient, boxes, boxes)
    assert len(readers) == 2, "\n".join(readers)


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
    watched = [y_true, y_pred] + ([] if sample_weight is None else [sample_weight])

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
        return reduction.image_losses(errors, mask, normalizer="image", counts_all=True)

    errors = tf.constant([[-0.0, 3.0, 0.0], [0.0, -0.0, 0.0], [-4.0, 0.0, -0.0]])
    mask = tf.constant([[True, True, False], [False, False, False], [True, False, True]])
    np.testing.assert_array_equal(compiled(errors, mask), [1.5, 0.0, -2.0])
