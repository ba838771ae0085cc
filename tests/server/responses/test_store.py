"""The store from an event loop."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from ossia.errors import ConfigError
from ossia.server.responses.database import Database
from ossia.server.responses.store import Store
from tests.server.responses.test_database import row


def test_the_event_loop_goes_on_while_the_disk_is_slow():
    slow = threading.Event()

    class Slow(Database):
        def get(self, owner: str, identifier: str):
            slow.wait(10)
            return super().get(owner, identifier)

    store = Store(lambda: Slow(seconds=100, most_bytes=1 << 20))

    async def both() -> int:
        reading = asyncio.ensure_future(store.get("me", "resp_a"))
        ticks = 0
        while ticks < 20:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not reading.done()
        slow.set()
        assert await reading is None
        return ticks

    assert asyncio.run(both()) == 20
    store.close()


def test_all_of_it_is_awaited():
    store = Store.open()

    async def everything() -> None:
        await store.put(row())
        assert await store.get("me", "resp_a") == row()
        assert [each.id for each in await store.chain("me", "resp_a")] == ["resp_a"]
        assert await store.item("me", "msg_resp_a") == {"id": "msg_resp_a", "type": "message"}
        assert await store.delete("me", "resp_a")
        assert not await store.delete("me", "resp_a")

    asyncio.run(everything())
    store.close()


def test_a_cancelled_write_is_written(tmp_path: Path):
    store = Store.open(str(tmp_path / "r.sqlite"))

    async def cancelled() -> None:
        writing = asyncio.ensure_future(store.put(row()))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    asyncio.run(cancelled())
    store.put_later(row("resp_b"))
    store.close()
    again = Store.open(str(tmp_path / "r.sqlite"))
    assert asyncio.run(again.get("me", "resp_a")) == row()
    assert asyncio.run(again.get("me", "resp_b")) is not None
    again.close()


def test_what_goes_wrong_later_is_in_the_journal(caplog: pytest.LogCaptureFixture):
    class Full(Database):
        def put(self, row: object) -> None:
            raise ConfigError("the disk is full")

    store = Store(lambda: Full(seconds=100, most_bytes=1 << 20))
    with caplog.at_level(logging.ERROR, "ossia.server"):
        store.put_later(row())
        store.close()
    assert "the disk is full" in caplog.text


def test_a_file_that_cannot_be_used_leaves_no_thread_behind(tmp_path: Path):
    (tmp_path / "r.sqlite").mkdir()
    before = threading.active_count()
    with pytest.raises(ConfigError):
        Store.open(str(tmp_path / "r.sqlite"))
    assert threading.active_count() == before
