"""Files inside a folder, and never one outside it, whatever a name says."""

import os
import pathlib
import stat

# A label file of 10,000 boxes takes about 3 MB; far more is an attack or an accident.
TEXT_LIMIT = 64 * 2**20


class OutsideFolderError(ValueError):
    """The name leads out of the folder."""


def inside(root, name):
    """The path of the file `name` below `root`.

    Raises OutsideFolderError for an absolute name, a name with `..`, a Windows drive or backslash,
    and for a symbolic link that leads out of `root`; FileNotFoundError where there is no regular
    file. Nothing is opened.
    """
    unsafe = (
        not name
        or "\0" in name
        or "\\" in name
        or name.startswith(("/", "~"))
        or ".." in name.split("/")
        or (len(name) > 1 and name[1] == ":")
    )
    if unsafe:
        raise OutsideFolderError(name)
    path = pathlib.Path(root) / name
    try:
        real_root = os.path.realpath(root)
        real = os.path.realpath(path)
        if os.path.commonpath([real_root, real]) != real_root:
            raise OutsideFolderError(name)
        # A pipe or a device named like an image would hang whoever opens it.
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise FileNotFoundError(name)
    except (OSError, UnicodeEncodeError) as error:  # too long, no text, a loop of links
        raise FileNotFoundError(name) from error
    return path


def walk(root):
    """The names (posix, relative) of all files below `root`, sorted; linked folders are skipped."""
    names = []
    for folder, folders, files in os.walk(root):
        folders.sort()
        below = pathlib.Path(folder).relative_to(root)
        names += [(below / file).as_posix() for file in files]
    return sorted(names)


def read_bytes(path):
    """The bytes of a small text file (labels, XML). Raises ValueError above `TEXT_LIMIT`."""
    with open(path, "rb") as file:
        data = file.read(TEXT_LIMIT + 1)
    if len(data) > TEXT_LIMIT:
        raise ValueError(f"more than {TEXT_LIMIT} bytes")
    return data
