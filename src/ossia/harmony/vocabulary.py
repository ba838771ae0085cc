"""The tokens of a model: text to ids, ids to bytes, and the control tokens that Harmony is made of."""

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Literal, Self

from ossia.errors import VocabularyError
from ossia.harmony import o200k
from ossia.harmony.byte_pairs import O200K_PATTERN, SINGLE_DIGITS_PATTERN, BytePairs, Merges, check_pattern
from ossia.harmony.o200k import CONTROL_TOKENS
from ossia.harmony.tokenizer_file import read_gguf, read_tokenizer_json, write_tokenizer_json

__all__ = ["Decoder", "Vocabulary"]

# An id beyond this is a damaged file, and a table up to it would fill the memory.
LARGEST_ID = 1 << 24

_REPLACEMENT = "\ufffd".encode()


class Vocabulary:
    """Ordinary tokens, which are bytes with a rank, and control tokens, which no text encodes to.

    `ranks` gives the id of every ordinary token, `control` that of every control token by its name, such as
    `<|start|>`; `pattern` cuts text into pieces. `merges` are the pairs that make a token, in their order, where that
    is not every split of it in the order of ids. Raises VocabularyError when a control token that Harmony needs is
    missing, when a single byte has no token, when two tokens share an id, or when the pattern is no regular expression.
    """

    def __init__(
        self,
        ranks: Mapping[bytes, int],
        control: Mapping[str, int],
        pattern: str = O200K_PATTERN,
        merges: Sequence[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self.control: Mapping[str, int] = MappingProxyType(dict(control))
        self.pattern = pattern
        self._merges = merges
        # A view of a table is copied as the table is, ten times as fast as entry by entry.
        self._ranks: dict[bytes, int] = ranks.copy() if isinstance(ranks, MappingProxyType) else dict(ranks)
        self._check()
        check_pattern(pattern)
        self.start, self.end, self.message = (self.control[f"<|{name}|>"] for name in ("start", "end", "message"))
        self.channel, self.constrain = self.control["<|channel|>"], self.control["<|constrain|>"]
        self.return_, self.call = self.control["<|return|>"], self.control["<|call|>"]
        self.endoftext = self.control["<|endoftext|>"]
        self.stop_tokens: tuple[int, ...] = (self.return_, self.call)
        self._control_ids = frozenset(self.control.values())
        self._bytes = self._table()
        self.size = len(self._bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process go the tables, of which it makes the rest."""
        return type(self), (self._ranks, dict(self.control), self.pattern, self._merges)

    @classmethod
    @cache
    def embedded(cls) -> Self:
        """o200k_harmony, the vocabulary of both published models; one instance, shared."""
        return cls(o200k.ranks(), o200k.control())

    @classmethod
    def from_ranks(cls, ranks: Mapping[bytes, int], control: Mapping[str, int], pattern: str = O200K_PATTERN) -> Self:
        """A vocabulary from the tables themselves; see the class for what they must hold."""
        return cls(ranks, control, pattern)

    @classmethod
    def from_tokenizer_json(cls, data: bytes) -> Self:
        """A vocabulary from the bytes of a Hugging Face `tokenizer.json`: byte-level BPE, merges or ranks.

        Raises VocabularyError when the file is damaged, of another kind, or lacks a token that Harmony needs.
        """
        return cls(*read_tokenizer_json(data))

    @classmethod
    def from_gguf(cls, tokens: Sequence[str], types: Sequence[int], merges: Sequence[str]) -> Self:
        """A vocabulary from GGUF's `tokenizer.ggml.tokens`, `.token_type` and `.merges`, cut by o200k's pattern.

        Raises VocabularyError as `from_tokenizer_json`.
        """
        return cls(*read_gguf(tokens, types, merges))

    def to_tokenizer_json(self) -> bytes:
        """A `tokenizer.json` that Hugging Face's fast tokenizers read, and that encodes as this vocabulary does."""
        names = {identifier: name for name, identifier in self.control.items()}
        return write_tokenizer_json(self._ranks, names, self.pattern, self._merges)

    def tokenizer_config(self) -> Mapping[str, object]:
        """The `tokenizer_config.json` that stands beside it."""
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|return|>",
            "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        } | ({"bos_token": "<|startoftext|>"} if "<|startoftext|>" in self.control else {})

    def shortened(self, count: int, *, digits: Literal["grouped", "single"] = "grouped") -> Self:
        """The first `count` ranks, with Harmony's control tokens as the ids that follow them.

        `digits="single"` makes every digit a token of its own. Raises VocabularyError when there are not `count` ranks
        numbered from zero, or when they leave out a single byte.
        """
        ranks = {token: rank for token, rank in self._ranks.items() if rank < count}
        if len(ranks) != count:
            raise VocabularyError(f"cannot shorten to {count} tokens: {len(ranks)} have a rank below that")
        control = {name: count + index for index, name in enumerate(CONTROL_TOKENS)}
        merges = self._merges and [pair for pair in self._merges if b"".join(pair) in ranks]
        return type(self)(ranks, control, SINGLE_DIGITS_PATTERN if digits == "single" else self.pattern, merges)

    def encode(self, text: str) -> list[int]:
        """The ids of the text as ordinary tokens: `<|end|>` in it is seven characters, never a control token."""
        return self._pairs.encode(text)

    def encode_raw(self, text: str) -> list[int]:
        """The ids of a prompt that its writer has put together: control tokens by their names are themselves."""
        parts = self._control_names.split(text)
        return [
            identifier
            for place, part in enumerate(parts)
            for identifier in ([self.control[part]] if place % 2 else self.encode(part))
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, control tokens by their names, and U+FFFD for what is no UTF-8 or no token."""
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", "replace")

    def bytes_of(self, identifier: int) -> bytes:
        """The bytes of one token, a control token's name, or those of U+FFFD for an id that is no token."""
        return self._bytes[identifier] if 0 <= identifier < len(self._bytes) else _REPLACEMENT

    def __contains__(self, identifier: int) -> bool:
        return 0 <= identifier < len(self._bytes) and self._bytes[identifier] is not _REPLACEMENT

    def is_control(self, identifier: int) -> bool:
        """Whether the id is a control token's."""
        return identifier in self._control_ids

    @cached_property
    def _control_names(self) -> re.Pattern[str]:
        longest_first = sorted(self.control, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @property
    def ranks(self) -> Mapping[bytes, int]:
        """The ordinary tokens and their ids."""
        return MappingProxyType(self._ranks)

    @cached_property
    def _pairs(self) -> BytePairs | Merges:
        if self._merges is None:
            return BytePairs(self._ranks, self.pattern)
        return Merges(self._ranks, self._merges, self.pattern)

    def _check(self) -> None:
        missing = [name for name in CONTROL_TOKENS[1:] if name not in self.control]
        if missing:
            raise VocabularyError(f"the vocabulary lacks {', '.join(missing)}, which Harmony needs as control tokens")
        for byte in range(256):
            if bytes([byte]) not in self._ranks:
                raise VocabularyError(f"the vocabulary has no token for the single byte 0x{byte:02x}; it needs all 256")
        for table in (self.control, self._ranks):
            if table and not 0 <= min(table.values()) <= max(table.values()) <= LARGEST_ID:
                name, identifier = next(item for item in table.items() if not 0 <= item[1] <= LARGEST_ID)
                raise VocabularyError(f"the id of {name!r} is {identifier}; ids go from 0 to {LARGEST_ID}")

    def _table(self) -> list[bytes]:
        """The bytes of every id up to the largest; an id that is no token has U+FFFD's."""
        size = max(max(self._ranks.values()), *self.control.values()) + 1
        table: list[bytes | None] = [None] * size
        for token, identifier in self._ranks.items():
            if table[identifier] is not None:
                raise VocabularyError(f"the tokens {table[identifier]!r} and {token!r} share the id {identifier}")
            table[identifier] = token
        self._check_control(table)
        for name, identifier in self.control.items():
            table[identifier] = _encoded(name)
        return [_REPLACEMENT if token is None else token for token in table]

    def _check_control(self, ordinary: Sequence[bytes | None]) -> None:
        """Refuse ids by which text would become a control token, or one of Harmony's control tokens another."""
        meanings: dict[int, str] = {}
        for name, identifier in self.control.items():
            other = ordinary[identifier]
            # A second name of an id is harmless as long as Harmony knows at most one of the two.
            if other is None and name in CONTROL_TOKENS and meanings.setdefault(identifier, name) != name:
                other = meanings[identifier]
            if other is not None:
                raise VocabularyError(f"the control token {name!r} shares the id {identifier} with {other!r}")


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise VocabularyError(f"the control token {name!r} is no text: it holds a lone surrogate") from error


class Decoder:
    """Ids to text as they come: each push gives the characters that it completes, and no half ones."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._bytes_of = vocabulary.bytes_of
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, identifier: int) -> str:
        """The text that this token completes; U+FFFD stands for bytes that can no longer become a character."""
        return self._utf8.decode(self._bytes_of(identifier))

    def finish(self) -> str:
        """U+FFFD if the tokens ended within a character, else nothing; the decoder is then as new."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest
