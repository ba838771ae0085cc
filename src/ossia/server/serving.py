"""A whole server: its models, what is here, the application, from its start to its end."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from ossia.checkpoint import find
from ossia.server.app import make_app
from ossia.server.catalogue import Catalogue, downloaded, with_aliases
from ossia.server.listening import run
from ossia.server.models import KEEP_ALIVE, Models, Served
from ossia.server.remote import Launch
from ossia.server.responses import close_shelf, open_shelf
from ossia.server.service import Service
from ossia.server.settings import ServerConfig

__all__ = ["make_service", "serve"]


def make_service(
    config: ServerConfig, launch: Launch, *, name: str | None = None, keep_alive: float = KEEP_ALIVE
) -> Service:
    """What routes share: `launch` is the default model, called `name`; the others are those that are here.

    Raises ModelNotFoundError where there is no default model.
    """
    default = find(launch.model).absolute()

    def listed() -> dict[str, Path]:
        return {models.default: default, **downloaded()}

    catalogue = Catalogue(listed)
    models = Models(
        launch,
        name=name,
        local=lambda: with_aliases({entry.name: entry.path for entry in catalogue.entries()}),
        keep_alive=keep_alive,
    )
    return Service(config=config, models=models, catalogue=catalogue)


async def serve(
    service: Service,
    sockets: list[socket.socket],
    *,
    version: str,
    ready: Callable[[Served], None],
    progress: Callable[[float], None] | None = None,
) -> None:
    """Answer requests at these sockets until a signal says to end; `ready` is called once the model is loaded.

    Requests that come before wait for it. Raises what loading the model raises, and ConfigError where no responses can
    be stored.
    """

    async def started() -> None:
        async with service.models.lease(progress=progress) as served:
            ready(served)

    async def stopping() -> None:
        await service.models.close(service.config.grace_seconds)

    app = make_app(service, version=version)
    open_shelf(app, service.config)
    try:
        await run(app, service.config, sockets, started=started, stopping=stopping)
    finally:
        # What runs in the background writes down how it ended, so the models go first.
        await asyncio.shield(service.models.close())
        await asyncio.shield(close_shelf(app))
