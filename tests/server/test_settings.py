"""Settings from their three sources, and what is refused."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.errors import ConfigError
from ossia.server.settings import Limits, ServerConfig, is_loopback
from tests.server.door import ALICE

TOML = """
[server]
port = 1
origins = ["https://chat.example.com"]

[server.limits]
body_bytes = 1000
messages = 10
"""


def from_file(tmp_path: Path, text: str, options: dict[str, Any] | None = None, **environment: str) -> ServerConfig:
    file = tmp_path / "serve.toml"
    file.write_text(text)
    return ServerConfig.gather(options or {}, environment, file)


def test_nothing_given_is_loopback_without_keys():
    config = ServerConfig.gather({"host": None, "limits": {"body_bytes": None}}, {"PATH": "/bin"})
    assert config == ServerConfig()
    assert (config.host, config.port, config.ollama_port, len(config.keys)) == ("127.0.0.1", 8000, None, 0)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ServerConfig().port = 1  # type: ignore[misc]


def test_the_file_is_read(tmp_path: Path):
    config = from_file(tmp_path, TOML)
    assert (config.port, config.origins) == (1, ("https://chat.example.com",))
    assert config.limits == Limits(body_bytes=1000, messages=10)


def test_environment_comes_before_the_file_and_options_before_both(tmp_path: Path):
    environment = {"OSSIA_SERVER_PORT": "2", "OSSIA_SERVER_LIMITS_BODY_BYTES": "2000", "OSSIA_SERVER_LOG": "json"}
    config = from_file(tmp_path, TOML, {"port": 3, "limits": {"tools": 5}}, **environment)
    assert (config.port, config.log) == (3, "json")
    assert config.limits == Limits(body_bytes=2000, messages=10, tools=5)


def test_every_setting_can_stand_in_the_environment():
    texts = {
        int: "7",
        float: "7.5",
        bool: "true",
        int | None: "9",
        str: "text",
        str | None: "text",
        tuple[str, ...]: "a.example, b.example",
    }
    for item in fields(ServerConfig):
        if item.name in ("keys", "limits", "origins", "host"):
            continue
        config = ServerConfig.gather({}, {f"OSSIA_SERVER_{item.name.upper()}": texts[item.type]})  # type: ignore[index]
        assert getattr(config, item.name) != getattr(ServerConfig(), item.name) or item.name == "log"
    for item in fields(Limits):
        limits = ServerConfig.gather({}, {f"OSSIA_SERVER_LIMITS_{item.name.upper()}": "7"}).limits
        assert limits == Limits(**{item.name: 7})


def test_keys_come_from_a_file_or_from_the_environment(tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}")
    file.chmod(0o600)
    assert len(ServerConfig.gather({"api_keys": str(file)}, {}).keys) == 1
    assert len(ServerConfig.gather({}, {"OSSIA_API_KEYS": ALICE}).keys) == 1
    with pytest.raises(ConfigError, match="both by a file and by OSSIA_API_KEYS"):
        ServerConfig.gather({"api_keys": str(file)}, {"OSSIA_API_KEYS": ALICE})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nprot = 1", "unknown keys 'prot'; known: api_keys, "),
        ("[server.limits]\nbodies = 1", "unknown keys 'limits.bodies'; known: "),
        ("[serve]\nport = 1", "unknown tables 'serve'; known: server"),
        ("port = 1", "unknown tables 'port'"),
        ("server = 1", "server is 1; a table is right"),
        ("[server]\nlimits = 1", "limits is 1; a table is right"),
        ("[server", "not a readable TOML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path: Path, text: str, says: str):
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert str(tmp_path / "serve.toml") in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "name", ["OSSIA_SERVER_PROT", "OSSIA_SERVER_LIMITS_X", "OSSIA_SERVER_KEYS", "OSSIA_SERVER_LIMITS"]
)
def test_an_unknown_variable_is_refused(name: str):
    with pytest.raises(ConfigError, match=r"environment: (unknown keys|limits is)"):
        ServerConfig.gather({}, {name: "1"})


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [("PORT", "x", "a whole number"), ("NO_AUTH", "maybe", "true or false"), ("PING_SECONDS", "soon", "a number")],
)
def test_a_variable_that_is_no_value_is_refused(name: str, text: str, right: str):
    with pytest.raises(ConfigError, match=f"OSSIA_SERVER_{name} is '{text}'; {right} is right"):
        ServerConfig.gather({}, {f"OSSIA_SERVER_{name}": text})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"port": -1}, "port is -1"),
        ({"port": 65536}, "port is 65536"),
        ({"port": True}, "port is True"),
        ({"port": "80"}, "port is '80'"),
        ({"port": None}, "port is None"),
        ({"ollama_port": 8000}, "port and ollama_port are both 8000"),
        ({"ping_seconds": 0}, "ping_seconds is 0"),
        ({"ping_seconds": float("nan")}, "ping_seconds is nan"),
        ({"ping_seconds": float("inf")}, "ping_seconds is inf"),
        ({"log": "xml"}, "log is 'xml'; 'text' or 'json' is right"),
        ({"hosts": "example.com"}, "hosts is 'example.com'; a list"),
        ({"hosts": [1]}, r"hosts is \[1\]; a list"),
        ({"origins": ["example.com"]}, "origins has 'example.com'; scheme and host"),
        ({"origins": ["https://example.com/path"]}, "origins has"),
        ({"host": ""}, "host is ''"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(given: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=says):
        ServerConfig(**given)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1"])
def test_a_limit_is_a_number_above_zero(value: Any):
    with pytest.raises(ConfigError, match=r"limits.body_bytes is .*; a whole number above 0 is right"):
        Limits(body_bytes=value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com"])
def test_others_are_let_in_only_with_keys_or_when_that_is_meant(host: str):
    with pytest.raises(ConfigError, match="which others can reach, and there are no API keys"):
        ServerConfig(host=host)
    assert ServerConfig(host=host, no_auth=True).host == host
    assert ServerConfig.gather({"host": host}, {"OSSIA_API_KEYS": ALICE}).host == host


def test_keys_and_no_auth_contradict_each_other():
    with pytest.raises(ConfigError, match="both API keys and no_auth"):
        ServerConfig.gather({"no_auth": True}, {"OSSIA_API_KEYS": ALICE})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_loopback(host: str):
    assert is_loopback(host)


@given(st.ip_addresses())
def test_of_addresses_only_the_loopback_ones_are(address: Any):
    assert is_loopback(str(address)) == address.is_loopback


def test_a_key_is_not_shown_with_the_settings():
    assert ALICE not in repr(ServerConfig.gather({}, {"OSSIA_API_KEYS": ALICE}))
