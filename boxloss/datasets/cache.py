"""Fitted images that were read before: in memory, in files, or nowhere; never more than a limit."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import weakref

import numpy as np

from boxloss.tensors import checks

KINDS = ("ram", "disk", "none")
LIMIT = 2**29  # bytes


class Cache:
    """uint8 images by their position in the data set; a full cache takes no more.

    Nothing is thrown out: every epoch looks at every image once, and of a full cache that replaced
    the oldest image none would be found again.

    kind: "ram" keeps them in this process; "disk" in a temporary folder, which worker processes
    share and which is removed at the end; "none" nowhere. limit: bytes.
    """

    def __init__(self, kind="ram", limit=LIMIT):
        self.kind = checks.one_of("cache", kind, KINDS)
        self.room = 0 if kind == "none" else limit
        self.images = {}
        self.folder = None
        if kind == "disk":
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="boxloss-cache-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def divided(self, workers):
        """The cache of one of `workers` processes: the same files, or a share of the memory."""
        part = Cache("none")
        part.kind, part.folder, part.room = self.kind, self.folder, self.room // workers
        return part

    def get(self, position):
        """The image, or None."""
        if self.folder is None:
            return self.images.get(position)
        with contextlib.suppress(OSError, ValueError):
            return np.load(self.folder / f"{position}.npy")
        return None

    def put(self, position, image):
        """Keep the image if there is room."""
        if image.nbytes > self.room:
            return
        if self.folder is not None:
            self._write(position, image)
        # Threads may read the same image at once: one of them keeps it.
        elif self.images.setdefault(position, image) is not image:
            return
        self.room -= image.nbytes

    def _write(self, position, image):
        # Renamed into place: another process never sees half a file. A full disk keeps no more.
        temporary = self.folder / f"{position}-{os.getpid()}.tmp"
        try:
            with open(temporary, "wb") as file:
                np.save(file, image)
            os.replace(temporary, self.folder / f"{position}.npy")
        except OSError:
            self.room = 0
            with contextlib.suppress(OSError):
                temporary.unlink()
