"""An engine's process while its model is loaded: how far it is, what fails, and what is given up."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ossia.errors import ConfigError, ModelNotFoundError
from ossia.server.remote import Launch, RemoteEngine
from tests.cli.tiny import write_tiny
from tests.server.test_remote import alive


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_loading_tells_how_far_it_is(runner: asyncio.Runner, tmp_path: Path):
    told: list[float] = []

    async def load() -> int:
        launch = Launch(model=str(write_tiny(tmp_path / "tiny")), backend="reference", context=100)
        engine = await RemoteEngine.start(launch, told.append)
        await engine.close()
        return engine.context

    assert runner.run(load()) == 100
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_process_computes_as_it_is_told(runner: asyncio.Runner, tmp_path: Path):
    async def load() -> dict[str, Any]:
        launch = Launch(
            model=str(write_tiny(tmp_path / "tiny")), precision="fast", threads=1, kv_cache_dtype="int8", context=100
        )
        engine = await RemoteEngine.start(launch)
        await engine.close()
        return dict(engine.settings)

    expected = {"backend": "native", "precision": "fast", "kv_cache_dtype": "int8", "threads": 1}
    assert runner.run(load()) == expected


@pytest.mark.parametrize(
    ("launch", "error", "message"),
    [
        (Launch(model="/nowhere"), ModelNotFoundError, "no model '/nowhere'"),
        (Launch(model="nano", context=10**9), ConfigError, "the model was made for 131072 tokens"),
        (Launch(model="nano", settings={"heat": 1}), ConfigError, "unknown keys 'heat'"),
    ],
)
def test_what_fails_to_load_says_why(runner: asyncio.Runner, launch: Launch, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        runner.run(RemoteEngine.start(launch))


def test_a_load_that_is_given_up_leaves_no_process(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []
    spawn = asyncio.create_subprocess_exec

    async def watched(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await spawn(*words, **options)
        seen.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)

    async def give_up() -> None:
        task = asyncio.create_task(RemoteEngine.start(Launch(model="nano")))
        while not seen:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    runner.run(give_up())
    assert not alive(seen[0])
