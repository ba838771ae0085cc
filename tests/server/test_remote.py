"""An engine in a real process of its own, with the model that is part of the package."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia.engine import Engine, Output, SamplingParams
from ossia.errors import (
    ContextLengthError,
    GrammarError,
    OverloadedError,
    RequestError,
    UnavailableError,
)
from ossia.grammar import JsonSchema, Rules
from ossia.loading import defaults_of, engine_config, load_weights, vocabulary_of
from ossia.server.remote import Launch, RemoteEngine, Wanted

pytestmark = pytest.mark.filterwarnings("error")

DEADLINE = 30.0

ENDLESS = SamplingParams(max_tokens=5000, stop_tokens=(), seed=1)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner) -> Iterator[RemoteEngine]:
    """One process for the tests that leave it as they found it."""
    engine = runner.run(RemoteEngine.start(Launch(model="nano", threads=1)))
    yield engine
    runner.run(engine.close())


def prompt(length: int, seed: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(0, 2000, length).tolist())


def wanted(length: int = 5, seed: int = 1, **params: Any) -> Wanted:
    return Wanted(
        prompt=prompt(length, seed), params=SamplingParams.from_dict({"max_tokens": 12, "seed": seed} | params)
    )


async def outputs_of(engine: RemoteEngine, wanted: Wanted) -> list[Output]:
    return [output async for output in engine.generate(wanted)]


def tokens_of(outputs: Sequence[Output]) -> list[int]:
    return [token for output in outputs for token in output.tokens]


async def settled(engine: RemoteEngine) -> None:
    """Until nothing runs or waits any more."""
    async with asyncio.timeout(DEADLINE):
        while (status := await engine.status()).running or status.waiting or status.compiling:
            await asyncio.sleep(0.005)


def test_answers_are_those_of_an_engine_in_this_process(runner: asyncio.Runner, engine: RemoteEngine):
    loaded = load_weights("nano", threads=1)
    vocabulary, defaults = vocabulary_of(loaded.checkpoint), defaults_of(loaded.checkpoint)
    near = Engine(loaded.model, engine_config(loaded, vocabulary, defaults, context=1000))
    wishes = [wanted(3 * seed, seed, logprobs=2, temperature=1.5, logit_bias={7: 1.0}) for seed in range(1, 6)]

    async def all_of() -> list[list[Output]]:
        return await asyncio.gather(*(outputs_of(engine, wish) for wish in wishes))

    for wish, far in zip(wishes, runner.run(all_of()), strict=True):
        expected = list(near.generate(wish.prompt, wish.params))
        assert tokens_of(far) == tokens_of(expected)
        assert [output.logprobs for output in far] == [output.logprobs for output in expected]
        assert (far[-1].finish, far[-1].seed) == (expected[-1].finish, wish.params.seed)
    assert engine.settings == loaded.settings()


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        (wanted(max_tokens=10**6), ContextLengthError, "the prompt has 5 tokens and the answer may take 1000000 more"),
        (Wanted(prompt=(), params=ENDLESS), RequestError, "the prompt is empty"),
        (Wanted(prompt=(1, 10**6), params=ENDLESS), RequestError, "token 1 of the prompt is 1000000"),
        (Wanted(prompt=(1,), params=ENDLESS, adapter="poet"), RequestError, "no adapter is called 'poet'"),
        (Wanted(prompt=(1,), params=ENDLESS, grammar="?"), GrammarError, "the rules cannot be read"),
    ],
)
def test_what_cannot_be_honoured_is_raised_here(
    runner: asyncio.Runner, engine: RemoteEngine, wish: Wanted, error: type[Exception], message: str
):
    with pytest.raises(error, match=message) as caught:
        runner.run(outputs_of(engine, wish))
    assert type(caught.value) is error
    runner.run(engine.audit())


def test_a_grammar_holds(runner: asyncio.Runner, engine: RemoteEngine):
    schema = {"type": "object", "properties": {"a": {"const": 5}}, "required": ["a"], "additionalProperties": False}
    rules = Rules(answer=JsonSchema(schema, strict=True), max_reasoning_tokens=0)
    vocabulary = vocabulary_of(load_weights("nano").checkpoint)
    opening = vocabulary.encode("<|start|>user<|message|>Hi<|end|><|start|>assistant")
    params = SamplingParams(max_tokens=100, temperature=1.0, seed=3)
    wish = Wanted(prompt=tuple(opening), params=params, grammar=rules.to_source())
    text = vocabulary.decode(tokens_of(runner.run(outputs_of(engine, wish))))
    assert text.endswith("<|return|>")
    assert '"a"' in text
    assert "5" in text


def test_an_iterator_that_is_closed_cancels_its_request(runner: asyncio.Runner, engine: RemoteEngine):
    async def leave() -> None:
        streams = [engine.generate(Wanted(prompt=(1, 2, n), params=ENDLESS)) for n in range(5)]
        for stream in streams:
            await anext(stream)
        for stream in streams:
            await stream.aclose()
        steps = (await engine.status()).steps
        await settled(engine)
        assert (await engine.status()).steps - steps <= 1
        await engine.audit()

    runner.run(leave())


def test_a_task_that_is_cancelled_cancels_its_request(runner: asyncio.Runner, engine: RemoteEngine):
    async def leave() -> None:
        task = asyncio.create_task(outputs_of(engine, Wanted(prompt=(1, 2), params=ENDLESS)))
        while not (await engine.status()).running:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await settled(engine)

    runner.run(leave())


def test_many_come_and_go_and_nothing_is_left(runner: asyncio.Runner, engine: RemoteEngine):
    random = np.random.default_rng(3)

    async def client(number: int, tokens: int, patience: int) -> None:
        salt = bytes([number % 3])
        wish = Wanted(prompt=prompt(number % 60 + 1, number), params=SamplingParams(max_tokens=tokens), salt=salt)
        stream = engine.generate(wish)
        async for _ in stream:
            patience -= 1
            if not patience:
                break
        await stream.aclose()

    async def crowd() -> None:
        for _ in range(5):
            numbers = [[int(value) for value in random.integers(1, 30, 2)] for _ in range(40)]
            await asyncio.gather(*(client(number, *pair) for number, pair in enumerate(numbers)))
            await engine.audit()
        await settled(engine)
        status = await engine.status()
        assert status.available_pages == status.pages
        assert set(status.used_pages.values()) == {0}

    runner.run(crowd())


def test_those_who_generate_go_on_while_a_long_prompt_is_computed(runner: asyncio.Runner, engine: RemoteEngine):
    """30,000 tokens are 59 steps of 512; in each of those looked at, the other request gets its token."""

    async def race() -> tuple[int, int]:
        short, long = (
            engine.generate(Wanted(prompt=prompt(length, 5), params=ENDLESS, salt=b"long" if length > 9 else b"short"))
            for length in (3, 30_000)
        )
        await anext(short)
        computing = asyncio.ensure_future(anext(long))
        while (before := await engine.status()).running < 2:
            await asyncio.sleep(0)
        tokens = [len((await anext(short)).tokens) for _ in range(10)]
        after = await engine.status()
        assert not computing.done(), "the prompt is still on its way"
        assert after.prompt_tokens - before.prompt_tokens == 0
        computing.cancel()
        await asyncio.wait([computing])
        await short.aclose()
        return sum(tokens), after.steps - before.steps

    tokens, steps = runner.run(race())
    assert steps >= 3
    # The last step's token is on its way here when the status is asked for; some of those before may have waited here.
    assert tokens >= steps - 1


def test_a_short_prompt_is_answered_while_a_long_one_is_computed(runner: asyncio.Runner, engine: RemoteEngine):
    async def race() -> int:
        computing = asyncio.ensure_future(outputs_of(engine, Wanted(prompt=prompt(20_000, 6), params=ENDLESS)))
        while not (await engine.status()).running:
            await asyncio.sleep(0)
        before = await engine.status()
        await outputs_of(engine, wanted(20, max_tokens=5, stop_tokens=()))
        steps = (await engine.status()).steps - before.steps
        assert not computing.done(), "the long prompt is still on its way"
        computing.cancel()
        await asyncio.wait([computing])
        return steps

    # One step for the prompt and five for the tokens, but for what was underway.
    assert runner.run(race()) <= 8


def test_the_next_turn_finds_the_conversation_although_its_analysis_is_dropped(
    runner: asyncio.Runner, engine: RemoteEngine
):
    """At most the answer, the new message and a page are computed again, turn after turn; the same as without a cache.

    Turn by turn, the prompt parts from what was computed where the last analysis began. Keys computed behind dropped
    tokens belong to other positions: used again, they would give other logits than an engine that has seen nothing.
    """
    vocabulary, page = vocabulary_of(load_weights("nano").checkpoint), 16
    said, header = vocabulary.encode("<|start|>system<|message|>Be kind.<|end|>"), "<|start|>assistant"
    previous: list[int] = []
    for turn in range(4):
        asked = vocabulary.encode(f"<|start|>user<|message|>What is {turn} + 7? {'Think well. ' * 9}<|end|>")
        opening = vocabulary.encode(header)
        text = "<|channel|>analysis<|message|>" + "Let me see. " * 20 + f"<|end|>{header}"
        analysis = vocabulary.encode(text)
        answer = vocabulary.encode(f"<|channel|>final<|message|>{turn + 7}, of course.<|return|>")
        params = SamplingParams(max_tokens=len(analysis) + len(answer), logprobs=1, seed=1)
        start = (*said, *asked, *opening)
        played = Wanted(prompt=start, params=params, salt=b"turns")
        fresh = Wanted(prompt=start, params=params, salt=b"fresh %d" % turn)
        outputs, alone = runner.run(outputs_of(engine, played)), runner.run(outputs_of(engine, fresh))
        if previous:
            again = len(start) - outputs[0].cached_tokens
            assert again <= len(previous) + len(asked) + len(opening) + page
        assert alone[0].cached_tokens == 0
        assert [output.logprobs for output in outputs] == [output.logprobs for output in alone]
        # What the conversation keeps of the turn: the answer, with the end of a message instead of the turn's.
        previous = [*answer[:-1], vocabulary.end]
        said = [*said, *asked, *opening, *previous]


def test_nobody_finds_the_prefixes_of_another(runner: asyncio.Runner, engine: RemoteEngine):
    cached = []
    for salt, forget in ((b"a", None), (b"b", None), (b"a", None), (b"a", b"b"), (b"b", None), (b"a", b"a")):
        if forget is not None:
            engine.forget(forget)
        wish = Wanted(prompt=prompt(40, 77), params=SamplingParams(max_tokens=1), salt=salt)
        cached.append(runner.run(outputs_of(engine, wish))[0].cached_tokens)
    assert cached == [0, 0, 39, 39, 0, 0]


def test_the_status_tells_what_was_done(runner: asyncio.Runner, engine: RemoteEngine):
    before = runner.run(engine.status())
    runner.run(outputs_of(engine, wanted(30, seed=99, stop_tokens=())))
    after = runner.run(engine.status())
    assert after.prompt_tokens - before.prompt_tokens == 30
    assert after.generated_tokens - before.generated_tokens == 12
    assert 0 < after.steps - before.steps <= 12  # a guess that is right saves one
    assert after.step_seconds > before.step_seconds
    assert after.silent_seconds == 0.0


# Ends


def test_twenty_streams_hear_that_their_process_was_killed_and_another_serves_the_next(runner: asyncio.Runner):
    async def stream(engine: RemoteEngine, number: int) -> str:
        with pytest.raises(UnavailableError) as caught:
            await outputs_of(engine, Wanted(prompt=(1, 2, number), params=ENDLESS))
        return str(caught.value)

    async def kill() -> None:
        engine = await RemoteEngine.start(Launch(model="nano", threads=1))
        tasks = [asyncio.create_task(stream(engine, number)) for number in range(20)]
        async with asyncio.timeout(DEADLINE):
            while (await engine.status()).running < 16:
                await asyncio.sleep(0.01)
            os.kill(engine.pid, signal.SIGKILL)
            whys = await asyncio.gather(*tasks)
        assert set(whys) == {"the engine's process has ended with signal SIGKILL"}
        for call in (outputs_of(engine, wanted()), engine.status(), engine.audit()):
            with pytest.raises(UnavailableError, match="SIGKILL"):
                await call
        await engine.close()
        again = await RemoteEngine.start(Launch(model="nano", threads=1))
        assert len(tokens_of(await outputs_of(again, wanted(stop_tokens=())))) == 12
        await again.close()

    runner.run(kill())


FAILING = """#!{python}
import sys
from ossia.engine import Engine
from ossia.errors import BackendError
from ossia.server import worker

def step(self):
    raise {error}("out of order")

Engine.step = step
sys.argv = ["worker", sys.argv[-1]]
sys.exit(worker.main())
"""


@pytest.mark.parametrize(("error", "why"), [("BackendError", "out of order"), ("ZeroDivisionError", "exit status 1")])
def test_a_step_that_fails_ends_the_process_and_says_why(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, why: str
):
    script = tmp_path / "failing"
    script.write_text(FAILING.format(python=sys.executable, error=error))
    script.chmod(0o755)
    monkeypatch.setattr("ossia.server.remote.sys.executable", str(script))

    async def fail() -> None:
        engine = await RemoteEngine.start(Launch(model="nano", threads=1))
        with pytest.raises(UnavailableError, match=f"the engine's process has ended.*{why}"):
            await outputs_of(engine, wanted())
        await engine.close()

    runner.run(fail())


PARENT = """
import asyncio
from ossia.server.remote import Launch, RemoteEngine

async def main():
    engine = await RemoteEngine.start(Launch(model="nano", threads=1))
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_process_ends_with_its_server(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, signal.SIGSTOP)  # so that it cannot even see the socket closed before it goes on
        parent.kill()
        parent.wait()
        os.kill(worker, signal.SIGCONT)
    end = time.monotonic() + DEADLINE
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(worker)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_process_that_is_stuck_shows(runner: asyncio.Runner):
    async def stick() -> None:
        engine = await RemoteEngine.start(Launch(model="nano", threads=1))
        stream = engine.generate(Wanted(prompt=(1, 2), params=ENDLESS))
        await anext(stream)
        running = (await engine.status()).running
        os.kill(engine.pid, signal.SIGSTOP)
        stuck = await engine.status()
        os.kill(engine.pid, signal.SIGCONT)
        assert (stuck.running, running) == (1, 1)
        assert stuck.silent_seconds >= 0.4
        async with asyncio.timeout(DEADLINE):
            while (await engine.status()).silent_seconds:
                pass
        await stream.aclose()
        await engine.close()

    runner.run(stick())


def test_a_process_that_does_not_end_is_killed(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ossia.server.remote.ENDING_SECONDS", 0.2)

    async def end() -> str:
        engine = await RemoteEngine.start(Launch(model="nano", threads=1))
        os.kill(engine.pid, signal.SIGSTOP)
        await engine.close()
        return engine.ended.result()

    assert "SIGKILL" in runner.run(end())


def test_closing_lets_requests_finish_and_cancels_those_that_do_not(runner: asyncio.Runner):
    async def close() -> None:
        engine = await RemoteEngine.start(Launch(model="nano", threads=1))
        quick = asyncio.create_task(outputs_of(engine, wanted(stop_tokens=())))
        long = asyncio.create_task(outputs_of(engine, Wanted(prompt=(1, 2), params=ENDLESS)))
        while (await engine.status()).running < 2:
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(engine.close(grace=0.3))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="about to end"):
            await outputs_of(engine, wanted())
        async with asyncio.timeout(DEADLINE):
            assert (await quick)[-1].finish == "length"
            assert (await long)[-1].finish == "cancelled"
            await closing
        assert engine.ended.result() == "the engine's process has ended with exit status 0"

    runner.run(close())


# Loading


def test_many_requests_are_computed_together(runner: asyncio.Runner, engine: RemoteEngine):
    async def together() -> int:
        streams = [engine.generate(Wanted(prompt=(1, n), params=ENDLESS)) for n in range(70)]
        firsts = [asyncio.ensure_future(anext(stream)) for stream in streams]
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*firsts[:64])
            running = (await engine.status()).running
            for first, stream in zip(firsts, streams, strict=True):
                await first
                await stream.aclose()
        await settled(engine)
        return running

    assert runner.run(together()) == 64


def test_a_full_queue_is_told_here(runner: asyncio.Runner):
    async def fill() -> None:
        settings = {"max_requests": 1, "max_waiting": 1}
        engine = await RemoteEngine.start(Launch(model="nano", threads=1, settings=settings))
        streams = [engine.generate(Wanted(prompt=(1, n), params=ENDLESS)) for n in range(2)]
        await anext(streams[0])
        waiting = asyncio.create_task(anext(streams[1]))  # type: ignore[arg-type]
        while not (await engine.status()).waiting:
            await asyncio.sleep(0.001)
        with pytest.raises(OverloadedError, match="1 requests wait already, and at most 1 may") as caught:
            await outputs_of(engine, wanted())
        assert 1.0 <= caught.value.retry_after <= 60.0
        await streams[0].aclose()
        await waiting
        await streams[1].aclose()
        await engine.close()

    runner.run(fill())
