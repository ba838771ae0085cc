"""Guesses from a text's own past: what is guessed, when, and that answers stay as they are."""

import time

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.engine.lookup import REACH, WIDTH, WORTH, Lookup
from tests.engine.counting import counting_model
from tests.engine.models import load, small_config


def said(lookup: Lookup, tokens: list[int], text: list[int]) -> tuple[int, int]:
    """How many tokens of `text` were guessed right and how many wrong while it came, after `tokens`, step by step."""
    right = wrong = place = 0
    while place < len(text):
        guess = list(lookup.propose([*tokens, *text[:place]]))
        good = next((n for n, token in enumerate(guess) if text[place + n : place + n + 1] != [token]), len(guess))
        right, wrong, place = right + good, wrong + len(guess) - good, place + good + 1
    return right, wrong


def test_nothing_is_guessed_of_a_text_without_repetition():
    assert said(Lookup(8), [1, 2, 3], list(range(10, 200))) == (0, 0)


def test_a_text_that_comes_again_is_guessed_more_and_more_at_once():
    text = np.random.default_rng(0).permutation(1000)[:300].tolist()
    right, wrong = said(Lookup(8), text, text)
    # At first one token a step, soon eight: the rest is what no step could know and the runs before the first guess.
    assert right > 240
    assert wrong < 10


def test_guesses_cease_where_they_fail_and_come_back():
    """The same three tokens go on otherwise each time; then a real repetition."""
    random = np.random.default_rng(1)
    fickle = [token for _ in range(60) for token in (1, 2, 3, int(random.integers(100, 10**6)))]
    lookup = Lookup(8)
    said(lookup, [1, 2, 3], fickle)
    right, wrong = said(lookup, [1, 2, 3, *fickle], fickle)
    # The second time every guess of three in a row (1, 2, 3) is wrong, all others are right.
    assert right > wrong
    worst = said(Lookup(8), [0], [token for n in range(200) for token in (1, 2, 3, 10 + n)])
    assert worst[1] < 120


def test_nothing_is_indexed_before_something_is_drawn_and_then_the_end_of_a_long_prompt_alone():
    prompt = np.random.default_rng(0).integers(0, 200_000, 131_072).tolist()
    lookup = Lookup(8, len(prompt))
    assert lookup.propose(prompt) == ()
    assert not lookup._after
    lookup._right = lookup._tried = 1.0
    lookup.propose([*prompt, 1])
    assert len(lookup._after) <= REACH + 1
    near, far = prompt[-5000:-4980], prompt[1000:1020]
    assert list(lookup.propose([*prompt, 1, *near[:4]])) == near[4:12]
    assert list(lookup.propose([*prompt, 1, *near[:4], *far[:4]])) == []


def test_a_loop_goes_on():
    for text, guess in (([7] * 9, [7] * 8), ([7, 1, 2, 3, 1, 2, 3], [1, 2, 3, 1, 2, 3, 1, 2])):
        lookup = Lookup(8)
        lookup._right = lookup._tried = 1.0
        assert list(lookup.propose(text)) == guess


def test_the_latest_place_is_taken():
    lookup = Lookup(4)
    lookup._right = lookup._tried = 1.0
    assert list(lookup.propose([1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3])) == [6, 7, 1, 2]


@pytest.mark.parametrize("text", [[], [1], [1, 2], [1, 2, 3], [7] * 9])
def test_short_texts(text: list[int]):
    lookup = Lookup(4)
    assert all(token == 7 for token in lookup.propose(text))


def test_a_guess_is_as_long_as_it_is_likely():
    lookup = Lookup(16)
    for share, length in ((0.4, 0), (WORTH, 1), (0.75, 2), (0.9, 6), (1.0, 16)):
        lookup._right, lookup._tried = share, 1.0
        assert lookup._worthwhile() == length


def test_a_long_prompt_is_indexed_in_little_time():
    prompt = np.random.default_rng(0).integers(0, 200_000, 131_072).tolist()
    begin = time.thread_time()
    lookup = Lookup(8)
    lookup.propose(prompt)
    first = time.thread_time() - begin
    for end in range(100):
        lookup.propose([*prompt, *range(end)])
    # Indexed once: a hundred further calls copy the list and look once each.
    assert time.thread_time() - begin < 20 * max(first, 0.05)


def generated(config: EngineConfig, prompt: list[int], params: SamplingParams) -> tuple[list[int], int]:
    """The answer's tokens, and how many steps they took."""
    engine = Engine(counting_model(), config)
    outputs = list(engine.generate(prompt, params))
    return [token for output in outputs for token in output.tokens], len(outputs)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_are_the_same_in_fewer_steps(temperature: float):
    """Greedily the counting model soon repeats itself."""
    prompt, params = [1, 2, 3, 4] * 5, SamplingParams(temperature=temperature, seed=3, max_tokens=100)
    plain, steps = generated(EngineConfig(context=256, guesses=0), prompt, params)
    guessed, fewer = generated(EngineConfig(context=256, guesses=8), prompt, params)
    assert guessed == plain
    assert fewer <= steps


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_a_real_model_answers_the_same(precision: str):
    from ossia.ops import make_ops  # noqa: PLC0415

    model = load(make_ops("native", precision), small_config())
    prompt = np.random.default_rng(2).integers(0, 101, 12).tolist() * 4
    answers = []
    for guesses in (0, 6):
        engine = Engine(model, EngineConfig(context=256, guesses=guesses))
        outputs = list(engine.generate(prompt, SamplingParams(temperature=0.3, seed=1, max_tokens=120)))
        answers.append([token for output in outputs for token in output.tokens])
    assert answers[0] == answers[1]
    assert WIDTH == 3
