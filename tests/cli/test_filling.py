"""Prompts that are filled in instead of computed."""

from pathlib import Path

import numpy as np
import pytest

from ossia.cli._filling import FilledEngine
from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.loading import load_weights
from ossia.model import transformer

CONFIG = EngineConfig(context=200, max_requests=1)
PARAMS = SamplingParams(temperature=0.0, max_tokens=8, stop_tokens=())


def answer(engine: Engine, prompt: list[int], params: SamplingParams = PARAMS) -> tuple[list[int], int]:
    outputs = list(engine.generate(prompt, params))
    return [token for output in outputs for token in output.tokens], outputs[-1].cached_tokens


def test_what_is_filled_is_found_and_seen_and_nothing_of_it_is_computed(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    model, prompt = load_weights(str(tiny), backend="native").model, list(range(90))
    right, _ = answer(Engine(model, CONFIG), [*prompt, 91, 92])
    engine = FilledEngine(model, CONFIG)
    with engine.filling(), monkeypatch.context() as patched:
        patched.setattr(transformer, "layer", lambda *_: pytest.fail("a layer was computed"))
        answer(engine, prompt, SamplingParams(max_tokens=1))
    found, cached = answer(engine, [*prompt, 91, 92])
    assert cached == len(prompt)
    assert found != right, "the random keys were not looked at"
    engine.audit()


def test_before_and_after_it_computes_as_any_other(tiny: Path):
    model, prompt = load_weights(str(tiny), backend="native").model, list(range(60))
    engine = FilledEngine(model, CONFIG)
    with engine.filling():
        answer(engine, np.arange(100, 190).tolist(), SamplingParams(max_tokens=1))
    assert answer(engine, prompt) == answer(Engine(model, CONFIG), prompt)
