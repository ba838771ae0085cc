"""Files that are read without waiting for anybody.

Models come from strangers. Opening a named pipe in place of a file would wait for a writer that never comes, and a
device may have no end; both are refused.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular", "read_regular"]

# Without it, opening a named pipe waits; it does not bear on files. Windows has neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(file: Path) -> BinaryIO:
    """The file, open for reading bytes. Raises OSError where it cannot be read, or is something else than a file."""
    handle = os.open(file, _FLAGS)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    raise OSError(errno.EINVAL, "not a regular file", str(file))


def read_regular(file: Path) -> bytes:
    """All of the file. Raises what `open_regular` raises."""
    with open_regular(file) as handle:
        return handle.read()
