"""Several streams read as one: nothing lost, everything closed."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from ossia.server.merging import merged


class Source:
    """Counts to `end`, or fails there; `closed` once it has been."""

    def __init__(self, end: int, fails: bool = False, seed: int = 0) -> None:
        self.end, self.fails, self.closed, self._chance = end, fails, False, random.Random(seed)

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.end):
                if self._chance.random() < 0.5:
                    await asyncio.sleep(0)
                yield number
            if self.fails:
                raise ValueError("broken")
        finally:
            self.closed = True


async def read(sources: list[Source], most: int | None = None) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    async with aclosing(merged([source.items() for source in sources])) as items:
        async for item in items:
            found.append(item)
            if most is not None and len(found) == most:
                break
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_stream_comes_whole_and_in_order(count: int):
    sources = [Source(100 + index, seed=index) for index in range(count)]
    found = asyncio.run(read(sources))
    for index, source in enumerate(sources):
        assert [number for place, number in found if place == index] == list(range(source.end))
        assert source.closed


@pytest.mark.parametrize("count", [1, 3])
def test_left_early_all_are_closed(count: int):
    sources = [Source(10_000, seed=index) for index in range(count)]
    assert len(asyncio.run(read(sources, most=7))) == 7
    assert all(source.closed for source in sources)


@pytest.mark.parametrize("count", [1, 3])
def test_what_one_raises_ends_them_all(count: int):
    sources = [Source(5, fails=True), *(Source(10**9, seed=index) for index in range(1, count))]
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(read(sources))
    assert all(source.closed for source in sources)
