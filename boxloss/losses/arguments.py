"""The arguments that losses share, and what is read from the signature of a loss.

A class writes its own arguments in its constructor and hands the others on:

    def __init__(self, *, theta: float = 4.0, **arguments: Unpack[BoxArguments]) -> None:
        super().__init__(**arguments)
        self.theta = checks.positive("theta", theta)

Type checkers and editors read the typed dicts below. Defaults are in the constructors alone, and
what each argument means is in the docstring of the class that takes it. An argument is kept as an
attribute of its own name: that is how `get_config` finds it.
"""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from boxloss.losses.mining import Mining
from boxloss.types import (
    BaseLoss,
    BoundingBoxFormat,
    BoxReduction,
    ChangedBase,
    ClassNormalizer,
    CoordinateFormat,
    CoordinateReduction,
    Enclosure,
    Normalizer,
    Origin,
    Reduction,
)

if TYPE_CHECKING:
    from boxloss.losses.base import TensorLoss


# `total=False`: each of them may be left out. A typed dict has no defaults, and no two of the same
# name may differ, hence one without `normalizer` below the two that have it.
class SharedArguments(TypedDict, total=False):
    """Those of every loss but `normalizer`, which takes one word more for labels."""

    box_reduction: BoxReduction
    mining: Mining | None
    reduction: Reduction | None
    name: str | None
    dtype: str | None


class TensorArguments(SharedArguments, total=False):
    normalizer: Normalizer


class ClassArguments(SharedArguments, total=False):
    normalizer: ClassNormalizer


class BoxArguments(TensorArguments, total=False):
    bounding_box_format: BoundingBoxFormat
    image_shape: Sequence[float] | None


class UncertaintyArguments(BoxArguments, total=False):
    coordinate_reduction: CoordinateReduction


class CoordinateArguments(UncertaintyArguments, total=False):
    coordinate_format: CoordinateFormat


class ModifierArguments(BoxArguments, total=False):
    base: "BaseLoss | TensorLoss"


class ChangedArguments(BoxArguments, total=False):
    base: "ChangedBase | TensorLoss"


class Box3DArguments(TensorArguments, total=False):
    origin: Origin
    clockwise: bool


class EnclosureArguments(Box3DArguments, total=False):
    enclosure: Enclosure


class WholeSignature:
    """Of a class: its constructor's signature with the arguments that its `**arguments` takes.

    `help`, IPython and `inspect.signature` ask a class for its `__signature__`. An instance has
    none: the signature of a loss that is called is another.
    """

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        # Without this, `inspect.signature(loss)` would show how a loss is made, not how it is
        # called.
        if instance is not None:
            raise AttributeError("__signature__")
        return whole_signature(owner)


def whole_signature(cls: type) -> inspect.Signature:
    """The arguments of each constructor, up to the first that hands nothing on, without types.

    With types the signature of one loss would fill a screen; they are at the constructors.
    """
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" in vars(base):
            _, *own = inspect.signature(vars(base)["__init__"]).parameters.values()
            is_first = not found
            for parameter in own:
                if parameter.kind is not parameter.VAR_KEYWORD:
                    # What a base gets by `**arguments` has a name, even where the base needs none.
                    kind = parameter.kind if is_first else parameter.KEYWORD_ONLY
                    plain = parameter.replace(kind=kind, annotation=parameter.empty)
                    found.setdefault(parameter.name, plain)
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
                break
        if isinstance(vars(base).get("__signature__"), WholeSignature):
            break  # the root of the losses, which speaks for Keras' class
    by_kind = sorted(found.values(), key=lambda parameter: parameter.kind)
    return inspect.Signature(by_kind)
