"""HTTP as downloads need it: over the standard library, one connection a request.

A token goes to the host it belongs to and nowhere else: redirects to a content network lose it. Nothing is read beyond
what was asked for. What may pass by itself (a cut connection, a busy server) is told from what will not.
"""

import http.client
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import IO, Any, TypeVar

from ossia.errors import CancelledError, DownloadError
from ossia.json_words import kind

__all__ = ["Client", "RefusedError", "TransientError", "origin", "patiently", "shown"]

TIMEOUT_SECONDS = 30.0
"""How long a server may stay silent."""

TRIES = 6
"""How often something is tried that brought nothing; waits between tries double from one second."""

LONGEST_WAIT_SECONDS = 60.0
LONGEST_ANSWER = 32 << 20
"""Bytes of a description; a repository with a hundred thousand files has less."""

_BUSY = {408, 425, 429, 500, 502, 503, 504}

Result = TypeVar("Result")


class RefusedError(DownloadError):
    """The server said no, and would say so again."""

    def __init__(self, message: str, status: int, code: str = "", challenge: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.challenge = challenge


class TransientError(DownloadError):
    """The connection broke, or the server was busy; `wait` is how long it asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class Client:
    """Asks one server; its token goes to requests of that server's origin alone."""

    def __init__(self, base: str, token: str | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urllib.parse.urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DownloadError(f"{base!r:.200} is no address of a server; https://huggingface.co is of the right form")
        self.base = base
        self.token = token
        self._timeout = timeout
        self._opener = _opener(self)

    def allows_token(self, url: str) -> bool:
        """Whether the token may be sent to this address."""
        return self.token is not None and origin(url) == origin(self.base)

    def open(self, url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        """An answer to be read; the caller closes it. Raises RefusedError or TransientError."""
        request = urllib.request.Request(url, headers={"User-Agent": "ossia", "Accept-Encoding": "identity"})
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if self.allows_token(url):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            return self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _answered(error, url) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(error, url) from None

    def bytes(self, url: str, headers: dict[str, str] | None = None, limit: int = LONGEST_ANSWER) -> bytes:
        """A short answer whole. Raises also DownloadError when it is longer than `limit`."""
        with self.open(url, headers) as answer:
            try:
                data = answer.read(limit + 1)
            except (OSError, http.client.HTTPException) as error:
                raise broken(error, url) from None
        if len(data) > limit:
            raise DownloadError(f"{shown(url)}: the answer has more than {limit} bytes; a description is shorter")
        return data

    def object(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """A JSON object. Raises also DownloadError when it is none."""
        return read_object(self.bytes(url, headers), shown(url))


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object. Raises DownloadError, naming `where` it came from, when it is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DownloadError(f"{where}: no readable JSON: {error}") from None
    if not isinstance(found, dict):
        raise DownloadError(f"{where}: a JSON {kind(found)}; an object is right")
    return found


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what decides who hears a token."""
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, (parts.hostname or "").lower(), port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def shown(url: str) -> str:
    """An address for a message: without what may be a signature or a password."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def patiently(
    work: Callable[[], Result],
    *,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
    tries: int = TRIES,
) -> Result:
    """The result of `work`, tried again after a TransientError with longer and longer waits."""
    for attempt in range(1, tries + 1):
        try:
            return work()
        except TransientError as error:
            if attempt == tries:
                raise DownloadError(f"{error}; tried {tries} times") from None
            pause(max(error.wait, 2.0 ** (attempt - 1)), stopped, sleep)
    raise AssertionError("the last try returns or raises")


def pause(seconds: float, stopped: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait, in short steps, so that it can be stopped. Raises CancelledError then."""
    left = min(seconds, LONGEST_WAIT_SECONDS)
    while left > 0:
        if stopped():
            raise CancelledError("stopped; what has come is kept for the next time")
        sleep(min(left, 0.2))
        left -= 0.2


def broken(error: Exception, url: str) -> DownloadError:
    """What a failure below HTTP means."""
    reason = error.reason if isinstance(error, urllib.error.URLError) and not isinstance(error.reason, str) else error
    text = f"{shown(url)}: {_said(reason)}"
    # A certificate that cannot be trusted, and an address that cannot be asked, will be the same next time.
    if isinstance(reason, ValueError | http.client.InvalidURL):
        return DownloadError(text)
    return TransientError(text)


def _said(reason: BaseException | str) -> str:
    """A failure in words, without the system's number for it."""
    if isinstance(reason, socket.gaierror):
        return f"its address cannot be found: {reason.strerror}; a network connection and a right name are needed"
    if isinstance(reason, OSError) and reason.strerror and not isinstance(reason, ValueError):
        return reason.strerror
    return str(reason) or type(reason).__name__


def _answered(error: urllib.error.HTTPError, url: str) -> DownloadError:
    """What a status other than 2xx means."""
    said = error.headers.get("X-Error-Message", "") or str(error.reason)
    text = f"{shown(url)}: the server answered {error.code} {said:.300}"
    if error.code in _BUSY:
        return TransientError(text, _seconds(error.headers.get("Retry-After", "")))
    code, challenge = error.headers.get("X-Error-Code", ""), error.headers.get("WWW-Authenticate", "")
    return RefusedError(text, error.code, code, challenge)


def _seconds(text: str) -> float:
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isascii() and text.isdigit() else 0.0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects with GET; the token stays behind, unless it leads back to the token's own origin."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = origin(req.full_url)[0], origin(newurl)[0]
        if after not in ("http", "https") or (before == "https" and after == "http"):
            fp.close()
            raise ValueError(f"redirects from {before} to {shown(newurl)}; https is right")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and self._client.allows_token(newurl):
            new.add_unredirected_header("Authorization", f"Bearer {self._client.token}")
        return new


def _opener(client: Client) -> urllib.request.OpenerDirector:
    """HTTP, HTTPS and the environment's proxies: none of urllib's other schemes, such as file."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(client),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
