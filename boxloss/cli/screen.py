"""The screen belongs to boxloss: what other libraries write to it is held back.

TensorFlow and XLA write to file descriptor 2 from C++. TF_CPP_MIN_LOG_LEVEL does not silence what
they write before their logging has started, and sometimes that is an alarming line (E0000). So
descriptor 2 leads to a small process that keeps the last 64 KiB, and `sys.stderr` writes to a copy
of the old descriptor. Where something fails, the process writes out what it has kept. It does so
also when this process is killed: a file in its place would then be lost.
"""

import contextlib
import io
import logging
import os
import pathlib
import subprocess
import sys
import warnings

KEEPER = """
import sys
mark, fatal = sys.argv[1].encode(), sys.argv[2].encode()
kept = last = b""
while piece := sys.stdin.buffer.raw.read(65536):
    kept = kept + piece
    if mark in kept:
        before, _, rest = kept.partition(mark)
        last, _, after = rest.partition(b"\\n")
        kept = before + after
    kept = kept[-65536:]
sys.stderr.buffer.write(last + b"\\n" if last and fatal in kept else kept)
"""
# What comes before the line that is shown in place of all if JAX ends this process, and JAX's words
# in that case: no exception is raised, C++ calls abort().
MARK, FATAL = "boxloss' last line: ", "JAX distributed service detected fatal errors"
PACKAGE = str(pathlib.Path(__file__).parents[1])


class Screen(io.TextIOBase):
    """Text to a file descriptor; nothing happens where nobody reads it any more."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def writable(self):
        return True

    def isatty(self):
        return os.isatty(self.descriptor)

    def fileno(self):
        return self.descriptor

    def write(self, text):
        data = text.encode("utf-8", "backslashreplace")
        # A training must not end because its progress was piped into `head`.
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self.descriptor, data) :]
        return len(text)


@contextlib.contextmanager
def held():
    """Hold back what libraries write to stdout and stderr; it is shown if the block fails.

    Gives the text stream to which a library's own prints can be sent. A program that calls a
    command, and has a `sys.stderr` of its own, keeps descriptor 2 as it is.
    """
    if not _is_own_screen():
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            yield stream
        return
    old, kept = sys.stderr, os.dup(2)
    # A session of its own: Ctrl-C in the terminal is for this process only.
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", KEEPER, MARK, FATAL],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    os.dup2(keeper.stdin.fileno(), 2)
    keeper.stdin.close()
    sys.stderr = Screen(kept)
    failed = True
    try:
        with _python_messages(Screen(2)) as stream, contextlib.redirect_stdout(stream):
            yield stream
        failed = False
    except (SystemExit, KeyboardInterrupt):
        failed = False
        raise
    finally:
        if not failed:
            keeper.kill()
        sys.stderr = old
        os.dup2(kept, 2)  # the keeper reads to its end, and writes what it has
        os.close(kept)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a child of ours may hold the pipe
            keeper.wait(timeout=5)


@contextlib.contextmanager
def prints_held():
    """Hold back what C++ code prints to stdout: one JSON object belongs there."""
    if not isinstance(sys.stderr, Screen):
        yield
        return
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def set_last_line(line):
    """Show `line` alone, and not what was held back, if JAX ends this process for another's end."""
    if isinstance(sys.stderr, Screen):
        os.write(2, f"{MARK}{line}\n".encode("utf-8", "backslashreplace"))


def _is_own_screen():
    try:
        return sys.stderr is sys.__stderr__ and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # no stderr, or a closed one
        return False


@contextlib.contextmanager
def _python_messages(stream):
    """Send the log records and warnings of libraries to `stream`; ours stay on the screen."""
    root, handler, show = logging.getLogger(), logging.StreamHandler(stream), warnings.showwarning

    def show_ours(message, category, filename, lineno, file=None, line=None):
        if filename.startswith(PACKAGE):
            print(f"warning: {message}", file=sys.stderr)
        else:
            show(message, category, filename, lineno, stream, line)

    root.addHandler(handler)
    warnings.showwarning = show_ours
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        warnings.showwarning = show
