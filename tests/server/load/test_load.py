"""Many clients at once, some of whom go away, and kills of the engine and of the server in the middle of it.

    OSSIA_LOAD_CLIENTS=200 OSSIA_LOAD_ROUNDS=10 pytest -s tests/server/load

is the long run. Nobody waits for ever, whoever stays gets an end or an error, and afterwards nothing is in use.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.door import within
from tests.server.load.visiting import Outcome, get, visit, visits

CLIENTS = int(os.environ.get("OSSIA_LOAD_CLIENTS", "40"))
ROUNDS = int(os.environ.get("OSSIA_LOAD_ROUNDS", "4"))
TOKENS = 24

WARM_ROUNDS = 2
MOST_GROWTH = 24 << 20
"""Bytes by which a warm process may grow: turns, prefixes that are kept (6 KiB a token of nano), and slack."""

SECONDS = 60.0 + ROUNDS * CLIENTS / 2


class Host:
    """A server in a process of its own; see `tests.server.load.host`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port

    async def books(self) -> dict[str, Any]:
        """How they stand, once nothing is under way any more."""
        end = time.monotonic() + 30
        while True:
            assert self.process.stdin is not None
            self.process.stdin.write(b"\n")
            found = await self._line()
            assert "error" not in found, found
            if not (found["users"] or found["running"] or found["used_pages"]):
                return found
            assert time.monotonic() < end, f"still in use: {found}"
            await asyncio.sleep(0.1)

    async def _line(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))


@asynccontextmanager
async def hosting(store: Path) -> AsyncIterator[Host]:
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-m", "tests.server.load.host", str(store))
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    try:
        host = Host(process, 0)
        host.port = await host._line()
        yield host
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def round_of(
    port: int, seed: int, count: int = CLIENTS, hear: Callable[[str], None] | None = None
) -> list[Outcome]:
    """So many clients at the same time."""
    planned = visits(count, seed, TOKENS)
    return await asyncio.gather(*(visit(port, *each, seed + index, hear) for index, each in enumerate(planned)))


def killing(pid: int, ids: int) -> Callable[[str], None]:
    """Kills a process at the moment when so many responses have been heard of."""
    heard: set[str] = set()

    def hear(identifier: str) -> None:
        if identifier not in heard and len(heard) == ids - 1:
            os.kill(pid, signal.SIGKILL)
        heard.add(identifier)

    return hear


def rss(pid: int) -> int:
    """Bytes of memory that a process has for itself."""
    status = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def count(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(outcome.how for outcome in outcomes)


def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path):
    within(SECONDS, _rounds(tmp_path / "store.sqlite"))


async def _rounds(store: Path) -> None:
    async with hosting(store) as host:
        memory: list[tuple[int, int]] = []
        known: list[dict[str, Any]] = []
        for number in range(ROUNDS):
            begin = time.monotonic()
            outcomes = await round_of(host.port, seed=1000 * number)
            bad = [outcome for outcome in outcomes if outcome.how in ("cut", "stuck", "failed")]
            assert bad == []
            assert count(outcomes)["ended"] >= CLIENTS // 4
            known.append(await host.books())
            memory.append((rss(known[-1]["server"]), rss(known[-1]["engine"])))
            _report(number, time.monotonic() - begin, outcomes, memory[-1])
        for before, after in zip(memory[WARM_ROUNDS - 1], memory[-1], strict=True):
            assert after - before < MOST_GROWTH, memory
        for what in ("tasks", "files"):
            assert known[-1][what] <= known[WARM_ROUNDS - 1][what] + 2, known


def _report(number: int, seconds: float, outcomes: list[Outcome], memory: tuple[int, int]) -> None:
    """For the long run: pytest -s shows it."""
    sizes = ", ".join(f"{size / 2**20:.1f}" for size in memory)
    sys.stdout.write(f"round {number}: {dict(count(outcomes))} in {seconds:.1f} s; MiB of server, engine: {sizes}\n")


def test_an_engine_that_is_killed_under_load_is_told_to_all_and_replaced(tmp_path: Path):
    within(SECONDS, _killed_engine(tmp_path / "store.sqlite"))


async def _killed_engine(store: Path) -> None:
    async with hosting(store) as host:
        engine = (await host.books())["engine"]
        outcomes = await round_of(host.port, seed=7, hear=killing(engine, ids=2))
        assert [outcome for outcome in outcomes if outcome.how in ("cut", "stuck")] == []
        assert count(outcomes)["failed"] > 0
        _report(0, 0.0, outcomes, (0, 0))
        again = await round_of(host.port, seed=8, count=8)
        assert [outcome for outcome in again if outcome.how not in ("ended", "left")] == []
        assert (await host.books())["engine"] != engine
        await _all_there(host.port, [*outcomes, *again])


@pytest.mark.parametrize("ids", [1, 5])
def test_a_server_that_is_killed_under_load_has_every_response_whose_id_went_out(tmp_path: Path, ids: int):
    within(SECONDS, _killed_server(tmp_path / "store.sqlite", ids))


async def _killed_server(store: Path, ids: int) -> None:
    async with hosting(store) as host:
        outcomes = await round_of(host.port, seed=9, hear=killing(host.process.pid, ids))
    assert [outcome for outcome in outcomes if outcome.how == "stuck"] == []
    async with hosting(store) as host:
        assert await _all_there(host.port, outcomes) >= ids


async def _all_there(port: int, outcomes: list[Outcome]) -> int:
    """Every stored response that a client has heard of is there, and over; how many they are."""
    heard = [outcome for outcome in outcomes if outcome.id is not None]
    for outcome in heard:
        status, body = await get(port, f"/v1/responses/{outcome.id}")
        assert status == 200, (outcome, body)
        assert json.loads(body)["status"] in ("completed", "incomplete", "failed", "cancelled"), body
        if outcome.how == "ended":
            assert json.loads(body)["status"] in ("completed", "incomplete"), body
    return len(heard)
