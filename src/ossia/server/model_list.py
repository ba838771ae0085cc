"""GET /v1/models and /v1/models/{id}: the models that a request may name, those that are not loaded among them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.catalogue import Entry, known_as
from ossia.server.endpoint import Endpoint
from ossia.server.faults import RefusedError
from ossia.server.models import Listed
from ossia.server.service import Service, service_of

__all__ = ["endpoints"]

BETA = {"beta": "taken, for Anthropic's clients; it changes nothing"}


class ModelCard(Struct, kw_only=True):
    """A model, with what both OpenAI's and Anthropic's shape have of it.

    Beside them: the context under both names that clients look for, and whether it is loaded. `context_length` is what
    a request may have in all: of a model that is not loaded, what it was made for.
    """

    id: str
    object: str = "model"
    created: int
    owned_by: str = "ossia"
    context_length: int
    max_model_len: int
    loaded: bool
    type: str = "model"
    display_name: str
    created_at: str


class ModelList(Struct, kw_only=True):
    """The models, the default one first."""

    object: str = "list"
    data: Sequence[ModelCard]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


async def list_models(request: Request) -> Response:
    """All of them."""
    cards = await _cards(service_of(request))
    first, last = (cards[0].id, cards[-1].id) if cards else (None, None)
    return _json(ModelList(data=cards, first_id=first, last_id=last))


async def show_model(request: Request) -> Response:
    """One of them. Raises RefusedError for a name that none has, with the names there are."""
    name = request.path_params["id"]
    cards = {card.id: card for card in await _cards(service_of(request))}
    if (known := known_as(name, cards)) is not None:
        return _json(cards[known])
    names = ", ".join(cards)
    raise RefusedError(
        f"no model is called {name!r:.200} here; there are: {names}", status=404, param="model", code="model_not_found"
    )


async def _cards(service: Service) -> list[ModelCard]:
    loaded = {each.name: each for each in service.models.listed()}
    entries = await asyncio.to_thread(service.catalogue.entries)
    return [_card(entry, loaded.get(entry.name)) for entry in entries]


def _card(entry: Entry, loaded: Listed | None) -> ModelCard:
    served = loaded.served if loaded else None
    context = served.tokens.context if served else entry.config.max_position_embeddings
    return ModelCard(
        id=entry.name,
        created=entry.created,
        context_length=context,
        max_model_len=context,
        loaded=served is not None,
        display_name=entry.name,
        created_at=datetime.fromtimestamp(entry.created, UTC).isoformat().replace("+00:00", "Z"),
    )


def _json(data: Struct) -> Response:
    return Response(msgspec.json.encode(data), media_type="application/json")


endpoints = (
    Endpoint("GET", "/v1/models", list_models, "The models that a request may name.", answer=ModelList, query=BETA),
    Endpoint("GET", "/v1/models/{id:path}", show_model, "One model.", answer=ModelCard, query=BETA),
)
