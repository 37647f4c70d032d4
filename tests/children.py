"""Processes of their own, for what a process decides once: its backend and its devices."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def start(script, *arguments, **pipes):
    """Run a script of the tests beside this process; it finds boxloss where this one does."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        **pipes,
    )
