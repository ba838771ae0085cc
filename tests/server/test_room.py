"""Room for a model: what is idle goes, what is in use is waited for."""

import asyncio
from pathlib import Path

import pytest

from ossia.checkpoint import open_checkpoint
from ossia.errors import OverloadedError
from ossia.server import models as module
from ossia.server.models import Models
from tests.cli.tiny import write_tiny
from tests.server.staging import Stage, play, use


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: write_tiny(folder / name) for name in "abc"}


def test_the_one_unused_for_longest_makes_room(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        for name in ("a", "b", "a", "c"):
            await use(models, name)
        assert stage.alive == ["a", "c"]

    play(local, test, most=2)


def test_one_that_is_kept_for_ever_makes_room_last(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        for name in (None, "a", "b"):
            await use(models, name)
        assert stage.alive == ["nano", "b"]

    play(local, test, most=2)


def test_the_default_model_makes_room_last_of_all(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        await use(models, "a", keep_alive=-1)
        await use(models, "b")
        assert stage.alive == ["nano", "b"]

    play(local, test, most=2)


def test_those_in_use_do_not_make_room(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        async with models.lease("a"), models.lease("b"):
            with pytest.raises(
                OverloadedError, match=r"2 models are loaded and in use \(a, b\); 'c' has to wait"
            ) as caught:
                await use(models, "c")
            assert caught.value.retry_after == 10.0
        assert await use(models, "c") == "c"

    play(local, test, most=2)


def test_idle_models_make_room_when_memory_is_short(local: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    async def test(models: Models, stage: Stage) -> None:
        for name in ("a", "b"):
            await use(models, name)
        weights = open_checkpoint(local["a"]).bytes
        # The weights of loaded models are mapped, so the system counts them as free: two models fit, three do not.
        monkeypatch.setattr(module, "available_bytes", lambda: 5 * weights // 2)
        await use(models, "c")
        assert stage.alive == ["b", "c"]

    play(local, test)


def test_a_model_that_no_memory_is_enough_for_is_tried_all_the_same(
    local: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "available_bytes", lambda: 10_000)

    async def test(models: Models, stage: Stage) -> None:
        await use(models, "a")
        await use(models, "b")
        assert stage.alive == ["b"], "loading says what does not fit; its weights may well be read from the disk"

    play(local, test)


def test_when_memory_is_short_one_in_use_is_waited_for(local: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "available_bytes", lambda: 10_000)

    async def test(models: Models, stage: Stage) -> None:
        async with models.lease("a"):
            with pytest.raises(OverloadedError, match=r"1 model is loaded and in use \(a\); 'b' has to wait"):
                await use(models, "b")
        assert await use(models, "b") == "b"
        assert stage.alive == ["b"]

    play(local, test)


def test_of_two_loads_at_the_same_time_one_waits_where_both_do_not_fit(
    local: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    weights = open_checkpoint(local["a"]).bytes
    monkeypatch.setattr(module, "available_bytes", lambda: 3 * weights // 2)

    async def test(models: Models, stage: Stage) -> None:
        free = asyncio.Event()

        async def hold(name: str) -> None:
            async with models.lease(name):
                await free.wait()

        loads = [asyncio.create_task(hold(name)) for name in ("a", "b")]
        (refused,), (held,) = await asyncio.wait(loads, return_when=asyncio.FIRST_COMPLETED)
        assert isinstance(refused.exception(), OverloadedError)
        free.set()
        await held
        assert len(stage.alive) == 1
        assert await use(models, "a") == "a"
        assert await use(models, "b") == "b"
        assert stage.alive == ["b"]

    play(local, test)


def test_two_loads_at_the_same_time_do_not_push_each_other_out(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        both = asyncio.Barrier(2)

        async def hold(name: str) -> None:
            async with models.lease(name):
                await both.wait()  # held by both at once: neither is idle while the other makes room

        await asyncio.gather(hold("a"), hold("b"))
        assert sorted(stage.alive) == ["a", "b"]

    play(local, test, most=2)
