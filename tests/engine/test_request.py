"""A request's own arithmetic: how far it may go in a step, and what it expects to come."""

import pytest

from ossia.engine import SamplingParams
from ossia.engine.prefix import Holding
from ossia.engine.request import Grammar, Request, Share
from tests.engine.traffic import Oracle, Pattern


class Fixed:
    """A drafter with one thing to say."""

    def __init__(self, *said: int) -> None:
        self.said = said or (7, 8, 9)

    def propose(self, tokens: object) -> list[int]:
        return list(self.said)


def request(
    prompt: int = 5,
    max_tokens: int = 10,
    places: list[list[int]] | None = None,
    drafter: Fixed | None = None,
    **params: float,
) -> Request:
    return Request(
        0,
        Holding(list(range(prompt)), b"", 4),
        SamplingParams.from_dict(params),
        seed=1,
        max_tokens=max_tokens,
        stop_tokens=frozenset(),
        vocab_size=53,
        grammar=Pattern(places) if places is not None else None,
        drafter=drafter,
    )


def test_the_doubles_of_these_tests_are_what_the_engine_asks_for():
    assert isinstance(Pattern([]), Grammar)
    assert callable(Oracle.propose)


def test_all_of_the_prompt_is_wanted_and_nothing_after():
    assert (request().wanted, request().generating) == (5, False)
    assert request(prompt=1).generating


def test_forced_tokens_are_wanted_with_the_prompt():
    made = request(places=[[1], [2], [3, 4], [5]])
    assert (made.ahead, made.forced, made.wanted) == ([1, 2], True, 7)


def test_a_draft_is_wanted_where_nothing_is_forced():
    assert (request(drafter=Fixed()).ahead, request(drafter=Fixed()).wanted) == ([7, 8, 9], 8)
    made = request(places=[[1], [2, 3]], drafter=Fixed())
    assert (made.ahead, made.forced) == ([1], True)


@pytest.mark.parametrize(
    ("said", "ahead"), [((7, 53, 8), [7]), ((-1, 7), []), ((0, 52, 10**9), [0, 52]), ((7, -3, 7), [7])]
)
def test_a_draft_ends_before_what_is_no_token(said: tuple[int, ...], ahead: list[int]):
    assert request(drafter=Fixed(*said)).ahead == ahead


@pytest.mark.parametrize(("max_tokens", "wanted"), [(1, 5), (2, 6), (3, 7), (4, 8), (9, 8)])
def test_no_token_is_computed_that_could_not_be_followed(max_tokens: int, wanted: int):
    assert request(max_tokens=max_tokens, drafter=Fixed()).wanted == wanted


def test_a_share_draws_after_each_token_from_the_last_known_one_on():
    made = request(drafter=Fixed())
    assert [Share(made, 0, end).draws for end in (3, 4, 5, 6, 8)] == [0, 0, 1, 2, 4]
    assert Share(made, 2, 4).tokens() == [2, 3]
    assert Share(made, 3, 5).tokens() == [3, 4]
    assert Share(made, 3, 7).tokens() == [3, 4, 7, 8]


def test_generated_tokens_are_counted_only_for_penalties():
    plain, penalised = request(), request(presence_penalty=0.5)
    for made in (plain, penalised):
        made.extend([3, 4])
        made.extend([3])
    assert (plain.counts, penalised.counts) == ({}, {3: 2, 4: 1})
    assert plain.tokens == [0, 1, 2, 3, 4, 3, 4, 3]


def test_a_grammar_hears_of_every_token():
    made = request(places=[[1], [2, 3], [4]])
    made.extend([1, 3])
    made.look_ahead()
    assert made.ahead == [4]
