"""Backbones: shapes by stride, files, and that every one of them is saved and loaded."""

import importlib.util
import warnings
import zipfile

import keras
import numpy as np
import pytest

from boxloss.detector import BACKBONES, Detector, available_backbones, catalogue, load_detector
from boxloss.detector import backbones as builders
from boxloss.tensors import ops

FOREIGN = [name for name in BACKBONES if name not in catalogue.SIZES]


@pytest.fixture(scope="module")
def tiny():
    """The smallest backbone of keras.applications."""
    keras.utils.set_random_seed(0)
    return Detector(["a", "b"], image_size=64, backbone="mobilenet_v3_small", bins=4)


def test_a_foreign_backbone_is_saved_and_loaded_with_the_same_numbers(tiny, tmp_path):
    keras.layers.ReLU()(keras.Input((3,)))  # names that Keras counts up are then other ones
    tiny.save(tmp_path / "model.keras")
    loaded = load_detector(tmp_path)
    assert (loaded.backbone, loaded.size) == ("mobilenet_v3_small", "nano")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    for name, expected in tiny(images).items():
        found = ops.numpy_of(loaded(images)[name])
        np.testing.assert_array_equal(found, ops.numpy_of(expected))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow(20)) for name in FOREIGN]
)
def test_features_have_the_strides_8_16_and_32_of_any_picture(name):
    backbone = builders.build(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = backbone(np.zeros((1, 96, 160, 3), "float32"))
    assert [tuple(x.shape[1:3]) for x in features] == [(12, 20), (6, 10), (3, 5)]


def test_strides_are_known_by_order_and_not_by_name(tiny):
    strides = [stride for _, stride in builders.strides_of(tiny.backbone_model) if stride]
    assert sorted(set(strides)) == [1, 2, 4, 8, 16, 32]
    outputs = [tuple(x.shape)[-1] for x in tiny.backbone_model.outputs]
    assert outputs == [96, 288, 576]
    named = [operation.name for operation, stride in builders.strides_of(tiny.backbone_model)]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    "given, expected",
    [
        ((None, None), ("nano", "nano")),
        (("small", None), ("small", "small")),
        ((None, "medium"), ("medium", "medium")),
        (("medium", "nano"), ("medium", "nano")),
        ((None, "resnet50"), ("nano", "resnet50")),
    ],
)
def test_size_and_backbone_complete_each_other(given, expected):
    assert catalogue.size_and_backbone(*given) == expected


def test_a_backbone_that_nobody_knows_is_refused_with_a_near_match():
    with pytest.raises(ValueError) as error:
        Detector(["a"], backbone="resnet5")
    assert str(error.value) == (
        "`backbone` must be one of 'convnext_tiny', 'efficientnet_lite0', 'efficientnet_v2_b0', "
        "'medium', 'mobilenet_v3_large', 'mobilenet_v3_small', 'nano', 'resnet50', 'small'. "
        "Did you mean 'resnet50'? Received: backbone='resnet5'"
    )


def test_only_weights_that_are_here_count_as_available(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert available_backbones() == []
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / catalogue.WEIGHTS["convnext_tiny"].file).touch()
    assert available_backbones() == ["convnext_tiny"]


def test_where_keras_loads_weights_from_is_what_the_catalogue_says():
    for weights in catalogue.WEIGHTS.values():
        if weights.keras_name:
            function = getattr(keras.applications, weights.keras_name)
            with open(function.__code__.co_filename, encoding="utf-8") as file:
                source = "".join(file.read().split())
            assert weights.origin.rpartition("/keras-applications")[2] in source


def test_a_file_of_before_backbones_loads_as_its_size(tmp_path):
    Detector(["a"], size="small", image_size=64).save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new:
        parts = {name: new.read(name) for name in new.namelist()}
    parts["config.json"] = parts["config.json"].replace(b', "backbone": "small"', b"")
    assert b"backbone" not in parts["config.json"]
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name, data in parts.items():
            old.writestr(name, data)
    loaded = load_detector(tmp_path / "old.keras")
    assert (loaded.size, loaded.backbone) == ("small", "small")
