"""Who is asking: API keys, and the identity that follows from one.

A file of keys has one a line, `name:key`; empty lines and lines that begin with `#` are passed over. In memory a key is
its SHA-256 only: keys are long and random (what is short is refused), so that a plain hash cannot be turned round.

A client's `salt` keys everything that is kept for it (cached prefixes, stored responses, chains of thought), so that
nobody finds what another has left. It follows from the key alone and is the same after a restart.
"""

import hashlib
import hmac
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ossia.errors import ConfigError

__all__ = ["ANYONE", "Client", "Keys"]

SHORTEST = 16
"""Characters of a key. Sixteen random hexadecimal ones are 64 bits: beyond guessing over a network."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[\x21-\x7e]+")
_SALT = b"ossia: the salt of a client's state"
_HINT = """`python -c "import secrets; print('me:' + secrets.token_urlsafe(32))"` makes a line"""


@dataclass(frozen=True)
class Client:
    """Whoever sent a request: `id` for logs and fair shares, `salt` for what is kept; both the same for one key."""

    id: str
    salt: bytes


ANYONE = Client("anyone", b"")
"""Every client of a server without keys: they share one identity, and all that is kept."""


class Keys:
    """The keys that a server knows; without any, everybody is let in as `ANYONE`."""

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        """Keys by the names of their owners. Raises ConfigError for one that is short, strange or given twice."""
        self._clients: dict[bytes, Client] = {}
        for name, key in (keys or {}).items():
            _check(name, key)
            digest = _digest(key)
            if digest in self._clients:
                raise ConfigError(f"{self._clients[digest].id} and {name} have the same API key; one each is right")
            self._clients[digest] = Client(name, hmac.digest(digest, _SALT, "sha256"))

    @classmethod
    def read(cls, file: Path) -> Self:
        """The keys of a file. Raises ConfigError where a line is no key, or where others may read the file."""
        try:
            mode = file.stat().st_mode
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: not a readable file of API keys: {error}") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{file}: others may read or write it (mode {stat.S_IMODE(mode):o}); chmod 600 is right")
        lines = [line.strip() for line in text.splitlines()]
        return cls._named([line for line in lines if line and not line.startswith("#")], str(file))

    @classmethod
    def parse(cls, text: str, origin: str) -> Self:
        """The keys of a text, between commas: `name:key`, or one bare key whose owner is then called `key`."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) == 1 and ":" not in parts[0]:
            parts = [f"key:{parts[0]}"]
        return cls._named(parts, origin)

    @classmethod
    def _named(cls, lines: list[str], origin: str) -> Self:
        keys: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            # The line is not quoted: it may be a key.
            name, colon, key = line.partition(":")
            if not colon:
                raise ConfigError(f"{origin}: key {number} has no name; NAME:KEY is right; {_HINT}")
            if name in keys:
                raise ConfigError(f"{origin}: the name {name!r:.80} is given twice; one key for each name is right")
            keys[name] = key
        if not keys:
            raise ConfigError(f"{origin}: no API key in it; one line NAME:KEY for each is right; {_HINT}")
        try:
            return cls(keys)
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from error

    def __len__(self) -> int:
        return len(self._clients)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys) and self._clients == other._clients

    def __hash__(self) -> int:
        return hash(frozenset(self._clients))

    def __repr__(self) -> str:
        return f"Keys({', '.join(sorted(client.id for client in self._clients.values()))})"

    def client(self, offered: Iterable[str]) -> Client | None:
        """Whose key is among the `offered` ones; None when nobody's is. `ANYONE` where the server has no keys.

        Every offered key is compared with every known one to the end, so that the time taken tells nothing.
        """
        if not self._clients:
            return ANYONE
        found = None
        for digest in map(_digest, offered):
            for known, client in self._clients.items():
                if hmac.compare_digest(known, digest):
                    found = client
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _check(name: str, key: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r:.80} cannot name a key's owner; letters, digits, '.', '_' and '-' are right")
    if len(key) < SHORTEST or not _KEY.fullmatch(key):
        raise ConfigError(
            f"the API key of {name} has {len(key)} characters; at least {SHORTEST} of ASCII without spaces are right; "
            f"{_HINT}"
        )
