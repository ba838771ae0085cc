"""A step that others wait for takes no longer than it may, whatever a token costs; and chunks change no answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.engine import engine as module
from ossia.engine.pace import LEAST, Pace
from tests.engine.counting import counting_model

PROMPT = np.random.default_rng(3).integers(0, 49, 1500).tolist()
SHORT = np.random.default_rng(4).integers(0, 49, 40).tolist()


def test_nothing_is_bounded_before_anything_is_known():
    assert Pace(1.0).prompt_tokens() is None
    pace = Pace(None)
    pace.measured(5.0, 500)
    assert pace.prompt_tokens() is None


def test_what_fits_is_what_is_left_beside_a_step_of_those_who_generate():
    pace = Pace(1.0)
    pace.measured(0.2, 0)
    pace.measured(2.2, 200)  # 10 ms each
    assert pace.prompt_tokens() == 80


@pytest.mark.parametrize("cost", [0.5, 2.0, 1e-12])
def test_a_slow_machine_still_goes_on(cost: float):
    pace = Pace(0.1)
    pace.measured(cost, 0)
    pace.measured(cost, 100)
    assert (pace.prompt_tokens() or 0) >= LEAST


def test_few_tokens_say_nothing_of_what_one_costs():
    pace = Pace(1.0)
    pace.measured(1.0, LEAST - 1)
    assert pace.prompt_tokens() is None


class Machine:
    """A clock, and a model for which a step costs `fixed` seconds and `each` more for a token."""

    def __init__(self, engine: Engine, fixed: float, each: float) -> None:
        self.now, self.fixed, self.each = 0.0, fixed, each
        self.steps: list[tuple[int, float]] = []
        forward = engine._runner.forward

        def slow(shares, rows):  # type: ignore[no-untyped-def]
            tokens = sum(share.end - share.start for share in shares)
            taken = self.fixed + self.each * tokens
            self.now += taken
            self.steps.append((tokens, taken))
            return forward(shares, rows)

        engine._runner.forward = slow  # type: ignore[method-assign]


@contextmanager
def machine(monkeypatch: pytest.MonkeyPatch, fixed: float, each: float, **settings: float | None) -> Iterator[Machine]:
    config = EngineConfig.from_dict({"context": 2048, "max_step_tokens": 512, "max_requests": 4} | settings)
    model = counting_model()
    engine = Engine(replace(model, config=replace(model.config, max_position_embeddings=2048)), config)
    made = Machine(engine, fixed, each)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: made.now))
    made.engine = engine  # type: ignore[attr-defined]
    yield made
    engine.audit()


def company(made: Machine) -> dict[int, list[int]]:
    """One generates, and then a long prompt comes: the tokens of both; `made.steps` are those with both."""
    engine: Engine = made.engine  # type: ignore[attr-defined]
    params = SamplingParams(max_tokens=200, temperature=0.0, stop_tokens=())
    short = engine.add(SHORT, params)
    tokens: dict[int, list[int]] = {short: []}
    while not tokens[short]:
        tokens[short] += [token for output in engine.step() for token in output.tokens]
    made.steps.clear()
    long = engine.add(PROMPT, SamplingParams(max_tokens=5, temperature=0.0, stop_tokens=()), salt=b"another")
    tokens[long] = []
    while not tokens[long]:
        for output in engine.step():
            tokens[output.request_id] += output.tokens
    both = [*made.steps]
    while engine.has_work:
        for output in engine.step():
            tokens[output.request_id] += output.tokens
    made.steps = both
    return tokens


@pytest.mark.parametrize(("fixed", "each"), [(0.08, 0.006), (0.3, 0.006), (0.0, 0.05), (0.002, 0.0001)])
def test_who_generates_does_not_wait_for_a_long_prompt(monkeypatch: pytest.MonkeyPatch, fixed: float, each: float):
    with machine(monkeypatch, fixed, each) as made:
        answers = company(made)
    longest = max(taken for _, taken in made.steps)
    # A step costs at least its LEAST tokens; one more token generates; the estimate follows by halves.
    assert longest <= 1.3 * max(1.0, fixed + (LEAST + 1) * each)
    with machine(monkeypatch, fixed, each, step_seconds=None) as other:
        assert company(other) == answers, "chunks change no answer"
    assert max(taken for _, taken in other.steps) == pytest.approx(fixed + 512 * each)
    if fixed + 512 * each < 1.0:
        assert made.steps == other.steps, "where a step is quick enough, nothing is cut"


def test_alone_a_prompt_has_the_whole_step(monkeypatch: pytest.MonkeyPatch):
    with machine(monkeypatch, 0.1, 0.01) as made:
        engine: Engine = made.engine  # type: ignore[attr-defined]
        for _ in range(2):
            list(engine.generate(PROMPT, SamplingParams(max_tokens=3), salt=bytes([_])))
    assert [tokens for tokens, _ in made.steps if tokens > 1] == [512, 512, 476] * 2


def test_a_machine_that_becomes_slower_is_followed(monkeypatch: pytest.MonkeyPatch):
    with machine(monkeypatch, 0.05, 0.001) as made:
        engine: Engine = made.engine  # type: ignore[attr-defined]
        list(engine.generate(PROMPT, SamplingParams(max_tokens=3)))
        made.each = 0.02
        company(made)
    taken = [seconds for _, seconds in made.steps]
    assert max(taken[4:]) < 1.3
    assert sum(tokens for tokens, _ in made.steps) >= 1500
