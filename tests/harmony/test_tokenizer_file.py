import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ossia.errors import VocabularyError
from ossia.harmony import CONTROL_TOKENS, Vocabulary
from ossia.harmony.byte_pairs import to_alphabet
from tests.harmony.makers import seeds, tries

TEXTS = [
    "Hello, world! It's 12345 + 678.\r\n\r\n\tTHEY'LL see   \n\n  x",
    "日本語、한국어 и русский 👩‍👩‍👧‍👦 e\u0301",
    "def f(x):\n    return x ** 2  # ///\n",
]


@pytest.fixture(scope="module")
def small(vocabulary: Vocabulary) -> Vocabulary:
    return vocabulary.shortened(4096, digits="single")


@pytest.fixture(scope="module")
def root(small: Vocabulary) -> Any:
    return json.loads(small.to_tokenizer_json())


@pytest.mark.parametrize("text", TEXTS)
def test_a_shortened_vocabulary_survives_its_file(text: str, small: Vocabulary) -> None:
    again = Vocabulary.from_tokenizer_json(small.to_tokenizer_json())
    assert (again.control, again.ranks, again.pattern) == (small.control, small.ranks, small.pattern)
    assert again.encode(text) == small.encode(text)


def test_transformers_reads_the_file(small: Vocabulary, tmp_path: Path) -> None:
    tmp_path.joinpath("tokenizer.json").write_bytes(small.to_tokenizer_json())
    tmp_path.joinpath("tokenizer_config.json").write_text(json.dumps(dict(small.tokenizer_config())))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [theirs.encode(text, add_special_tokens=False) for text in TEXTS] == list(map(small.encode, TEXTS))
    assert [theirs.decode(small.encode(text)) for text in TEXTS] == TEXTS
    assert theirs.eos_token_id == small.return_
    assert {name: theirs.convert_tokens_to_ids(name) for name in CONTROL_TOKENS} == dict(small.control)


@pytest.mark.slow
def test_the_embedded_vocabulary_survives_its_file(vocabulary: Vocabulary) -> None:
    data = vocabulary.to_tokenizer_json()
    again = Vocabulary.from_tokenizer_json(data)
    assert again.ranks == vocabulary.ranks
    assert again.size == vocabulary.size
    theirs = tokenizers.Tokenizer.from_str(data.decode())
    assert [theirs.encode(text).ids for text in TEXTS] == list(map(vocabulary.encode, TEXTS))


def test_merges_may_be_written_as_strings_or_left_out(root: Any, small: Vocabulary) -> None:
    joined = copy.deepcopy(root)
    joined["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    without = copy.deepcopy(root)
    del without["model"]["merges"]
    for form in (joined, without):
        assert Vocabulary.from_tokenizer_json(json.dumps(form).encode()).ranks == small.ranks


def test_gguf_lists_give_the_same(small: Vocabulary, root: Any) -> None:
    tokens = {identifier: to_alphabet(token) for token, identifier in small.ranks.items()}
    tokens |= {identifier: name for name, identifier in small.control.items()} | {small.size: "[PAD]"}
    ordered = [tokens[identifier] for identifier in sorted(tokens)]
    types = [3 if token in CONTROL_TOKENS else 5 if token == "[PAD]" else 1 for token in ordered]
    again = Vocabulary.from_gguf(ordered, types, [" ".join(merge) for merge in root["model"]["merges"]])
    assert (again.ranks, again.control) == (small.ranks, small.control)


@pytest.fixture(scope="module")
def trained() -> tokenizers.Tokenizer:
    """A tokenizer trained by others: one merge a token, control tokens first, GPT-2's pattern built in."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        [Path(__file__).read_text(), *TEXTS],
        tokenizers.trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=list(CONTROL_TOKENS),
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


@settings(max_examples=15, deadline=None)
@given(text=st.text() | st.text(alphabet="ths e\n1.'"))
def test_a_tokenizer_trained_elsewhere_encodes_as_there(text: str, trained: tokenizers.Tokenizer) -> None:
    ours = Vocabulary.from_tokenizer_json(trained.to_str().encode())
    for sample in (text, Path(__file__).read_text()[len(text) :: 7], *TEXTS):
        ids = ours.encode(sample)
        assert ids == trained.encode(sample).ids
        assert ours.decode(ids) == sample
    assert ours.start == trained.token_to_id("<|start|>") == CONTROL_TOKENS.index("<|start|>")


def test_a_tokenizer_trained_elsewhere_survives_its_file(trained: tokenizers.Tokenizer) -> None:
    ours = Vocabulary.from_tokenizer_json(trained.to_str().encode())
    again = tokenizers.Tokenizer.from_str(ours.to_tokenizer_json().decode())
    assert [again.encode(text).ids for text in TEXTS] == [trained.encode(text).ids for text in TEXTS]


REGEX = "pre_tokenizer.pretokenizers.0.pattern.Regex"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("model", [], "model would be an object"),
        ("model.type", "WordPiece", "would be BPE"),
        ("model.vocab", None, "model.vocab would be an object"),
        ("model.vocab.a", "1", "the id of 'a'"),
        ("model.vocab.日", 9999, "not byte-level"),
        ("model.vocab. ", 9999, "not byte-level"),
        ("model.merges", {}, "merges would be a list"),
        ("model.merges", [["a"]], "would be two tokens"),
        ("model.merges", [["q", "日"]], "names a token that the vocabulary lacks"),
        ("model.continuing_subword_prefix", "##", "has no continuing_subword_prefix"),
        ("model.vocab", {"a" * 100_000: 1}, "has 100000 bytes; the longest may have 1024"),
        ("added_tokens", None, "added_tokens would be a list"),
        ("added_tokens", [{"id": 1}], "a content and an id"),
        ("added_tokens", [], "lacks"),
        ("normalizer", {"type": "NFC"}, "normalizer"),
        ("pre_tokenizer", None, "pre_tokenizer would be an object"),
        (REGEX, "(", "no regular expression"),
        (REGEX, "(" * 5000 + ")" * 5000, "no regular expression"),
        (REGEX, "\\p{Foo}", "no regular expression"),
        (REGEX, "\ud800", "no regular expression"),
        (REGEX, "(?:(?:a{1000}){1000}){1000}", "no regular expression"),
        (REGEX, "a*", "cuts empty pieces"),
        ("pre_tokenizer", {"type": "Metaspace"}, "found ['Metaspace']"),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True}, "add_prefix_space"),
    ],
)
def test_an_impossible_file_is_refused_by_name(path: str, value: object, words: str, root: Any) -> None:
    changed = copy.deepcopy(root)
    *parents, last = path.split(".")
    node = changed
    for parent in parents:
        node = node[int(parent) if isinstance(node, list) else parent]
    node[last] = value
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.from_tokenizer_json(json.dumps(changed).encode())
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"[1]", b"{"])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(VocabularyError, match=r"not readable as JSON|the file would be an object"):
        Vocabulary.from_tokenizer_json(data)


SNIPPETS = [b'"', b"[", b"}", b"null", b"-1", b"1e9", b"\\ud800", b"\xff", b"<|end|>", b"260", b"{}", b'["a","b"]', b""]


@tries(300)
@given(seed=seeds)
def test_a_mutated_file_is_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"abc": 257}
    spare = [f"<|spare_{index}|>" for index in range(8)]
    names = {name: 258 + index for index, name in enumerate([*CONTROL_TOKENS, *spare])}
    data = bytearray(Vocabulary.from_ranks(ranks, names).to_tokenizer_json())
    for _ in range(chance.randint(1, 3)):
        # Most places are in what stands around the table of single bytes.
        at = chance.choice([chance.randrange(len(data)), chance.randrange(3200), len(data) - chance.randrange(100)])
        data[at : at + chance.choice([0, 1, 4, 16])] = chance.choice(SNIPPETS)
    try:
        vocabulary = Vocabulary.from_tokenizer_json(bytes(data))
    except VocabularyError:
        return
    assert not any(map(vocabulary.is_control, vocabulary.encode("".join(CONTROL_TOKENS))))


def test_gguf_lists_that_disagree_are_refused() -> None:
    with pytest.raises(VocabularyError, match="2 tokens but 1 types"):
        Vocabulary.from_gguf(["a", "b"], [1], [])
    with pytest.raises(VocabularyError, match="type 6"):
        Vocabulary.from_gguf(["a", "b"], [1, 6], [])
