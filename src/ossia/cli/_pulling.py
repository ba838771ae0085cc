"""A download as a person follows it, and models that are downloaded when they are missing."""

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from ossia.checkpoint import find_or_pull
from ossia.checkpoint.sources.names import is_remote
from ossia.cli._display import visible

if TYPE_CHECKING:
    from ossia.checkpoint import Pulling

__all__ = ["PullDisplay", "located", "size"]

_WIDTH = 24
_INTERVAL_SECONDS = 0.2

WINDOW_SECONDS = 10.0
"""The rate that is shown is that of the last so many seconds."""


class PullDisplay:
    """Draws a download on stderr: how much, how fast, how long yet. Where stderr is no terminal, a line a step."""

    def __init__(self, name: str) -> None:
        self._name = visible(name)
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0
        self._status = ""
        self._seen: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, pulling: "Pulling") -> None:
        """Show this state, unless one was shown a moment ago."""
        now = time.monotonic()
        if not self._terminal:
            self._line(pulling)
        elif now >= self._next or pulling.status != self._status:
            self._next = now + _INTERVAL_SECONDS
            print(f"\r\x1b[K{self._drawn(pulling, now)}", end="", file=sys.stderr, flush=True)
        self._status = pulling.status

    def _line(self, pulling: "Pulling") -> None:
        """One line for each file: for logs."""
        if pulling.status == self._status or sys.stderr is None:
            return
        about = f" ({size(pulling.total)})" if pulling.total is not None else ""
        print(f"{self._name}: {visible(pulling.status)}{about}", file=sys.stderr, flush=True)

    def _drawn(self, pulling: "Pulling", now: float) -> str:
        if pulling.model_total is None or pulling.model_completed is None:
            return f"{self._name}: {visible(pulling.status)} …"
        done, total = pulling.model_completed, pulling.model_total
        share = done / total if total else 1.0
        bar = f"{self._name} {'━' * round(share * _WIDTH):{_WIDTH}} {share:4.0%} {size(done)} of {size(total)}"
        if not pulling.status.startswith("pulling"):
            return f"{bar}  {visible(pulling.status)}"
        rate = self._rate(done, now)
        return f"{bar}  {size(int(rate))}/s  {_duration((total - done) / rate)} left" if rate else bar

    def _rate(self, done: int, now: float) -> float:
        """Bytes per second of late."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0


def located(name: str) -> str:
    """Where the model of that name lies, for `load`; downloaded if it is missing and the name can be nothing else.

    Names that no download could have (`nano`, a word, most paths) stay as they were typed.
    """
    if not is_remote(name):
        return name
    with PullDisplay(name) as display:
        return str(find_or_pull(name, display))


def size(count: int) -> str:
    """13.8 GB, 512 kB: decimal, as downloads and disks are counted.

    >>> size(13_761_300_000)
    '13.8 GB'
    """
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count} B"


def _duration(seconds: float) -> str:
    """1 h 20 min, 3 min 5 s, 42 s.

    >>> _duration(185.2)
    '3 min 5 s'
    """
    whole = min(round(seconds), 360_000)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
