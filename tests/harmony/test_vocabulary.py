import hashlib
import pickle
import time
from collections.abc import Mapping

import openai_harmony
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.errors import VocabularyError
from ossia.harmony import CONTROL_TOKENS, Decoder, Vocabulary
from ossia.harmony.o200k import SIZE

SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
BYTES = {bytes([byte]): byte for byte in range(256)}
CONTROL = {name: 256 + index for index, name in enumerate(CONTROL_TOKENS)}

ODD_TEXTS = [
    "",
    "It's a test; THEY'LL see. 12345 years\r\n\r\n\tand   tabs /// \n\n  x",
    "日本語、한국어 и русский, ﷺ 👩‍👩‍👧‍👦 e\u0301\u0301",
    "<|start|>assistant<|channel|>analysis<|message|>nothing<|end|><|endofprompt|><|return|>",
    "\x00\x1c\x1f\x85\u2028\ufeff\u200b",
]


def test_embedded_ranks_are_the_published_ones(published_ranks: bytes) -> None:
    assert hashlib.sha256(published_ranks).hexdigest() == SHA256


def test_embedded_is_one_shared_instance() -> None:
    assert Vocabulary.embedded() is Vocabulary.embedded()


def test_it_can_be_sent_to_another_process() -> None:
    ranks = {**BYTES, b"ab": 256, b"bc": 257, b"abc": 258}
    control = {name: 259 + index for index, name in enumerate(CONTROL_TOKENS)}
    made = Vocabulary(ranks, control, merges=[(b"a", b"b"), (b"ab", b"c")])
    sent = pickle.loads(pickle.dumps(made))
    assert (sent.encode("abc bc"), sent.control, sent.size) == (made.encode("abc bc"), made.control, made.size)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_encodes_as_the_judge(text: str, vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    assert vocabulary.encode(text) == judge.encode(text, disallowed_special=())


@given(text=st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_survives(text: str, vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    ids = vocabulary.encode(text)
    assert ids == judge.encode(whole, disallowed_special=())
    assert vocabulary.decode(ids) == whole
    assert not any(map(vocabulary.is_control, ids))


def test_control_tokens_are_the_judges(vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    names = judge.special_tokens_set
    theirs = {name: judge.encode(name, allowed_special="all")[0] for name in names}
    beyond = {"<|reserved_201088|>"}  # one past the height of the embedding: no token of ours
    assert {name: vocabulary.control[name] for name in names - beyond} == {n: theirs[n] for n in names - beyond}
    assert vocabulary.size == SIZE
    assert sorted(vocabulary.stop_tokens) == sorted(judge.stop_tokens_for_assistant_actions())


def test_every_id_decodes_as_the_judges(vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    assert [i for i in range(SIZE) if vocabulary.decode([i]) != judge.decode([i])] == []


@pytest.mark.parametrize("identifier", [-1, SIZE, 1 << 70])
def test_an_id_outside_is_a_replacement_character(identifier: int, vocabulary: Vocabulary) -> None:
    assert vocabulary.decode([identifier]) == "\ufffd"
    assert not vocabulary.is_control(identifier)


@given(ids=st.lists(st.one_of(st.integers(-2, 300), st.integers(0, SIZE + 2))))
def test_decoding_token_by_token_gives_the_same_text(ids: list[int], vocabulary: Vocabulary) -> None:
    decoder = Decoder(vocabulary)
    pieces = [decoder.push(identifier) for identifier in ids]
    assert "".join(pieces) + decoder.finish() == vocabulary.decode(ids)


def test_decoder_yields_whole_characters_only(vocabulary: Vocabulary) -> None:
    decoder = Decoder(vocabulary)
    family = [vocabulary.ranks[bytes([byte])] for byte in "日".encode()]
    assert [decoder.push(identifier) for identifier in family] == ["", "", "日"]
    assert [decoder.push(family[0]), decoder.push(vocabulary.end)] == ["", "\ufffd<|end|>"]
    assert [decoder.push(family[0]), decoder.finish(), decoder.finish()] == ["", "\ufffd", ""]


# The pattern engine's own limit is a million blanks.
@pytest.mark.parametrize(
    ("unit", "length"), [(" ", 1_100_000), ("\u3000", 1_100_000), *((u, 200_000) for u in "aA\n!7中\u0301")]
)
def test_long_runs_neither_hang_nor_die(unit: str, length: int, vocabulary: Vocabulary) -> None:
    text = "start" + unit * length + "end"
    begin = time.process_time()
    ids = vocabulary.encode(text)
    assert time.process_time() - begin < 30
    assert vocabulary.decode(ids) == text


@pytest.mark.parametrize("before", ["", "word", "!", "!\n", "\r\n", "\u0301\n"])
@pytest.mark.parametrize("after", ["", "word", " \n", "!", "7", "\nword"])
def test_long_blanks_are_cut_as_shorter_ones(
    before: str, after: str, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = before + "\t \u3000" * 2000 + after
    expected = vocabulary.encode(text)
    monkeypatch.setattr("ossia.harmony.byte_pairs.LONGEST_BLANK", 300)
    assert vocabulary.encode(text) == expected


def test_shortened_numbers_control_tokens_after_the_ranks(vocabulary: Vocabulary) -> None:
    small = vocabulary.shortened(4096)
    assert small.size == 4096 + len(CONTROL_TOKENS)
    assert [small.control[name] for name in CONTROL_TOKENS] == list(range(4096, small.size))
    assert small.decode(small.encode("Hello, 世界! 12345")) == "Hello, 世界! 12345"
    assert max(small.encode("Hello, 世界! 12345")) < 4096


def test_single_digits(vocabulary: Vocabulary) -> None:
    small = vocabulary.shortened(4096, digits="single")
    assert [small.decode([i]) for i in small.encode("12345+67")] == ["1", "2", "3", "4", "5", "+", "6", "7"]


@pytest.mark.parametrize("count", [255, 300_000])
def test_shortening_refuses_an_impossible_count(count: int, vocabulary: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match=r"single byte|cannot shorten"):
        vocabulary.shortened(count)


@pytest.mark.parametrize("name", CONTROL_TOKENS[1:])
def test_a_missing_control_token_is_named(name: str) -> None:
    with pytest.raises(VocabularyError, match=name.replace("|", r"\|")):
        Vocabulary.from_ranks(BYTES, {other: i for other, i in CONTROL.items() if other != name})


@pytest.mark.parametrize(
    ("ranks", "control", "words"),
    [
        ({token: i for token, i in BYTES.items() if i != 7}, CONTROL, "0x07"),
        (BYTES | {b"ab": 255}, CONTROL, "share the id 255"),
        (BYTES, CONTROL | {"<|call|>": 65}, "'<|call|>' shares the id 65 with b'A'"),
        # Beyond the number of ranks, too, where an ordinary token of a sparse table may stand.
        (BYTES | {b"hi": CONTROL["<|end|>"]}, CONTROL, f"'<|end|>' shares the id {CONTROL['<|end|>']} with b'hi'"),
        (BYTES | {b"hi": 300}, CONTROL | {"<|mine|>": 300}, "'<|mine|>' shares the id 300 with b'hi'"),
        (BYTES, CONTROL | {"<|end|>": CONTROL["<|return|>"]}, "with '<|return|>'"),
        (BYTES, CONTROL | {"<|\ud800|>": 300}, "lone surrogate"),
        (BYTES | {b"ab": -1}, CONTROL, "is -1"),
        (BYTES | {b"ab": 1 << 60}, CONTROL, "ids go from 0"),
    ],
)
def test_impossible_tables_are_refused(ranks: Mapping[bytes, int], control: Mapping[str, int], words: str) -> None:
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.from_ranks(ranks, control)
    assert words in str(caught.value)


def test_a_second_name_without_a_meaning_is_no_collision() -> None:
    control = CONTROL | {"<|endofprompt|>": 300, "<|reserved_300|>": 300}
    assert Vocabulary.from_ranks(BYTES, control).is_control(300)


PARTS = st.one_of(st.sampled_from([*CONTROL_TOKENS, "<|", "|>", "<|end"]), st.text(max_size=6))


@given(parts=st.lists(PARTS, max_size=8))
def test_a_raw_prompt_has_control_tokens_where_they_are_named(
    parts: list[str], vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding
) -> None:
    whole = "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "<|reserved_201088|>" not in whole:
        assert vocabulary.encode_raw(whole) == judge.encode(whole, allowed_special="all")
