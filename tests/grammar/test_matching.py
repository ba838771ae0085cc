import numpy as np
import pytest
from llguidance import LLMatcher

from ossia.errors import GrammarError
from ossia.grammar.matching import Pattern, reason
from ossia.grammar.tokens import Tokens, ids_of
from tests.grammar.walks import nano

TOKENS = Tokens(nano())


def pattern(regex: str) -> Pattern:
    return Pattern(TOKENS, LLMatcher.grammar_from_regex(regex))


def test_a_way_through_a_pattern():
    matcher = pattern("ab?").begin()
    states = [(matcher.complete, matcher.closed, matcher.forced)]
    for letter in "ab":
        assert matcher.accept(nano().encode(letter)[0])
        states.append((matcher.complete, matcher.closed, matcher.forced))
    assert states == [(False, False, b"a"), (True, False, b""), (True, True, b"")]
    matcher.rollback(1)
    assert (matcher.complete, matcher.closed) == (True, False)


def test_ways_are_apart():
    made = pattern("a|b")
    one, other = made.begin(), made.begin()
    assert one.accept(nano().encode("a")[0])
    assert (one.closed, other.closed) == (True, False)


@pytest.mark.parametrize("regex", ["(?s:.)*", "[^a]*", "\\x00*", "\\u{FFFF}*"])
def test_masks_have_tokens_of_text_only(regex: str):
    mask = np.zeros(TOKENS.words, np.int32)
    pattern(regex).begin().fill(mask)
    assert set(ids_of(mask)) <= set(ids_of(TOKENS.text))
    assert not (mask & ~TOKENS.text).any()


def test_no_token_that_is_none_is_taken():
    matcher = pattern("(?s:.)*").begin()
    for token in (nano().end, nano().endoftext, -1, nano().size, 2**40):
        assert not matcher.accept(token)


@pytest.mark.parametrize("regex", ["(", "a{2,1}", "(?=x)", "[^\\s\\S]", "\\b"])
def test_what_cannot_be_matched_is_refused(regex: str):
    with pytest.raises(GrammarError):
        pattern(regex)


def test_a_reason_is_one_short_line():
    assert reason("a\n  b " + "x" * 900) == ("a b " + "x" * 900)[:500]
