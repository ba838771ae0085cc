"""What a person sees: progress on stderr, and a model's text made harmless for a terminal."""

import re
import sys
import time
from typing import Self

__all__ = ["Progress", "one_line", "said", "visible"]

_WIDTH = 30
_INTERVAL_SECONDS = 0.1

LONGEST = 2000
"""Characters of an error that are shown: it may quote a checkpoint's file, whose author decides how long that is."""

# What a terminal obeys instead of showing: C0 but for tab and line feed, DEL, C1, the marks that change the direction
# of text (they can make one text look like another), line and paragraph separators, and the tags that are never seen.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def visible(text: str) -> str:
    r"""A model's text for a terminal: what a terminal would obey is written out, `ESC` as `\x1b`.

    >>> visible("a\tb\n\x1b]0;owned\x07")
    'a\tb\n\\x1b]0;owned\\x07'
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    """An error's text for a terminal: on one line, harmless like `visible`, and at most `LONGEST` characters.

    Where the locale has only ASCII, Python gives the bytes of a word or a path beyond it as halves of surrogate pairs,
    which an error quotes escaped: they are read as the UTF-8 that they are.
    """
    line = visible(_BYTES.sub(_read, " ".join(text.split("\n"))))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


_BYTES = re.compile(r"(?:\\udc[89a-f][0-9a-f]|[\udc80-\udcff])+")


def _read(match: re.Match[str]) -> str:
    escaped = match[0].encode("ascii", "backslashreplace").decode("ascii")
    return bytes.fromhex(escaped.replace("\\udc", "")).decode("utf-8", "backslashreplace")


def said(error: Exception) -> str:
    """What an error says, as `one_line`."""
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror if error.filename is None else f"{error.filename}: {error.strerror}")
    if isinstance(error, MemoryError):
        return one_line(f"not enough memory{f': {error}' if str(error) else ''}")
    return one_line(str(error))


class Progress:
    """A bar on stderr while something takes long; silent where stderr is no terminal. A context manager."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        """Say that it has begun, where nobody knows how far it is."""
        if self._shown:
            self._next = time.monotonic()
            print(f"\r{self._label} …", end="", file=sys.stderr, flush=True)

    def show(self, done: float, total: float) -> None:
        """Draw the bar at `done` of `total`, unless it was drawn a moment ago."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + _INTERVAL_SECONDS
        share = done / total if total else 1.0
        bar = "━" * round(share * _WIDTH)
        print(f"\r{self._label} {bar:{_WIDTH}} {share:4.0%}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._shown and self._next:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
