"""What was computed of a first message goes from one engine to another, and changes nothing but the work."""

from collections.abc import Sequence

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, LoadedModel, SamplingParams
from tests.engine.counting import CountingOps, counting_model

END = 51
GREEDY = SamplingParams(temperature=0.0, max_tokens=6)
PAGE = 4


class Drawer:
    """Pages in memory, by their tokens."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], list[np.ndarray]] = {}
        self.asked = 0

    def misses(self, tokens: Sequence[int]) -> bool:
        return tuple(tokens) not in self.kept

    def recall(self, tokens: Sequence[int]) -> list[np.ndarray] | None:
        self.asked += 1
        return self.kept.get(tuple(tokens))

    def keep(self, tokens: Sequence[int], pages: Sequence[np.ndarray]) -> None:
        self.kept[tuple(tokens)] = [np.array(content) for content in pages]


def engine_of(model: LoadedModel, drawer: Drawer | None, **settings: int) -> Engine:
    sizes = {"page_size": PAGE, "max_requests": 2, "max_step_tokens": 16, "context": 128, "boundary_tokens": (END,)}
    return Engine(model, EngineConfig.from_dict(sizes | settings), beginnings=drawer)


def message(length: int, seed: int) -> list[int]:
    return [*np.random.default_rng(seed).integers(0, 49, length - 1).tolist(), END]


def answer(engine: Engine, prompt: list[int], **options: object) -> tuple[int, list[int]]:
    """How many tokens of the prompt were there, and what was drawn."""
    outputs = list(engine.generate(prompt, GREEDY, rendered=True, **options))  # type: ignore[arg-type] # what a test asks for
    engine.audit()
    return outputs[0].cached_tokens, [token for output in outputs for token in output.tokens]


# The window is 6 tokens: shorter than it, ending with a page, inside one, and over many windows.
@pytest.mark.parametrize("length", [2, 3, PAGE, 5, 6, 7, 2 * PAGE, 16, 33, 61])
def test_another_engine_computes_only_what_follows(length: int):
    drawer, system = Drawer(), message(length, 1)
    first, second, asked = counting_model(), counting_model(), [*system, *message(9, 2), 7]
    expected = answer(engine_of(counting_model(), None), asked)
    assert answer(engine_of(first, drawer), asked) == expected
    assert list(drawer.kept) == [tuple(system)]
    assert answer(engine_of(second, drawer), asked) == (length, expected[1])
    assert isinstance(first.ops, CountingOps)
    assert isinstance(second.ops, CountingOps)
    assert first.ops.rows_computed - second.ops.rows_computed == length
    other = [*system, *message(12, 3), 8]
    assert answer(engine_of(counting_model(), drawer), other)[1] == answer(engine_of(counting_model(), None), other)[1]


def test_it_is_asked_for_once_and_kept_once():
    drawer, asked = Drawer(), [*message(9, 1), *message(5, 2)]
    engine = engine_of(counting_model(), drawer)
    answer(engine, asked)
    kept = drawer.kept.copy()
    for seed in (3, 4):
        assert answer(engine, [*message(9, 1), *message(5, seed)])[0] == 9
    assert drawer.asked == 1
    assert drawer.kept == kept


def test_a_prompt_that_is_one_message_or_none_has_no_beginning():
    drawer = Drawer()
    answer(engine_of(counting_model(), drawer), message(9, 1))
    answer(engine_of(counting_model(), drawer), message(9, 1)[:-1])
    assert (drawer.asked, drawer.kept) == (0, {})


def test_clients_get_it_each_for_themselves():
    drawer, asked = Drawer(), [*message(9, 1), *message(5, 2)]
    answer(engine_of(counting_model(), drawer), asked)
    engine = engine_of(counting_model(), drawer)
    assert [answer(engine, asked, salt=salt)[0] for salt in (b"one", b"two")] == [9, 9]
    drawer.kept.clear()
    engine.forget(b"one")
    assert [answer(engine, asked, salt=salt)[0] for salt in (b"one", b"two")] == [0, len(asked) - 1]


def test_an_adapter_has_its_own_and_it_is_not_kept():
    drawer, asked, model = Drawer(), [*message(9, 1), *message(5, 2)], counting_model(adapters=("one",))
    answer(engine_of(model, drawer), asked, adapter="one")
    assert drawer.kept == {}
    answer(engine_of(model, drawer), asked)
    assert answer(engine_of(model, drawer), asked, adapter="one")[0] == 0


@pytest.mark.parametrize("wrong", ["fewer layers", "longer pages", "more pages"])
def test_pages_of_another_layout_are_left(wrong: str):
    drawer, asked = Drawer(), [*message(9, 1), *message(5, 2)]
    _, expected = answer(engine_of(counting_model(), drawer), asked)
    [(tokens, pages)] = drawer.kept.items()
    drawer.kept[tokens] = {
        "fewer layers": pages[:1],
        "longer pages": [np.concatenate([content, content], axis=1) for content in pages],
        "more pages": [np.concatenate([content, content]) for content in pages],
    }[wrong]
    assert answer(engine_of(counting_model(), drawer), asked) == (0, expected)


def test_without_room_it_is_computed():
    drawer, asked = Drawer(), [*message(30, 1), *message(5, 2)]
    expected = answer(engine_of(counting_model(), drawer), asked)[1]
    engine = engine_of(counting_model(), drawer, context=48, full_pages=12, sliding_pages=30)
    running = engine.add(message(40, 5), SamplingParams(temperature=0.0, max_tokens=8))
    begun = [*engine.step(), *engine.step(), *engine.step()]
    waiting = engine.add(asked, GREEDY, rendered=True)
    engine.audit()
    outputs = list(begun)
    while engine.has_work:
        outputs += engine.step()
        engine.audit()
    found = [output for output in outputs if output.request_id == waiting]
    assert found[0].cached_tokens == 0
    assert [token for output in found for token in output.tokens] == expected
    assert sum(len(output.tokens) for output in outputs if output.request_id == running) == 8
