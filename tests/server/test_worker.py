"""The loop of an engine's process, in a thread of this one, over a real socket and a model that counts."""

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, Grammar, SamplingParams
from ossia.errors import GrammarError
from ossia.server.border import (
    Add,
    Answer,
    Cancel,
    Forget,
    Frames,
    Message,
    Question,
    Refused,
    Reported,
    Stepped,
    frame,
    output_of,
)
from ossia.server.worker import Link, Worker
from tests.engine.counting import counting_model
from tests.engine.traffic import Pattern

DEADLINE = 20.0
"""Seconds after which a test gives up; nothing here takes one."""


class SlowEngine(Engine):
    """An engine whose steps take as long as they are told to."""

    pause = 0.0

    def step(self) -> Any:
        time.sleep(self.pause)
        return super().step()


class Harness:
    """A worker in a thread, and the server's end of its socket."""

    def __init__(self, compile_grammar: Callable[[str], Grammar] | None = None, **settings: int) -> None:
        config = {"page_size": 4, "max_requests": 4, "max_step_tokens": 16, "context": 128} | settings
        self.engine = SlowEngine(counting_model(), EngineConfig.from_dict(config))
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE)
        self.link = Link(theirs)
        self.worker = Worker(self.link, self.engine, compile_grammar or (lambda source: Pattern([[int(source)]])))
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self._frames = Frames(Message)
        self._messages: Iterator[Message] = iter(())

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        self.thread.join(DEADLINE)
        self.link.close()
        assert not self.thread.is_alive(), "the worker goes on without a server"

    def send(self, *commands: Any) -> None:
        self.socket.sendall(b"".join(map(frame, commands)))

    def next(self) -> Message:
        while (message := next(self._messages, None)) is None:
            data = self.socket.recv(1 << 16)
            assert data, "the worker is gone"
            self._messages = iter(self._frames.feed(data))
        return message

    def until(self, done: Callable[[Message], bool]) -> list[Message]:
        messages = [self.next()]
        while not done(messages[-1]):
            messages.append(self.next())
        return messages

    def finished(self, *numbers: int) -> dict[int, list[Any]]:
        """The entries of these requests, until each has ended."""
        entries, left = defaultdict[int, list[Any]](list), set(numbers)
        while left:
            message = self.next()
            if isinstance(message, Stepped):
                for entry in message.outputs:
                    entries[entry[0]].append(entry)
                    left -= {entry[0]} if entry[3] else set()
        return entries

    def audit(self) -> None:
        self.send(Question(10**6, "audit"))
        *_, answer = self.until(lambda message: isinstance(message, Answer))
        assert answer == Answer(10**6, None)


def add(number: int, length: int = 5, grammar: str | None = None, salt: bytes = b"", **params: Any) -> Add:
    prompt = np.random.default_rng(number).integers(0, 49, length).tolist()
    return Add(number, tuple(prompt), {"max_tokens": 8, "seed": number} | params, grammar, salt, 0, None)


def drawn(entries: list[Any]) -> list[int]:
    return [token for entry in entries for token in entry[1]]


def alone(command: Add) -> list[int]:
    """What an engine in this thread answers."""
    engine = Engine(counting_model(), EngineConfig(context=128))
    outputs = engine.generate(command.prompt, SamplingParams.from_dict(command.params))
    return [token for output in outputs for token in output.tokens]


def test_answers_are_those_of_an_engine_in_this_process():
    commands = [add(number, length=3 * number) for number in range(1, 9)]
    with Harness() as worker:
        worker.send(*commands)
        entries = worker.finished(*range(1, 9))
        assert {number: drawn(entries[number]) for number in entries} == {each.number: alone(each) for each in commands}
        worker.audit()


def test_a_step_is_one_message():
    with Harness() as worker:
        worker.send(*(add(number, length=1, stop_tokens=[]) for number in range(1, 5)))
        messages = worker.until(lambda message: isinstance(message, Stepped) and message.outputs[0][3] is not None)
        steps = [message for message in messages if isinstance(message, Stepped)]
        assert len(steps) <= 8 + 1
        assert max(len(step.outputs) for step in steps) == 4


def test_what_cannot_be_honoured_is_refused_and_nothing_else_suffers():
    with Harness() as worker:
        worker.send(add(1), add(2, max_tokens=500), add(3, heat=1), add(4, temperature=-1), add(5))
        refused = {message.number: message for message in worker.until(lambda m: m == m and isinstance(m, Stepped))
                   if isinstance(message, Refused)}  # fmt: skip
        assert {number: message.kind for number, message in refused.items()} == {
            2: "ContextLengthError",
            3: "RequestError",
            4: "RequestError",
        }
        worker.audit()


def test_a_token_that_is_none_is_refused_in_a_replay_too():
    with Harness() as worker:
        worker.send(Add(1, (1, 2, 10**9), {"max_tokens": 2, "logprobs": 1}, None, b"", 0, None, replay=True), add(2))
        message = worker.next()
        assert isinstance(message, Refused)
        assert "token 2 of the prompt is 1000000000" in message.message
        assert drawn(worker.finished(2)[2]) == alone(add(2))


def test_a_queue_that_is_full_says_when_to_come_again():
    with Harness(max_requests=1, max_waiting=1) as worker:
        worker.engine.pause = 0.05
        worker.send(*(add(number) for number in (1, 2, 3)))
        message = worker.next()
        assert isinstance(message, Refused)
        assert (message.number, message.kind, message.fields) == (3, "OverloadedError", {"retry_after": 1.0})


def test_a_command_takes_effect_within_a_step():
    with Harness() as worker:
        worker.engine.pause = 0.02
        worker.send(add(1, max_tokens=100, stop_tokens=[]))
        worker.until(lambda message: isinstance(message, Stepped))
        worker.send(Cancel(1), add(2, stop_tokens=[]))
        *before, last = worker.until(lambda m: isinstance(m, Stepped) and any(entry[0] == 2 for entry in m.outputs))
        assert len([message for message in before if isinstance(message, Stepped)]) <= 1, "the step under way"
        assert isinstance(last, Stepped)
        assert [(entry[0], entry[3]) for entry in last.outputs] == [(1, "cancelled"), (2, None)]


def test_to_cancel_what_is_not_there_is_nothing():
    with Harness() as worker:
        worker.send(Cancel(5), add(1), Cancel(99))
        assert drawn(worker.finished(1)[1]) == alone(add(1))


def test_a_reader_that_is_slow_holds_up_no_step_and_misses_nothing():
    numbers = range(1, 5)
    commands = [add(number, max_tokens=100, stop_tokens=[], logprobs=20) for number in numbers]
    with Harness() as worker:
        worker.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        worker.send(*commands)
        end = time.monotonic() + DEADLINE
        while worker.engine.status.generated_tokens < 4 * 100 and time.monotonic() < end:
            time.sleep(0.01)
        assert worker.engine.status.generated_tokens == 4 * 100, "steps wait for the reader"
        # A token with 20 alternatives is 5 + 20 * (5 + 9) + some bytes; nothing else is kept.
        assert worker.link.unsent_bytes <= 4 * 100 * 400
        entries = worker.finished(*numbers)
        assert {number: drawn(entries[number]) for number in numbers} == {each.number: alone(each) for each in commands}
        assert worker.link.unsent_bytes == 0


class Gate:
    """A compiler that waits until it may go on."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()

    def __call__(self, source: str) -> Grammar:
        if source == "slow":
            self.begun.set()
            assert self.open.wait(DEADLINE)
        if source == "bad":
            raise GrammarError("a keyword that is not known", path="/a", keyword="b")
        return Pattern([[int(source)]] if source.isdigit() else [[7]])


def test_a_grammar_that_compiles_long_holds_up_nobody_and_is_queued_when_ready():
    gate = Gate()
    with Harness(gate) as worker:
        worker.send(add(1, grammar="slow"), add(2), add(3, grammar="33"))
        entries = worker.finished(2, 3)
        assert (drawn(entries[2]), drawn(entries[3])) == (alone(add(2)), [33])
        assert gate.begun.is_set()
        worker.send(Question(50, "status"))
        reported = worker.next()
        assert isinstance(reported, Reported)
        assert (reported.number, reported.status.compiling, reported.status.running) == (50, 1, 0)
        gate.open.set()
        assert drawn(worker.finished(1)[1]) == [7]


@pytest.mark.parametrize(
    ("source", "kind", "fields", "message"),
    [
        ("bad", "GrammarError", {"path": "/a", "keyword": "b"}, "a keyword that is not known"),
        ("²", "RequestError", {}, "the grammar cannot be compiled: ValueError"),
    ],
)
def test_a_grammar_that_is_refused_is_an_error_of_its_request_alone(
    source: str, kind: str, fields: dict[str, Any], message: str
):
    with Harness(Gate()) as worker:
        worker.send(add(1, grammar=source), add(2))
        [refused] = [each for each in worker.until(lambda m: isinstance(m, Refused)) if isinstance(each, Refused)]
        assert (refused.number, refused.kind) == (1, kind)
        assert fields.items() <= refused.fields.items()
        assert message in refused.message
        worker.audit()


def test_a_request_can_be_cancelled_while_its_grammar_compiles():
    gate = Gate()
    with Harness(gate) as worker:
        worker.send(*(add(number, grammar="slow") for number in range(1, 6)), add(9, grammar="33"))
        assert gate.begun.wait(DEADLINE)
        worker.send(*(Cancel(number) for number in range(1, 6)))
        entries = worker.finished(*range(1, 6))
        assert all(each[-1][3] == "cancelled" for each in entries.values())
        gate.open.set()
        assert drawn(worker.finished(9)[9]) == [33]
        worker.audit()


def test_grammars_that_compile_count_as_waiting():
    gate = Gate()
    with Harness(gate, max_requests=1, max_waiting=2) as worker:
        worker.send(*(add(number, grammar="slow") for number in range(1, 5)))
        refused = worker.next()
        assert isinstance(refused, Refused)
        assert (refused.number, refused.kind) == (4, "OverloadedError")
        gate.open.set()
        worker.finished(1, 2, 3)


def test_a_client_is_forgotten():
    with Harness() as worker:
        cached = []
        for number, forget in enumerate([False, False, True, False], 1):
            if forget:
                worker.send(Forget(b"x"))
            worker.send(Add(number, tuple(range(20)), {"max_tokens": 1}, None, b"x", 0, None))
            cached.append(worker.finished(number)[number][0][5])
        assert cached == [0, 19, 0, 19]


def test_it_ends_when_the_server_is_gone():
    with Harness() as worker:
        worker.send(add(1, max_tokens=100))


class Crowd:
    """Requests that are added and cancelled at random; each must hear of its end, once."""

    def __init__(self, worker: Harness, seed: int) -> None:
        self.worker = worker
        self.random = np.random.default_rng(seed)
        self.live = set[int]()
        self.added = self.ended = self.refused = self.audits = 0

    def act(self) -> None:
        random = self.random
        for _ in range(int(random.integers(0, 20))):
            self.added += 1
            grammar = str(random.integers(0, 50)) if random.random() < 0.3 else None
            length, most, salt = int(random.integers(1, 100)), int(random.integers(1, 28)), int(random.integers(0, 4))
            self.worker.send(add(self.added, length, grammar, bytes([salt]), max_tokens=most))
            self.live.add(self.added)
        for number in random.choice(list(self.live), int(random.integers(0, 8))) if self.live else ():
            self.worker.send(Cancel(int(number)))

    def audit(self) -> None:
        self.audits += 1
        self.worker.send(Question(self.audits, "audit"))
        while (message := self.worker.next()) != Answer(self.audits, None):
            match message:
                case Stepped(outputs):
                    self.end({entry[0] for entry in outputs if entry[3]})
                case Refused(number, kind):
                    assert kind == "OverloadedError"
                    self.live.remove(number)
                    self.refused += 1
                case _:
                    assert isinstance(message, Reported), message

    def end(self, numbers: set[int]) -> None:
        assert numbers <= self.live, "something comes after the end"
        self.live -= numbers
        self.ended += len(numbers)


@pytest.mark.parametrize("seed", range(3))
def test_books_are_in_order_after_thousands_of_adds_and_cancels(seed: int):
    with Harness(full_pages=40, sliding_pages=30, max_waiting=30, max_waiting_per_client=25) as worker:
        crowd = Crowd(worker, seed)
        while crowd.added < 1000:
            crowd.act()
            crowd.audit()
        while crowd.live:
            crowd.audit()
        status = worker.engine.status
        assert (status.running, status.waiting, status.available_pages) == (0, 0, status.pages)
        assert crowd.ended > 300
        assert crowd.refused > 0


def test_why_a_grammar_failed_crosses_the_border():
    def failing(source: str) -> Grammar:
        grammar = Pattern([[6], [7]])
        grammar.failure = f"{source} is too much"
        return grammar

    with Harness(failing) as worker:
        worker.send(add(1, grammar="this"))
        entries = worker.finished(1)[1]
        output = output_of(entries[-1])
        assert (drawn(entries), output.finish) == ([6, 7], "no_token")
        assert output.failure == "the answer cannot go on within what its grammar may cost: this is too much"
