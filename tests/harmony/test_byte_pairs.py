import random
import time

import pytest
from transformers.convert_slow_tokenizer import bytes_to_unicode

from ossia.harmony import o200k
from ossia.harmony.byte_pairs import (
    ALPHABET,
    FEW,
    GPT2_PATTERN,
    O200K_PATTERN,
    SINGLE_DIGITS_PATTERN,
    BytePairs,
    Merges,
    from_alphabet,
    to_alphabet,
)

WORDS = [
    "'s",
    "'S",
    "'LL",
    "hello",
    "World",
    "HTTPServer",
    "1234",
    "\r\n",
    "\n",
    "  ",
    "\t",
    "\x1c",
    "\x0b",
    "//",
    " a",
]


def test_the_alphabet_is_gpt2s() -> None:
    assert dict(enumerate(ALPHABET)) == bytes_to_unicode()


def test_the_alphabet_writes_every_byte() -> None:
    every = bytes(range(256))
    assert from_alphabet(to_alphabet(every)) == every


@pytest.mark.parametrize("text", ["a b", "\xad", "日", "a\n"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="alphabet"):
        from_alphabet(text)


def test_the_lowest_rank_merges_first() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"bc": 256, b"ab": 257, b"abc": 258}
    pairs = BytePairs(ranks, GPT2_PATTERN)
    assert pairs.encode("abc") == [258]
    assert pairs.encode("abcd") == [258, 100]
    assert pairs.encode("abbc") == [257, 256]
    assert pairs.encode("ab c") == [257, 32, 99]


def test_listed_merges_go_by_their_list() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"bc": 256, b"ab": 257, b"abc": 258}
    listed = Merges(ranks, [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")], GPT2_PATTERN)
    assert listed.encode("abc") == [257, 99]  # ab comes first, and ab with c makes nothing
    assert listed.encode("bca") == [256, 97]
    assert listed.encode("\ud800") == [0xEF, 0xBF, 0xBD]


@pytest.mark.parametrize("unit", ["a", "ab", " ", "\n"])
def test_listed_merges_do_not_hang_on_long_pieces(unit: str) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"a" * 2**power: 255 + power for power in range(1, 6)}
    merges = [(b"a" * 2**power, b"a" * 2**power) for power in range(5)]
    begin = time.process_time()
    ids = Merges(ranks, merges, GPT2_PATTERN).encode(unit * 100_000)
    assert time.process_time() - begin < 10
    assert len(ids) == (100_000 // 32 if unit == "a" else len(unit) * 100_000)


@pytest.mark.parametrize("pattern", [O200K_PATTERN, SINGLE_DIGITS_PATTERN, GPT2_PATTERN])
def test_few_characters_are_encoded_as_many_are(pattern: str) -> None:
    many, chance = BytePairs(o200k.ranks(), pattern), random.Random(0)
    many.encode("a" * (FEW + 1))
    for _ in range(40):
        few = BytePairs(o200k.ranks(), pattern)
        for _ in range(10):
            anything = "".join(chr(chance.randrange(128)) for _ in range(chance.randrange(40)))
            text = chance.choice([anything, "".join(chance.choices(WORDS, k=8))])
            assert few.encode(text) == many.encode(text)


@pytest.mark.parametrize("unit", ["a", "ab", " ", "qzxj"])
def test_few_characters_do_not_take_long(unit: str) -> None:
    begin = time.process_time()
    pairs = BytePairs(o200k.ranks(), O200K_PATTERN)
    for _ in range(3):
        pairs.encode((unit * FEW)[:FEW])
    assert time.process_time() - begin < 5
