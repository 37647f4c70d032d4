"""`help` of a loss says all that somebody needs to use it."""

import inspect

import pytest

import boxloss
from boxloss.losses import documentation

# Older than any paper on detection.
TEXTBOOK = ("l1", "l2", "log_cosh", "softmax", "gaussian_nll", "laplace_nll")
EVERY = pytest.mark.parametrize("cls", boxloss.LOSSES, ids=lambda cls: cls.name)


@EVERY
def test_help_says_formula_range_arguments_shapes_and_source(cls):
    text = inspect.getdoc(cls)
    function = getattr(boxloss.functional, f"{cls.name}_loss")
    words = " ".join(text.split())
    assert " ".join(inspect.getdoc(function).split()) in words
    assert "(B, N" in text and "sample_weight" in text
    assert "Source: " in text or cls.name in TEXTBOOK
    for name, parameter in inspect.signature(cls).parameters.items():
        default = repr(parameter.default).replace("'", '"')
        assert f"{name}={default}" in text, name
    assert text.count("\nArgs") == 1
    assert not any(len(line) > 120 for line in text.splitlines())


def test_a_required_argument_has_no_default_and_a_sum_no_formula_of_its_own():
    text = inspect.getdoc(boxloss.WeightedSum)
    assert "\n    losses: {name or loss object: weight}" in text
    assert '\n    bounding_box_format="xyxy": how' in text


def test_the_parts_of_a_docstring_are_found():
    text = documentation.read(
        """One line.

        Args (all keyword-only), beside those of `Base`:
            alpha, beta: two words
                and a second line.
            gamma: one: with a colon.

        What is after it.
        """
    )
    assert text.prose == "One line.\n\nWhat is after it."
    assert text.arguments == {
        "alpha, beta": "two words\n        and a second line.",
        "gamma": "one: with a colon.",
    }


def test_an_argument_that_a_class_explains_again_is_explained_once():
    text = inspect.getdoc(boxloss.RotatedGIoULoss)
    assert text.count('mode="linear"') == 1
    assert "IoU loss of rotated boxes. Terms: overlap, inversion." not in text
