"""What the routes of one server share, found through each request."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from ossia.server.catalogue import Catalogue
from ossia.server.checks import Turns
from ossia.server.clients import Client
from ossia.server.metrics import Metrics
from ossia.server.recall import Recall
from ossia.server.settings import ServerConfig

if TYPE_CHECKING:
    from ossia.server.models import Models

__all__ = ["Service", "client_of", "service_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Service:
    """The settings, the models, those that could be loaded, what is kept for clients, and what is counted.

    `turns` are clients' turns at what takes long.
    """

    config: ServerConfig
    models: "Models"
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(dict))
    recall: Recall = field(default_factory=Recall)
    metrics: Metrics = field(default_factory=Metrics)
    turns: Turns = field(default_factory=Turns)


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    return cast(Service, request.app.state.service)


def client_of(request: Request) -> Client:
    """Who sent a request, as its API key says."""
    return cast(Client, request.state.client)
