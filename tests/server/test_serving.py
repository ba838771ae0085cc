"""A whole server: a model in a process of its own, a socket, an end."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ossia.checkpoint import open_checkpoint
from ossia.errors import ConfigError, ModelNotFoundError, OssiaError, VocabularyError
from ossia.server import models
from ossia.server.listening import bind
from ossia.server.models import Served
from ossia.server.remote import Launch
from ossia.server.service import Service
from ossia.server.serving import make_service, serve
from ossia.server.settings import ServerConfig
from tests.cli.tiny import CONTEXT, write_tiny
from tests.server.door import http, within


@pytest.fixture(autouse=True)
def _nothing_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


async def get(port: int, path: str) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(http(path, method="GET"))
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


async def post(port: int, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(http(path, json.dumps(body).encode(), Content_Type="application/json"))
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


async def complete(port: int, model: str) -> tuple[int, Any]:
    body = {"model": model, "prompt": [1, 2, 3], "max_tokens": 8, "temperature": 0, "ignore_eos": True}
    status, said = await post(port, "/v1/completions", body)
    return status, said["choices"][0]["token_ids"] if "choices" in said else said


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[tuple[int, Served, list[float]]]:
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    ready: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    shares: list[float] = []
    task = asyncio.create_task(serve(service, sockets, version="1.2.3", ready=ready.set_result, progress=shares.append))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        task.result()
    try:
        yield port, ready.result(), shares
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_model_is_served_from_its_start_to_its_end(tmp_path: Path):
    async def check() -> None:
        service = make_service(
            ServerConfig(store=":memory:"), Launch(model=str(write_tiny(tmp_path / "tiny")), threads=1)
        )
        async with served(service) as (port, model, shares):
            assert (model.name, model.tokens.context) == ("tiny", CONTEXT)
            assert shares == sorted(shares)
            assert await get(port, "/ready") == (200, {"status": "ready", "model": "tiny", "done": 1.0})
            _, found = await get(port, "/v1/models")
            cards = {card["id"]: card["loaded"] for card in found["data"]}  # type: ignore[index,attr-defined]
            assert cards == {"tiny": True, "nano": False}
            assert (await get(port, "/openapi.json"))[1]["info"]["version"] == "1.2.3"  # type: ignore[index]
        assert service.models.listed() == []

    within(60, check())


def test_a_model_may_be_called_something_else(tmp_path: Path):
    service = make_service(
        ServerConfig(store=":memory:"), Launch(model=str(write_tiny(tmp_path / "tiny"))), name="gpt-oss:20b"
    )
    assert service.models.names() == ["gpt-oss:20b", "nano"]
    assert [entry.name for entry in service.catalogue.entries()] == ["gpt-oss:20b", "nano"]


def test_the_operators_other_models_are_loaded_when_a_request_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths = [str(write_tiny(tmp_path / name, seed)) for seed, name in enumerate(("first", "second", "third"))]

    async def cards(port: int) -> dict[str, bool]:
        _, found = await get(port, "/v1/models")
        return {card["id"]: card["loaded"] for card in found["data"]}  # type: ignore[index,attr-defined]

    async def check() -> None:
        config = ServerConfig(store=":memory:")
        service = make_service(config, Launch(model=paths[0], threads=1), others=paths[1:])
        async with served(service) as (port, *_):
            assert await cards(port) == {"first": True, "second": False, "third": False, "nano": False}
            answers = [await complete(port, name) for name in ("first", "second", "second")]
            assert [status for status, _ in answers] == [200] * 3
            texts = [tokens for _, tokens in answers]
            assert (texts[0] != texts[1], texts[1] == texts[2]) == (True, True), "each has weights of its own"
            assert await cards(port) == {"first": True, "second": True, "third": False, "nano": False}
            weights = open_checkpoint(Path(paths[0])).bytes
            monkeypatch.setattr(models, "available_bytes", lambda: 5 * weights // 2)
            assert (await complete(port, "third"))[0] == 200
            assert await cards(port) == {"first": True, "second": False, "third": True, "nano": False}
            assert await complete(port, "second") == answers[1]

    within(90, check())


def test_two_models_of_one_name_are_one_too_many(tmp_path: Path):
    paths = [str(write_tiny(tmp_path / folder / "tiny")) for folder in ("a", "b")]
    with pytest.raises(ConfigError, match="two models are called 'tiny'"):
        make_service(ServerConfig(store=":memory:"), Launch(model=paths[0]), others=paths[1:])
    service = make_service(ServerConfig(store=":memory:"), Launch(model=paths[0]), name="other", others=paths[1:])
    assert service.models.names() == ["other", "nano", "tiny"]


def test_an_other_model_that_cannot_be_run_is_refused_before_anything_begins(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny")
    (path / "tokenizer.json").unlink()
    with pytest.raises(VocabularyError, match="vocab_size"):
        make_service(ServerConfig(store=":memory:"), Launch(model="nano"), others=[str(path)])


def test_a_name_that_the_operator_gave_is_that_models(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny")
    service = make_service(ServerConfig(store=":memory:"), Launch(model=str(path)), name="nano")
    assert [(entry.name, entry.path) for entry in service.catalogue.entries()] == [("nano", path)]


def test_the_least_context_is_one_that_a_question_fits(tmp_path: Path):
    path = str(write_tiny(tmp_path / "tiny"))
    config = ServerConfig(store=":memory:")
    with pytest.raises(ConfigError, match=r"context is 10; at least \d+ is right") as refused:
        make_service(config, Launch(model=path, context=10))
    least = int(str(refused.value).split("at least ")[1].split()[0])

    async def check() -> None:
        service = make_service(config, Launch(model=path, threads=1, context=least))
        async with served(service) as (port, *_):
            asked = {"model": "tiny", "messages": [{"role": "user", "content": ""}], "reasoning_effort": "medium"}
            status, answer = await post(port, "/v1/chat/completions", asked)
            assert status == 200, answer
            longer = asked | {"messages": [{"role": "user", "content": "and so on " * 5}]}
            assert (await post(port, "/v1/chat/completions", longer))[0] == 400

    within(60, check())
    with pytest.raises(ConfigError):
        make_service(config, Launch(model=path, context=least - 1))


def test_a_model_that_is_not_here_is_refused_before_anything_begins():
    with pytest.raises(ModelNotFoundError, match="no model 'nothing' here"):
        make_service(ServerConfig(store=":memory:"), Launch(model="nothing"))


def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny")
    (path / "config.json").write_text("{}")

    async def check() -> None:
        async with served(make_service(ServerConfig(store=":memory:"), Launch(model=str(path)))):
            pass

    with pytest.raises(OssiaError, match=r"config\.json"):
        within(30, check())


def test_a_signal_while_the_model_is_loading_ends_the_server(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny")

    async def check() -> None:
        service = make_service(ServerConfig(store=":memory:"), Launch(model=str(path), threads=1))
        sockets = bind("127.0.0.1", 0)
        port = sockets[0].getsockname()[1]
        task = asyncio.create_task(serve(service, sockets, version="1", ready=lambda model: None))
        while True:
            await asyncio.sleep(0.02)
            with suppress(OSError):
                if (await get(port, "/ready"))[0] == 503:
                    break
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        assert service.models.listed() == []

    within(30, check())
