"""Any batching, chunking, preemption, draft and number of threads gives the answers of running alone.

Bit for bit, tokens and log-probabilities, on backends that declare `batch_invariant`. The judge is `alone`: whole
sequences through the model, one token at a time, without cache, pages or engine.
"""

import os
from collections.abc import Callable

import numpy as np
import pytest

from ossia.config import FULL, SLIDING
from ossia.engine import Engine, EngineConfig, LoadedModel
from ossia.engine.pages import span
from ossia.ops import make_ops
from tests.engine.counting import CountingOps, counting_model
from tests.engine.models import load, small_config
from tests.engine.traffic import BOUNDARY, STOP, Answer, Wish, alone, random_wishes, serve

ROUNDS = int(os.environ.get("OSSIA_DEEP", "0")) or 12
"""How many random loads; OSSIA_DEEP=1000 is a run of some minutes."""

WINDOW = 7


def random_config(random: np.random.Generator, context: int) -> EngineConfig:
    """Settings from the tightest that can work to roomy ones."""
    size, requests, slack = (int(random.choice(values)) for values in ([1, 2, 4, 8, 16], range(1, 6), [0, 1, 3, 20]))
    return EngineConfig(
        context=context,
        page_size=size,
        max_requests=requests,
        max_step_tokens=requests + int(random.choice([0, 1, 5, 40])),
        full_pages=-(-context // size) + slack,
        sliding_pages=span(WINDOW, size) + slack,
        boundary_tokens=(BOUNDARY,),
        stop_tokens=(STOP,),
    )


def differing(wishes: list[Wish], answers: list[Answer], expected: list[Answer]) -> list[str]:
    """What is not as it should be; a cancelled answer must be the beginning of the right one."""
    return [
        f"{wish}: {answer} instead of {right}"
        for wish, answer, right in zip(wishes, answers, expected, strict=True)
        if not (answer.same(right) or (answer.finish == "cancelled" and answer.begins(right)))
    ]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_any_load_gives_the_answers_of_running_alone(seed: int):
    random, model = np.random.default_rng(seed), counting_model(adapters=("poet", "cook"))
    context = int(random.integers(20, 60))
    wishes = random_wishes(random, 25, context, model.adapters)
    expected = [alone(model, wish) for wish in wishes]
    config = random_config(random, context)
    engine, answers = serve(model, config, wishes, expected, random, cancels=0.02 * (seed % 2))
    assert differing(wishes, answers, expected) == []
    sizes = {FULL: config.full_pages, SLIDING: config.sliding_pages}
    assert engine.status.available_pages == sizes, "a page was not given back"


def test_random_loads_meet_everything_that_can_happen():
    met = {"preemptions": 0, "cached tokens": 0, "copies": 0, "stop": 0, "length": 0}
    for seed in range(4):
        random, model = np.random.default_rng(seed), counting_model(adapters=("poet",))
        wishes = random_wishes(random, 25, 40, model.adapters)
        expected = [alone(model, wish) for wish in wishes]
        engine, answers = serve(model, random_config(random, 40), wishes, expected, random)
        assert isinstance(model.ops, CountingOps)
        met["preemptions"] += engine.status.preemptions
        met["cached tokens"] += sum(answer.cached_tokens for answer in answers)
        met["copies"] += model.ops.copies
        for answer in answers:
            met[str(answer.finish)] += 1
    assert {what: count for what, count in met.items() if not count} == {}


@pytest.fixture(scope="module", params=[("exact", None), ("fast", None), ("fast", "int8")])
def native_of(request: pytest.FixtureRequest) -> Callable[[int], LoadedModel]:
    """The small model on the native backend at one precision, with one kind of cache, for a number of threads."""
    precision, dtype = request.param
    models = {threads: load(make_ops("native", precision, threads, dtype), small_config()) for threads in (1, 2, 3)}
    assert models[1].ops.batch_invariant
    return models.__getitem__


@pytest.mark.parametrize("seed", range(3))
def test_native_gives_the_same_bits_in_any_load_and_with_any_threads(
    native_of: Callable[[int], LoadedModel], seed: int
):
    random = np.random.default_rng(seed)
    wishes = random_wishes(random, 12, 40)
    expected = [alone(native_of(1), wish) for wish in wishes]
    for threads in (1, 2, 3):
        _, answers = serve(native_of(threads), random_config(random, 40), wishes, expected, random, Engine.audit)
        assert differing(wishes, answers, expected) == []
