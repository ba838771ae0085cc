"""The file that a download grows in.

It is as long as the content and one byte for each of its pieces, which is 1 once the piece is there: so that one file
holds all there is to know, in an order of writing that a killed process cannot spoil (content first, then its byte).
Pieces that a power failure loses although their byte says otherwise are found by the checksum at the end.
"""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ossia.errors import CapacityError, DownloadError

__all__ = ["PIECE", "Part", "missing_bytes"]

PIECE = 1 << 20
"""Bytes of a piece: what a cut connection or a killed download loses at most, for each connection."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ = 4 << 20
# Not every system has both.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Part:
    """A content of `size` bytes on its way. Writers may be many threads; once it is closed they write nothing.

    `kind` says how it is hashed: `sha256`, or `git-sha1` as git hashes a file.
    """

    def __init__(self, path: Path, size: int, kind: str = "sha256") -> None:
        self.path = path
        self.size = size
        self.kind = kind
        self.pieces = -(-size // PIECE)
        self._lock = threading.Lock()
        self._closed = False
        self._handle = _open(path)
        try:
            self.resumed = self._take_over()
            self._begin_hash()
        except BaseException:
            os.close(self._handle)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def completed(self) -> int:
        """Bytes of whole pieces that are there."""
        return sum(self.length(index) for index, there in enumerate(self._there) if there)

    def missing(self) -> list[int]:
        """The pieces that are not there yet, in order."""
        return [index for index, there in enumerate(self._there) if not there]

    def length(self, piece: int) -> int:
        """Bytes of one piece; the last is shorter."""
        return min(PIECE, self.size - piece * PIECE)

    def write(self, at: int, data: bytes) -> bool:
        """Write content; False when nobody wants it any more. Raises CapacityError when the disk is full."""
        with self._lock:
            if self._closed:
                return False
            try:
                os.lseek(self._handle, at, os.SEEK_SET)
                view = memoryview(data)
                while view:
                    view = view[os.write(self._handle, view) :]
            except OSError as error:
                raise _named(error, self.path) from error
            return True

    def mark(self, piece: int) -> None:
        """Note that a piece is there."""
        if self.write(self.size + piece, b"\1"):
            self._there[piece] = 1

    def clear(self) -> None:
        """Forget everything: begin anew."""
        with self._lock:
            os.ftruncate(self._handle, 0)
            os.ftruncate(self._handle, self.size + self.pieces)
        self._there = bytearray(self.pieces)
        self.resumed = False
        self._begin_hash()

    def hash_ahead(self, most: int = 8 * _READ) -> None:
        """Hash what has come without a gap, at most so many bytes of it: so that little is left to do at the end."""
        piece = self._hashed // PIECE
        end = min(self._hashed + most, self.size)
        while piece < self.pieces and self._there[piece] and self._hashed < end:
            self._hash_on(piece * PIECE + self.length(piece))
            piece += 1

    def digest(self, progress: Callable[[int], None]) -> str:
        """The content's checksum in hexadecimal; `progress` hears how much has been hashed."""
        progress(self._hashed)
        while self._hashed < self.size:
            self._hash_on(min(self._hashed + _READ, self.size))
            progress(self._hashed)
        return self._hash.hexdigest()

    def become(self, target: Path) -> None:
        """Take away the marks, and give the file its name. Raises CapacityError or DownloadError when that fails."""
        try:
            os.ftruncate(self._handle, self.size)
            os.fsync(self._handle)
            self.close()
            target.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(target)
        except OSError as error:
            raise _named(error, target) from error

    def close(self) -> None:
        """Let go of the file; threads that still bring data bring it in vain."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._handle)

    def _begin_hash(self) -> None:
        self._hashed = 0
        begun = b"blob %d\0" % self.size
        self._hash = hashlib.sha256() if self.kind == "sha256" else hashlib.sha1(begun, usedforsecurity=False)

    def _hash_on(self, end: int) -> None:
        data = self._read(self._hashed, end - self._hashed)
        self._hash.update(data)
        # A file that somebody has cut short meanwhile is hashed as if it were whole: its checksum will be wrong.
        self._hashed = end

    def _read(self, at: int, count: int) -> bytes:
        with self._lock:
            os.lseek(self._handle, at, os.SEEK_SET)
            return os.read(self._handle, count)

    def _take_over(self) -> bool:
        """Read what an earlier download has left; whether it left anything of use."""
        found = os.fstat(self._handle).st_size
        self._there = bytearray(self.pieces)
        if found == self.size and found:
            # Verified, cut to its length, and killed before it got its name.
            self._there = bytearray(b"\1" * self.pieces)
            os.ftruncate(self._handle, self.size + self.pieces)
            self.write(self.size, bytes(self._there))
        elif found == self.size + self.pieces:
            self._there = bytearray(mark == 1 for mark in self._read(self.size, self.pieces))
        else:
            os.ftruncate(self._handle, 0)
            os.ftruncate(self._handle, self.size + self.pieces)
        return any(self._there)


def missing_bytes(path: Path, size: int) -> int:
    """Bytes of disk that a download of `size` to this part still needs."""
    try:
        about = path.stat()
    except OSError:
        return size
    # Where the system does not count blocks, a file is as large as it looks.
    return max(size - getattr(about, "st_blocks", about.st_size // 512) * 512, 0)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link that somebody laid there would lead what is written to another file.
        return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: Path) -> CapacityError | DownloadError:
    if error.errno in _FULL:
        return CapacityError(
            f"{path}: the disk is full; what has come is kept, and with more room the download goes on"
        )
    return DownloadError(f"{path}: cannot be written: {error.strerror or error}")
