"""The stored responses from an event loop: SQLite works in a thread of its own, so that nobody waits for a disk."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from ossia.errors import OssiaError
from ossia.server.responses.database import MEMORY, Database, Row

__all__ = ["Store"]

T = TypeVar("T")

DAY = 24 * 3600.0

_journal = logging.getLogger("ossia.server")


class Store:
    """What `Database` does, awaited. A call that was cancelled is done all the same, in its turn."""

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="responses")
        try:
            self._database = self._thread.submit(open_database).result()
        except OssiaError:
            self._thread.shutdown()
            raise

    @classmethod
    def open(cls, path: str = MEMORY, *, seconds: float = 30 * DAY, most_bytes: int = 1 << 30) -> Self:
        """The responses of a file; `seconds` is how long they are kept unused. Raises ConfigError."""
        return cls(lambda: Database(path, seconds=seconds, most_bytes=most_bytes))

    async def put(self, row: Row) -> None:
        """Write a row, new or changed. Raises CapacityError."""
        await self._do(lambda: self._database.put(row))

    def put_later(self, row: Row) -> None:
        """Write a row when there is time: for whoever cannot wait. What goes wrong is written to the journal."""
        self._thread.submit(lambda: self._database.put(row)).add_done_callback(_report)

    async def get(self, owner: str, identifier: str) -> Row | None:
        """The row of this id, if it is this owner's."""
        return await self._do(lambda: self._database.get(owner, identifier))

    async def chain(self, owner: str, identifier: str) -> list[Row]:
        """The rows of a conversation from its beginning to this one."""
        return await self._do(lambda: self._database.chain(owner, identifier))

    async def item(self, owner: str, identifier: str) -> dict[str, Any] | None:
        """The item of this id, from any of the owner's responses."""
        return await self._do(lambda: self._database.item(owner, identifier))

    async def delete(self, owner: str, identifier: str) -> bool:
        """Forget a row; whether it was there."""
        return await self._do(lambda: self._database.delete(owner, identifier))

    def close(self) -> None:
        """Write what waits to be written, and close the file."""
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        # Shielded: cancelling would take a write that has not begun out of the thread's queue.
        return await asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))


def _report(written: "Future[None]") -> None:
    if error := written.exception():
        _journal.error("a response was not stored: %s", error)
