"""The application: every endpoint behind one door."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from ossia.errors import OssiaError
from ossia.server.endpoint import Endpoint, routes
from ossia.server.faults import ClientGone, refused
from ossia.server.guard import Guard
from ossia.server.service import Service

__all__ = ["make_app"]


def make_app(service: Service, endpoints: Iterable[Endpoint]) -> Starlette:
    """An ASGI application that answers `endpoints`."""
    endpoints = list(endpoints)
    app = Starlette(
        routes=routes(endpoints),
        middleware=[Middleware(Guard, service, [endpoint.path for endpoint in endpoints if endpoint.open])],
        exception_handlers={OssiaError: _refused, HTTPException: _refused, ClientGone: _refused},
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _refused(request: Request, error: Exception) -> Response:
    return refused(request, error)
