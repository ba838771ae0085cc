"""The `ossia` command as a process: `python -m ossia` and the installed script.

Ctrl-c ends it without a word. The command line sees to that while a verb is at work; before, while modules are being
imported, and after, while threads end, there is nothing to clear away, so that the process simply ends. What is
imported here is little, and the command line only within.
"""

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]

INTERRUPTED = 130
"""Exit status after ctrl-c, as shells have it: 128 + SIGINT."""


def main() -> int:
    """Run the command of this process; returns its exit status."""
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    try:
        from ossia.cli import main as command  # noqa: PLC0415

        return command()
    finally:
        if heeded:
            signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
