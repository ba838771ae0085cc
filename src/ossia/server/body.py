"""A request's body, from bytes to the Struct that its route declares.

Before anything is made of the body it is looked at how many values it has, how deep they nest, how long its strings
are, and whether a key stands twice in one object. Then msgspec decodes it: a field that the Struct does not have is
refused by name, so that nothing a client asked for is passed over in silence. Lists and schemas are measured last.
"""

import asyncio
import json
import logging
import re
from collections import Counter
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct
from starlette.requests import Request

from ossia.server.faults import RefusedError
from ossia.server.mismatch import mismatch
from ossia.server.service import service_of
from ossia.server.settings import Limits

__all__ = ["convert", "decode", "read_json"]

T = TypeVar("T", bound=Struct)

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what begins like one and never ends: there is no input that it fails on. Possessive, for it never looks
back: places to look back to, millions in a string of escapes, would take half a gigabyte.
"""

LARGE = 1 << 17
"""Bytes of a body that may take long enough to decode that streams would be seen to stop: some 20 ms."""

MOST_KEYS = 50_000
"""Of a body that is looked through for keys that stand twice: it takes a tenth of a second, without a pause."""

_journal = logging.getLogger("ossia.server")

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"(?<!\\)(?:\\\\)*+(%b(?!%b)|(?<!%b)%b)" % (_HIGH, _LOW, _HIGH, _LOW))
"""Half of a character beyond the first 65,536, which takes two escapes: alone it is no text."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_QUOTES = 4
"""Quotation marks for each value, those within strings aside: two of its own, two of its key."""

_TYPES = {"application/json", "application/x-www-form-urlencoded", ""}
"""What a body may call itself: `curl -d` sends JSON under the second name unless told otherwise."""


MOST = {"messages": "messages", "input": "messages", "tools": "tools"}
"""The fields that are long lists, whatever API it is, and the limit of each."""

FORMS = ("response_format", "text", "format")
"""The fields that say what the answer must look like."""


async def read_json(request: Request, kind: type[T]) -> T:
    """The body as `kind`. Raises RefusedError: 415 for what is no JSON by its headers, 413 and 400 as `decode` does."""
    _check_type(request)
    config, body = service_of(request).config, await request.body()
    if config.log_prompts:
        _journal.info("body", extra={"body": body.decode("utf-8", "backslashreplace")})
    if len(body) > LARGE:
        return await asyncio.to_thread(decode, body, kind, config.limits)
    return decode(body, kind, config.limits)


def decode(body: bytes, kind: type[T], limits: Limits) -> T:
    """A body as `kind`. Raises RefusedError: 413 beyond `limits`, 400 for what is not JSON or not of this form."""
    if not body.strip():
        raise RefusedError("the body is empty; a JSON object is right", code="invalid_json")
    if _check_structure(body, limits) <= MOST_KEYS:
        _check_keys(body)
    try:
        decoded = _decoded(body, kind)
    except msgspec.ValidationError as error:
        raise mismatch(error, _plain(body), kind) from error
    _check_sizes(decoded, limits)
    return decoded


def convert(value: object, kind: Any, path: str) -> Any:
    """A part of a body that was left as it is, as `kind`. Raises RefusedError that names the field below `path`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise mismatch(error, value, kind, path) from error


def _plain(body: bytes) -> Any:
    """The body as whatever it is; UNSET where it has a number that no machine holds. Raises RefusedError likewise."""
    try:
        return _decoded(body, Any)
    except msgspec.ValidationError:
        return UNSET


def _decoded(body: bytes, kind: Any) -> Any:
    """The body as `kind`. Raises ValidationError for JSON that is none, and RefusedError for what is no JSON."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        raise RefusedError(f"the body is not JSON: {_why(error, body)}", code="invalid_json") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"the body is not UTF-8: {error.reason}", code="invalid_json") from error


def _why(error: msgspec.DecodeError, body: bytes) -> str:
    if half := _HALF.search(body):
        return f"a string has {half[1].decode()}, half of a character; both halves, one after the other, are right"
    return str(error)


def _check_type(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise RefusedError(
            f"content-encoding is {encoding!r:.80}; a body that is not compressed is right",
            status=415,
            code="unsupported_media_type",
            headers=(("Accept-Encoding", "identity"),),
        )
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if kind not in _TYPES and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RefusedError(
            f"content-type is {kind!r:.80}; application/json is right", status=415, code="unsupported_media_type"
        )
    charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
    if any(charset not in ("utf-8", "utf8", "us-ascii") for charset in charsets):
        raise RefusedError(f"charset is {charsets[0]!r:.80}; utf-8 is right", status=415, code="unsupported_media_type")


def _check_keys(body: bytes) -> None:
    """Raise RefusedError for a key that stands twice in one object: of such, decoders keep the last."""
    try:
        _KEYS.decode(body.decode("utf-8"))
    except _TwiceError as error:
        said = f"the key {error.key!r:.200} stands twice in one object; once is right"
        raise RefusedError(said, code="invalid_json") from None
    except ValueError:
        pass  # no JSON: the decoder says where


class _TwiceError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _once(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len(dict(pairs)) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _TwiceError(counts.most_common(1)[0][0])


_KEYS = json.JSONDecoder(object_pairs_hook=_once)


def _check_structure(body: bytes, limits: Limits) -> int:
    """How many keys the body has. Raises RefusedError for too many values, too deep a nesting, too long a string.

    Only the brackets and commas outside of strings are looked at, a few milliseconds for each megabyte; what is wrong
    otherwise is found by the decoder.
    """
    # With pairs of backslashes gone, one before a mark says that the mark is part of a string.
    single = body.replace(b"\\\\", b"")
    if single.count(b'"') - single.count(b'\\"') > _QUOTES * limits.json_values:
        raise _too_large("the body has too many strings", f"at most {limits.json_values} values are right")
    if len(body) > limits.string_bytes:
        longest = max((match.end() - match.start() for match in _STRING.finditer(body)), default=0)
        if longest > limits.string_bytes:
            raise _too_large(f"a string has {longest} bytes", f"at most {limits.string_bytes} are right")
    outside = _STRING.sub(b"", body)
    values = 1 + sum(map(outside.count, (b",", b"[", b"{")))
    if values > limits.json_values:
        raise _too_large(f"the body has {values} values", f"at most {limits.json_values} are right")
    depth = deepest = 0
    for bracket in outside.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > limits.json_depth:
        raise RefusedError(f"the body nests {deepest} deep; at most {limits.json_depth} is right", code="invalid_json")
    return outside.count(b":")


def _check_sizes(body: Struct, limits: Limits) -> None:
    """Raise RefusedError for lists that are too long, and for a tool or form of an answer that is too large."""
    lists = {name: found for name in MOST if isinstance(found := getattr(body, name, None), list)}
    for name, found in lists.items():
        most = getattr(limits, MOST[name])
        if len(found) > most:
            raise _too_large(f"{name} has {len(found)} entries", f"at most {most} are right", name)
    forms = {name: getattr(body, name, None) for name in FORMS}
    for name, form in (forms | {f"tools[{place}]": tool for place, tool in enumerate(lists.get("tools", []))}).items():
        # A form is an object; where a field of that name is a plain text, it is no form.
        size = len(msgspec.json.encode(form)) if isinstance(form, dict | Struct) else 0
        if size > limits.schema_bytes:
            raise _too_large(f"{name} has {size} bytes", f"at most {limits.schema_bytes} are right", name)


def _too_large(found: str, right: str, param: str | None = None) -> RefusedError:
    return RefusedError(f"{found}; {right}", status=413, param=param, code="request_too_large")
