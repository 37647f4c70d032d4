"""Files written whole or not at all, and never over a file of somebody else."""

import contextlib
import json
import os
import pathlib
import tempfile

from boxloss.files.outputs import TEMPORARY, output_of


@contextlib.contextmanager
def write_atomically(path, key=None):
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, because writers choose a format by it. On an error the
    temporary file is removed and whatever was at `path` stays as it was. Below the folder of an
    `output`, a file that boxloss did not write is not replaced: ValueError. key: see
    `Output.record`.
    """
    path = pathlib.Path(path)
    owner = output_of(path)
    if owner is not None:
        owner.check(path)
    handle, name = tempfile.mkstemp(
        prefix=TEMPORARY, suffix="".join(path.suffixes)[-40:], dir=path.parent
    )
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        # mkstemp gives 0600; the result gets what a plain open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
        if owner is not None:
            owner.record(path, temporary, key)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Write `value` as an indented JSON file (UTF-8), or leave the old one."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
