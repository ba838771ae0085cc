"""Frames that are kept, followed and packed."""

import asyncio
from contextlib import aclosing

from ossia.server.clients import ANYONE
from ossia.server.responses.background import Background, replayed
from ossia.server.responses.composition import Composition


def background() -> Background:
    return Background(Composition({"ossia": {}}, ANYONE, background=True, sealed=False), lambda: None)


async def _followed(made: Background, start: int) -> list[bytes]:
    async with aclosing(made.follow(start)) as frames:
        return [frame async for frame in frames]


def test_followers_see_all_that_they_ask_for_whenever_they_come():
    async def scene() -> None:
        made = background()
        early = asyncio.ensure_future(_followed(made, 0))
        for number in range(5):
            made.push(b"%d" % number)
            await asyncio.sleep(0)
        later = asyncio.ensure_future(_followed(made, 3))
        beyond = asyncio.ensure_future(_followed(made, 7))
        await asyncio.sleep(0)
        for number in range(5, 9):
            made.push(b"%d" % number)
        made.close()
        assert await early == [b"%d" % number for number in range(9)]
        assert await later == [b"%d" % number for number in range(3, 9)]
        assert await beyond == [b"7", b"8"]
        assert await _followed(made, 9) == []

    asyncio.run(scene())


def test_a_follower_that_leaves_disturbs_nobody():
    async def scene() -> None:
        made = background()
        leaving = asyncio.ensure_future(_followed(made, 0))
        staying = asyncio.ensure_future(_followed(made, 0))
        await asyncio.sleep(0)
        leaving.cancel()
        made.push(b"a")
        made.close()
        assert await staying == [b"a"]

    asyncio.run(scene())


def test_frames_are_replayed_from_a_number_on():
    async def all_from(start: int) -> list[bytes]:
        return [frame async for frame in replayed([b"0", b"1", b"2"], start)]

    assert asyncio.run(all_from(1)) == [b"1", b"2"]
    assert asyncio.run(all_from(7)) == []
