"""Where YOLO's class numbers get their names: `data.yaml`, or a list of names, one per line.

labelImg writes `classes.txt` beside the labels, Label Studio at the root of an export, CVAT
`obj.names` one folder above the labels, Roboflow `_darknet.labels` among them.
"""

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
        path = _find(_places(root, annotations, base), LISTS)
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
    start = pathlib.Path(os.path.abspath(root if annotations is None else annotations))
    return _find((start, start.parent, start.parent.parent), YAML_NAMES)


def _places(root, annotations, base):
    """Where a list of names may lie: among the labels, and up to two folders above."""
    starts = [base, *([] if annotations is None else [annotations]), root]
    starts = [pathlib.Path(os.path.abspath(start)) for start in starts]
    return [place for start in starts for place in (start, start.parent, start.parent.parent)]


def _find(places, names):
    for place in places:
        for name in names:
            # Nobody named that file, so it may not lead elsewhere.
            if (place / name).is_file() and not (place / name).is_symlink():
                return place / name
    return None


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
