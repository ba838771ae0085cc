"""The frames of one stream: kept while it is made, packed when it is over, and read again from any of them on.

Few are kept in memory; what is more lies in a file without a name, which goes with them.
"""

import logging
import os
import tempfile
import weakref
import zlib
from array import array
from collections.abc import Iterable, Iterator

from ossia.server.streams import event

__all__ = ["Frames", "framed", "packed", "unpacked"]

MOST_IN_MEMORY = 256 << 10
"""Bytes of frames that are kept in memory: those of a thousand tokens."""

PIECE = 64 << 10
"""Bytes that are unpacked at a time."""

END = b"\n\n"
"""An empty line ends each frame, and JSON has none."""

_journal = logging.getLogger("ossia.server")


class Frames:
    """Frames in order. One writer; reading may go on in other threads. Whatever happens to the file, none is lost."""

    def __init__(self, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self._most = most_in_memory
        self._recent: list[bytes] = []
        self.bytes_in_memory = 0
        self._file: int | None = None
        self._ends = array("Q", [0])  # where in the file each frame ends, after a first that has none

    def __len__(self) -> int:
        return len(self._ends) - 1 + len(self._recent)

    def __getitem__(self, number: int) -> bytes:
        filed = len(self._ends) - 1
        if number >= filed:
            return self._recent[number - filed]
        assert self._file is not None
        start, end = self._ends[number], self._ends[number + 1]
        return os.pread(self._file, end - start, start)

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def append(self, frame: bytes) -> None:
        """Another one."""
        self._recent.append(frame)
        self.bytes_in_memory += len(frame)
        if self.bytes_in_memory > self._most:
            self._put_away()

    def _put_away(self) -> None:
        """Move what is in memory into the file. On a disk that takes no more it stays where it is."""
        ends = array("Q", self._ends[-1:])
        for frame in self._recent:
            ends.append(ends[-1] + len(frame))
        try:
            self._write(b"".join(self._recent), ends[0])
        except OSError as error:
            self._most *= 2
            _journal.warning("the events of a response stay in memory: %s", error)
            return
        self._ends.extend(ends[1:])
        self._recent, self.bytes_in_memory = [], 0

    def _write(self, data: bytes, place: int) -> None:
        if self._file is None:
            with tempfile.TemporaryFile(prefix="ossia-events-") as file:
                self._file = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._file)
        while data:
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written


def framed(happening: dict[str, object]) -> bytes:
    """An event of the API as a frame of the stream."""
    return event(happening, str(happening["type"]))


def packed(frames: Iterable[bytes]) -> bytes:
    """Frames as they are stored."""
    packer = zlib.compressobj()
    return b"".join([*map(packer.compress, frames), packer.flush()])


def unpacked(data: bytes) -> Iterator[bytes]:
    """Frames as they were, one after the other."""
    unpacker, rest = zlib.decompressobj(), b""
    while data:
        *whole, rest = (rest + unpacker.decompress(data, PIECE)).split(END)
        yield from (frame + END for frame in whole)
        data = unpacker.unconsumed_tail
