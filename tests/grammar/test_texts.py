from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from ossia.grammar.matching import Matcher, Pattern
from ossia.grammar.texts import Texts, Way
from ossia.grammar.tokens import Tokens, ids_of
from tests.grammar.walks import nano

NANO = Tokens(nano())
PIECES = [(token, NANO.bytes_of(token)) for token in range(nano().size) if NANO.bytes_of(token)]
TEXTS = st.lists(st.text("ab é😀 =.", max_size=8).filter(bool), min_size=1, max_size=6)


def alternatives(texts: Sequence[str]) -> Pattern:
    """The judge: the same set as a regular expression, letters spelt as code points so that none means something."""
    spelt = ("".join(f"\\u{{{ord(letter):X}}}" for letter in text) for text in texts)
    return Pattern(NANO, LLMatcher.grammar_from_regex("|".join(spelt)))


def state(way: Matcher | Way) -> tuple[bool, bool, bytes]:
    return way.complete, way.closed, way.forced


def shown(way: Matcher | Way) -> list[int]:
    mask = np.zeros(NANO.words, np.int32)
    way.fill(mask)
    return ids_of(mask)


def leading_on(texts: list[str], begun: bytes) -> list[int]:
    """By the definition: every token of text with which the beginning is still one of some text."""
    rests = [text.encode()[len(begun) :] for text in texts if text.encode().startswith(begun)]
    return [token for token, more in PIECES if any(rest.startswith(more) for rest in rests)]


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_it_is_the_pattern_of_its_alternatives(texts: list[str], data: st.DataObject):
    way, judge, states, begun = Texts(NANO, texts).begin(), alternatives(texts).begin(), [], b""
    while True:
        states.append((shown(way), state(way)))
        assert states[-1] == (leading_on(texts, begun), state(judge))
        assert set(shown(judge)) <= set(states[-1][0])  # it shows one way of cutting what is forced
        if way.closed:
            break
        token = data.draw(st.sampled_from(states[-1][0]))
        assert way.accept(token)
        assert judge.accept(token)
        begun += NANO.bytes_of(token)
    way.rollback(len(states) - 1 - (back := data.draw(st.integers(0, len(states) - 1))))
    assert (shown(way), state(way)) == states[back]


@given(TEXTS, st.integers(-2, nano().size + 2))
def test_what_is_not_in_the_mask_is_not_taken(texts: list[str], token: int):
    way = Texts(NANO, texts).begin()
    before = shown(way)
    assert way.accept(token) == (token in before)
    way.rollback(int(token in before))
    assert shown(way) == before


def test_the_empty_text_is_one_too():
    assert state(Texts(NANO, [""]).begin()) == (True, True, b"")
    assert state(Texts(NANO, ["", "a"]).begin()) == (True, False, b"")


class Counted(dict[bytes, int]):
    """The ids of tokens, with a count of how often one was looked for."""

    looks = 0

    def get(self, key: bytes, default: object = None) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.looks += 1
        return super().get(key)


def test_what_texts_have_in_common_is_looked_at_once():
    # The most tools that rules may name, with the longest names.
    names = [f"{'x' * 240}{place}" for place in range(1024)]
    made = Texts(NANO, [f"commentary to={name}{kind}" for name in names for kind in ("", " ", " json", " text")])
    made._ids = counted = Counted(made._ids)
    way = made.begin()
    assert shown(way)
    tree = {text[:end] for text in made._texts for end in range(1, len(text) + 1)}
    assert counted.looks == len(tree)
