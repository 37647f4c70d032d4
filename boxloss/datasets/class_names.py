"""Where YOLO's class numbers get their names: `data.yaml`, or a list of names, one per line.

labelImg writes `classes.txt` beside the labels, Label Studio at the root of an export, CVAT
`obj.names` one folder above the labels, Roboflow `_darknet.labels` among them.
"""

import itertools
import os
import pathlib

from boxloss import files
from boxloss.datasets import data_yaml
from boxloss.files import one_line

YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
LISTS = ("classes.txt", "obj.names", "_darknet.labels", "classes.names")


def find_names(root, annotations, base, problems):
    """A DataYaml with the names of the class numbers, or None where no file says them.

    root: the image folder. annotations: what was given, a file, a folder or None. base: the folder
    of the labels.
    """
    path = find_yaml(root, annotations)
    if path is not None:
        found = data_yaml.read(path)
    else:
        starts = [base, *([] if annotations is None else [annotations]), root]
        near = dict.fromkeys(place for start in starts for place in _near(start))
        found = itertools.starmap(_list_in, near)
        path = next((place for place in found if place is not None), None)
        if path is None:
            return None
        lines = _text_of(path).splitlines()
        found = data_yaml.DataYaml({number: line.strip() for number, line in enumerate(lines)})
        while found.names and not found.names[len(found.names) - 1]:  # empty lines at the end
            found.names.popitem()
    for number in [number for number, name in found.names.items() if not name]:
        problems.add(path, f"class {number}", "have a name", f"name={found.names.pop(number)!r}")
    return found


def find_yaml(root, annotations):
    """The `data.yaml` that belongs to the image folder `root`, or None."""
    if annotations is not None and os.path.isfile(annotations):
        return pathlib.Path(annotations)
    near = _near(root if annotations is None else annotations)
    return next((found for found in itertools.starmap(yaml_in, near) if found is not None), None)


def yaml_in(place, given=True):
    """The `data.yaml` in a folder, else the one other YAML file there that has class names.

    given: whether somebody named the folder. One above it is not listed, only asked for files of
    the usual names.
    """
    listed = _listed(place) if given else _usual(place, YAML_NAMES)
    named = next((listed[name] for name in YAML_NAMES if name in listed), None)
    if named is not None:
        return named
    others = [path for name, path in listed.items() if name.endswith((".yaml", ".yml"))]
    return others[0] if len(others) == 1 and _has_names(others[0]) else None


def _has_names(path):
    try:
        return bool(data_yaml.read(path).names)
    except (ValueError, OSError):
        return False


def _near(start):
    """(folder, whether it was given) of a folder and the two above it."""
    start = pathlib.Path(os.path.abspath(start))
    return [(start, True), (start.parent, False), (start.parent.parent, False)]


def _list_in(place, given):
    """The list of class names in a folder: of the usual names, else its one `*.names`; or None."""
    listed = _listed(place) if given else _usual(place, LISTS)
    other = [path for name, path in listed.items() if name.endswith(".names")]
    usual = (listed[name] for name in LISTS if name in listed)
    return next(usual, other[0] if len(other) == 1 and given else None)


def _listed(place):
    """{name in lower case: path} of the files in a folder that are no links.

    Nobody named these files, so they may not lead elsewhere.
    """
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:
        return {}
    return {name.lower(): place / name for name in sorted(names)}


def _usual(place, names):
    """The same of the files of these names alone, also in capitals; the folder is not listed."""
    spelt = [spell(name) for spell in (str.upper, str.capitalize, str.lower) for name in names]
    paths = [place / name for name in spelt]
    return {path.name.lower(): path for path in paths if path.is_file() and not path.is_symlink()}


def _text_of(path):
    try:
        data = files.read_bytes(path)
        try:
            return files.decoded(data)
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")  # what Windows wrote before UTF-8
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{one_line(path)}: file must be a readable list of class names. "
            f"Received: {one_line(error)}"
        ) from None
