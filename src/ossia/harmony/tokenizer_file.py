"""Vocabularies as files hold them: Hugging Face's `tokenizer.json`, and the lists in a GGUF.

Both write ordinary tokens in the byte-level alphabet and give merges in order. Ranks say the same if the merges are
complete (every split of a token into two tokens is one) and ordered as the ids are, which both published files are;
tokenizers trained elsewhere list one merge a token, and are encoded by their list.

Source: huggingface/tokenizers, the BPE model and the Split and ByteLevel pre-tokenizers; huggingface/transformers,
convert_slow_tokenizer.py, `TikTokenConverter`, for how merges are made of ranks.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

from ossia.errors import VocabularyError
from ossia.harmony import o200k
from ossia.harmony.byte_pairs import GPT2_PATTERN, O200K_PATTERN, from_alphabet, to_alphabet
from ossia.json_words import MISSING, found

__all__ = ["Tables", "read_gguf", "read_tokenizer_json", "write_tokenizer_json"]

Pair = tuple[str, str]

# Kinds of token in `tokenizer.ggml.token_type`. Source: ggml-org/llama.cpp, include/llama.h, `llama_token_type`.
GGUF_NORMAL, GGUF_CONTROL, GGUF_USER_DEFINED, GGUF_UNUSED = 1, 3, 4, 5

# Bytes. o200k's longest token has 128; the splits of a token cost the square of its length.
LONGEST_TOKEN = 1024


class Tables(NamedTuple):
    """What a file holds: ordinary tokens with their ids, control tokens with theirs, the pattern, and the merges.

    The merges are None when they say what the ids say as ranks.
    """

    ranks: dict[bytes, int]
    control: dict[str, int]
    pattern: str
    merges: list[tuple[bytes, bytes]] | None


def read_tokenizer_json(data: bytes) -> Tables:
    """The tables in the bytes of a `tokenizer.json`. Raises VocabularyError when it is not byte-level BPE."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"not readable as JSON: {error}") from error
    root = _object(root, "the file")
    if root.get("normalizer") is not None:
        raise VocabularyError("it has a normalizer; Harmony's text is encoded as it is")
    model = _object(root.get("model", MISSING), "model")
    control = _added_tokens(root.get("added_tokens", MISSING))
    vocab = _vocab(model, control)
    pattern = _pattern(_object(root.get("pre_tokenizer", MISSING), "pre_tokenizer"))
    ranks = _to_ranks(vocab)
    return Tables(ranks, control, pattern, _own_merges(vocab, ranks, model.get("merges")))


def read_gguf(tokens: Sequence[str], types: Sequence[int], merges: Sequence[str]) -> Tables:
    """The tables in a GGUF's lists. Raises VocabularyError when they disagree."""
    if len(tokens) != len(types):
        raise VocabularyError(f"the GGUF has {len(tokens)} tokens but {len(types)} types of token")
    kinds = list(zip(tokens, types, strict=True))
    control = {token: i for i, (token, kind) in enumerate(kinds) if kind in (GGUF_CONTROL, GGUF_USER_DEFINED)}
    vocab = {token: i for i, (token, kind) in enumerate(kinds) if kind == GGUF_NORMAL}
    unknown = sorted({kind for _, kind in kinds} - {GGUF_NORMAL, GGUF_CONTROL, GGUF_USER_DEFINED, GGUF_UNUSED})
    if unknown:
        raise VocabularyError(f"the GGUF has tokens of type {unknown[0]}; a byte-level vocabulary has types 1, 3, 4, 5")
    ranks = _to_ranks(vocab)
    return Tables(ranks, control, O200K_PATTERN, _own_merges(vocab, ranks, list(merges)))


def write_tokenizer_json(
    ranks: Mapping[bytes, int],
    names: Mapping[int, str],
    pattern: str,
    merges: Sequence[tuple[bytes, bytes]] | None,
) -> bytes:
    """A `tokenizer.json` of these ordinary tokens and control tokens (by id).

    Without merges every split of a token is one, and a piece that is a token is that token at once, as in tiktoken.
    """
    vocab = {to_alphabet(token): rank for token, rank in sorted(ranks.items(), key=lambda item: item[1])}
    listed = list(_all_merges(vocab)) if merges is None else [list(map(to_alphabet, merge)) for merge in merges]
    root = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(identifier, names[identifier]) for identifier in sorted(names)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                _BYTE_LEVEL | {"use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": _BYTE_LEVEL | {"use_regex": True},
        "model": _BPE | {"ignore_merges": merges is None, "vocab": vocab, "merges": listed},
    }
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode()


_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
}


def _added_token(identifier: int, name: str) -> Mapping[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": identifier, "content": name} | flags


def _all_merges(vocab: Mapping[str, int]) -> Iterator[Pair]:
    """Every split of every token into two tokens: by the token's id, then by those of the parts."""
    for token in vocab:
        splits = _splits(token, vocab)
        yield from sorted(splits, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))


def _splits(token: str, vocab: Mapping[str, int]) -> list[Pair]:
    cuts = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
    return [(left, right) for left, right in cuts if left in vocab and right in vocab]


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise VocabularyError(f"{where} would be an object, found {found(value)}")
    return cast(dict[str, Any], value)


def _added_tokens(value: object) -> dict[str, int]:
    if not isinstance(value, list):
        raise VocabularyError(f"added_tokens would be a list, found {found(value)}")
    control: dict[str, int] = {}
    for item in cast(list[object], value):
        token = _object(item, "each of added_tokens")
        name, identifier = token.get("content"), token.get("id")
        if not isinstance(name, str) or type(identifier) is not int:
            raise VocabularyError(f"an added token would have a content and an id, found {found(token)}")
        control[name] = identifier
    return control


def _vocab(model: Mapping[str, Any], control: Mapping[str, int]) -> dict[str, int]:
    if model.get("type", "BPE") != "BPE":
        raise VocabularyError(f"the model would be BPE, found {found(model['type'])}")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise VocabularyError(f"byte-level BPE has no {key}, found {found(model[key])}")
    vocab = _object(model.get("vocab", MISSING), "model.vocab")
    for token, identifier in vocab.items():
        if type(identifier) is not int:
            raise VocabularyError(f"the id of {token!r} would be a whole number, found {found(identifier)}")
    return {token: identifier for token, identifier in vocab.items() if token not in control}


def _merges(value: object) -> list[Pair]:
    """The merges in either form of the file, `"a b"` or `["a", "b"]`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise VocabularyError(f"the merges would be a list, found {found(value)}")
    return [_pair(merge) for merge in cast(list[object], value)]


def _pair(merge: object) -> Pair:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    match parts:
        case [str(left), str(right)]:
            return left, right
        case _:
            raise VocabularyError(f"a merge would be two tokens, found {found(merge)}")


def _own_merges(
    vocab: Mapping[str, int], ranks: Mapping[bytes, int], listed: object
) -> list[tuple[bytes, bytes]] | None:
    """The merges, or None when ranks say the same; a file without any leaves it to the ranks, too."""
    # The published table needs no proof, which would take it a second; and a small one should not unpack it.
    if len(ranks) == o200k.RANKS and ranks == o200k.ranks():
        return None
    merges = _merges(listed)
    for left, right in merges:
        if left + right not in vocab or left not in vocab or right not in vocab:
            raise VocabularyError(f"the merge of {left!r} and {right!r} names a token that the vocabulary lacks")
    if not merges or _are_ranks(vocab, merges):
        return None
    return [(from_alphabet(left), from_alphabet(right)) for left, right in merges]


def _are_ranks(vocab: Mapping[str, int], merges: Sequence[Pair]) -> bool:
    made = [vocab[left + right] for left, right in merges]
    ordered = all(first <= second for first, second in pairwise(made))
    return ordered and len(set(merges)) == sum(len(_splits(token, vocab)) for token in vocab)


def _to_ranks(vocab: Mapping[str, int]) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for token, identifier in vocab.items():
        if len(token) > LONGEST_TOKEN:
            raise VocabularyError(
                f"the token {token[:20]!r}... has {len(token)} bytes; the longest may have {LONGEST_TOKEN}"
            )
        try:
            ranks[from_alphabet(token)] = identifier
        except ValueError as error:
            raise VocabularyError(f"the token {token!r} is not byte-level: {error}") from error
    return ranks


def _pattern(node: Mapping[str, Any]) -> str:
    """The pattern of a Split followed by a ByteLevel, or of a ByteLevel alone, which has GPT-2's built in."""
    steps = [_object(step, "each pre-tokenizer") for step in _steps(node)]
    match steps:
        case [{"type": "ByteLevel"}] if steps[0].get("use_regex", True):
            pattern = GPT2_PATTERN
        case [
            {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "use_regex": False},
        ]:
            pass
        case _:
            kinds = [step.get("type") for step in steps]
            raise VocabularyError(f"pre_tokenizer would be Split by a Regex and ByteLevel, found {kinds}")
    if steps[-1].get("add_prefix_space"):
        raise VocabularyError("add_prefix_space is set; Harmony's text is encoded as it is")
    return pattern


def _steps(node: Mapping[str, Any]) -> Iterable[object]:
    if node.get("type") != "Sequence":
        return [node]
    steps = node.get("pretokenizers")
    return cast(list[object], steps) if isinstance(steps, list) else []
