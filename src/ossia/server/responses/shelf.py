"""What a server keeps of its responses: the store, and those that run in the background."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request

from ossia.server.clients import Client
from ossia.server.responses.background import Background
from ossia.server.responses.database import MEMORY
from ossia.server.responses.store import Store
from ossia.server.service import service_of
from ossia.server.settings import ServerConfig

__all__ = ["Shelf", "close_shelf", "default_path", "open_shelf", "owner_of", "shelf_of"]


class Shelf:
    """The responses of one server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._running: dict[tuple[str, str], Background] = {}

    def add(self, owner: str, background: Background) -> None:
        """Keep a response as running, until its task is over."""
        key = (owner, background.composition.id)
        self._running[key] = background
        background.task.add_done_callback(lambda _: self._running.pop(key, None))

    def running(self, owner: str, identifier: str) -> Background | None:
        """The running response of this id, if it is this owner's."""
        return self._running.get((owner, identifier))

    async def close(self) -> None:
        """Cancel what runs, write what there is of it, and close the store."""
        tasks = [background.task for background in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self.store.close)


def open_shelf(app: Starlette, config: ServerConfig) -> Shelf:
    """Open the responses that a server has stored. Raises ConfigError where the file cannot be used."""
    path = config.store or str(default_path(os.environ))
    path = path if path == MEMORY else str(Path(path).expanduser())
    limits = config.limits
    store = Store.open(path, seconds=limits.store_seconds, most_bytes=limits.store_bytes)
    app.state.responses = shelf = Shelf(store)
    return shelf


async def close_shelf(app: Starlette) -> None:
    """Close them, if they were opened; what is asked for later opens them again."""
    shelf: Shelf | None = getattr(app.state, "responses", None)
    if shelf is not None:
        del app.state.responses
        await shelf.close()


def shelf_of(request: Request) -> Shelf:
    """The responses of the server that answers a request."""
    shelf: Any = getattr(request.app.state, "responses", None)
    return shelf if shelf is not None else open_shelf(request.app, service_of(request).config)


def owner_of(client: Client) -> str:
    """Whose a response is: it follows from the API key, as everything that is kept for a client does."""
    return client.salt.hex() or "anyone"


def default_path(environment: Mapping[str, str]) -> Path:
    """Where a user's responses are stored unless told otherwise; in memory for one who has no home.

    Source: the XDG Base Directory Specification, XDG_STATE_HOME.
    """
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state / "ossia" / "responses.sqlite"
    try:
        return Path.home() / ".local" / "state" / "ossia" / "responses.sqlite"
    except RuntimeError:
        return Path(MEMORY)
