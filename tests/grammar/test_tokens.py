import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.grammar.tokens import Tokens, bit, mask_of, missing, pending_after
from ossia.harmony import Vocabulary
from tests.grammar.walks import embedded, nano


@pytest.fixture(params=["o200k", "nano", "numbered"], scope="module")
def tokens(request: pytest.FixtureRequest) -> Tokens:
    """The published vocabulary, nano's, and one with gaps, padding and control tokens at the front."""
    if request.param == "numbered":
        ranks = {bytes([byte]): 20 + 2 * byte for byte in range(256)}
        names = ("start", "end", "message", "channel", "constrain", "return", "call", "endoftext")
        return Tokens(Vocabulary(ranks, {f"<|{name}|>": place for place, name in enumerate(names)}))
    return Tokens(embedded() if request.param == "o200k" else nano())


def ids(mask: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist())


def test_text_is_all_tokens_but_control_and_gaps(tokens: Tokens):
    v = tokens.vocabulary
    assert ids(tokens.text) == {token for token in range(v.size) if token in v and not v.is_control(token)}
    assert all(tokens.bytes_of(token) == b"" for token in (*v.control.values(), -1, v.size, 2**40))


def test_what_may_follow_in_a_text(tokens: Tokens):
    v = tokens.vocabulary
    for pending in (b"", b"\xc3", b"\xe4\xb8", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xe0"):
        may = ids(tokens.characters(pending))
        for token in random.Random(0).sample(range(v.size), min(v.size, 3000)):
            text = pending + tokens.bytes_of(token)
            assert (token in may) == (text != pending and is_beginning(text)), (pending, v.bytes_of(token))
        assert may


def is_beginning(text: bytes) -> bool:
    """Whether some text in UTF-8 begins with these bytes."""
    for rest in (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0", b"\xa0\x80", b"\x90\x80\x80"):
        try:
            (text + rest).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def test_a_character_is_completed_by_the_rest_alone(tokens: Tokens):
    for pending in (b"\xc3", b"\xe4\xb8", b"\xf0\x9f", b"\xf0\x9f\x98"):
        rests = ids(tokens.rest(pending))
        assert rests <= ids(tokens.characters(pending))
        assert {tokens.vocabulary.bytes_of(token) for token in rests} >= {b"\x80", b"\xbf"}
        for token in rests:
            assert len(tokens.bytes_of(token)) <= missing(pending)


def test_surrogates_and_overlong_forms_begin_no_character():
    assert pending_after(b"\xed", b"\xa0") is None
    assert pending_after(b"", b"\xc0") is None
    assert pending_after(b"", b"\xff") is None
    assert pending_after(b"a\xe4", b"\xb8") == b"\xe4\xb8"
    assert pending_after(b"\xe4\xb8", b"\xadx") == b""


TEXT = st.text("abAB12 \n'\"{}:,./_-é中\r\tst", max_size=12)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_what_is_cut_stays_cut_whatever_follows(text: str, more: str):
    for tokens in (small(), large()):
        sure = tokens.cut(text.encode())
        assert tokens.vocabulary.encode(text + more)[: len(sure)] == sure
        assert tokens.cut(text.encode(), ()) == tokens.vocabulary.encode(text)


LARGE: list[Tokens] = []


def large() -> Tokens:
    LARGE[:] = LARGE or [Tokens(embedded())]
    return LARGE[0]


def small() -> Tokens:
    return Tokens(nano())


def test_most_of_a_forced_text_is_cut():
    assert large().cut(b'"name": "') == embedded().encode('"name":')
    assert large().cut(b"analysis") == []


def test_half_a_character_is_never_cut():
    assert small().cut("aa é".encode()[:-1], ()) == small().cut(b"aa ")
    assert small().cut("é".encode()[1:], ()) == []


def test_masks_hold_their_bits():
    mask = mask_of(np.array([0, 31, 32, 95]), 3)
    assert ids(mask) == {0, 31, 32, 95}
    bit(mask, 63)
    assert ids(mask) == {0, 31, 32, 63, 95}


def test_digits(tokens: Tokens):
    for count in range(3):
        for token in ids(tokens.digits[count]):
            assert tokens.bytes_of(token)[: count + 1].isdigit()
    assert {tokens.bytes_of(token) for token in ids(tokens.digits[0])} >= {b"0", b"9"}
