"""A grammar that is still being compiled answers as the grammar itself, only later."""

from concurrent.futures import Future

import numpy as np

from ossia.grammar import Compiler, Late, Rules, Walk
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids

ANSWER = "<|channel|>final<|message|>It is 4.<|return|>"


def mask_of(grammar: Late | Walk) -> list[int]:
    mask = np.zeros(-(-VOCABULARY.size // 32), np.int32)
    grammar.fill_mask(mask)
    return mask.tolist()


def test_it_allows_what_the_grammar_allows():
    future: Future[Walk] = Future()
    late, walk = Late(future), Compiler(VOCABULARY).compile(Rules().to_source())
    assert (list(late.forced()), late.failure) == ([], None), "nothing is known, and nothing waits"
    future.set_result(Compiler(VOCABULARY).compile(Rules().to_source()))
    for token in ids(VOCABULARY, ANSWER):
        assert mask_of(late) == mask_of(walk)
        assert list(late.forced()) == list(walk.forced())
        assert late.accept(token)
        assert walk.accept(token)
    assert not any(mask_of(late))
    late.rollback(2)
    walk.rollback(2)
    assert mask_of(late) == mask_of(walk)


def test_nothing_to_take_back_waits_for_nothing():
    Late(Future()).rollback(0)
