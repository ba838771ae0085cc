"""How the process ends when it is told to: what is under way is cleared away first.

Ctrl-c (SIGINT) is Python's KeyboardInterrupt. SIGTERM, which `kill` and service managers send, and SIGHUP, of a
terminal that is closed, would end the process where it stands, with half-written folders left behind: here they raise
SystemExit, which nothing catches and everything cleans up after. A server that is up has its own way with them.
"""

import signal
from types import FrameType

__all__ = ["INTERRUPTED", "heed", "interrupted"]

FATAL = 128
"""A shell's status of a process that a signal ended is this and the signal's number: 143 for SIGTERM."""

INTERRUPTED = FATAL + 2
"""Exit status after ctrl-c, as shells have it; SIGINT is 2."""


def heed() -> None:
    """From now on raise KeyboardInterrupt or SystemExit at signals that end the process. For its own entry only.

    Those that are ignored, as behind `nohup`, stay so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def interrupted() -> bool:
    """Whether ctrl-c was pressed: what fails then has failed for it.

    Extension modules that are being imported turn KeyboardInterrupt into an ImportError.
    """
    return bool(_pressed)


_pressed: list[int] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    _pressed.append(number)
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(FATAL + number)
