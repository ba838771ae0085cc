"""Responses that are made while nobody waits, and streams that can be taken up again.

A response in the background has a task of its own and keeps the frames that it made, numbered as its events are. Any
number of clients may follow it from any number on, go away and come back. Once it is over, the frames are kept with it.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence

from ossia.server.responses.composition import Composition
from ossia.server.streams import event

__all__ = ["Background", "framed", "packed", "replayed", "unpacked"]

MOST_FRAME_BYTES = 1 << 28
"""Bytes of frames that are unpacked at most."""


class Background:
    """One response on its way. Its maker calls `push` and, in the end, `close`; `cancel` asks it to end."""

    def __init__(self, composition: Composition, cancel: Callable[[], None]) -> None:
        self.composition = composition
        self.cancel = cancel
        self.task: asyncio.Task[None]
        self.begun = asyncio.Event()
        self.frames: list[bytes] = []
        self.closed = False
        self._changed = asyncio.Event()

    def push(self, frame: bytes) -> None:
        """Another event."""
        self.frames.append(frame)
        self._wake()

    def close(self) -> None:
        """There will be no more."""
        self.closed = True
        self.begun.set()
        self._wake()

    async def follow(self, start: int) -> AsyncGenerator[bytes, None]:
        """The frames from number `start` on, until there are no more."""
        while True:
            changed = self._changed
            while start < len(self.frames):
                yield self.frames[start]
                start += 1
            if self.closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def framed(happening: dict[str, object]) -> bytes:
    """An event of the API as a frame of the stream."""
    return event(happening, str(happening["type"]))


def packed(frames: Sequence[bytes]) -> bytes:
    """Frames as they are stored."""
    return zlib.compress(b"".join(frames))


def unpacked(data: bytes) -> list[bytes]:
    """Frames as they were: an empty line ends each, and JSON has none."""
    whole = zlib.decompressobj().decompress(data, MOST_FRAME_BYTES)
    return [frame + b"\n\n" for frame in whole.split(b"\n\n") if frame]


async def replayed(frames: Sequence[bytes], start: int) -> AsyncGenerator[bytes, None]:
    """Frames from number `start` on."""
    for frame in frames[start:]:
        yield frame
