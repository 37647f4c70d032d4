"""What an exported file takes and gives, as JSON beside it. No Keras here."""

import pathlib
from typing import Any

from boxloss.files import write_json
from boxloss.types import PathLike

FIELDS = ("format", "nms", "class_names", "category_ids", "image_size", "threshold")


def description_of(path: PathLike) -> pathlib.Path:
    """The JSON file that describes an exported one: inside of a folder, else beside the file."""
    path = pathlib.Path(path)
    return path / "boxloss.json" if path.is_dir() else path.with_name(f"{path.name}.json")


def describe(path: PathLike, **fields: Any) -> None:
    write_json(description_of(path), {name: fields[name] for name in FIELDS})


def is_exported(path: PathLike) -> bool:
    return description_of(path).is_file()
