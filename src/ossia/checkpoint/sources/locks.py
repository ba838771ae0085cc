"""One download of a file at a time, among all processes of a machine: advisory locks that end with their process.

For the hub's cache the lock files are those of huggingface_hub, which locks them the same way, so that it and Ossia
wait for each other.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ossia.checkpoint.sources.transport import pause

__all__ = ["locked"]

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None], stopped: Callable[[], bool]) -> Iterator[None]:
    """Holds the lock; `waiting` is called once where another process holds it. Raises CancelledError when `stopped`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o664)
    try:
        told = False
        while not _take(handle):
            if not told:
                waiting()
                told = True
            pause(_POLL_SECONDS, stopped)
        yield
    finally:
        # Closing lets go of the lock. The file stays: another process may already wait on it.
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
