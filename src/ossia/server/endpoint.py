"""What a wire module offers: paths, the functions that answer them, and the Structs of what goes in and comes out.

The Struct that is declared is the one that the body is decoded as, and the one that the OpenAPI document shows, so that
the two cannot differ.

    async def create(request: Request, body: Question) -> Response: ...

    endpoints = [Endpoint("POST", "/v1/questions", create, "Answer a question.", body=Question, answer=Answer)]
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ossia.server.body import read_json
from ossia.server.faults import RefusedError

__all__ = ["Endpoint", "routes"]


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    `run` is called with the request, and with the decoded body where `body` says what that is. `answer` is the type of
    the whole answer: of its JSON, or a media type in words. `events` is what one part of a stream may be, `stream` the
    stream's media type. `query` names the parameters behind the `?`, with what each means; others are refused.
    `open` lets everybody in, with a key or without.
    """

    method: str
    path: str
    run: Callable[..., Awaitable[Response]]
    summary: str
    body: type[Struct] | None = None
    answer: Any = None
    events: Any = None
    stream: str = "text/event-stream"
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    open: bool = False

    async def respond(self, request: Request) -> Response:
        """The answer to a request. Raises what `read_json` and `run` raise."""
        _check_query(request, self.query)
        if self.body is None:
            return await self.run(request)
        return await self.run(request, await read_json(request, self.body))


def routes(endpoints: Iterable[Endpoint]) -> list[Route]:
    """A route for each path, in the order in which the paths come first; the first route that fits answers."""
    paths: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, []).append(endpoint)
    return [_route(path, group) for path, group in paths.items()]


def _route(path: str, group: Sequence[Endpoint]) -> Route:
    methods = {endpoint.method: endpoint for endpoint in group}
    if len(methods) < len(group):
        raise ValueError(f"{path} has two endpoints for one method")
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join(sorted(methods))

    async def answer(request: Request) -> Response:
        endpoint = methods.get(request.method)
        if endpoint is None:
            raise RefusedError(
                f"{request.url.path} has no method {request.method!r:.20}; {allowed} is right",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                code="method_not_allowed",
                headers=(("Allow", allowed),),
            )
        return await endpoint.respond(request)

    # Without a list of its own, a route takes every method: the refusal is ours, in the shape of the API.
    route = Route(path, answer)
    route.methods = set()
    return route


def _check_query(request: Request, known: Mapping[str, str]) -> None:
    for name in request.query_params:
        if name not in known:
            right = f"{', '.join(known)} can be given" if known else "none can be given"
            raise RefusedError(
                f"unknown query parameter {name!r:.80}; {right} here", param=name[:200], code="unknown_field"
            )
