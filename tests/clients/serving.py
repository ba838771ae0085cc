"""Servers that real clients talk to over real sockets: one that plays given answers, one with the embedded model."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ossia.server.app import make_app
from ossia.server.listening import bind, run, url
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import service_for

__all__ = ["ADD", "ANSWER", "CALL", "PREAMBLE", "THINKING", "Played", "played", "real"]

ANSWER = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
PREAMBLE = "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant"
THINKING = "<|channel|>analysis<|message|>I add.<|end|><|start|>assistant"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2, "b": 2}<|call|>'

ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
"""The parameters of the function that the tests offer."""

READY_SECONDS = 60


@dataclass(frozen=True)
class Played:
    """A server whose model, `tiny`, says what it is told to."""

    url: str
    player: Player

    @property
    def v1(self) -> str:
        """The base address of OpenAI's APIs."""
        return f"{self.url}/v1"


@contextmanager
def played(*answers: str, **config: Any) -> Iterator[Played]:
    """A server that gives these answers, the last one again and again."""
    player = Player(VOCABULARY, *answers, endless=True)
    service, sockets = service_for(player, **config), bind("127.0.0.1", 0)
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def begun() -> None:
        started.set()

    async def nothing() -> None:
        pass

    task: asyncio.Task[None] | None = None

    def serve() -> None:
        nonlocal task
        task = loop.create_task(
            run(make_app(service), service.config, sockets, started=begun, stopping=nothing, insisted=nothing)
        )
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(READY_SECONDS), "the server did not start"
    try:
        yield Played(url("127.0.0.1", sockets[0].getsockname()[1]), player)
    finally:
        assert task is not None
        loop.call_soon_threadsafe(task.cancel)
        thread.join(READY_SECONDS)


@contextmanager
def real(*options: str) -> Iterator[list[str]]:
    """`ossia serve` on the embedded model; its addresses, the one for Ollama's clients last."""
    command = [sys.executable, "-m", "ossia", "serve", "nano", "--port", "0", "--ollama-port", "0", "--no-store", "-q"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Serving nano" in line, line
        yield re.findall(r"http://[\d.]+:\d+", line)
    finally:
        process.terminate()
        process.wait(READY_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
