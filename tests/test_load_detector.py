"""A detector is loaded without running anything that its file says."""

import json
import zipfile

import keras
import numpy as np
import pytest

from boxloss.detector import Detector, load_detector

RAN = []


@keras.utils.register_keras_serializable(package="theirs")
class Theirs(keras.layers.Layer):
    """A layer of somebody else, whose code must not run."""

    def __init__(self, **arguments):
        RAN.append(arguments)
        super().__init__(**arguments)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "model.keras"
    Detector(["a", "b"], image_size=64, bins=4, category_ids=["x", 7]).save(path)
    return path


def altered(saved, path, change, leave=()):
    """A copy of the file with a config that `change` has altered."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in set(old.namelist()) - set(leave):
            data = old.read(name)
            if name == "config.json":
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(name, data)
    return path


def test_a_file_and_its_folder_give_the_same_detector(saved):
    for place in (saved, saved.parent, str(saved.parent)):
        detector = load_detector(place)
        assert (detector.class_names, detector.category_ids) == (["a", "b"], ["x", 7])
        assert (detector.size, detector.image_size, detector.bins) == ("nano", 64, 4)
    for found, expected in zip(detector.weights, load_detector(saved).weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_no_code_of_a_foreign_layer_runs(saved, tmp_path):
    layer = {"module": __name__, "class_name": "Theirs", "config": {"name": "x"}}
    layer["registered_name"] = "theirs>Theirs"

    def hide(config):
        return config | {"config": config["config"] | {"name": layer, "size": layer}}

    def replace(config):
        return layer

    def nest(config):
        return config | {"config": config["config"] | {"class_names": [layer]}}

    for i, change in enumerate((hide, replace, nest)):
        with pytest.raises(ValueError, match="boxloss"):
            load_detector(altered(saved, tmp_path / f"{i}.keras", change))
    assert RAN == []


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda config: [], "a config that is a list"),
        (lambda config: None, "a config that is a NoneType"),
        (lambda config: {}, "'class_name'"),
        (lambda config: config | {"config": []}, "'class_names'"),
        (lambda config: config | {"config": {"class_names": [1]}}, "class_names=[1] in its config"),
        (lambda config: config | {"config": {"class_names": []}}, "`class_names` must hold"),
        (
            lambda config: config | {"config": config["config"] | {"bins": 10**400}},
            f"bins={'1' + 50 * '0'}",
        ),
        (lambda config: config | {"config": config["config"] | {"bins": 8}}, ""),
    ],
)
def test_a_tampered_config_is_one_line(saved, tmp_path, change, reason):
    path = altered(saved, tmp_path / "model.keras", change)
    with pytest.raises(ValueError) as error:
        load_detector(path)
    start = f"{path}: file must be a detector that boxloss saved. Received: "
    assert str(error.value).startswith(start) and "\n" not in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize("other", [{"class_name": "Layer"}, {"module": "theirs.boxloss"}])
def test_a_detector_is_our_class_in_our_module(saved, tmp_path, other):
    path = altered(saved, tmp_path / "a.keras", lambda config: config | other)
    with pytest.raises(ValueError, match="model must be a boxloss Detector"):
        load_detector(path)


def test_weights_in_another_form_are_not_read(saved, tmp_path):
    path = altered(saved, tmp_path / "a.keras", lambda config: config, ["model.weights.h5"])
    with pytest.raises(ValueError, match="a file without model.weights.h5"):
        load_detector(path)
