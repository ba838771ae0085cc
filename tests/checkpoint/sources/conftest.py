"""A home of its own for each test, and the servers of `servers.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ossia.checkpoint.sources import settings
from tests.checkpoint.sources.servers import Files, Hub, Registry

VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    *("HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    *("XDG_CACHE_HOME", "XDG_STATE_HOME", "LLAMA_CACHE", "OLLAMA_MODELS", "OLLAMA_REGISTRY"),
    *("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, online, with waits that take no time."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    # The machine that runs the tests may have Ollama.
    monkeypatch.setattr(settings, "OLLAMA_SERVICE", folder / "ollama-service")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between tries are noted, not waited."""
    waits: list[float] = []
    note = lambda seconds, stopped, sleep=None: waits.append(seconds)  # noqa: E731
    monkeypatch.setattr("ossia.checkpoint.sources.transport.pause", note)
    monkeypatch.setattr("ossia.checkpoint.sources.download.pause", note)
    return waits


@pytest.fixture
def cdn() -> Iterator[Files]:
    """Where the hub's large files lie. Another host than the hub's, as far as tokens are concerned."""
    with Files({}) as server:
        yield server


@pytest.fixture
def hub(cdn: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub."""
    with Hub(cdn) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry."""
    with Registry() as server:
        monkeypatch.setenv("OLLAMA_REGISTRY", server.url)
        yield server
