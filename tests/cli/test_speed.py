"""Timing through the engine."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia.cli import _speed
from ossia.cli._filling import FilledEngine
from ossia.engine import SamplingParams
from ossia.loading import load_weights


class Recorded(FilledEngine):
    """An engine that notes what it is asked."""

    asked: list[tuple[list[int], SamplingParams]]

    def add(self, prompt: Sequence[int], params: SamplingParams | None = None, **options: Any) -> int:
        self.asked.append((list(prompt), params or SamplingParams()))
        return super().add(prompt, params, **options)


@pytest.fixture
def engine(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    made = Recorded(load_weights(str(tiny), backend="reference").model, _speed.engine_config(LOAD))
    made.asked = []
    # A clock that ticks once a look, so that what is timed is counted.
    monkeypatch.setattr(_speed.time, "perf_counter", itertools.count().__next__)
    return made


LOAD = _speed.Load(prompt=40, generate=6, batch=3, depth=25)


def test_what_is_asked_of_the_engine(engine: Recorded):
    random = np.random.default_rng(1)
    _speed.time_once(engine, LOAD, random, _speed.fill(engine, LOAD, random))
    lengths = [(len(prompt), params.max_tokens) for prompt, params in engine.asked]
    assert lengths == [(25, 1)] * 3 + [(65, 1)] * 3 + [(65, 7)] * 3
    depths, prompts, again = engine.asked[:3], engine.asked[3:6], engine.asked[6:]
    assert [prompt[:25] for prompt, _ in prompts] == [prompt for prompt, _ in depths]
    assert prompts != depths
    assert [prompt for prompt, _ in again] == [prompt for prompt, _ in prompts]
    assert all(params.stop_tokens == () for _, params in engine.asked)


def test_tokens_that_were_there_already_are_not_counted(engine: Recorded):
    found = _speed._run(engine, [[*range(50)]], 1)
    assert found.prompt_tokens == 50
    found = _speed._run(engine, [[*range(50), 7, 8, 9]], 1)
    assert 3 <= found.prompt_tokens <= 4  # those after the kept place, which is before the last token


def test_decoding_is_counted_from_the_first_token_on(engine: Recorded):
    found = _speed._run(engine, [[1, 2, 3], [4, 5, 6]], 5)
    assert found.later_tokens == 2 * 4


def test_repeats_share_nothing_but_what_was_there_before(engine: Recorded):
    random = np.random.default_rng(1)
    depths = _speed.fill(engine, LOAD, random)
    for _ in range(3):
        _speed.time_once(engine, LOAD, random, depths)
    asked = [tuple(prompt) for prompt, _ in engine.asked]
    assert len(set(asked)) == 3 + 3 * 3
    assert {prompt[:25] for prompt in asked} == {tuple(depth) for depth in depths}
    status = engine.status
    # Each prompt brings its 40 tokens the first time; the second time it is found, but for its last token.
    assert status.prompt_tokens - status.cached_tokens == 3 * (25 + 3 * (40 + 1)), "a depth was read again"
