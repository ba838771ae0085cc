"""The process of an engine: commands in, a step, what it brought out, again and again.

    python -m ossia.server.worker FD

FD is one end of a socket pair; the other is the server's (`ossia.server.remote`). One thread does all of it: it takes
what commands have come without waiting for more, computes a step, and hands out its outputs in one message. So a
command takes effect within one step, and a reader that is slow costs the memory of what it has not read, never a step.
Only grammars are compiled beside it, in threads; a request with one is queued when that is done.

The process ends when the other end of the socket is closed, or when whoever started it has died.
"""

import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import msgspec

from ossia.checkpoint import find, open_checkpoint
from ossia.engine import Engine, Grammar, Replay, SamplingParams
from ossia.errors import OssiaError, RequestError
from ossia.grammar import Compiler, prepare
from ossia.harmony import Vocabulary
from ossia.loading import defaults_of, engine_config, load_weights, vocabulary_of
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
    frame,
    plain,
    raised,
)

__all__ = ["Link", "Worker", "main"]

RECEIVED_BYTES = 1 << 18

REPORT_SECONDS = 0.25
"""While it computes, the process tells this often how it is doing: a step that is stuck shows as silence."""

COMPILERS = 4
"""Threads that compile grammars: one that takes long does not hold up the next.

Each ends within seconds (`ossia.grammar.plan.MOST_SECONDS`), and the server lets only half as many new grammars through
at a time (`ossia.server.checks.AT_ONCE`), so that those which are known, and take no time, find a thread.
"""
QUEUE = {"max_requests": 64, "max_waiting": 1024, "max_waiting_per_client": 256}
"""How many requests are computed together, and beyond how many that wait a client is told to come again.

A step of many costs little more than one of few: experts are read once for all of them. What waits takes little more
memory than its prompt.
"""

Compile = Callable[[str], Grammar]


class Link:
    """The server's side of the socket, as the process sees it: never waits for the server to read."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._frames = Frames(Command)
        self._unsent = bytearray()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.ended = False

    @property
    def unsent_bytes(self) -> int:
        """How much the server has not read yet, beyond what the socket holds."""
        return len(self._unsent)

    def close(self) -> None:
        """Give the sockets back."""
        self._selector.close()
        for end in (self._connection, self._woken, self._waker):
            end.close()

    def wake(self) -> None:
        """End a wait for commands, from any thread."""
        with suppress(BlockingIOError):  # so many wakes are unread that one more says nothing new
            self._waker.send(b"!")

    def send(self, message: Message) -> None:
        """Hand a message over as far as the socket takes it; the rest goes when it takes more."""
        self._unsent += frame(message)
        self._flush()

    def receive(self, wait: bool) -> list[Command]:
        """The commands that have come; with `wait`, none only if there was a `wake` or the server is gone."""
        commands: list[Command] = []
        for key, events in self._selector.select(None if wait else 0):
            if key.fileobj is self._woken:
                self._woken.recv(RECEIVED_BYTES)
                continue
            if events & selectors.EVENT_WRITE:
                self._flush()
            if events & selectors.EVENT_READ:
                commands += self._read()
        return commands

    def _read(self) -> list[Command]:
        commands: list[Command] = []
        while True:
            try:
                data = self._connection.recv(RECEIVED_BYTES)
            except BlockingIOError:
                return commands
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return commands
            commands += self._frames.feed(data)
            if len(data) < RECEIVED_BYTES:
                return commands

    def _flush(self) -> None:
        before = bool(self._unsent)
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
            self._unsent.clear()
        if before or self._unsent:
            writing = selectors.EVENT_WRITE if self._unsent else 0
            self._selector.modify(self._connection, selectors.EVENT_READ | writing)


class Worker:
    """An engine that does what comes over a link."""

    def __init__(self, link: Link, engine: Engine, compile_grammar: Compile) -> None:
        self._link = link
        self._engine = engine
        self._compile = compile_grammar
        self._compilers = ThreadPoolExecutor(COMPILERS, "grammar")
        self._compiling: dict[int, tuple[Add, Future[Grammar]]] = {}
        self._numbers: dict[int, int] = {}  # the server's, by the engine's
        self._ids: dict[int, int] = {}  # the engine's, by the server's
        self._reported = time.monotonic()

    def run(self) -> None:
        """Serve until the server is gone."""
        while not self._link.ended:
            for command in self._link.receive(wait=not self._engine.has_work and not self._compiled()):
                self._obey(command)
            self._queue_compiled()
            if self._engine.has_work:
                self._step()
        self._compilers.shutdown(wait=False, cancel_futures=True)

    def _step(self) -> None:
        outputs = self._engine.step()
        if outputs:
            self._link.send(Stepped([plain(output, self._numbers[output.request_id]) for output in outputs]))
        for output in outputs:
            if output.finish:
                del self._ids[self._numbers.pop(output.request_id)]
        if (now := time.monotonic()) - self._reported > REPORT_SECONDS:
            self._reported = now
            self._link.send(Reported(None, self._status()))

    def _obey(self, command: Command) -> None:
        match command:
            case Add(replay=True):
                self._replay(command)
            case Add(grammar=None):
                self._add(command, None)
            case Add():
                self._start_compiling(command)
            case Cancel(number):
                self._cancel(number)
            case Question(number, "status"):
                self._link.send(Reported(number, self._status()))
            case Question(number, _):
                self._link.send(Answer(number, self._audit()))
            case Forget(salt):
                self._engine.forget(salt)
            case Begin():
                raise ValueError("a model is loaded already")

    def _replay(self, command: Add) -> None:
        try:
            self._engine.check_tokens(command.prompt)
        except OssiaError as error:
            self._link.send(Refused(command.number, *raised(error)))
            return
        self._add(msgspec.structs.replace(command, prompt=command.prompt[:1]), Replay(command.prompt[1:]))

    def _add(self, command: Add, grammar: Grammar | None) -> None:
        try:
            number = self._engine.add(
                command.prompt,
                SamplingParams.from_dict(command.params),
                grammar=grammar,
                adapter=command.adapter,
                salt=command.salt,
                priority=command.priority,
            )
        except OssiaError as error:
            self._link.send(Refused(command.number, *raised(error)))
            return
        self._numbers[number] = command.number
        self._ids[command.number] = number

    def _start_compiling(self, command: Add) -> None:
        assert command.grammar is not None
        ahead = [other.salt for other, _ in self._compiling.values()]
        try:
            self._engine.check_queue(command.salt, len(ahead), ahead.count(command.salt))
        except OssiaError as error:
            self._link.send(Refused(command.number, *raised(error)))
            return
        future = self._compilers.submit(self._compile, command.grammar)
        self._compiling[command.number] = command, future
        future.add_done_callback(lambda _: self._link.wake())

    def _compiled(self) -> list[int]:
        return [number for number, (_, future) in self._compiling.items() if future.done()]

    def _queue_compiled(self) -> None:
        for number in self._compiled():
            command, future = self._compiling.pop(number)
            error = future.exception()
            if error is None:
                self._add(command, future.result())
            elif isinstance(error, OssiaError):
                self._link.send(Refused(number, *raised(error)))
            else:
                refused = RequestError(
                    f"the grammar cannot be compiled: {type(error).__name__}: {error}", param="grammar"
                )
                self._link.send(Refused(number, *raised(refused)))

    def _cancel(self, number: int) -> None:
        if number in self._ids:
            self._engine.cancel(self._ids[number])
        elif number in self._compiling:
            command, future = self._compiling.pop(number)
            future.cancel()
            self._link.send(Stepped([(number, (), None, "cancelled", len(command.prompt), 0, 0, 0, None)]))

    def _audit(self) -> str | None:
        try:
            self._engine.audit()
            assert set(self._numbers) == set(self._ids.values()), "a number is lost"
        except AssertionError as error:
            return str(error) or "the books are not in order"
        return None

    def _status(self) -> EngineStatus:
        status = self._engine.status
        return EngineStatus(
            running=status.running,
            waiting=status.waiting,
            compiling=len(self._compiling),
            preemptions=status.preemptions,
            pages=status.pages,
            available_pages=status.available_pages,
            kept_pages=status.kept_pages,
            steps=status.steps,
            step_seconds=status.step_seconds,
            last_step=status.last_step,
            prompt_tokens=status.prompt_tokens,
            cached_tokens=status.cached_tokens,
            generated_tokens=status.generated_tokens,
        )


def main() -> int:
    """Load the model that the first command names, and serve."""
    _end_with(os.getppid())
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    begin = next((command for command in link.receive(wait=True) if isinstance(command, Begin)), None)
    if begin is None:
        return 1
    try:
        worker = _loaded(link, begin)
        worker.run()
    except (OssiaError, OSError, MemoryError) as error:
        link.send(Failed(*raised(error)))
        return 1
    return 0


def _loaded(link: Link, begin: Begin) -> Worker:
    with ThreadPoolExecutor(1) as beside:  # the grammar's tables take most of a second for a large vocabulary
        reading = beside.submit(_vocabulary, begin.model)
        loaded = load_weights(
            begin.model,
            backend=begin.backend,
            precision=begin.precision,
            threads=begin.threads,
            kv_cache_dtype=begin.kv_cache_dtype,
            progress=lambda done: link.send(Loading(done)),
        )
        vocabulary, compiler = reading.result()
    settings = QUEUE | begin.settings
    config = engine_config(loaded, vocabulary, defaults_of(loaded.checkpoint), begin.context, **settings)
    engine = Engine(loaded.model, config, compiler.compile)
    link.send(Ready(engine.context, loaded.settings(), loaded.news))
    return Worker(link, engine, compiler.compile)


def _vocabulary(model: str) -> tuple[Vocabulary, Compiler]:
    vocabulary = vocabulary_of(open_checkpoint(find(model)))
    prepare(vocabulary)
    return vocabulary, Compiler(vocabulary)


def _end_with(parent: int) -> None:
    """End this process, whatever it is doing, when its parent has died."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
