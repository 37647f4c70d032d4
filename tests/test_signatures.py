"""What a loss takes: whole signatures, misspelt arguments, configurations, words and types."""

import inspect
import typing

import keras
import pytest
from loss_table import REQUIRED

import boxloss
from boxloss import losses, types
from boxloss.losses import arguments, modifiers

SHARED = [
    "normalizer",
    "box_reduction",
    "mining",
    "reduction",
    "name",
    "dtype",
]
EVERY = pytest.mark.parametrize("cls", losses.LOSSES, ids=lambda cls: cls.name)


def names(cls):
    return list(inspect.signature(cls).parameters)


def test_a_signature_shows_own_arguments_first_and_then_the_shared_ones():
    assert names(boxloss.CIoULoss) == [
        "gated",
        "alpha_gradient",
        "bounding_box_format",
        "image_shape",
        *SHARED,
    ]
    assert names(boxloss.WeightedSum)[:2] == ["losses", "bounding_box_format"]
    assert inspect.signature(boxloss.HuberBoxLoss).parameters["delta"].default == 1.0
    # Of two constructors that name an argument, the one that is called first sets its default.
    assert inspect.signature(boxloss.UnifiedIoULoss).parameters["base"].default == "ciou"


def test_a_loss_that_is_called_has_the_signature_of_the_call():
    assert list(inspect.signature(boxloss.CIoULoss()).parameters)[:2] == ["y_true", "y_pred"]


@EVERY
def test_every_argument_is_an_attribute_of_its_name_and_in_the_configuration(cls):
    loss = cls(**REQUIRED.get(cls.name, {}))
    assert loss.get_config().keys() == inspect.signature(cls).parameters.keys()
    assert all(hasattr(loss, name) for name in names(cls))


def test_a_loss_of_somebody_else_is_saved_by_its_own_signature():
    class Clipped(boxloss.GIoULoss):
        def __init__(self, *, limit=2.0, **arguments):
            super().__init__(**arguments)
            self.limit = limit

    class Fixed(boxloss.GIoULoss):
        def __init__(self):
            super().__init__(bounding_box_format="xywh")

    loss = Clipped(limit=1.5, bounding_box_format="xywh", normalizer=3)
    again = Clipped.from_config(loss.get_config())
    assert (again.limit, again.bounding_box_format, again.normalizer) == (1.5, "xywh", 3.0)
    assert Fixed.from_config(Fixed().get_config()).bounding_box_format == "xywh"


def test_an_argument_that_a_subclass_keeps_elsewhere_can_be_added_by_it():
    class Private(boxloss.GIoULoss):
        def __init__(self, *, limit=2.0, **arguments):
            super().__init__(**arguments)
            self._limit = limit

        def get_config(self):
            return {**super().get_config(), "limit": self._limit}

    assert Private.from_config(Private(limit=1.5).get_config())._limit == 1.5


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: boxloss.GIoULoss(normaliser="batch"),
            "`normaliser` must be an argument of GIoULoss, one of 'bounding_box_format', "
            "'box_reduction', 'dtype', 'image_shape', 'mining', 'name', 'normalizer', 'reduction'. "
            "Did you mean 'normalizer'? Received: normaliser='batch'",
        ),
        (
            lambda: boxloss.get("kl", zzz=[1]),
            "`zzz` must be an argument of KLBoxLoss, one of 'bounding_box_format', "
            "'box_reduction', 'coordinate_reduction', 'dtype', 'image_shape', 'mining', 'name', "
            "'normalizer', 'reduction'. Received: zzz=[1]",
        ),
    ],
)
def test_a_misspelt_argument_names_the_loss_and_what_was_meant(call, message):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == message


# Literals and typed dicts are for checkers, which do not run: these hold them to what runs. ------


@pytest.mark.parametrize(
    "typed, cls",
    [
        (arguments.TensorArguments, boxloss.TensorLoss),
        (arguments.ClassArguments, boxloss.TensorLoss),
        (arguments.BoxArguments, boxloss.BoxLoss),
        (arguments.UncertaintyArguments, losses.uncertainty.UncertaintyLoss),
        (arguments.CoordinateArguments, losses.coordinate.CoordinateLoss),
        (arguments.ModifierArguments, modifiers.ModifierLoss),
    ],
)
def test_a_typed_dict_has_the_arguments_of_the_class_it_stands_for(typed, cls):
    assert set(typed.__annotations__) == set(names(cls))


@pytest.mark.parametrize(
    "words, make",
    [
        (types.BoundingBoxFormat, lambda word: boxloss.GIoULoss(bounding_box_format=word)),
        (types.NormalizerWord, lambda word: boxloss.GIoULoss(normalizer=word)),
        (types.BoxReduction, lambda word: boxloss.GIoULoss(box_reduction=word)),
        (types.CoordinateReduction, lambda word: boxloss.L1BoxLoss(coordinate_reduction=word)),
        (types.Reduction, lambda word: boxloss.GIoULoss(reduction=word)),
        (types.MiningScope, lambda word: boxloss.HardestBoxes(count=1, scope=word)),
        (types.IoUMode, lambda word: boxloss.IoULoss(mode=word)),
        (types.BaseLoss, lambda word: boxloss.InnerIoULoss(base=word, image_shape=(40, 60))),
        (types.GWDFunction, lambda word: boxloss.GWDLoss(function=word)),
        (types.KLDDirection, lambda word: boxloss.KLDLoss(direction=word)),
        (types.ProbIoUMode, lambda word: boxloss.ProbIoULoss(mode=word)),
        (types.KFIoUMode, lambda word: boxloss.KFIoULoss(mode=word)),
    ],
)
def test_the_words_of_a_type_are_those_that_are_accepted(words, make):
    words = typing.get_args(words)
    for word in words:
        make(word)
    with pytest.raises(ValueError, match="must be one of") as error:
        make("nonsense")
    assert str(error.value).count("'") >= 2 * len(words)
    assert all(repr(word) in str(error.value) for word in words)


def test_bases_of_modifiers_are_the_losses_that_are_an_overlap_plus_penalties():
    made = [boxloss.get(name, **REQUIRED.get(name, {})) for name in boxloss.names("box")]
    able = {loss.name for loss in made if getattr(loss, "is_overlap_plus_penalties", False)}
    assert able == set(typing.get_args(types.BaseLoss))


def test_a_loss_is_known_to_keras_by_its_name():
    assert keras.saving.get_registered_object("boxloss>CIoULoss") is boxloss.CIoULoss


def test_every_registered_loss_is_public():
    assert {cls.__name__ for cls in losses.LOSSES} <= set(losses.__all__)
    assert set(losses.__all__) <= set(boxloss.__all__)
