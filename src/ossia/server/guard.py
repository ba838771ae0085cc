"""The door of the server: what is looked at before any work is done for a request.

In this order: how large the headers are, which host the request is for, which page it comes from, whose key it brings,
how long the body says it is. Then the request goes on to its route, and its body is counted and timed as it comes.

Browsers are why host and page are looked at. A page can have its own name point here (DNS rebinding), and send what a
form could send without asking first; both would let any site that is visited use a server that listens on loopback. No
browser lets a page choose `Host` or `Origin`.
"""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossia.errors import UnavailableError
from ossia.server.faults import CUT_OFF, RefusedError, Style, fault_of, style_of
from ossia.server.journal import new_request
from ossia.server.service import Service

__all__ = ["Guard"]

_journal = logging.getLogger("ossia.server")

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_QUIET = {"/health", "/ready", "/metrics"}
"""Asked every few seconds by programs; in the journal they would bury the rest."""

_HEARD_OUT, _PATIENCE = 4, 5.0
"""A body that is too long is read on to so many times the bound, and for so many seconds, and forgotten."""

_EXPOSED = "x-request-id, request-id, retry-after"


class Guard:
    """ASGI middleware around a whole application. `open_paths` need no key."""

    def __init__(self, app: ASGIApp, service: Service, open_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._service = service
        self._config = service.config
        self._open = frozenset(open_paths)
        self._held = 0  # bytes of the bodies of all requests that are being answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or send it away; count it and write it down either way."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._visit(_Visit(scope, receive, send, self._config.limits.body_bytes))
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no websockets here"})

    async def _visit(self, visit: "_Visit") -> None:
        visit.begin()
        self._service.metrics.open_requests.add(1)
        try:
            self._allow_reading(visit)
            answer = self._admit(visit)
            await (answer or self._app)(visit.scope, self._bounded(visit), visit.send)
        except Exception as error:  # noqa: BLE001  # the outermost place: what arrives here becomes an answer
            await visit.fail(error)
        except asyncio.CancelledError:
            await visit.fail(UnavailableError(CUT_OFF))
            raise
        finally:
            self._held -= visit.bytes
            self._service.metrics.open_requests.add(-1)
            self._count(visit)

    def _admit(self, visit: "_Visit") -> Response | None:
        """Put into its state whose request it is; a browser's question beforehand is answered. Raises RefusedError."""
        _check_headers(visit, self._config.limits.headers, self._config.limits.header_bytes)
        self._check_host(visit.headers)
        self._check_origin(visit.headers)
        if visit.scope["method"] == "OPTIONS" and "access-control-request-method" in visit.headers:
            return _permission(visit.headers)
        client = self._config.keys.client(_offered(visit.headers))
        if client is None and visit.scope["path"] not in self._open:
            raise RefusedError(
                "there is no valid API key with the request; 'Authorization: Bearer KEY' or 'x-api-key: KEY' is right",
                status=401,
                code="invalid_api_key",
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        visit.scope.setdefault("state", {})["client"] = client
        visit.client = client.id if client else None
        _check_length(visit.headers, self._config.limits.body_bytes)
        return None

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not _is_ours(host, (self._config.host, *self._config.hosts)):
            name = host or "missing"
            raise RefusedError(
                f"the host is {name!r:.200}; this machine's own names and addresses are right, and those that "
                "`ossia serve --allow-host NAME` names",
                status=403,
                code="host_not_allowed",
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or _same(origin, headers.get("host", "")) or self._named(origin):
            return
        raise RefusedError(
            f"the page's origin is {origin!r:.200}; none is right but those that `ossia serve --allow-origin ORIGIN` "
            "names",
            status=403,
            code="origin_not_allowed",
        )

    def _named(self, origin: str) -> bool:
        return "*" in self._config.origins or origin.lower() in self._config.origins

    def _allow_reading(self, visit: "_Visit") -> None:
        """Let the page that a named origin served read the answer, errors too."""
        origin = visit.headers.get("origin")
        if origin is not None and self._named(origin):
            visit.extra = {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": _EXPOSED,
                "Vary": "Origin",
            }

    def _bounded(self, visit: "_Visit") -> Receive:
        """The request's messages, as long as its body keeps within its bounds of bytes and of time."""
        limits = self._config.limits

        async def receive() -> Message:
            if visit.body_ended:
                return await visit.receive()
            try:
                async with asyncio.timeout(limits.body_seconds):
                    message = await visit.receive()
            except TimeoutError:
                raise RefusedError(
                    f"nothing more of the body came for {limits.body_seconds:g} seconds",
                    status=408,
                    code="request_timeout",
                    headers=(("Connection", "close"),),
                ) from None
            self._held += len(message.get("body", b""))
            visit.count(message)
            if self._held > limits.bodies_bytes:
                raise RefusedError(
                    f"the bodies of all requests together have {self._held} bytes; trying again later is right",
                    status=503,
                    code="overloaded",
                    headers=(("Retry-After", "1"),),
                )
            return message

        return receive

    def _count(self, visit: "_Visit") -> None:
        route = getattr(visit.scope.get("route"), "path", "none")
        method = visit.scope["method"] if visit.scope["method"] in _METHODS else "other"
        seconds = time.perf_counter() - visit.began
        self._service.metrics.requests.add(1, method, route, str(visit.status))
        self._service.metrics.request_seconds.observe(seconds, route)
        broken = visit.scope.get("state", {}).get("broken")
        if broken is not None:
            self._service.metrics.broken_streams.add(1, route, broken)
        _journal.log(
            logging.DEBUG if visit.scope["path"] in _QUIET and visit.status < 400 else logging.INFO,
            "request",
            extra={
                "request": visit.id,
                "method": visit.scope["method"][:20],
                "path": visit.scope["path"][:200],
                "status": visit.status,
                "seconds": seconds,
                "bytes": visit.bytes,
                "client": visit.client or "none",
                **({"stream": broken} if broken is not None else {}),
            },
        )


@dataclass
class _Visit:
    """One request on its way: what it has brought so far, and what was said to it."""

    scope: Scope
    receive: Receive
    out: Send
    most: int
    client: str | None = None
    status: int = 0
    bytes: int = 0
    body_ended: bool = False
    began: float = field(default_factory=time.perf_counter)
    extra: dict[str, str] = field(default_factory=dict[str, str])

    def begin(self) -> None:
        """Give it an id."""
        self.id = new_request()
        self.headers = Headers(scope=self.scope)

    def count(self, message: Message) -> None:
        """Count a part of the body. Raises RefusedError where it becomes too long."""
        self.bytes += len(message.get("body", b""))
        self.body_ended = not message.get("more_body", False)
        if self.bytes > self.most:
            raise _too_long(f"more than {self.most} bytes", self.most)

    async def send(self, message: Message) -> None:
        """Send a message, its head with what every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self.extra.items():
                headers[name] = value
            headers["X-Request-Id"] = self.id
            if style_of(self.scope["path"]) is Style.ANTHROPIC:
                headers["Request-Id"] = self.id
            headers["X-Content-Type-Options"] = "nosniff"
        await self.out(message)

    async def fail(self, error: Exception) -> None:
        """Answer with the error, unless the answer has begun: then the connection is closed in the middle of it."""
        fault = fault_of(error)
        if self.status == 0:
            if fault.status == 413:
                await self._hear_out()
            await fault.response(style_of(self.scope["path"]))(self.scope, self.receive, self.send)

    async def _hear_out(self) -> None:
        """Let the client end what is too long, since who still writes reads no answer, but for one that waits to."""
        if "expect" in self.headers:
            return
        left = _HEARD_OUT * self.most
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not self.body_ended and left > 0:
                    message = await self.receive()
                    left -= len(message.get("body", b""))
                    self.body_ended = not message.get("more_body", False)


def _is_ours(host: str, named: Iterable[str]) -> bool:
    """Whether a `Host` is this server's: an address (no page has one as its name), localhost, or one that is named."""
    name = _hostname(host)
    if name == "localhost" or name.endswith(".localhost") or name in named or ("*" in named and host):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _hostname(host: str) -> str:
    """The name in `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def _same(origin: str, host: str) -> bool:
    """Whether a page comes from this very server."""
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _offered(headers: Headers) -> list[str]:
    """Every key that a request brings."""
    bearers = [value.partition(" ") for value in headers.getlist("authorization")]
    return [
        *(key.strip() for scheme, _, key in bearers if scheme.lower() == "bearer"),
        *headers.getlist("x-api-key"),
    ]


def _permission(headers: Headers) -> Response:
    """The answer to a browser that asks before it sends; who may read is added to every answer of a named origin."""
    granted = {
        "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "Access-Control-Max-Age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        granted["Access-Control-Allow-Private-Network"] = "true"
    return Response(None, 204, granted)


def _check_headers(visit: _Visit, most: int, most_bytes: int) -> None:
    raw = visit.scope["headers"]
    size = sum(len(name) + len(value) for name, value in raw) + len(visit.scope.get("raw_path", b""))
    size += len(visit.scope.get("query_string", b""))
    if len(raw) > most or size > most_bytes:
        raise RefusedError(
            f"the request has {len(raw)} headers of {size} bytes; at most {most} of {most_bytes} bytes are right",
            status=431,
            code="headers_too_large",
        )


def _check_length(headers: Headers, most: int) -> None:
    length = headers.get("content-length", "0")
    # What is no number has been refused by the HTTP parser; a server under another one may not have done so.
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(f"content-length is {length!r:.80}; a whole number is right", code="invalid_header")
    if len(length) > 18 or int(length) > most:
        raise _too_long(f"{length[:20]} bytes", most)


def _too_long(found: str, most: int) -> RefusedError:
    return RefusedError(f"the body has {found}; at most {most} are right", status=413, code="request_too_large")
