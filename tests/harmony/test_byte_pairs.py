import pytest
from transformers.convert_slow_tokenizer import bytes_to_unicode

from ossia.harmony.byte_pairs import ALPHABET, GPT2_PATTERN, BytePairs, from_alphabet, to_alphabet


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
