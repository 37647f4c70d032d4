"""The PyTorch backend (`make test-torch`): autograd gives the numbers of the other backends.

test_losses.py, test_properties.py and others run on PyTorch as well; here is what needs torch.
"""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from checked_rows import ARGUMENTS as ROW_ARGUMENTS
from checked_rows import PAIRS, ROWS
from loss_table import REQUIRED, make

import boxloss
from boxloss.tensors import ops

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(ops.backend() != "torch", reason="needs KERAS_BACKEND=torch"),
]

# Recorded with TensorFlow 2.21 (Keras 3.15.1), float32, by GradientTape: the gradient (2, 3, 4) of
# loss(TRUTH, PREDICTION) with respect to the prediction.
TRUTH = [
    [[90, 95, 170, 190], [14, 35, 49, 88], [4, 2, 11, 19]],
    [[10, 40, 90, 52], [0, 0, 4, 6], [-1, -1, -1, -1]],
]
PREDICTION = [
    [[100, 80, 180, 200], [12.5, 33.25, 47.75, 90.5], [3, 4, 9, 21]],
    [[35, 8, 51, 96], [7, 1, 9, 5], [3, 3, 5, 5]],
]
# fmt: off
TENSORFLOW = {
    "l1": (
        48.333332,
        [[[0.16666667, -0.16666667, 0.16666667, 0.16666667],
          [-0.16666667, -0.16666667, -0.16666667, 0.16666667],
          [-0.16666667, 0.16666667, -0.16666667, 0.16666667]],
         [[0.25, -0.25, -0.25, 0.25],
          [0.25, 0.25, 0.25, -0.25],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
    "smooth_l1": (
        46.333332,
        [[[0.16666667, -0.16666667, 0.16666667, 0.16666667],
          [-0.16666667, -0.16666667, -0.16666667, 0.16666667],
          [-0.16666667, 0.16666667, -0.16666667, 0.16666667]],
         [[0.25, -0.25, -0.25, 0.25],
          [0.25, 0.25, 0.25, -0.25],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
    "iou": (
        0.64423668,
        [[[0.0012518438, -0.00079662778, 0.0011949416, 0.00079662778],
          [-0.0039286939, -0.0024189774, -0.0039463593, 0.0024189774],
          [-0.009969038, 0.0051213494, -0.01595046, 0.0035184838]],
         [[0.00060823973, -0.00016219722, -0.00060823973, 0.00016219722],
          [0.0, 0.0, 0.0, 0.0],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
    "giou": (
        0.92967647,
        [[[0.0016376462, -0.00091879861, 0.0011520747, 0.00091879861],
          [-0.0039170855, -0.0025112752, -0.0042853346, 0.0025112752],
          [-0.011339652, 0.0062178401, -0.018143442, 0.0053652069]],
         [[0.0033071034, -0.0004721146, -0.0033071034, 0.0004721146],
          [0.018518519, 0.0092592593, -0.0020576138, -0.0092592593],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
    "diou": (
        0.72597367,
        [[[0.0013259178, -0.00080675125, 0.0012627193, 0.00076971418],
          [-0.0039772438, -0.0024035955, -0.0039960723, 0.0024307114],
          [-0.010465001, 0.0059056627, -0.016538695, 0.0040836516]],
         [[0.0004845123, -3.7450129e-05, -0.0007319671, 0.00024955417],
          [0.012820514, 0.0, 0.00098619331, 0.0],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
    "ciou": (
        0.78957939,
        [[[0.0013270986, -0.00080753845, 0.0012615385, 0.00077050138],
          [-0.0039770878, -0.0024036914, -0.0039962279, 0.0024308073],
          [-0.010464206, 0.0059053823, -0.016539488, 0.0040839319]],
         [[0.001610752, -0.00024222095, -0.0018582067, 0.000454325],
          [0.012851904, -1.5695203e-05, 0.00095480308, 1.5695203e-05],
          [0.0, 0.0, 0.0, 0.0]]],
    ),
}
# fmt: on


@pytest.mark.parametrize("name", TENSORFLOW)
def test_autograd_gives_the_gradient_that_tensorflow_gives(name):
    import torch

    prediction = torch.tensor(PREDICTION, requires_grad=True)
    loss = boxloss.get(name, **REQUIRED.get(name, {}))(torch.tensor(TRUTH), prediction)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    value, gradient = TENSORFLOW[name]
    np.testing.assert_allclose(loss.item(), value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(prediction.grad.numpy(), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row, pair, value, gradient", ROWS, ids=lambda x: str(x)[:30])
def test_float64_agrees_to_ten_digits_with_the_checked_rows(row, pair, value, gradient):
    import torch

    name, arguments = ROW_ARGUMENTS[row]
    if name not in boxloss.names("box"):
        pytest.skip("its inputs are read in test_losses.py and the files of its kind")
    boxes, truth = PAIRS[pair]
    prediction = torch.tensor([[boxes]], dtype=torch.float64, requires_grad=True)
    loss = make(name, **arguments, dtype="float64")
    got = loss(torch.tensor([[truth]], dtype=torch.float64), prediction)
    assert got.dtype == torch.float64
    # The rows are written with ten digits.
    np.testing.assert_allclose(got.item(), value, rtol=6e-10, atol=1e-10)
    got.backward()
    close = {"rtol": 1e-6, "atol": 1e-6 * np.abs(gradient).max()}
    np.testing.assert_allclose(prediction.grad[0, 0].numpy(), gradient, **close)


def test_a_torch_loop_trains_on_a_loss():
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 8)
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    x = torch.randn(6, 3)
    corner = torch.rand(6, 2, 2)
    truth = torch.cat([corner, corner + 0.5 + torch.rand(6, 2, 2)], dim=-1)
    truth[::2, 1] = -1
    loss = boxloss.CIoULoss()
    losses = []
    for _ in range(60):
        value = loss(truth, layer(x).reshape(6, 2, 4))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]


def test_fit_trains_and_saves_on_torch(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Reshape((3, 4))(keras.layers.Dense(12)(inputs)))
    model.compile(keras.optimizers.Adam(0.5), loss=boxloss.CIoULoss(normalizer="batch"))
    x = np.eye(2, 3, dtype="float32")
    y = np.float32(TRUTH)
    history = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        back.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6
    )


def test_the_detector_trains_on_torch():
    from boxloss.detector import Detector
    from boxloss.training import Criterion, FlatAdam, TrainingModel, box_loss

    keras.utils.set_random_seed(0)
    detector = Detector(["a", "b"], image_size=64, bins=16)
    model = TrainingModel(detector, Criterion(box_loss("wiou"), bins=16), image_count=4)
    model.compile(FlatAdam(2e-3))
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (4, 2, 2))
    y = {
        "boxes": np.concatenate([corner, corner + 20], axis=-1).astype("float32"),
        "labels": rng.integers(0, 2, (4, 2)).astype("int32"),
        "ignore": np.zeros((4, 2), bool),
        "index": np.arange(4, dtype="int32"),
    }
    x = rng.uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    losses = model.fit(x, y, batch_size=4, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    (mean,) = model.loss_states
    assert abs(float(mean.value) - 1.0) > 1e-3  # WIoU's running mean has moved


def test_the_optimizer_steps_on_the_device_of_the_weights():
    """On the device "meta", which like a GPU cannot be mixed with arrays and has no numbers."""
    import torch

    from boxloss.training import FlatAdam

    with keras.device("meta"):
        weights = [keras.Variable(torch.ones(shape, device="meta")) for shape in ((3, 2), (2,))]
        optimizer = FlatAdam(weight_decay=0.1)
        optimizer.build(weights)
        optimizer.apply([torch.ones(w.shape, device="meta") for w in weights], weights)
    assert [w.value.device.type for w in (*weights, *optimizer.moments)] == ["meta"] * 5


def test_operations_keep_float64():
    from boxloss.tensors import float64 as ops_float64

    x = np.array([0.3, -0.6], "float64")
    two = {name: (0.1 + 0 * x,) for name in ("arctan2", "maximum", "minimum")}
    for name in ops_float64.NARROWING:
        rest = {**two, "clip": (-0.1, 0.1)}.get(name, ())
        got = getattr(ops, name)(ops.convert_to_tensor(x), *rest)
        assert ops.dtype_name(got) == "float64", name
        expected = getattr(np, name)(x, *rest)
        np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-15, err_msg=name)


def _boxes(loss, images=2, count=5):
    import torch
    from loss_table import box_examples

    return [torch.tensor(x) for x in box_examples(np.random.default_rng(0), images, count)]


@pytest.mark.parametrize("name", boxloss.names("box"))
def test_dynamo_sees_one_graph_of_every_box_loss(name):
    import torch

    loss = boxloss.get(name, **REQUIRED.get(name, {}))
    y_true, y_pred = _boxes(loss)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(lambda t, p: loss(t, p))(y_true, y_pred.requires_grad_())
    assert explained.graph_break_count == 0, explained.break_reasons
    # What is compiled must not depend on a table of all losses: where one of them ends meanwhile,
    # the compilation fails.
    names = " ".join(guard.name for guard in explained.out_guards)
    assert not [table for table in ("_COMPILED", "_LOOKED", "_WARNED") if table in names]


def test_torch_func_gives_the_gradient_and_the_second_derivative():
    import torch

    loss = boxloss.get("giou")
    y_true, y_pred = _boxes(loss)
    value, pull = torch.func.vjp(lambda p: loss(y_true, p), y_pred)
    leaf = y_pred.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(y_true, leaf), leaf, create_graph=True)
    torch.testing.assert_close(pull(torch.ones(()))[0], gradient)
    (second,) = torch.autograd.grad(gradient.square().sum(), leaf)
    assert second.abs().max() > 0


def test_a_large_call_is_compiled_with_its_gradient_and_differentiates_twice(monkeypatch):
    import torch

    from boxloss.tensors import compiled_torch

    monkeypatch.setattr(compiled_torch, "SMALLEST", 1)
    if not compiled_torch._has_compiler():
        pytest.skip("no C++ compiler and no GPU")
    loss = boxloss.get("giou")
    y_true, y_pred = _boxes(loss)
    results = []
    for _ in range(4):
        leaf = y_pred.clone().requires_grad_()
        value = 3.0 * loss(y_true, leaf)
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), leaf)
        results.append((value.detach(), gradient.detach(), second))
        leaf.grad = None
        loss(y_true, leaf).backward()
        results[-1] += (leaf.grad,)
    assert loss._compiled("loss", None)[0]._programs
    for first, last in zip(results[0], results[-1], strict=True):
        torch.testing.assert_close(first, last, rtol=1e-4, atol=1e-6)


# PyTorch without TensorFlow, JAX and KERAS_BACKEND ------------------------------------------------


def run(*words):
    """stdout of `python *words` where no backend is named."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def torch_alone():
    for other in ("tensorflow", "jax"):
        if importlib.util.find_spec(other) is not None:
            pytest.skip(f"{other} is here as well")


def test_a_loss_takes_pytorch_where_nothing_else_is(torch_alone):
    code = (
        "import boxloss, torch; x = torch.tensor([[[0., 0, 8, 4]]]);"
        "print(type(boxloss.CIoULoss()(x, x + 1)).__name__)"
    )
    assert run("-c", code).strip() == "Tensor"


def test_doctor_reports_pytorch(torch_alone):
    report = run("-m", "boxloss", "doctor")
    assert "torch" in report


def test_the_commands_that_train_nothing_work_on_bccd(torch_alone, bccd, tmp_path):
    data = ("--truth", bccd / "val.json", "--images", bccd / "val")
    found = (*data, "--detections", bccd / "yolo11n_val.json")
    run("-m", "boxloss", "explore", *found, "--worst", "5", "--out", tmp_path / "page")
    assert (tmp_path / "page" / "index.html").stat().st_size > 100_000
    run("-m", "boxloss", "audit", *found, "--worst", "5", "--out", tmp_path / "audit")
    assert (tmp_path / "audit" / "audit.csv").is_file()
    truth, results = found[:2], found[4:]
    metrics = json.loads(
        run("-m", "boxloss", "evaluate", *truth, *results, "--out", tmp_path / "found")
    )
    assert metrics["AP50"] == pytest.approx(0.842, abs=2e-3)  # as the data set's README says
