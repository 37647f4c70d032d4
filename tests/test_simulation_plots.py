"""The pictures of a simulation: which curves are named, and where their names are."""

from types import SimpleNamespace

import numpy as np
import pytest

from boxloss import simulation
from boxloss.simulation import plots

pytest.importorskip("matplotlib")
NAMES = ("l2", "iou", "giou", "diou", "siou", "ciou", "l1", "eiou", "nwd")


def results(names):
    """Curves that all fall from 1; those of later names end lower, and close to each other."""
    return [
        SimpleNamespace(
            loss=name,
            errors=np.geomspace(5.0, 4.0 - i / 50, 4),
            iou_losses=np.linspace(0.9, 0.5 - i / 100, 4),
        )
        for i, name in enumerate(names)
    ]


def named(figure):
    """[{name: (height, colour)}] of both axes, from the lowest name to the highest."""
    return [
        {text.get_text(): (text.get_position()[1], text.get_color()) for text in axes.texts}
        for axes in figure.axes
    ]


def colours(axes):
    return {line.get_label(): line.get_color() for line in axes.lines}


def test_of_many_curves_five_are_named_and_the_rest_is_grey():
    figure = simulation.plot_curves(results(NAMES))
    for axes, names in zip(figure.axes, named(figure), strict=True):
        assert set(names) == {"iou", "giou", "diou", "ciou", "l1"}
        grey = {name for name, colour in colours(axes).items() if colour == "0.82"}
        assert grey == set(NAMES) - set(names)
        assert all(colours(axes)[name] == colour for name, (_, colour) in names.items())
    assert not figure.legends


def test_of_few_curves_all_are_named_in_the_order_of_their_ends_and_apart():
    figure = simulation.plot_curves(results(NAMES[:7]))
    for names in named(figure):
        assert list(names) == list(reversed(NAMES[:7]))
        heights = [height for height, _ in names.values()]
        assert min(np.diff(heights)) >= 0.0599 and 0 <= min(heights) and max(heights) <= 1


def test_which_are_named_can_be_chosen():
    figure = simulation.plot_curves(results(NAMES), named=["nwd", "l2"])
    assert [set(names) for names in named(figure)] == [{"nwd", "l2"}] * 2
    with pytest.raises(ValueError, match=r"`named` must be losses of .* Received: \['wiou'\]"):
        simulation.plot_curves(results(NAMES), named=["wiou"])


@pytest.mark.parametrize(
    "places, expected",
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.1, 0.1, 0.5], [0.1, 0.3, 0.5]),
        ([0.1, 0.95, 0.96], [0.1, 0.8, 1.0]),
        ([0.9, 0.9, 0.9], [0.6, 0.8, 1.0]),
        ([], []),
    ],
)
def test_names_move_apart_by_as_little_as_they_must(places, expected):
    np.testing.assert_allclose(plots._spread(places, 0.2), expected)
