"""Files found only inside a folder, and read only if they are regular and of sane size."""

import codecs
import errno
import json
import os
import pathlib
import stat
from dataclasses import dataclass, field

from boxloss.files.text import one_line, shortened

# A label file of 10,000 boxes takes about 3 MB; far more is an attack or an accident.
TEXT_LIMIT = 64 * 2**20
# UTF-32 first: its little-endian mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class OutsideFolderError(ValueError):
    """The name leads out of the folder."""


def existing(argument, path):
    """`path` as a Path. Raises ValueError that names the argument where nothing is there."""
    if not pathlib.Path(path).exists():
        raise ValueError(
            f"`{argument}` must be an existing file or folder. Received: {argument}={str(path)!r}"
        )
    return pathlib.Path(path)


def existing_folder(argument, path):
    """`path` as a Path. Raises ValueError that names the argument where no folder is there."""
    if not pathlib.Path(path).is_dir():
        raise ValueError(
            f"`{argument}` must be an existing folder. Received: {argument}={str(path)!r}"
        )
    return pathlib.Path(path)


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
        real = os.path.realpath(path)
        if not _lies_in(os.path.realpath(root), real):
            raise OutsideFolderError(name)
        # A pipe or a device named like an image would hang whoever opens it.
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise FileNotFoundError(name)
    except (OSError, UnicodeEncodeError) as error:  # too long, no text, a loop of links
        raise FileNotFoundError(name) from error
    return path


def _lies_in(real_root, real):
    try:
        return os.path.commonpath([real_root, real]) == real_root
    except ValueError:  # on different drives
        return False


@dataclass
class Tree:
    """The files below a folder.

    names: posix, relative, sorted; regular files only, no pipes or devices. refused: names of the
    symbolic links, to files or folders, that lead out of the folder and were not followed.
    followed: the real folders outside that links lead into, where that was allowed. irregular:
    names of what cannot be read like a file: pipes, devices, links to nothing.
    """

    names: list = field(default_factory=list)
    refused: list = field(default_factory=list)
    followed: list = field(default_factory=list)
    irregular: list = field(default_factory=list)


def walk(root, follow_links=False):
    """The Tree of all files below `root`. Links that stay below `root` are always followed.

    follow_links: follow the others, too; each folder outside is entered once, so loops end.
    """
    tree = Tree()
    real_root = os.path.realpath(root)
    entered = {real_root}
    folders = [("", os.fspath(root))]
    while folders:
        below, folder = folders.pop()
        for entry in _entries(folder):
            name = below + entry.name
            if entry.is_file(follow_symlinks=False):
                tree.names.append(name)
            elif entry.is_symlink():
                real = os.path.realpath(entry.path)
                within = _lies_in(real_root, real)
                if _sort_link(tree, name, real, within, follow_links) and real not in entered:
                    entered.add(real)
                    folders.append((f"{name}/", entry.path))
            elif entry.is_dir():
                folders.append((f"{name}/", entry.path))
            else:
                tree.irregular.append(name)
    names = (tree.names, tree.refused, set(tree.followed), tree.irregular)
    return Tree(*map(sorted, names))


def _sort_link(tree, name, real, within, follow_links):
    """Put a symbolic link where it belongs in the Tree; True for a folder that is to be entered."""
    is_folder = os.path.isdir(real)
    if not is_folder and not os.path.isfile(real):
        tree.irregular.append(name)
    elif not within and not follow_links:
        tree.refused.append(name)
    elif not is_folder:
        tree.names.append(name)
    # A linked folder below `root` is met under its own name as well.
    follow = not within and follow_links
    if follow and (is_folder or os.path.isfile(real)):
        tree.followed.append(real if is_folder else os.path.dirname(real))
    return follow and is_folder


def _entries(folder):
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # a folder that may not be read holds nothing for us
        return []


def open_regular(path):
    """Open a regular file to read bytes. Raises OSError for a pipe, a device or a folder.

    It is looked at first: opening a pipe waits until somebody writes into it.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return open(path, "rb")


def read_bytes(path):
    """The bytes of a small text file (labels, XML). Raises ValueError above `TEXT_LIMIT`."""
    with open_regular(path) as file:
        data = file.read(TEXT_LIMIT + 1)
    if len(data) > TEXT_LIMIT:
        raise ValueError(f"more than {TEXT_LIMIT} bytes")
    return data


def decoded(data):
    """The text in `data`: UTF-8, or UTF-16 or UTF-32 by their byte order mark or zero bytes.

    Windows' Notepad and PowerShell (`>`) write UTF-16. Raises UnicodeDecodeError, a ValueError.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    # Every second byte of ASCII text in UTF-16 is 0; in UTF-8 none is.
    if data[1:2] == b"\0" or data[:1] == b"\0":
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    return data.decode("utf-8")


def json_of(text):
    """What JSON holds, a text or its bytes. Raises ValueError, also where it is nested too deeply.

    Python's own error for that is none of a wrong value, and slips through.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def read_json(path):
    """What the JSON file holds; ValueError that names the file where it is not JSON."""
    try:
        with open(path, "rb") as file:
            return json_of(decoded(file.read()))
    except ValueError as error:
        raise ValueError(
            f"{one_line(path)}: file must be valid JSON. Received: {shortened(error)}"
        ) from None


def read_object(path):
    """The JSON object in the file; an empty one where there is no such file, or something else.

    For files that only add to a result: a run whose config.json is broken still has its boxes.
    """
    try:
        content = json_of(decoded(read_bytes(path)))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
