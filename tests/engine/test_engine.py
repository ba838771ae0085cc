"""The engine over the numpy reference: its answers are those of the plain model."""

from collections.abc import Sequence

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, LoadedModel, Output, SamplingParams
from ossia.errors import ContextLengthError, RequestError
from ossia.model import forward
from ossia.ops import Batch

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)


def engine_of(model: LoadedModel, **settings: int | tuple[int, ...]) -> Engine:
    defaults = {"page_size": 4, "max_requests": 4, "max_step_tokens": 16, "context": 128}
    return Engine(model, EngineConfig.from_dict(defaults | settings))


def random_prompt(length: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 101, length).tolist()


def finish(engine: Engine, outputs: Sequence[Output] = ()) -> dict[int, list[int]]:
    """Step until nothing is left: the tokens by request, every step audited."""
    tokens: dict[int, list[int]] = {}
    while engine.has_work:
        for output in engine.step():
            tokens.setdefault(output.request_id, []).extend(output.tokens)
        engine.audit()
    return tokens


def greedy(model: LoadedModel, prompt: Sequence[int], count: int) -> list[int]:
    """The largest logit again and again, over whole sequences without a cache."""
    tokens = list(prompt)
    for _ in range(count):
        logits = forward(model.ops, model.config, model.weights, Batch.packed([tokens]))
        tokens.append(int(np.argmax(logits[-1])))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("length", [1, 3, 4, 15, 16, 17, 50])
def test_greedy_tokens_are_those_of_the_model_without_a_cache(reference_model: LoadedModel, length: int) -> None:
    prompt = random_prompt(length, seed=length)
    outputs = list(engine_of(reference_model).generate(prompt, GREEDY))
    assert [token for output in outputs for token in output.tokens] == greedy(reference_model, prompt, 12)
    assert [output.finish for output in outputs] == [None] * 11 + ["length"]


def test_requests_side_by_side_answer_as_alone(reference_model: LoadedModel) -> None:
    engine = engine_of(reference_model)
    prompts = {engine.add(random_prompt(n, seed=n), GREEDY): random_prompt(n, seed=n) for n in (5, 33, 18, 2, 40, 11)}
    tokens = finish(engine)
    assert tokens == {request: greedy(reference_model, prompt, 12) for request, prompt in prompts.items()}


def test_a_stop_token_is_the_last_of_the_answer(reference_model: LoadedModel) -> None:
    prompt = random_prompt(9, seed=1)
    expected = greedy(reference_model, prompt, 12)
    stop = expected[5]
    engine = engine_of(reference_model, stop_tokens=(stop,))
    outputs = list(engine.generate(prompt, GREEDY))
    assert [token for output in outputs for token in output.tokens] == expected[: expected.index(stop) + 1]
    assert outputs[-1].finish == "stop"


def test_a_prompt_beyond_the_context_is_refused_with_numbers(reference_model: LoadedModel) -> None:
    engine = engine_of(reference_model)
    with pytest.raises(ContextLengthError, match=r"prompt has 120 tokens .* 9 more, together 129; .* holds 128"):
        engine.add([1] * 120, SamplingParams(max_tokens=9))
    with pytest.raises(ContextLengthError, match="prompt has 128 tokens"):
        engine.add([1] * 128)
    assert not engine.has_work


@pytest.mark.parametrize("prompt", [[], [-1], [101], [3, 4, 101]])
def test_a_prompt_that_is_none_is_refused(reference_model: LoadedModel, prompt: list[int]) -> None:
    with pytest.raises(RequestError):
        engine_of(reference_model).add(prompt)
