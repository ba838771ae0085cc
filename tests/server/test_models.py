"""Models by name: with processes that are played, and with a clock that the tests hold."""

import asyncio
import math
import os
import signal
from pathlib import Path

import pytest

from ossia.checkpoint import find
from ossia.engine import SamplingParams
from ossia.errors import CapacityError, CheckpointError, ModelNotFoundError, UnavailableError
from ossia.server import models as module
from ossia.server.faults import RefusedError
from ossia.server.models import Models
from ossia.server.remote import Launch, RemoteEngine, Wanted
from tests.cli.tiny import write_tiny
from tests.server.staging import STATUS, Stage, idle, play, until, use


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("a", "b", "c"):
        write_tiny(folder / name)
    return folder


@pytest.fixture
def local(folder: Path) -> dict[str, Path]:
    return {"a": folder / "a", "alias": folder / "a", "b": folder / "b", "c": folder / "c"}


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
        stage.open.clear()
        tasks = [asyncio.create_task(use(models, "a")) for _ in range(3)]
        await until(lambda: [each.users for each in models.listed()] == [3])
        stage.open.set()
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


def test_a_model_whose_folder_is_gone_is_not_found_and_nothing_is_said_of_where_it_lay(tmp_path: Path):
    async def test(models: Models, stage: Stage) -> None:
        with pytest.raises(ModelNotFoundError, match=r"^'gone' was here and is gone$"):
            await use(models, "gone")

    play({"gone": tmp_path / "gone"}, test)


def test_latest_may_stand_behind_a_name_or_be_left_out(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        assert [await use(models, name) for name in ("nano:latest", "a:latest", "b")] == ["nano", "a", "b:latest"]
        assert stage.alive == ["nano", "a", "b"]
        with pytest.raises(ModelNotFoundError):
            await use(models, "a:other")

    play({"a": local["a"], "b:latest": local["b"]}, test)


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


def test_at_once_means_without_the_time_that_was_given(local: dict[str, Path]):
    async def test(models: Models, stage: Stage) -> None:
        await use(models)
        stage.open.clear()
        loading = asyncio.create_task(use(models, "a"))
        while stage.begun < 2:
            await asyncio.sleep(0.001)
        models.abort("now")
        assert stage.started[0].ended.result() == "now"
        with pytest.raises(UnavailableError, match="was stopped"):
            await loading
        assert models.closed

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
