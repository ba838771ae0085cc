"""Whether a figure had the machine to itself: what others took of its processors while it was measured."""

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["await_quiet", "beside"]

STAT = Path("/proc/stat")
IDLE = (3, 4)
"""Where a line of /proc/stat has the time without work, and waiting for a disk; behind them, and before, is work."""


def beside(run: Callable[[], float]) -> tuple[float, float]:
    """What `run` returns, and the share of the processors' time that went neither to it nor to what it started."""
    begin, busy, own = time.monotonic(), _busy_seconds(), sum(os.times()[:4])
    value = run()
    others = _busy_seconds() - busy - (sum(os.times()[:4]) - own)
    return value, max(0.0, others / (time.monotonic() - begin) / (os.cpu_count() or 1))


def await_quiet(share: float, limit_seconds: float, every_seconds: float = 2.0) -> None:
    """Wait until all together take less than this share of the processors' time, or for so long."""
    end = time.monotonic() + limit_seconds
    while beside(lambda: time.sleep(every_seconds) or 0.0)[1] > share and time.monotonic() < end:
        pass


def _busy_seconds() -> float:
    """Of all processors, since the machine started; what its host took for others counts too."""
    fields = [int(word) for word in STAT.read_text("ascii").partition("\n")[0].split()[1:9]]
    return sum(ticks for place, ticks in enumerate(fields) if place not in IDLE) / os.sysconf("SC_CLK_TCK")
