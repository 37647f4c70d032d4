"""Files that are either the old ones or the new ones, never half of each."""

import contextlib
import csv
import json
import os
import pathlib
import tempfile


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
