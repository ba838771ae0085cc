"""Models by name with processes that are played, and started when a test allows it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ossia.engine import Output
from ossia.server.models import Models
from ossia.server.remote import EngineStatus, Launch, Wanted

__all__ = ["STATUS", "Played", "Stage", "idle", "play", "until", "use"]

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

    def abort(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)

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
