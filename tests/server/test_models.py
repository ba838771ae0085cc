"""Models by name: with processes that are played, and with a clock that the tests hold."""

import asyncio
import math
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ossia.checkpoint import find, open_checkpoint
from ossia.engine import Output, SamplingParams
from ossia.errors import CapacityError, CheckpointError, ModelNotFoundError, OverloadedError, UnavailableError
from ossia.server import models as module
from ossia.server.faults import RefusedError
from ossia.server.models import Models
from ossia.server.remote import EngineStatus, Launch, RemoteEngine, Wanted
from tests.cli.tiny import write_tiny

DEADLINE = 20.0

STATUS = EngineStatus(1, 2, 3, 4, {}, {}, {}, 6, 7.0, 0.5, 8, 9, 10)


class Played:
    """Takes the part of a RemoteEngine."""

    context = 512
    settings: Mapping[str, Any] = MappingProxyType({"backend": "played"})

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.forgotten: list[bytes | None] = []
        self.grace: float | None = None

    async def generate(self, wanted: Wanted) -> AsyncGenerator[Output, None]:
        raise AssertionError("nothing is generated here")
        yield  # makes it a generator

    async def status(self) -> EngineStatus:
        return STATUS

    def forget(self, salt: bytes | None = None) -> None:
        self.forgotten.append(salt)

    async def close(self, grace: float = 0.0) -> None:
        self.grace = grace
        if not self.ended.done():
            self.ended.set_result("closed")


class Stage:
    """Starts processes, when it is allowed to; remembers them."""

    def __init__(self) -> None:
        self.started: list[Played] = []
        self.begun = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def __call__(self, launch: Launch, progress: Callable[[float], None] | None) -> Played:
        self.begun += 1
        if progress:
            progress(0.5)
        await self.open.wait()
        if self.failure:
            raise self.failure
        self.started.append(Played(launch))
        return self.started[-1]

    @property
    def alive(self) -> list[str]:
        return [Path(each.launch.model).name for each in self.started if not each.ended.done()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("a", "b", "c"):
        write_tiny(folder / name)
    return folder


@pytest.fixture
def local(folder: Path) -> dict[str, Path]:
    return {"a": folder / "a", "alias": folder / "a", "b": folder / "b", "c": folder / "c"}


Test = Callable[[Models, Stage], Coroutine[Any, Any, None]]


def play(local: dict[str, Path], test: Test, **options: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE):
            stage = Stage()
            models = Models(Launch(model="nano"), local=lambda: local, start=stage, **options)
            try:
                await test(models, stage)
            finally:
                stage.open.set()
                await models.close()
            assert stage.alive == []

    asyncio.run(run())


async def use(models: Models, name: str | None = None, **options: Any) -> str:
    async with models.lease(name, **options) as served:
        return served.name


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes by itself; the test's deadline ends what does not."""
    while not condition():
        await asyncio.sleep(0.005)


async def idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_default_model_is_served_without_a_name_and_by_its_own(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        assert not models.ready
        async with models.lease() as served:
            assert (served.name, served.settings, served.tokens.context) == ("nano", {"backend": "played"}, 512)
            assert served.vocabulary.size <= served.config.vocab_size
        assert await use(models, "nano") == await use(models, "") == "nano"
        assert (stage.begun, models.ready) == (1, True)
        assert Path(stage.started[0].launch.model) == find("nano").absolute()

    play(local, test)


def test_a_path_that_is_served_goes_by_its_last_part(folder: Path):
    assert Models(Launch(model=str(folder / "a"))).default == "a"
    assert Models(Launch(model="gpt-oss:20b")).default == "gpt-oss:20b"
    assert Models(Launch(model="nano"), name="mine").default == "mine"


def test_other_models_are_loaded_on_demand_once_whatever_their_name(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        assert await asyncio.gather(*(use(models, name) for name in ("a", "b", "a", "alias", "b"))) == [*"abaab"]
        assert stage.begun == 2
        assert {each.name for each in models.listed()} == {"a", "b"}

    play(local, test)


def test_an_unknown_name_is_told_those_there_are(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        with pytest.raises(
            ModelNotFoundError, match=r"'alais' here; did you mean 'alias'\? There are: nano, a, alias, b, c"
        ):
            await use(models, "alais")
        assert models.names() == ["nano", "a", "alias", "b", "c"]
        assert stage.begun == 0

    play(local, test)


@pytest.mark.parametrize("path", ["{folder}/a", "./a", "../a", "/etc/passwd", "a/../b", "", "\x00"])
def test_no_name_is_a_path(folder: Path, local: dict[str, Path], monkeypatch: pytest.MonkeyPatch, path: str):
    monkeypatch.chdir(folder)

    async def test(models: Models, stage: Stage) -> None:
        if path:
            with pytest.raises(ModelNotFoundError):
                await use(models, path.format(folder=folder))
        else:
            assert await use(models, path) == "nano"

    play(local, test)


def test_those_who_wait_for_a_load_wait_for_one_and_are_told_how_far_it_is(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        stage.open.clear()
        told: dict[int, list[float]] = {n: [] for n in range(5)}
        tasks = [asyncio.create_task(use(models, "a", progress=told[n].append)) for n in range(4)]
        while not stage.begun:
            await asyncio.sleep(0.001)
        late = asyncio.create_task(use(models, "a", progress=told[4].append))
        await until(lambda: models.listed()[0].users == 5)
        [listed] = models.listed()
        assert (listed.name, listed.done, listed.users, listed.served) == ("a", 0.5, 5, None)
        tasks[0].cancel()
        stage.open.set()
        assert await asyncio.gather(*tasks[1:], late) == ["a"] * 4
        assert tasks[0].cancelled(), "and the others have it all the same"
        assert all(progress[-1] == 0.5 for progress in told.values())
        assert stage.begun == 1

    play(local, test)


def test_a_load_that_fails_is_heard_by_all_and_tried_again_by_the_next(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        stage.failure = CapacityError("too large")
        tasks = [asyncio.create_task(use(models, "a")) for _ in range(3)]
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, CapacityError)
        assert (stage.begun, models.listed()) == (1, [])
        stage.failure = None
        assert await use(models, "a") == "a"

    play(local, test)


def test_a_vocabulary_that_cannot_be_read_leaves_no_process(local: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    def unreadable(checkpoint: object) -> None:
        raise CapacityError("unreadable")

    monkeypatch.setattr(module, "vocabulary_of", unreadable)

    async def test(models: Models, stage: Stage) -> None:
        with pytest.raises(CapacityError, match="unreadable"):
            await use(models, "a")
        assert stage.alive == []

    play(local, test)


def test_a_process_that_ended_is_replaced_by_the_next_request(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        stage.started[0].ended.set_result("killed")
        assert models.ready, "or nobody would send the request that brings it back"
        assert await models.status() == {}
        await use(models)
        assert (stage.begun, models.ready) == (2, True)

    play(local, test)


# How long they stay


def test_an_idle_model_stays_for_its_time_and_the_default_one_for_ever(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        async with models.lease("a"):
            await asyncio.sleep(0.15)
            assert sorted(stage.alive) == ["a", "nano"], "in use, it stays"
        assert sorted(stage.alive) == ["a", "nano"]
        await until(lambda: stage.alive == ["nano"])
        assert [each.expires for each in models.listed()] == [None]

    play(local, test, keep_alive=0.1)


@pytest.mark.parametrize("seconds", [-1, -0.5, math.inf])
def test_a_request_can_keep_a_model(local: dict[str, Path], seconds: float):
    async def test(models: Models, stage: Stage) -> None:
        await use(models, "a", keep_alive=seconds)
        await use(models, "a")
        await asyncio.sleep(0.1)
        assert stage.alive == ["a"]

    play(local, test, keep_alive=0.01)


def test_a_request_can_unload_the_model_after_it(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        async with models.lease("a"):
            await use(models, "a", keep_alive=0)
            await idle()
            assert stage.alive == ["a"], "another request still uses it"
        await until(lambda: stage.alive == [])
        assert models.listed() == []

    play(local, test)


def test_a_model_can_be_stopped(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        assert await models.stop("a") == "unloaded"
        async with models.lease("alias"):
            assert await models.stop("a") == "in use"
            await idle()
            assert stage.alive == ["a"]
        await until(lambda: stage.alive == [])
        await use(models, "a")
        assert await models.stop("alias") == "unloaded"
        await until(lambda: stage.alive == [])
        with pytest.raises(ModelNotFoundError):
            await models.stop("z")

    play(local, test)


@pytest.mark.parametrize("name", [None, "", "nano", "same"])
def test_the_default_model_stays_whatever_clients_say(local: dict[str, Path], name: str | None):
    async def test(models: Models, stage: Stage) -> None:
        for seconds in (0, 0.01):
            await use(models, name, keep_alive=seconds)
        assert await models.stop(name or "nano") == "kept"
        await asyncio.sleep(0.1)
        assert stage.alive == ["nano"]
        assert [(each.name, each.expires) for each in models.listed()] == [("nano", None)]
        assert (models.ready, await models.is_default("same"), await models.is_default("a")) == (True, True, False)

    play(local | {"same": find("nano")}, test)


def test_the_time_begins_anew_with_each_request(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        for _ in range(5):
            await use(models, "a")
            await asyncio.sleep(0.2)
        assert stage.begun == 1

    play(local, test, keep_alive=0.8)


# Room


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
        came = await asyncio.gather(use(models, "a"), use(models, "b"), return_exceptions=True)
        assert sorted(type(each).__name__ for each in came) == ["OverloadedError", "str"]
        assert len(stage.alive) == 1
        assert await use(models, "a") == "a"
        assert await use(models, "b") == "b"
        assert stage.alive == ["b"]

    play(local, test)


def test_two_loads_at_the_same_time_do_not_push_each_other_out(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        assert await asyncio.gather(use(models, "a"), use(models, "b")) == ["a", "b"]
        assert sorted(stage.alive) == ["a", "b"]

    play(local, test, most=2)


def test_what_is_here_and_cannot_be_run_is_said_without_where_it_lies(
    local: dict[str, Path], folder: Path, caplog: pytest.LogCaptureFixture
):
    async def test(models: Models, stage: Stage) -> None:
        stage.failure = CheckpointError(f"{folder}/a/model.safetensors: damaged")
        with pytest.raises(RefusedError, match=r"^'a' is here and cannot be run: model\.safetensors: damaged$") as told:
            await use(models, "a")
        assert (told.value.status, told.value.param, told.value.code) == (400, "model", "model_not_runnable")
        assert str(folder) in caplog.text, "the operator is told where"

    play(local, test)


def test_the_operator_is_told_where_the_file_is(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        stage.failure = CheckpointError("/somewhere/nano/config.json: damaged")
        with pytest.raises(CheckpointError, match="/somewhere"):
            await use(models)

    play(local, test)


def test_a_model_that_was_refused_is_told_why(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        with pytest.raises(RefusedError, match="'broken' is here and cannot be run: it has no rows"):
            await use(models, "broken")

    play(local, test, refused=lambda: {"broken": "it has no rows"})


# Ends


def test_closing_refuses_gives_time_and_ends_all(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        await use(models, "a")
        await models.close(grace=3.0)
        assert [each.grace for each in stage.started] == [3.0, 3.0]
        with pytest.raises(UnavailableError, match="about to end"):
            await use(models)

    play(local, test)


def test_closing_ends_loads(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        stage.open.clear()
        task = asyncio.create_task(use(models, "a"))
        while not stage.begun:
            await asyncio.sleep(0.001)
        await models.close()
        with pytest.raises(UnavailableError, match="loading 'a' was stopped"):
            await task

    play(local, test)


def test_clients_are_forgotten_in_all_models(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        await use(models, "a")
        models.forget(b"salt")
        assert [each.forgotten for each in stage.started] == [[b"salt"]] * 2

    play(local, test)


def test_the_status_is_that_of_each_model(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        await use(models, "a")
        assert await models.status() == {"nano": STATUS, "a": STATUS}

    play(local, test)


def test_a_real_process_is_loaded_killed_and_loaded_again():
    async def tokens(models: Models, kill: bool) -> list[int]:
        async with models.lease() as served:
            wanted = Wanted(prompt=(1, 2, 3), params=SamplingParams(max_tokens=5, seed=1, stop_tokens=()))
            outputs = [output async for output in served.tokens.generate(wanted)]
            if kill:
                assert isinstance(served.tokens, RemoteEngine)
                os.kill(served.tokens.pid, signal.SIGKILL)
                await served.tokens.ended
            return [token for output in outputs for token in output.tokens]

    async def run() -> None:
        models = Models(Launch(model="nano", threads=1))
        assert await tokens(models, kill=True) == await tokens(models, kill=False)
        await models.close()

    asyncio.run(run())
