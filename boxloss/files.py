"""Files: written whole or not at all, found only inside a folder, named in one line."""

import contextlib
import csv
import json
import os
import pathlib
import stat
import tempfile

# A label file of 10,000 boxes takes about 3 MB; far more is an attack or an accident.
TEXT_LIMIT = 64 * 2**20
RECEIVED_LENGTH = 160


# Writing ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def write_atomically(path):
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, because writers choose a format by it. On an error the
    temporary file is removed and whatever stood at `path` stays as it was.
    """
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem[:40]}-", suffix="".join(path.suffixes), dir=path.parent
    )
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        # mkstemp gives 0600; the result gets what a plain open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path, header, rows):
    """Write a CSV file (UTF-8, one header line), or leave the old one; None is an empty field."""
    with (
        write_atomically(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogatepass") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_json(path, value):
    """Write `value` as an indented JSON file (UTF-8), or leave the old one."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


# Finding and reading ------------------------------------------------------------------------------


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


# Text of one line ---------------------------------------------------------------------------------


def one_line(text):
    """`text` as it is, or its escaped form where a control character would break the line."""
    text = str(text)
    return text if text.isprintable() else repr(text)


def shortened(text):
    text = one_line(text)
    return text if len(text) <= RECEIVED_LENGTH else text[:RECEIVED_LENGTH] + "…"
