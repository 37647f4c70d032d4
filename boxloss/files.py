"""Files that are either the old ones or the new ones, never half of each."""

import contextlib
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
