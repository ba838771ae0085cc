"""Errors as each API says them: from an exception to a status, the field at fault, and a body of the right shape.

    OpenAI      {"error": {"message": "...", "type": "...", "param": "...", "code": "..."}}
    Ollama      {"error": "..."}                                   under /api/
    Anthropic   {"type": "error", "error": {"type": "...", "message": "..."}}   under /v1/messages

Source: OpenAI's API reference, "Error codes"; Ollama's docs/api.md; Anthropic's API reference, "Errors".
"""

import logging
import math
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ossia.errors import (
    CapacityError,
    ContextLengthError,
    ConversationError,
    DownloadError,
    ModelNotFoundError,
    OssiaError,
    OverloadedError,
    RequestError,
    UnavailableError,
)

__all__ = [
    "CUT_OFF",
    "AnthropicError",
    "ClientGone",
    "Fault",
    "OllamaError",
    "OpenAIError",
    "RefusedError",
    "Style",
    "fault_of",
    "placing",
    "refused",
    "style_of",
    "unforeseen",
]

GONE = 499
"""The status in logs of a request whose client went away; nobody reads it. nginx began it, and readers of logs know."""

CUT_OFF = "the server was told to end at once, before this was answered; trying again is right"
"""Of a request that is cut off, and not by its client."""

LONGEST = 2000
"""Characters of a message: it may quote what the client sent."""

_KINDS: tuple[tuple[type[OssiaError], int, str], ...] = (
    (OverloadedError, 429, "rate_limit_exceeded"),
    (UnavailableError, 503, "unavailable"),
    (CapacityError, 503, "insufficient_capacity"),
    (DownloadError, 502, "download_failed"),
    (ModelNotFoundError, 404, "model_not_found"),
    (ContextLengthError, 400, "context_length_exceeded"),
    (RequestError, 400, "invalid_value"),
    (ConversationError, 400, "invalid_value"),
    (OssiaError, 500, "model_error"),
)
"""Status and code of each kind of error; the first that fits."""

_USUAL = {400: "invalid_value", 403: "not_allowed", 404: "not_found", 409: "conflict", 501: "unsupported"}
"""The code of a refusal that has none of its own, by its status."""

_journal = logging.getLogger("ossia.server")


class Style(Enum):
    """Whose shape an error has."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    ANTHROPIC = "anthropic"


class OpenAIDetail(Struct, frozen=True):
    """What is inside an error of OpenAI's shape: `param` is the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Struct, frozen=True):
    """An error in OpenAI's shape."""

    error: OpenAIDetail


class OllamaError(Struct, frozen=True):
    """An error in Ollama's shape."""

    error: str


class AnthropicDetail(Struct, frozen=True):
    """What is inside an error of Anthropic's shape."""

    type: str
    message: str


class AnthropicError(Struct, frozen=True, tag="error"):
    """An error in Anthropic's shape."""

    error: AnthropicDetail


class RefusedError(RequestError):
    """A request that is refused at the server's door, with all that its answer says."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code or _USUAL.get(status)
        self.headers = headers


class ClientGone(Exception):  # noqa: N818  # nothing is wrong with the server or the request
    """Whoever asked has closed the connection; what was begun for it has been cancelled."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An error as a client is told of it; `param` is the field at fault, `id` finds it in the journal."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    id: str | None = None

    @property
    def words(self) -> str:
        """The message with the field at fault, for shapes that have no place of its own for that."""
        return self.message if self.param is None or self.param in self.message else f"{self.param}: {self.message}"

    def shaped(self, style: Style) -> "OpenAIError | OllamaError | AnthropicError":
        """The body, as `style` has it."""
        if style is Style.OLLAMA:
            return OllamaError(self.words)
        if style is Style.ANTHROPIC:
            return AnthropicError(AnthropicDetail(_anthropic_type(self.status), self.words))
        return OpenAIError(OpenAIDetail(self.message, _openai_type(self.status), self.param, self.code))

    def response(self, style: Style) -> Response:
        """The whole answer."""
        body = msgspec.json.encode(self.shaped(style))
        return Response(body, self.status, dict(self.headers), media_type="application/json")


def style_of(path: str) -> Style:
    """Whose API a path belongs to; OpenAI's shape serves all that nobody else claims."""
    if path == "/api" or path.startswith("/api/"):
        return Style.OLLAMA
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return Style.ANTHROPIC
    return Style.OPENAI


def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that ended in one of the errors of `fault_of`."""
    return fault_of(error).response(style_of(request.url.path))


@contextmanager
def placing(paths: Mapping[str, str]) -> Generator[None]:
    """What is raised within names the request's own field: `paths` has them by what they are called elsewhere."""
    try:
        yield
    except RequestError as error:
        _place(error, paths)
        raise


def fault_of(error: Exception) -> Fault:
    """What a client is told of an error that was raised on purpose; of any other, what `unforeseen` says."""
    match error:
        case RefusedError():
            message = _shortened(str(error))
            return Fault(
                status=error.status, message=message, param=error.param, code=error.code, headers=error.headers
            )
        case OssiaError():
            return _own(error)
        case HTTPException():
            return _http(error)
        case ClientGone() | ClientDisconnect():
            return Fault(status=GONE, message="the client has closed the connection")
        case _:
            return unforeseen(error)


def unforeseen(error: BaseException) -> Fault:
    """An error that nobody raised on purpose: written to the journal with its traceback, told by its id alone."""
    name, kind = f"err_{secrets.token_hex(8)}", type(error)
    # Its message may quote the request; of the system's own errors the reason does not.
    why = f"{kind.__module__}.{kind.__qualname__}" + (f": {error.strerror}" if isinstance(error, OSError) else "")
    _journal.error("internal error %s, %s", name, why, exc_info=error, extra={"error_id": name})
    message = f"internal error {name}; the server's journal says more under this id"
    return Fault(status=500, message=message, code="internal_error", id=name)


def _place(error: RequestError, paths: Mapping[str, str]) -> None:
    name = error.param
    if isinstance(error, RefusedError) or name is None or not paths.get(name):
        return
    error.param, text = paths[name], str(error)
    for begin in ("", "a token of "):
        if text.startswith(f"{begin}{name} "):
            error.args = (f"{begin}{paths[name]}{text.removeprefix(f'{begin}{name}')}",)


def _own(error: OssiaError) -> Fault:
    status, code = next((status, code) for kind, status, code in _KINDS if isinstance(error, kind))
    param = error.param if isinstance(error, RequestError) else None
    if isinstance(error, ModelNotFoundError):
        param = "model"
    return Fault(
        status=status,
        message=_shortened(str(error)),
        param=param and param[:200],
        code=getattr(error, "code", None) or code,
        headers=_retry(getattr(error, "retry_after", None) or (1.0 if status == 503 else None)),
    )


def _http(error: HTTPException) -> Fault:
    """What Starlette itself refuses: an unknown path, a method that a path does not have."""
    said = {
        404: "there is nothing at this path; GET / says what there is",
        405: "this path does not have this method",
    }
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
    headers = tuple((error.headers or {}).items())
    allow = f"; allowed: {dict(headers)['Allow']}" if "Allow" in dict(headers) else ""
    message = (detail or said.get(error.status_code) or HTTPStatus(error.status_code).phrase) + allow
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    return Fault(status=error.status_code, message=message, code=code, headers=headers)


def _retry(seconds: float | None) -> tuple[tuple[str, str], ...]:
    """Whole seconds, at least one: what the header can say."""
    if seconds is None or not math.isfinite(seconds):
        return ()
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)


def _shortened(message: str) -> str:
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 1]}…"


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _anthropic_type(status: int) -> str:
    named = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
    }
    return named.get(status, "invalid_request_error" if status < 500 else "api_error")
