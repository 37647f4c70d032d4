"""What the registry knows of a loss, and that its arguments survive saving and loading."""

import json

import keras
import numpy as np
import pytest
from loss_table import (
    ARGUMENTS,
    BOX,
    EVERY,
    REQUIRED,
    examples,
    id_of,
    make,
)

import boxloss

COMMON = [
    {"normalizer": "batch"},
    {"normalizer": 3.5, "reduction": "sum"},
    {"box_reduction": "none", "reduction": "none"},
    {"mining": boxloss.HardestBoxes(fraction=0.5, scope="batch"), "name": "mine"},
    {"mining": boxloss.FocalWeighting(gamma=0.5)},
    {"mining": boxloss.HardestImages(count=2), "dtype": "float64"},
]


def all_arguments():
    for name in EVERY:
        for arguments in [*COMMON, *ARGUMENTS.get(name, [])]:
            yield name, {**REQUIRED.get(name, {}), **arguments}
        if name in BOX:
            yield name, {"bounding_box_format": "rel_xywh", "image_shape": (480.0, 640.0)}
    for name in ("l1", "smooth_l1"):
        yield name, {"coordinate_reduction": "mean", "coordinate_format": "center_xywh"}


@pytest.mark.parametrize("name, arguments", list(all_arguments()), ids=id_of)
def test_every_argument_survives_a_round_trip(name, arguments):
    loss = make(name, **arguments)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    back = keras.saving.deserialize_keras_object(config)
    assert type(back) is type(loss)
    assert back.get_config() == loss.get_config()
    for argument, value in arguments.items():
        got = getattr(back, argument)
        if isinstance(value, tuple) and argument == "base":
            got, value = got.get_config(), make(value[0], **value[1]).get_config()
        assert (got or "none") == (value or "none"), argument


COMMONEST = ["l1", "smooth_l1", "iou", "giou", "diou", "ciou"]
OTHERS = [name for name in BOX if name not in COMMONEST]


# A model of several outputs, each with its loss: models are slow to build and to save.
@pytest.mark.parametrize(
    "names",
    [
        COMMONEST,
        *(pytest.param(OTHERS[i::3], marks=pytest.mark.slow(30)) for i in range(3)),
    ],
    ids="-".join,
)
def test_a_compiled_model_saves_and_loads_with_its_losses(names, tmp_path):
    losses = {
        name: boxloss.get(
            name,
            **REQUIRED.get(name, {}) | (ARGUMENTS.get(name) or [{}])[0] | {"normalizer": "batch"},
        )
        for name in names
    }
    inputs = keras.Input((8,))
    boxes = keras.layers.Reshape((5, 4))(keras.layers.Dense(20)(inputs))
    outputs = {name: keras.layers.Rescaling(1.0, name=name)(boxes) for name in names}
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss=losses)
    y_true = {name: examples(make(name))[0] for name in names}
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    model.fit(x, y_true, epochs=1, verbose=0)
    before = model.evaluate(x, y_true, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    after = keras.models.load_model(tmp_path / "model.keras")
    again = after.evaluate(x, y_true, verbose=0, return_dict=True)
    assert set(before) == {"loss", *(f"{name}_loss" for name in names)}
    for key, value in before.items():
        np.testing.assert_allclose(again[key], value, rtol=1e-6, err_msg=key)
    for name, loss in losses.items():
        assert after.loss[name].get_config() == loss.get_config()


@pytest.mark.parametrize(
    "misspelt, near",
    [("cious", "ciou"), ("siuo", "siou"), ("smoth_l1", "smooth_l1"), ("GIoUs", "giou")],
)
def test_a_misspelt_name_gets_a_near_match(misspelt, near):
    with pytest.raises(ValueError) as error:
        boxloss.get(misspelt)
    listed = ", ".join(map(repr, EVERY))
    assert str(error.value) == (
        f"`name` must be one of {listed}. Did you mean {near!r}? Received: name={misspelt!r}"
    )


@pytest.mark.parametrize("name", EVERY)
def test_a_class_says_what_it_is(name):
    cls = type(make(name))
    assert cls.name == name
    assert cls.kind in boxloss.losses.KINDS
    assert name in boxloss.names(cls.kind)
    assert isinstance(cls.recovers_disjoint, bool) and isinstance(cls.recovers_inverted, bool)
    assert getattr(boxloss, cls.__name__) is cls
