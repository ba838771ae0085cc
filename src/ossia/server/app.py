"""The application: every endpoint behind one door."""

from collections.abc import Iterable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ossia.errors import OssiaError
from ossia.server import chat, completions, messages, model_list, ollama, responses, standing
from ossia.server.endpoint import Endpoint, routes
from ossia.server.faults import ClientGone, refused
from ossia.server.guard import Guard
from ossia.server.openapi import document
from ossia.server.service import Service

__all__ = ["ENDPOINTS", "make_app"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *standing.endpoints,
    *model_list.endpoints,
    *responses.endpoints,
    *chat.endpoints,
    *completions.endpoints,
    *messages.endpoints,
    *ollama.endpoints,
)
"""Everything that a server answers; its description comes on top."""


def make_app(service: Service, endpoints: Iterable[Endpoint] = ENDPOINTS, version: str = "0") -> Starlette:
    """An ASGI application that answers `endpoints`, and GET /openapi.json with what they declare."""
    described = [*endpoints]
    text: bytes | None = None

    async def describe(request: Request) -> Response:
        nonlocal text
        if text is None:
            text = msgspec.json.encode(document(described, version))
        return Response(text, media_type="application/json")

    described.append(Endpoint("GET", "/openapi.json", describe, "This document.", answer="application/json"))
    app = Starlette(
        routes=routes(described),
        middleware=[Middleware(Guard, service, [endpoint.path for endpoint in described if endpoint.open])],
        exception_handlers=dict.fromkeys((OssiaError, HTTPException, ClientGone, ClientDisconnect), _refused),
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _refused(request: Request, error: Exception) -> Response:
    return refused(request, error)
