"""How far a long piece of work is and about how long the rest takes, on one line of a terminal."""

import sys
import time

QUIET_SECONDS = 2.0  # what is over by then needs no line
REDRAW_SECONDS = 0.2
COLUMNS = 79  # a full line of a terminal of 80 would wrap


def tracked(items, what, total=None):
    """The `items` one by one, with a line on stderr: "what 120/4,000, about 3 minutes left".

    total: how many there are, where `len` does not know it. Nothing is written where stderr is no
    terminal, nor in the first two seconds; the line is erased at the end.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    total = len(items) if total is None else total
    began = time.monotonic()
    drawn = began + QUIET_SECONDS - REDRAW_SECONDS
    shown = False
    try:
        for done, item in enumerate(items):
            now = time.monotonic()
            if done and now - drawn >= REDRAW_SECONDS:
                left = duration((now - began) / done * (total - done))
                line = f"{what} {done:,}/{total:,}, {left} left"[:COLUMNS]
                sys.stderr.write(f"\r{line:{COLUMNS}}")
                sys.stderr.flush()
                drawn, shown = now, True
            yield item
    finally:
        if shown:
            sys.stderr.write(f"\r{'':{COLUMNS}}\r")
            sys.stderr.flush()


def duration(seconds: float) -> str:
    """Seconds for people: "about 40 seconds", "about 12 minutes", "about 3.5 hours"."""
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} seconds"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
