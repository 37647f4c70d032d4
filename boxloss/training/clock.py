"""How long a run took, over all of its processes."""

import os
import time


class Clock:
    """CPU seconds (user and system, with children) and wall seconds since it was made."""

    def __init__(self):
        self.start = self._now()
        self.before = (0.0, 0.0)

    @staticmethod
    def _now():
        # The first four are of this process and its children. `perf_counter` does not jump when
        # somebody sets the clock of the machine.
        spent = os.times()
        return sum(spent[:4]), time.perf_counter()

    def add(self, cpu, wall):
        """Count what earlier processes of the same run spent."""
        self.before = (self.before[0] + cpu, self.before[1] + wall)

    def read(self):
        now = self._now()
        return tuple(b + n - s for b, n, s in zip(self.before, now, self.start, strict=True))
