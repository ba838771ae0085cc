"""Asking a server that runs: the options that say which, and one request."""

import argparse
import http.client
import json
import os
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ossia.errors import RequestError, UnavailableError

__all__ = ["add_server", "ask"]

URL = "http://127.0.0.1:8000"

SECONDS = 30.0

LARGEST = 1 << 22
"""Bytes of the longest answer; a list of a thousand models is a tenth of it."""


def add_server(parser: argparse.ArgumentParser) -> None:
    """The option `--url`, which names a server; its key, if it wants one, is in OSSIA_API_KEY."""
    parser.add_argument(
        "--url",
        default=os.environ.get("OSSIA_URL", URL),
        help=f"where the server listens (default: the variable OSSIA_URL, or {URL})",
    )


def ask(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The server's answer to one request, a JSON object.

    Raises RequestError when it refuses, UnavailableError when none answers, or what does is no such server.
    """
    place = _place(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key := os.environ.get("OSSIA_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    connection = kind(place.hostname or "", place.port, timeout=SECONDS)
    try:
        connection.request(method, place.path.rstrip("/") + path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        status, content = answer.status, answer.read(LARGEST)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnavailableError(f"no server answers at {url}: {reason}; `ossia serve` starts one") from error
    finally:
        connection.close()
    return _read(url, status, content)


def _place(url: str) -> SplitResult:
    try:
        place = urlsplit(url if "//" in url else f"http://{url}")
        if place.scheme in ("http", "https") and place.hostname and place.port != 0:
            return place
    except ValueError:
        pass
    raise RequestError(f"the URL is {url!r:.200}; one such as {URL} is right")


def _read(url: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UnavailableError(f"what answers at {url} is no server of Ossia's (status {status}, no JSON object)")
    if status >= 400:
        error = answer.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        raise RequestError(f"{said or f'status {status}'}")
    return answer
