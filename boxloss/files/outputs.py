"""The folder that a command writes to: one process at a time, and nothing of others is replaced.

Each such folder has a file `boxloss.jsonl`. It is the lock, which the system releases when a
process dies, however it dies. And it lists the files that boxloss wrote there, with size and
checksum: a file whose content is not listed is somebody else's, or was edited, and is not replaced.
A mark inside the files would not do, because a CSV file or a COCO result has no place for one.
"""

import contextlib
import errno
import json
import os
import pathlib
import re
import zlib

from boxloss.files.older import written_by_older_version
from boxloss.files.reading import json_of

MANIFEST = "boxloss.jsonl"
TEMPORARY = ".boxloss-tmp-"
WINDOWS = os.name == "nt"
# Temporary files of versions before the list, which nobody else names like this.
OLD_TEMPORARY = re.compile(r"\.[\w ]{1,40}-[a-z0-9_]{8}(\.[a-z0-9]+){1,2}")
_OPEN: dict[str, "Output"] = {}  # real path -> the Output that this process has open there


class Output:
    """A folder that this process alone writes to; see `output`."""

    def __init__(self, root, overwrite):
        self.root = os.path.realpath(root)
        self.given, self.overwrite = str(root), overwrite
        self.depth = 0
        self.marks = {}  # name -> the marks that its content may have
        self.written = {}  # name -> what os.stat said of it after this process wrote it
        self.keys = {}  # name -> (its mark, what it was made from), of files made with a key
        self.folders = {}  # folder -> (what os.lstat said of it, its name below this one)

    def name_of(self, path):
        """The posix name of `path` below the folder; ValueError where a link leads to it."""
        parent = os.path.abspath(os.path.dirname(path))
        # A page has 100,000 pictures in one folder: following links costs more than writing them.
        state, shown = self.folders.get(parent, (None, None))
        if shown is None or state != _identity(parent):
            shown = self._shown(parent)
            self.folders[parent] = _identity(parent), shown
        return pathlib.PurePosixPath(shown, os.path.basename(path)).as_posix()

    def _shown(self, parent):
        """The posix name of the folder `parent` below this one; ValueError behind a link."""
        inner = os.path.relpath(os.path.realpath(parent), self.root)
        shown = os.path.relpath(parent, os.path.abspath(self.given))
        if inner != shown and not os.path.samefile(os.path.join(self.root, shown), parent):
            inner = ".."
        if inner != shown or inner.startswith(".."):
            raise ValueError(
                "`out` must not lead out of itself by a link. "
                f"Received: {self.given!r} with the link {shown!r}"
            )
        return pathlib.PurePath(shown).as_posix()

    def check(self, path):
        """ValueError where `path` holds what boxloss did not write."""
        name = self.name_of(path)
        if os.path.lexists(path) and not self.overwrite and not self.owns(name):
            raise ValueError(
                "`out` must not hold a file of another origin, or one that was changed since "
                "boxloss wrote it, where a file is to be written (--overwrite replaces it). "
                f"Received: {self.given!r} with {name!r}"
            )

    def check_names(self, names):
        """`check` of all `names` below the folder, before the work and not after it."""
        for name in names:
            self.check(os.path.join(self.given, name))

    def owns(self, name):
        """Whether boxloss wrote the file `name` as it is now."""
        path = os.path.join(self.root, name)
        if os.path.islink(path) or not os.path.isfile(path):
            return False
        if self.written.get(name) == _state(path):
            return True
        return mark_of(path) in self.marks.get(name, ())

    def made(self, name, key):
        """Whether the file `name` is there as boxloss made it from `key`; it is then kept."""
        path = os.path.join(self.root, name)
        if name not in self.keys or not self.owns(name):
            return False
        if self.keys[name] != (mark_of(path), key):
            return False
        self.written[name] = _state(path)
        return True

    def record(self, path, temporary, key=None):
        """List `path` with the content of `temporary`, which is about to be renamed to it.

        key: a number for what it is made from, so that `made` knows it in a later process.

        Before, and not after: a process that is killed in between leaves a file that is listed with
        its old content too, and the next run may replace it.
        """
        name, mark = self.name_of(path), mark_of(temporary)
        self.marks.setdefault(name, []).append(mark)
        if key is not None:
            self.keys[name] = mark, key
        self._list(name, mark)
        self.file.flush()
        self.written[name] = _state(temporary)

    def _list(self, name, mark):
        made_of = [key for known, key in [self.keys.get(name, (None, None))] if known == mark]
        self.file.write(json.dumps([name, *mark, *made_of]) + "\n")

    def sweep(self, folder):
        """Remove the files below `folder` that an earlier process wrote and this one did not."""
        for name in [name for name in self.marks if name.startswith(f"{folder}/")]:
            if name not in self.written and self.owns(name):
                self.name_of(os.path.join(self.given, name))
                os.unlink(os.path.join(self.root, name))
                del self.marks[name]

    # Beginning and end ----------------------------------------------------------------------------

    def open(self):
        self.new_folder = not os.path.isdir(self.root)
        os.makedirs(self.root, exist_ok=True)
        self.list = os.path.join(self.root, MANIFEST)
        self.new_list = not os.path.exists(self.list)
        self.file = open(self.list, "a+", encoding="utf-8", errors="surrogatepass")
        try:
            _lock(self.file)
        except OSError as error:
            self.file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
            raise ValueError(
                "`out` must be written by one process at a time. "
                f"Received: {self.given!r}, which another process is writing to"
            ) from None
        self._read()
        if self.new_list:
            for name in written_by_older_version(pathlib.Path(self.root)):
                self.marks[name] = [mark_of(os.path.join(self.root, name))]
                self.file.write(json.dumps([name, *self.marks[name][0]]) + "\n")
        self._sweep_temporary()

    def _read(self):
        self.file.seek(0)
        lines = self.file.readlines()
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # the last line of a killed process
                name, size, checksum, *key = json_of(line)
                self.marks.setdefault(str(name), []).append((size, checksum))
                if key:
                    self.keys[name] = (size, checksum), key[0]
        if len(lines) > 3 * len(self.marks) + 100:
            self._shorten()

    def _shorten(self):
        """List each file with its last two contents alone: one of them is on the disk."""
        self.file.truncate(0)
        for name, marks in self.marks.items():
            for mark in marks[-2:]:
                self._list(name, mark)
        self.file.flush()

    def _sweep_temporary(self):
        """Remove what killed processes left half written: nobody writes here now."""
        folders = {os.path.dirname(name) for name in self.marks} | {""}
        for folder in sorted(folders):
            place = os.path.join(self.root, folder)
            if os.path.realpath(place) != os.path.normpath(place) or not os.path.isdir(place):
                continue
            for name in os.listdir(place):
                if name.startswith(TEMPORARY) or OLD_TEMPORARY.fullmatch(name):
                    with contextlib.suppress(OSError):
                        os.unlink(os.path.join(place, name))

    def close(self):
        """Give the folder free; leave no trace where nothing was written."""
        if WINDOWS:  # where no open file can be removed
            self.file.close()
        if not self.written and self.new_list:
            with contextlib.suppress(PermissionError):  # Windows: another process has it by now
                os.unlink(self.list)
            if self.new_folder:
                with contextlib.suppress(OSError):  # something else is in it by now
                    os.rmdir(self.root)
        self.file.close()  # and with it goes the lock


@contextlib.contextmanager
def output(path, names=(), overwrite=False):
    """Make the folder `path` this process' own while the block runs; gives its `Output`.

    names: the files that will be written there: refused now, and not after hours, where they are
    somebody else's. overwrite: replace them all the same. Blocks for the same folder may be nested;
    the outermost decides. Raises ValueError where another process writes to the folder, where it
    holds other people's files by these names, and where it cannot be made or written.
    """
    root = os.path.realpath(path)
    one = _OPEN.get(root)
    if one is None:
        above = output_of(path)
        if above is not None:
            above.name_of(os.path.join(path, MANIFEST))
        one = Output(path, overwrite)
        try:
            one.open()
        except OSError as error:
            raise ValueError(
                "`out` must be a folder that can be written. "
                f"Received: {str(path)!r} ({error.strerror or error})"
            ) from None
        _OPEN[root] = one
    one.depth += 1
    try:
        one.check_names(names)
        yield one
    finally:
        one.depth -= 1
        if not one.depth:
            del _OPEN[root]
            one.close()


def output_of(path):
    """The innermost open `Output` whose folder `path` is below, or None."""
    parent = os.path.abspath(os.path.dirname(path))
    found = None
    for one in _OPEN.values():
        given = os.path.abspath(one.given)
        if parent == given or parent.startswith(os.path.join(given, "")):
            if found is None or len(given) > len(os.path.abspath(found.given)):
                found = one
    return found


def mark_of(path):
    """(size, CRC-32) of a file."""
    checksum = size = 0
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            checksum, size = zlib.crc32(piece, checksum), size + len(piece)
    return size, checksum


def _identity(folder):
    """What is the same as long as a folder is not replaced; None where it is not there."""
    try:
        found = os.lstat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _state(path):
    """What changes when somebody else writes to a file; renaming it changes nothing of it."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _lock(file):
    """Lock an open file for this process, or raise OSError at once.

    The system releases the lock with the process. Where the file system has no locks, as some
    network ones, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
