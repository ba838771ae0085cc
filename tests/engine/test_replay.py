"""A prompt played again: each token's log-probability is the model's, computed without a cache."""

import numpy as np
import pytest

from ossia.engine import LoadedModel, Replay, SamplingParams
from ossia.model import forward
from ossia.ops import Batch
from tests.engine.test_engine import engine_of, random_prompt


@pytest.mark.parametrize("length", [2, 3, 17, 90])
def test_the_scores_are_the_models_own(reference_model: LoadedModel, length: int):
    prompt = random_prompt(length, seed=length)
    engine = engine_of(reference_model)
    params = SamplingParams(max_tokens=length - 1, logprobs=1, stop_tokens=())
    outputs = list(engine.generate(prompt[:1], params, grammar=Replay(prompt[1:])))
    assert [token for output in outputs for token in output.tokens] == prompt[1:]
    assert outputs[-1].finish == "length"
    found = [each.logprob for output in outputs for each in output.logprobs or ()]
    model = reference_model
    logits = np.asarray(forward(model.ops, model.config, model.weights, Batch.packed([prompt])), np.float64)
    logprobs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    expected = logprobs[np.arange(length - 1), prompt[1:]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    engine.audit()


def test_it_takes_nothing_but_its_tokens():
    replay = Replay([5, 40, 7])
    assert not replay.accept(40)
    assert replay.accept(5)
    mask = np.zeros(2, np.int32)
    replay.fill_mask(mask)
    assert mask.view(np.uint32).tolist() == [0, 1 << 8]
    assert list(replay.forced()) == [40, 7]
    assert replay.accept(40)
    assert replay.accept(7)
    assert not replay.accept(7)
    replay.rollback(2)
    assert list(replay.forced()) == [40, 7]


def test_at_the_end_nothing_is_allowed():
    replay, mask = Replay([]), np.zeros(2, np.int32)
    replay.fill_mask(mask)
    assert not mask.any()
    assert list(replay.forced()) == []
