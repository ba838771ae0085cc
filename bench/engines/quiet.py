"""Whether a figure had the processors that it was to have: on a busy machine an engine waits for them."""

import os
import time
from pathlib import Path

__all__ = ["Watch"]

PROC = Path("/proc")


class Watch:
    """Of a process with as many threads at work: for what share of the time they had no processor."""

    def __init__(self, process: int, threads: int) -> None:
        self._stat, self._threads = PROC / str(process) / "stat", threads
        self._last = self._now()

    def waited(self) -> float:
        """Since the last call, or since it began."""
        (then, had_then), self._last = self._last, self._now()
        now, had = self._last
        return max(0.0, 1 - (had - had_then) / (max(now - then, 1e-9) * self._threads))

    def _now(self) -> tuple[float, float]:
        """Seconds of the clock, and of processors that all its threads had."""
        fields = self._stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
