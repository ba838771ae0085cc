"""A server without a socket and without weights: the real application over a `Player`."""

from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
from starlette.testclient import TestClient

from ossia.checkpoint import find
from ossia.config import ModelConfig
from ossia.engine import SamplingParams
from ossia.errors import ModelNotFoundError
from ossia.harmony import Effort, Vocabulary
from ossia.loading import Defaults
from ossia.server.app import make_app
from ossia.server.endpoint import Endpoint
from ossia.server.models import Listed, Served
from ossia.server.service import Service
from ossia.server.settings import ServerConfig
from tests.cli.tiny import CONFIG, VOCABULARY
from tests.server.playing import Player

__all__ = ["OneModel", "client_for", "service_for"]

NAME = "tiny"


class OneModel:
    """Takes the part of Models: one model, always loaded."""

    default = NAME
    closed = False

    def __init__(self, player: Player, vocabulary: Vocabulary = VOCABULARY, config: ModelConfig = CONFIG) -> None:
        self.leases = 0
        self.served = Served(
            name=NAME,
            tokens=player,  # type: ignore[arg-type]  # all but its status
            vocabulary=vocabulary,
            defaults=Defaults(SamplingParams(), Effort.MEDIUM, (), {}),
            settings={"backend": "played", "precision": "exact", "threads": 1},
            config=config,
        )

    @property
    def ready(self) -> bool:
        return True

    def names(self) -> list[str]:
        return [NAME]

    def listed(self) -> list[Listed]:
        return [Listed(name=NAME, path=find("nano"), done=1.0, users=self.leases, expires=None, served=self.served)]

    async def status(self) -> dict[str, Any]:
        return {}

    async def stop(self, name: str) -> str:
        return "kept"

    async def is_default(self, name: str) -> bool:
        return True

    @asynccontextmanager
    async def lease(self, name: str, **options: Any):
        if name != NAME:
            raise ModelNotFoundError(f"no model {name!r} here; known: {NAME}")
        self.leases += 1
        try:
            yield self.served
        finally:
            self.leases -= 1


def service_for(player: Player, **config: Any) -> Service:
    kept = {"store": ":memory:"} | config
    return Service(config=ServerConfig(**kept), models=OneModel(player))  # type: ignore[arg-type]


def client_for(service: Service, endpoints: Iterable[Endpoint], headers: Mapping[str, str] | None = None) -> TestClient:
    """A client of the application. A fault of ours is raised here instead of answered with 500."""
    return TestClient(make_app(service, endpoints), base_url="http://127.0.0.1:8000", headers=dict(headers or {}))


def events_of(response: httpx.Response) -> list[str]:
    """The data of each server-sent event."""
    parts = [part for part in response.text.split("\n\n") if part and not part.startswith(":")]
    return [
        "\n".join(line.removeprefix("data: ") for line in part.split("\n") if line.startswith("data:"))
        for part in parts
    ]
