"""A whole server: its models, what is here, the application, from its start to its end."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from ossia.assistant import opening
from ossia.checkpoint import find, open_checkpoint
from ossia.errors import ConfigError
from ossia.harmony import Conversation, Effort, Message, render
from ossia.loading import vocabulary_of
from ossia.server.app import make_app
from ossia.server.catalogue import Catalogue, downloaded, with_aliases
from ossia.server.faults import CUT_OFF
from ossia.server.listening import run
from ossia.server.models import KEEP_ALIVE, Models, Served, name_of
from ossia.server.remote import Launch
from ossia.server.responses import close_shelf, open_shelf
from ossia.server.service import Service
from ossia.server.settings import ServerConfig

__all__ = ["make_service", "serve"]


def make_service(
    config: ServerConfig,
    launch: Launch,
    *,
    name: str | None = None,
    others: Sequence[str] = (),
    keep_alive: float = KEEP_ALIVE,
) -> Service:
    """What routes share: `launch` is the default model, called `name`.

    Loaded on demand are the `others`, each called by its own name or the last part of its path, and those that any
    program has downloaded. Raises ModelNotFoundError where one that is named is not here, CheckpointError and
    ConfigError where one of the others cannot be opened, or has a name that is taken.
    """
    _check_context(launch)
    named = _named([(name or name_of(launch.model), launch.model), *((name_of(other), other) for other in others)])

    def listed() -> dict[str, Path]:
        return named | {name: path for name, path in downloaded().items() if name not in named}

    catalogue = Catalogue(listed)
    models = Models(
        launch,
        name=name,
        local=lambda: with_aliases({entry.name: entry.path for entry in catalogue.entries()}),
        refused=catalogue.refused,
        keep_alive=keep_alive,
    )
    return Service(config=config, models=models, catalogue=catalogue)


def _named(models: Sequence[tuple[str, str]]) -> dict[str, Path]:
    """The models that the operator has named, the default one first."""
    named: dict[str, Path] = {}
    for name, model in models:
        path = find(model).absolute()
        if name in named:
            raise ConfigError(
                f"two models are called {name!r}, {named[name]} and {path}; folders of two names are right"
            )
        if named:
            vocabulary_of(open_checkpoint(path))
        named[name] = path
    return named


def _check_context(launch: Launch) -> None:
    """Raise ConfigError for a context that no conversation fits, not even one in which nothing is asked."""
    if launch.context is None:
        return
    asked = Conversation((*opening(Effort.MEDIUM, date=date.today().isoformat()), Message("user", "")))
    vocabulary = vocabulary_of(open_checkpoint(find(launch.model)))
    prompt = len(render(asked, vocabulary))
    least = prompt + len(vocabulary.encode_raw("<|channel|>final<|message|>.<|return|>"))
    if launch.context < least:
        raise ConfigError(
            f"context is {launch.context}; at least {least} is right: a conversation in which nothing is asked has "
            f"{prompt} tokens, and an answer of one {least - prompt}"
        )


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

    async def insisted() -> None:
        service.models.abort(CUT_OFF)

    app = make_app(service, version=version)
    open_shelf(app, service.config)
    try:
        await run(app, service.config, sockets, started=started, stopping=stopping, insisted=insisted)
    finally:
        # What runs in the background writes down how it ended, so the models go first.
        await asyncio.shield(service.models.close())
        await asyncio.shield(close_shelf(app))
