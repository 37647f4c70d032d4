"""Compiled calls: same values and gradients as operation by operation, and few traces."""

import copy
import json

import keras
import numpy as np
import pytest
from compiled_calls import batch, repeat, traces
from gradients import as_numpy, as_tensor, value_and_gradient
from loss_table import box_examples, examples
from pairs import ALL, arrays

import boxloss
from boxloss.tensors import compiled, one_loop, ops

TENSORFLOW = ops.backend() == "tensorflow"
JAX = ops.backend() == "jax"
pytestmark = pytest.mark.skipif(not (TENSORFLOW or JAX), reason="PyTorch runs eagerly")
only_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow's graphs")


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
    assert np.isnan(
        [as_numpy(loss(y_true, y_pred)) for _ in range(compiled.COMPILING_CALL + 1)]
    ).all()
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
    for _ in range(compiled.COMPILING_CALL + 5):
        for y_true, y_pred in shapes:
            loss(y_true, y_pred)
    assert traces(loss) == 2


def test_no_more_than_a_few_shapes_are_compiled():
    function = compiled.Compiled(lambda x: x)
    for n in range(100):
        for _ in range(compiled.COMPILING_CALL):
            function.is_worth_it((("float32", n),))
    assert (
        sum(count == compiled.COMPILING_CALL for count in function._calls.values())
        == compiled.MAX_PROGRAMS
    )


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


def test_large_boxes_are_compiled_at_the_first_call(monkeypatch):
    monkeypatch.setattr(compiled, "LARGE", 2 * 6 * 4)
    loss = boxloss.get("l1")
    y_true, y_pred = batch()
    loss(y_true[:1], y_pred[:1])
    assert traces(loss) == 0
    loss(y_true, y_pred)
    assert traces(loss) == 1


def test_members_of_a_sum_agree_on_the_image_shape():
    members = [boxloss.MPDIoULoss(image_shape=shape) for shape in ((30, 40), (50, 40))]
    members[1].name = "other"
    with pytest.raises(ValueError, match="must agree on `image_shape`"):
        boxloss.WeightedSum([(member, 1.0) for member in members])


@only_tensorflow
def test_weights_of_images_and_of_boxes_may_take_turns_while_shapes_change():
    import tensorflow as tf

    loss = boxloss.get("l1")
    for n in range(1, 2 * compiled.CALLS_BEFORE_GRAPH + 1):
        y_true, y_pred = map(as_tensor, box_examples(np.random.default_rng(n), 2, n))
        weight = tf.constant([1.0, 3.0]) if n % 2 else tf.constant([[1.0] * n, [3.0] * n])
        expected = abs(y_pred - y_true).numpy().sum((1, 2)) @ [1, 3] / (2 * n)
        np.testing.assert_allclose(loss(y_true, y_pred, weight), expected, rtol=1e-5)


def second_product(loss, y_true, y_pred, direction):
    """The Hessian of the loss times a direction, forward over reverse."""
    if TENSORFLOW:
        import tensorflow as tf

        with tf.autodiff.ForwardAccumulator(y_pred, direction) as accumulator:
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(y_true, y_pred)
            gradient = tape.gradient(value, y_pred)
        return as_numpy(accumulator.jvp(gradient))
    import jax

    gradient = jax.grad(lambda p: loss(y_true, p))
    return as_numpy(jax.jvp(gradient, (y_pred,), (direction,))[1])


@pytest.mark.parametrize("name", ["giou", "ciou", "smooth_l1"])
def test_forward_and_second_derivatives_are_those_of_differences_at_every_call(name):
    rng = np.random.default_rng(4)
    # A constant alpha would make the gradient another one than that of the value.
    arguments = {"alpha_gradient": True} if name == "ciou" else {}
    loss = boxloss.get(name, reduction="sum", dtype="float64", **arguments)
    y_true, y_pred = (x.astype("float64") for x in box_examples(rng, 2, 3))
    y_pred = y_true + 0.1 * (y_pred - y_true)
    direction = rng.normal(size=y_pred.shape)
    step = 1e-5
    ends = [
        value_and_gradient(lambda p: loss(as_tensor(y_true), p), y_pred + s * step * direction)
        for s in (1, -1)
    ]
    slope, bend = ((a - b) / (2 * step) for a, b in zip(*ends, strict=True))
    tensors = list(map(as_tensor, (y_true, y_pred, direction)))
    for _ in range(compiled.COMPILING_CALL + 1):
        np.testing.assert_allclose(forward(loss, *tensors), slope, rtol=1e-5)
        np.testing.assert_allclose(
            second_product(loss, *tensors), bend, rtol=1e-5, atol=1e-5 * abs(bend).max()
        )


def forward(loss, y_true, y_pred, direction):
    if TENSORFLOW:
        import tensorflow as tf

        with tf.autodiff.ForwardAccumulator(y_pred, direction) as accumulator:
            value = loss(y_true, y_pred)
        return as_numpy(accumulator.jvp(value))
    import jax

    return as_numpy(jax.jvp(lambda p: loss(y_true, p), (y_pred,), (direction,))[1])


@only_tensorflow
def test_autograph_is_kept_away_from_a_loss(caplog):
    import tensorflow as tf

    loss = boxloss.get("dfl")
    y_true, y_pred = map(as_tensor, examples(loss))
    tf.function(lambda t, p: loss(t, p))(y_true, y_pred)
    assert "AutoGraph" not in caplog.text
