"""What the operator of a server wants: `ServerConfig`, from the command line, the environment, and a TOML file.

    # serve.toml
    [server]
    port = 8000
    origins = ["https://chat.example.com"]

    [server.limits]
    body_bytes = 4_000_000

An option of the command line comes before the environment (OSSIA_SERVER_PORT, OSSIA_SERVER_LIMITS_BODY_BYTES), and that
before the file. What nobody knows is an error in all three.
"""

import ipaddress
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, cast

from ossia.errors import ConfigError
from ossia.server.clients import Keys

__all__ = ["Limits", "ServerConfig", "is_loopback"]

PREFIX = "OSSIA_SERVER_"

OLLAMA_PORT = 11434
"""Where clients of Ollama look for it. Source: Ollama's documentation, "How can I expose Ollama on my network?"."""

_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may cost before any work is done for it. Raises ConfigError for a value that cannot be right.

    `bodies_bytes` are those of all bodies together that are being answered.
    `json_values` counts the values of a body, `json_depth` how deep they nest; `string_bytes` is one string's length as
    it was sent, `schema_bytes` that of one tool or response format. `connections` are open ones, idle or not.

    The headers of a request must be complete within `header_seconds`, each part of its body must come within
    `body_seconds`; an idle connection is closed after `idle_seconds`. A reader that takes nothing for `stall_seconds`
    is taken for gone. A turn ends with what it has after `turn_seconds`.

    Stored responses are kept for `store_seconds` after their last use, and the least recently used go when all of them
    have more than `store_bytes`.
    """

    body_bytes: int = 16 << 20
    bodies_bytes: int = 256 << 20
    header_bytes: int = 32 << 10
    headers: int = 100
    json_depth: int = 100
    json_values: int = 400_000
    string_bytes: int = 8 << 20
    messages: int = 10_000
    tools: int = 1_000
    schema_bytes: int = 256 << 10
    connections: int = 1_000
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    stall_seconds: float = 60.0
    turn_seconds: float = 3600.0
    store_bytes: int = 1 << 30
    store_seconds: float = 30 * 24 * 3600.0

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_number(f"limits.{item.name}", getattr(self, item.name), item.type is float)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings of a server. Raises ConfigError for a value that cannot be right; the message names the key.

    It listens at `host` and `port`, and at `ollama_port` too where one is given; port 0 is any free one. Without `keys`
    everybody is let in, so a host that others can reach is refused unless `no_auth` says that this is meant.

    Requests must come for one of `hosts`, an address, or this machine's own names: a page whose name was made to point
    here (DNS rebinding) comes for its own. `origins` are the pages that browsers may let at it: none unless named, `*`
    for all. A quiet stream says that it is alive every `ping_seconds`; a server that is told to stop lets running
    requests go on for `grace_seconds`. `log` is how the journal looks; `log_prompts` puts requests' bodies into it.
    `store` is the file of stored responses: None is the user's own, ":memory:" one that ends with the server.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    ollama_port: int | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    keys: Keys = field(default_factory=Keys)
    no_auth: bool = False
    ping_seconds: float = 15.0
    grace_seconds: float = 30.0
    log: str = "text"
    log_prompts: bool = False
    store: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for key in ("port", "ollama_port"):
            _check_port(key, getattr(self, key))
        if self.port and self.port == self.ollama_port:
            raise ConfigError(f"port and ollama_port are both {self.port}; two different ones are right")
        for key in ("ping_seconds", "grace_seconds"):
            _check_number(key, getattr(self, key), True)
        if self.log not in ("text", "json"):
            raise ConfigError(f"log is {self.log!r}; 'text' or 'json' is right")
        object.__setattr__(self, "hosts", tuple(name.lower().rstrip(".") for name in _texts("hosts", self.hosts)))
        object.__setattr__(self, "origins", tuple(_origin(text) for text in _texts("origins", self.origins)))
        _check_exposure(self)

    @classmethod
    def gather(cls, options: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Self:
        """Settings from their three sources; `options` and the keys of `limits` in it that are None were not given.

        Keys of the API are read from the file `api_keys`, or from OSSIA_API_KEYS in the environment.
        Raises ConfigError for a name or value that cannot be right, and says where it stands.
        """
        merged: dict[str, Any] = {}
        for origin, source in (
            (str(file), _read(file) if file else {}),
            ("environment", _from_environment(environment)),
            ("command line", {key: value for key, value in options.items() if value is not None}),
        ):
            _refuse_unknown(origin, source)
            limits = {**merged.get("limits", {}), **source.get("limits", {})}
            merged |= source | ({"limits": limits} if limits else {})
        keys = _keys(merged.pop("api_keys", None), environment)
        limits = Limits(**{key: value for key, value in merged.pop("limits", {}).items() if value is not None})
        return cls(**merged, keys=keys, limits=limits)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server at `host`; a name other than localhost may be anything."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_KNOWN = {item.name: item.type for item in fields(ServerConfig) if item.name not in ("keys", "limits")}
_KNOWN["api_keys"] = str | None
_LIMITS = {item.name: item.type for item in fields(Limits)}


def _refuse_unknown(origin: str, source: Mapping[str, Any]) -> None:
    limits = source.get("limits", {})
    if not isinstance(limits, Mapping):
        raise ConfigError(f"{origin}: limits is {limits!r:.80}; a table is right")
    unknown = [*(set(source) - set(_KNOWN) - {"limits"}), *(f"limits.{key}" for key in set(limits) - set(_LIMITS))]
    if unknown:
        known = ", ".join([*sorted(_KNOWN), *(f"limits.{key}" for key in sorted(_LIMITS))])
        raise ConfigError(f"{origin}: unknown keys {', '.join(map(repr, sorted(unknown)))}; known: {known}")


def _read(file: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: not a readable TOML file: {error}") from error
    if unknown := sorted(set(tables) - {"server"}):
        raise ConfigError(f"{file}: unknown tables {', '.join(map(repr, unknown))}; known: server")
    server = tables.get("server", {})
    if not isinstance(server, dict):
        raise ConfigError(f"{file}: server is {server!r:.80}; a table is right")
    return server


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """OSSIA_SERVER_NAME as the key `name`, OSSIA_SERVER_LIMITS_NAME as the limit `name`; what is unknown stays."""
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower()
        limit = key.removeprefix("limits_")
        if limit != key:
            found.setdefault("limits", {})[limit] = _value(variable, text, _LIMITS.get(limit))
        else:
            found[key] = _value(variable, text, _KNOWN.get(key))
    return found


def _value(variable: str, text: str, kind: object) -> Any:
    """A variable's text as the kind of value that its setting has."""
    try:
        if kind is bool:
            return _TRUTH[text.strip().lower()]
        if kind in (int, int | None):
            return int(text)
        if kind is float:
            return float(text)
    except (KeyError, ValueError) as error:
        right = {bool: "true or false", float: "a number"}.get(cast(type, kind), "a whole number")
        raise ConfigError(f"{variable} is {text!r:.80}; {right} is right") from error
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _keys(file: Any, environment: Mapping[str, str]) -> Keys:
    text = environment.get("OSSIA_API_KEYS")
    if file is not None and text is not None:
        raise ConfigError("API keys are given both by a file and by OSSIA_API_KEYS; one of them is right")
    if file is not None and not isinstance(file, str | Path):
        raise ConfigError(f"api_keys is {file!r:.80}; the path of a file is right")
    if file is not None:
        return Keys.read(Path(file).expanduser())
    return Keys() if text is None else Keys.parse(text, "OSSIA_API_KEYS")


def _check_port(key: str, value: object) -> None:
    if value is None and key == "ollama_port":
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ConfigError(f"{key} is {value!r:.80}; a whole number from 0 (any free one) to 65535 is right")


def _check_number(key: str, value: object, real: bool) -> None:
    if real and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return
    if not real and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return
    raise ConfigError(f"{key} is {value!r:.80}; a {'' if real else 'whole '}number above 0 is right")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) and part for part in value):
        raise ConfigError(f"{key} is {value!r:.80}; a list of names is right")
    return tuple(cast("list[str]", value))


def _origin(text: str) -> str:
    scheme, mark, rest = text.rstrip("/").partition("://")
    if text not in ("*", "null") and (not mark or not scheme or not rest or set(rest) & set("/?# @")):
        raise ConfigError(f"origins has {text!r:.80}; scheme and host, such as https://chat.example.com, are right")
    return text if text in ("*", "null") else f"{scheme}://{rest}".lower()


def _check_exposure(config: ServerConfig) -> None:
    if not isinstance(config.host, str) or not config.host:
        raise ConfigError(f"host is {config.host!r:.80}; an address such as 127.0.0.1 is right")
    if len(config.keys) and config.no_auth:
        raise ConfigError("both API keys and no_auth are given; the keys, or nothing at all, is right")
    if not is_loopback(config.host) and not len(config.keys) and not config.no_auth:
        raise ConfigError(
            f"host is {config.host!r:.80}, which others can reach, and there are no API keys; a file of keys "
            "(--api-keys FILE) or --no-auth is right, or the host 127.0.0.1"
        )
