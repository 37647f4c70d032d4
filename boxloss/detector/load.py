"""A detector from a file, without running anything that the file says.

A `.keras` file names the classes that Keras builds, and older Keras imports and runs whatever is
named there. So its config is read first and must describe a `Detector`; that is built here, from
checked arguments, and takes the arrays of the file.
"""

import json
import pathlib
import zipfile
from typing import Any

from boxloss.detector.model import Detector
from boxloss.files import one_line, shortened
from boxloss.types import PathLike

CONFIG_LIMIT = 2**24  # bytes: the names of the classes are the largest part
WEIGHTS = "model.weights.h5"


def load_detector(path: PathLike) -> Detector:
    """The detector in a `.keras` file or in a run folder (its model.keras).

    ValueError for any other file.
    """
    path = pathlib.Path(path)
    if path.is_dir() and path.suffix != ".keras":
        path = path / "model.keras"
    try:
        config = _config(path)
        name = config["class_name"]
        ours = name == "Detector" and str(config["module"]).startswith("boxloss.")
        detector = Detector(**_arguments(config["config"])) if ours else None
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile, RecursionError) as error:
        raise _refusal(path, error) from None
    if detector is None:
        raise ValueError(
            f"{one_line(path)}: model must be a boxloss Detector. Received: {shortened(name)}"
        )
    try:
        # The arrays alone: what else Keras might build from the file was replaced by our own
        # network.
        detector.load_weights(path)
    except Exception as error:  # h5py and Keras raise whatever they meet in a broken file
        raise _refusal(path, error) from None
    return detector


def _refusal(path, error):
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ValueError(
        f"{one_line(path)}: file must be a detector that boxloss saved. "
        f"Received: {shortened(reason)}"
    )


def _config(path):
    """The dict in the file's config.json."""
    if not path.is_file():
        raise ValueError("no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError("no .keras file, or one that is cut")
    with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
        # Keras also reads weights in pickles of numpy.
        if WEIGHTS not in archive.namelist():
            raise ValueError(f"a file without {WEIGHTS}")
        text = file.read(CONFIG_LIMIT + 1)
    if len(text) > CONFIG_LIMIT:
        raise ValueError(f"a config of more than {CONFIG_LIMIT} bytes")
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError(f"a config that is a {type(config).__name__}")
    return config


def _arguments(given):
    """The arguments of `Detector`, each of its type."""
    return {key: _checked(key, given[key], rule) for key, rule in RULES.items() if key in given}


def _checked(key, value, rule):
    if not rule(value):
        raise ValueError(f"{key}={shortened(repr(value))} in its config")
    return value


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _count(value: Any) -> bool:
    # `type` and not `isinstance`: True is an int. The limit keeps a file from asking for a network
    # that fills the memory.
    return type(value) is int and 0 <= value <= 2**14


# What has no rule here is not handed to `Detector`, whatever the file names.
RULES = {
    "class_names": _names,
    "size": lambda value: isinstance(value, str),
    "image_size": _count,
    "bins": _count,
    "category_ids": lambda value: (
        value is None or isinstance(value, list) and all(type(one) in (int, str) for one in value)
    ),
    "name": lambda value: isinstance(value, str),
    "backbone": lambda value: isinstance(value, str),
}
