"""Responses that are made while nobody waits, and streams that can be taken up again.

A response in the background has a task of its own and keeps the frames that it made, numbered as its events are. Any
number of clients may follow it from any number on, go away and come back. Once it is over, the frames are kept with it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from ossia.server.responses.composition import Composition
from ossia.server.responses.frames import Frames

__all__ = ["Background", "replayed"]

BURST = 100
"""Frames that are passed over before everything else has its turn."""


class Background:
    """One response on its way. Its maker calls `push` and, in the end, `close`; `cancel` asks it to end."""

    def __init__(self, composition: Composition, cancel: Callable[[], None]) -> None:
        self.composition = composition
        self.cancel = cancel
        self.task: asyncio.Task[None]
        self.begun = asyncio.Event()
        self.frames = Frames()
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


async def replayed(frames: Iterable[bytes], start: int) -> AsyncGenerator[bytes, None]:
    """Frames from number `start` on."""
    for number, frame in enumerate(frames):
        if number >= start:
            yield frame
        elif number % BURST == 0:
            await asyncio.sleep(0)  # those before it take their time too
