"""Several streams read as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

__all__ = ["merged"]

T = TypeVar("T")

WAITING = 64
"""Items that may wait for their reader while the streams go on."""


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """What the streams give, as it comes, each item with its stream's index.

    Closed early, it closes them all. Raises what the first to fail raised.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield 0, item
        return
    queue: asyncio.Queue[tuple[int, T]] = asyncio.Queue(WAITING)
    tasks = [asyncio.ensure_future(_put(index, stream, queue)) for index, stream in enumerate(streams)]
    everything: asyncio.Future[list[None]] = asyncio.gather(*tasks)
    try:
        async with aclosing(_taken(queue, everything)) as items:
            async for item in items:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait([*tasks, everything])
        if not everything.cancelled():
            everything.exception()  # read, or the loop says that nobody looked at it


async def _put(index: int, stream: AsyncGenerator[T, None], queue: asyncio.Queue[tuple[int, T]]) -> None:
    async with aclosing(stream):
        async for item in stream:
            await queue.put((index, item))


async def _taken(
    queue: asyncio.Queue[tuple[int, T]], everything: "asyncio.Future[list[None]]"
) -> AsyncGenerator[tuple[int, T], None]:
    """What is in the queue, until everything has been put there and taken."""
    while True:
        if everything.done():
            everything.result()
            if queue.empty():
                return
        getter = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait({getter, everything}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                yield getter.result()
        finally:
            getter.cancel()
