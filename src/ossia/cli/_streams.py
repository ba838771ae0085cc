"""The process's standard streams, fit to be used by every verb however the process was started.

A stream that is closed (`ossia ... >&-`) is None in Python, and its number goes to whatever file is opened next. After
`settle` there are always three streams:

    stdin    closed: empty
    stdout   closed, or not to be written: an OSError that says so, since the answer would be lost
    stderr   closed, or not to be written: what is said there is lost, and nothing else; an answer must not fail for it
"""

import codecs
import errno
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["settle", "text_of"]


def settle() -> None:
    """Make `sys.stdin`, `sys.stdout` and `sys.stderr` what this module says. For a process's own entry only."""
    for number in filter(_is_closed, (0, 1, 2)):
        # The lowest number that is free is this one. Open for reading only, stdout still refuses to be written.
        os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text(_Stdout(), sys.stdout)
    sys.stderr = _text(_Stderr(), sys.stderr)


def text_of(data: bytes, where: str) -> str:
    """The text of bytes that someone typed or piped in. What is not UTF-8 becomes U+FFFD, and stderr says so."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} is {data[error.start]:#04x}"
        print(f"ossia: {where} is not UTF-8, {byte}; \ufffd stands for what is not", file=sys.stderr)
    return data.decode("utf-8", "replace")


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


class _Stdout(io.FileIO):
    """Standard output, whose errors say that it is that which cannot be written."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = "standard output"
            if error.errno == errno.EBADF:
                error.strerror = "it is closed; a terminal, a file or a pipe is right"
            raise


class _Stderr(io.FileIO):
    """Standard error, on which what cannot be written is lost."""

    def __init__(self) -> None:
        super().__init__(2, "w", closefd=False)

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    """A text stream over `raw` that encodes and buffers as the one before it.

    Where the locale has only ASCII, UTF-8 is written: no terminal of today has less.
    """
    old = before if isinstance(before, io.TextIOWrapper) else None
    encoding = old.encoding if old and codecs.lookup(old.encoding).name != "ascii" else "utf-8"
    return io.TextIOWrapper(
        raw if old and old.write_through else io.BufferedWriter(raw),  # type: ignore[arg-type]
        encoding=encoding,
        errors=old.errors if old else "backslashreplace",
        line_buffering=old.line_buffering if old else True,
        write_through=old.write_through if old else False,
    )
