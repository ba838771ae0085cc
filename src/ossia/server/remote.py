"""An engine in a process of its own, as the server sees it: `RemoteEngine`.

A process for each model keeps the server answering: neither a step, nor a huge prompt, nor a grammar that compiles long
holds up the event loop, and a client that reads slowly holds up no step. Whatever ends the process is heard by
every request that waits for it.
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Protocol

import msgspec

from ossia.engine import Output, SamplingParams
from ossia.errors import OssiaError, UnavailableError
from ossia.server.border import (
    Add,
    Answer,
    Begin,
    Cancel,
    Command,
    EngineStatus,
    Failed,
    Forget,
    Frames,
    Loading,
    Message,
    Question,
    Ready,
    Refused,
    Reported,
    Stepped,
    error_of,
    frame,
    output_of,
)

__all__ = ["EngineStatus", "Launch", "RemoteEngine", "Tokens", "Wanted"]

_journal = logging.getLogger("ossia.server")

ANSWER_SECONDS = 0.5
"""A question about the status waits so long for its answer; then the last report is all there is."""

ENDING_SECONDS = 5.0
"""A process that was told to end has so long before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A request, as it crosses to the engine: plain data.

    `grammar` is a source, as `ossia.grammar.Rules.to_source` gives it. `salt` stands for the client: prompts share what
    was computed only under the same one, and clients take turns. With `replay`, the outputs are the prompt's own tokens
    after the first, so that each can have its log-probability.
    """

    prompt: tuple[int, ...]
    params: SamplingParams
    grammar: str | None = None
    salt: bytes = b""
    priority: int = 0
    adapter: str | None = None
    replay: bool = False


class Tokens(Protocol):
    """An engine, wherever it runs."""

    @property
    def context(self) -> int:
        """The most tokens that one request may have, prompt and answer together."""
        ...

    def generate(self, wanted: Wanted) -> AsyncGenerator[Output, None]:
        """The outputs of one request. Closing the iterator cancels it within one step.

        The first output raises RequestError and its kinds for what cannot be honoured, OverloadedError when too many
        wait; any output raises UnavailableError when the process has ended.
        """
        ...

    async def status(self) -> EngineStatus:
        """How busy it is."""
        ...


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Which model a process loads, and how it runs it. `settings` are more fields of EngineConfig."""

    model: str
    backend: str = "native"
    precision: str | None = None
    threads: int | None = None
    kv_cache_dtype: str | None = None
    context: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


class RemoteEngine:
    """A process that runs one model; made by `start`. For one event loop."""

    def __init__(self, process: asyncio.subprocess.Process, link: "_Link", ready: Ready) -> None:
        self.context = ready.context
        self.settings: Mapping[str, Any] = ready.settings
        for line in ready.news:
            _journal.info("%s", line)
        self.pid = process.pid
        self._process = process
        self._link = link
        self._inboxes: dict[int, _Inbox] = {}
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)
        self._last: EngineStatus | None = None
        self._heard = time.monotonic()
        self._refusal: str | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        link.deliver = self._deliver
        self.ended: asyncio.Task[str] = asyncio.create_task(self._watch(), name=f"engine {process.pid}")

    @classmethod
    async def start(cls, launch: Launch, progress: Callable[[float], None] | None = None) -> "RemoteEngine":
        """Start a process and load a model in it; `progress` is told how far it is, from 0 to 1.

        Raises what loading raises, and UnavailableError when the process ends without a word. Cancelled, it ends the
        process.
        """
        process, link = await _spawn()
        try:
            link.send(
                Begin(
                    launch.model,
                    launch.backend,
                    launch.precision,
                    launch.threads,
                    launch.kv_cache_dtype,
                    launch.context,
                    dict(launch.settings),
                )
            )
            return cls(process, link, await _loaded(process, link, progress))
        except BaseException:
            _kill(process)
            await _end(process, link)
            raise

    async def generate(self, wanted: Wanted) -> AsyncGenerator[Output, None]:
        """The outputs of one request; see `Tokens`."""
        self._check()
        number, inbox, finished = next(self._numbers), _Inbox(), False
        self._inboxes[number] = inbox
        self._empty.clear()
        try:
            self._link.send(_add(number, wanted))
            while not finished:
                output = await inbox.get()
                finished = output.finish is not None
                yield output
        except OssiaError:
            finished = True
            raise
        finally:
            del self._inboxes[number]
            if not self._inboxes:
                self._empty.set()
            if not finished:
                self._link.send(Cancel(number))

    async def status(self) -> EngineStatus:
        """How busy the process is. From one that does not answer in time: what it last said, and its silence.

        Raises UnavailableError when it has ended.
        """
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._ask("status"), ANSWER_SECONDS)
        silent = time.monotonic() - self._heard
        last = self._last or EngineStatus(0, 0, 0, 0, {}, {}, {}, 0, 0.0, 0.0, 0, 0, 0)
        return msgspec.structs.replace(last, silent_seconds=silent)

    async def audit(self) -> None:
        """Raise AssertionError unless all books of the engine are in order. For tests."""
        found = await self._ask("audit")
        assert found is None, found

    def forget(self, salt: bytes | None = None) -> None:
        """Forget the prefixes kept for this salt, or all of them."""
        self._link.send(Forget(salt))

    async def close(self, grace: float = 0.0) -> None:
        """End the process. Requests have `grace` seconds to finish; those that have not are cancelled and say so."""
        self._refusal = "the model is being unloaded, or the server is about to end; try again"
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for number in self._inboxes:
            self._link.send(Cancel(number))
        if not self.ended.done():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), ENDING_SECONDS if self._inboxes else 0)
        await _end(self._process, self._link)
        await self.ended

    def abort(self, why: str) -> None:
        """End the process at once; requests that are under way raise UnavailableError, which says `why`."""
        self._refusal = why
        for inbox in self._inboxes.values():
            inbox.put(UnavailableError(why))
        _kill(self._process)

    def _check(self) -> None:
        if self._refusal is not None:
            raise UnavailableError(self._refusal)

    async def _ask(self, what: str) -> Any:
        if self.ended.done():
            raise UnavailableError(self.ended.result())
        number = next(self._numbers)
        self._questions[number] = asyncio.get_running_loop().create_future()
        self._link.send(Question(number, what))
        try:
            return await self._questions[number]
        finally:
            del self._questions[number]

    def _deliver(self, message: Message) -> None:
        self._heard = time.monotonic()
        match message:
            case Stepped(entries):
                for entry in entries:
                    if inbox := self._inboxes.get(entry[0]):
                        inbox.put(output_of(entry))
            case Refused(number, kind, text, fields):
                if inbox := self._inboxes.get(number):
                    inbox.put(error_of(kind, text, fields))
            case Reported(number, status):
                self._last = status
                self._answer(number, status)
            case Answer(number, found):
                self._answer(number, found)
            case Failed() | Loading() | Ready():
                pass  # the link keeps the last word of a process

    def _answer(self, number: int | None, found: Any) -> None:
        question = None if number is None else self._questions.get(number)
        if question is not None and not question.done():
            question.set_result(found)

    async def _watch(self) -> str:
        """Wait for the process to end, and tell all who wait for it. Returns why it ended."""
        await self._link.lost.wait()
        why = await _ending(self._process, self._link)
        self._refusal = why
        for inbox in self._inboxes.values():
            inbox.put(UnavailableError(why))
        for question in self._questions.values():
            if not question.done():
                question.set_exception(UnavailableError(why))
        return why


class _Inbox:
    """What has come for one request and is not read yet."""

    def __init__(self) -> None:
        self._items: deque[Output | OssiaError] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Output | OssiaError) -> None:
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Output:
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        item = self._items.popleft()
        if isinstance(item, OssiaError):
            raise item
        return item


class _Link(asyncio.Protocol):
    """The server's end of the socket."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.failure: Failed | None = None
        self.deliver: Callable[[Message], None] = lambda message: None
        self._frames = Frames(Message)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if isinstance(message, Failed):
                self.failure = message
            self.deliver(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def send(self, command: Command) -> None:
        """Hand a command over; to a process that has ended, it is nothing."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(command))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _add(number: int, wanted: Wanted) -> Add:
    return Add(
        number,
        wanted.prompt,
        asdict(wanted.params),
        wanted.grammar,
        wanted.salt,
        wanted.priority,
        wanted.adapter,
        wanted.replay,
    )


async def _spawn() -> tuple[asyncio.subprocess.Process, _Link]:
    """A process of a worker that waits for its first command. Ctrl-c is not for it: it ends when the server says so."""
    ours, theirs = socket.socketpair()
    link = _Link()
    # The link first: what awaits nothing after the process is there cannot leave it behind.
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ossia.server.worker", str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        link.close()
        raise
    finally:
        theirs.close()
    return process, link


async def _loaded(process: asyncio.subprocess.Process, link: _Link, progress: Callable[[float], None] | None) -> Ready:
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()

    def deliver(message: Message) -> None:
        if isinstance(message, Loading) and progress is not None:
            progress(message.done)
        if isinstance(message, Ready) and not ready.done():
            ready.set_result(message)

    link.deliver = deliver
    lost = asyncio.ensure_future(link.lost.wait())
    try:
        await asyncio.wait([ready, lost], return_when=asyncio.FIRST_COMPLETED)
    finally:
        lost.cancel()
    if ready.done():
        return ready.result()
    why = await _ending(process, link)
    if link.failure is not None:
        raise error_of(link.failure.kind, link.failure.message, link.failure.fields)
    raise UnavailableError(why)


async def _ending(process: asyncio.subprocess.Process, link: _Link) -> str:
    """Why a process that has closed its end did so."""
    status = await _end(process, link)
    if link.failure is not None:
        return f"the engine's process has ended: {link.failure.message}"
    how = f"signal {_signal(-status)}" if status < 0 else f"exit status {status}"
    return f"the engine's process has ended with {how}"


async def _end(process: asyncio.subprocess.Process, link: _Link) -> int:
    """End a process, by force if it does not end by itself; its exit status."""
    link.close()
    try:
        return await asyncio.wait_for(process.wait(), ENDING_SECONDS)
    except TimeoutError:
        _kill(process)
        return await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return str(number)
