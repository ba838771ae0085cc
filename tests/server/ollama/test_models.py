"""Models, as Ollama's clients ask for them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ollama import ListResponse, ProcessResponse, ShowResponse

from ossia.checkpoint import Pulling, find
from ossia.errors import CancelledError, DownloadError
from ossia.server.catalogue import Catalogue
from ossia.server.ollama import endpoints, models
from ossia.server.service import Service
from ossia.server.settings import ServerConfig
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import OneModel, client_for


def service(**config: Any) -> Service:
    catalogue = Catalogue(lambda: {"nano": find("nano")})
    return Service(config=ServerConfig(**config), models=OneModel(Player(VOCABULARY)), catalogue=catalogue)  # type: ignore[arg-type]


def get(path: str) -> Any:
    return client_for(service(), endpoints).get(path).json()


def test_what_is_here():
    (model,) = ListResponse.model_validate(get("/api/tags")).models
    assert model.model == "nano"
    assert model.details is not None
    assert model.details.family == "gptoss"
    assert model.details.quantization_level == "MXFP4"
    assert model.size is not None
    assert 0.9 < model.size / sum(file.stat().st_size for file in find("nano").glob("*.safetensors")) <= 1


def test_what_a_model_is():
    client = client_for(service(), endpoints)
    for name in ({"model": "nano"}, {"name": "nano"}, {"model": "nano:latest"}):
        shown = ShowResponse.model_validate(client.post("/api/show", json=name).json())
        assert shown.capabilities is not None
        assert "thinking" in shown.capabilities
        assert shown.modelinfo is not None
        assert shown.modelinfo["gptoss.context_length"] == 131072
    assert client.post("/api/show", json={"model": "x"}).status_code == 404
    assert client.post("/api/show", json={}).status_code == 400


def test_the_version_is_one_that_clients_take():
    assert tuple(map(int, get("/api/version")["version"].split("."))) >= (0, 13, 4)


def test_what_is_loaded():
    (model,) = ProcessResponse.model_validate(get("/api/ps")).models
    assert (model.model, model.context_length) == ("tiny", Player.context)
    assert model.expires_at is not None
    assert model.expires_at.year == 9999


@pytest.mark.parametrize(
    "path", ["/api/embed", "/api/embeddings", "/v1/embeddings", "/api/create", "/api/copy", "/api/push"]
)
def test_what_is_not_here_is_refused_clearly(path: str):
    response = client_for(service(), endpoints).post(path, json={"model": "nano"})
    assert response.status_code == 501
    assert set(response.json()) == {"error"}


def pulls(monkeypatch: pytest.MonkeyPatch, end: Exception | None = None) -> None:
    def pull(name: str, progress: Any, stopped: Any, *, anywhere: bool) -> Path:
        assert not anywhere
        progress(Pulling("pulling manifest"))
        progress(Pulling("pulling abc", "sha256:abc", 10, 5, 10, 5))
        if end:
            raise end
        progress(Pulling("success"))
        return Path(name)

    monkeypatch.setattr(models, "pull", pull)


def test_fetching_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch):
    pulls(monkeypatch)
    client = client_for(service(), endpoints)
    lines = client.post("/api/pull", json={"model": "gpt-oss:20b"}).text.splitlines()
    assert lines[0] == '{"status":"pulling manifest"}'
    assert lines[1] == '{"status":"pulling abc","digest":"sha256:abc","total":10,"completed":5}'
    assert lines[-1] == '{"status":"success"}'
    assert client.post("/api/pull", json={"model": "gpt-oss:20b", "stream": False}).json() == {"status": "success"}


@pytest.mark.parametrize("name", ["nano", "nano:latest"])
def test_what_is_here_needs_no_fetching(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "pull", None)
    client = client_for(service(), endpoints)
    assert client.post("/api/pull", json={"model": name}).text.splitlines() == ['{"status":"success"}']
    assert client.post("/api/pull", json={"model": name, "stream": False}).json() == {"status": "success"}


def test_a_fetch_that_fails_says_so(monkeypatch: pytest.MonkeyPatch):
    pulls(monkeypatch, DownloadError("the server is gone"))
    client = client_for(service(), endpoints)
    lines = client.post("/api/pull", json={"model": "gpt-oss:20b"}).text.splitlines()
    assert lines[-1] == '{"error":"the server is gone"}'
    response = client.post("/api/pull", json={"model": "gpt-oss:20b", "stream": False})
    assert response.status_code >= 400
    assert response.json() == {"error": "the server is gone"}


def test_a_fetch_that_nobody_reads_is_stopped(monkeypatch: pytest.MonkeyPatch):
    stopped = []

    def pull(name: str, progress: Any, stop: Any, *, anywhere: bool) -> Path:
        progress(Pulling("pulling manifest"))
        while not stop():
            pass
        stopped.append(name)
        raise CancelledError("stopped")

    monkeypatch.setattr(models, "pull", pull)

    async def leave() -> None:
        steps = models._pulled("m")
        await anext(steps)
        await steps.aclose()
        while not stopped:
            await asyncio.sleep(0.01)

    asyncio.run(leave())
    assert stopped == ["m"]


def test_a_server_that_others_reach_changes_nothing():
    client = client_for(service(host="0.0.0.0", no_auth=True), endpoints)
    for response in (
        client.post("/api/pull", json={"model": "gpt-oss:20b"}),
        client.request("DELETE", "/api/delete", json={"model": "nano"}),
    ):
        assert response.status_code == 403
        assert "its own machine" in response.json()["error"]


def test_what_cannot_be_removed_is_said():
    client = client_for(service(), endpoints)
    assert client.request("DELETE", "/api/delete", json={"model": "nano"}).status_code == 403
    assert client.request("DELETE", "/api/delete", json={"model": "nothing"}).status_code == 404
