"""Byte-pair encoding: the patterns that cut text into pieces, the byte alphabet of files, and two encoders.

Source: openai/tiktoken, tiktoken_ext/openai_public.py, `o200k_base`, for the pattern; Radford et al., GPT-2, for the
alphabet that writes each byte as one printable character.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

from ossia.errors import VocabularyError

if TYPE_CHECKING:
    import tiktoken

__all__ = [
    "ALPHABET",
    "GPT2_PATTERN",
    "O200K_PATTERN",
    "SINGLE_DIGITS_PATTERN",
    "BytePairs",
    "Merges",
    "check_pattern",
    "from_alphabet",
    "to_alphabet",
]

_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"


def _pattern(digits: str) -> str:
    return "|".join(
        [
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
            digits,
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    )


O200K_PATTERN = _pattern(r"\p{N}{1,3}")
"""How o200k cuts text into the pieces within which tokens merge."""

SINGLE_DIGITS_PATTERN = _pattern(r"\p{N}")
"""The same with every digit a piece of its own, which small models learn arithmetic from."""

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What the ByteLevel pre-tokenizer of tokenizer files has built in."""

_OWN_PATTERNS = frozenset({O200K_PATTERN, SINGLE_DIGITS_PATTERN, GPT2_PATTERN})


def check_pattern(pattern: str) -> None:
    """Raises VocabularyError unless both encoders can cut text by the pattern: no bad regex, no empty pieces.

    The patterns of this module need no proof, so that what is published starts no slower for it.
    """
    if pattern in _OWN_PATTERNS:
        return
    import regex  # noqa: PLC0415
    import tiktoken  # noqa: PLC0415

    try:
        # tiktoken's engine goes first: it refuses what would expand to gigabytes, which regex would build.
        tiktoken.Encoding("ossia-check", pat_str=pattern, mergeable_ranks={b"a": 0}, special_tokens={})
        compiled = regex.compile(pattern)
    except (ValueError, regex.error, RecursionError) as error:
        raise VocabularyError(f"the pattern {pattern!r:.80} is no regular expression: {error}") from error
    # tiktoken panics at an empty piece.
    if compiled.match(""):
        raise VocabularyError(f"the pattern {pattern!r:.80} cuts empty pieces; each would have a character")


_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _PRINTABLE]

ALPHABET: tuple[str, ...] = tuple(
    chr(byte) if byte in _PRINTABLE else chr(0x100 + _HIDDEN.index(byte)) for byte in range(256)
)
"""The character that tokenizer files write for each byte."""

_FROM_BYTE = dict(enumerate(ALPHABET))
# Latin-1's own characters outside the alphabet must fail to encode, not pass as the bytes that they look like.
_TO_BYTE = dict.fromkeys(range(256), "\uffff") | {ord(character): byte for byte, character in enumerate(ALPHABET)}


def to_alphabet(token: bytes) -> str:
    """The token's bytes as tokenizer files write them, one character a byte."""
    return token.decode("latin-1").translate(_FROM_BYTE)


def from_alphabet(text: str) -> bytes:
    """The bytes of a token that a tokenizer file writes so. Raises ValueError at a character outside the alphabet."""
    try:
        return text.translate(_TO_BYTE).encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(f"the character {text[error.start]!r} is not of the byte-level alphabet") from error


# tiktoken's pattern engine keeps a stack of at most a million positions and panics beyond. Only `\s+(?!\S)` needs it,
# for blanks that no line break follows; every other piece of any length was measured to be safe.
LONGEST_BLANK = 500_000
_BLANKS = re.compile("[\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]{256,}+(?![\r\n])")

FEW = 1_000
"""Characters that are encoded before tiktoken's tables are made."""


class BytePairs:
    """Text to token ids by merging the pair of lowest rank first, within the pieces that `pattern` cuts.

    The id of a token is its rank. Time grows as n log n with the length of the longest piece. tiktoken's tables take a
    fifth of a second to make for o200k, so that the first few characters, a short prompt, are encoded without them.
    """

    def __init__(self, ranks: Mapping[bytes, int], pattern: str) -> None:
        self._ranks = dict(ranks)
        self._pattern = pattern
        self._few = FEW if pattern in _OWN_PATTERNS else 0

    def encode(self, text: str) -> list[int]:
        """The ids of the text, which may hold anything: a lone surrogate counts as U+FFFD."""
        # Of ASCII all pattern engines think alike.
        if len(text) <= self._few and text.isascii():
            self._few -= len(text)
            return self._encode_few(text)
        self._few = 0
        ids: list[int] = []
        done = 0
        for start, end in _long_blanks(text):
            ids += self._pieces.encode_ordinary(text[done:start])
            ids += self._whole.encode_ordinary(text[start:end])
            done = end
        return ids + self._pieces.encode_ordinary(text[done:] if done else text)

    def _encode_few(self, text: str) -> list[int]:
        return [token for match in self._cutter.finditer(text) for token in self._merged(match[0].encode())]

    def _merged(self, piece: bytes) -> list[int]:
        """The ids of one piece; in time that grows as the square of its length."""
        ranks, parts = self._ranks, [piece] if piece in self._ranks else [bytes([byte]) for byte in piece]
        while True:
            pairs = [(ranks.get(left + right), at) for at, (left, right) in enumerate(pairwise(parts))]
            merged = min(((rank, at) for rank, at in pairs if rank is not None), default=None)
            if merged is None:
                return [ranks[part] for part in parts]
            at = merged[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    @cached_property
    def _cutter(self) -> re.Pattern[str]:
        return re.compile(_for_ascii(self._pattern))

    @cached_property
    def _pieces(self) -> "tiktoken.Encoding":
        return self._encoding("ossia", self._pattern)

    @cached_property
    def _whole(self) -> "tiktoken.Encoding":
        return self._encoding("ossia-whole", r"[\s\S]+")

    def _encoding(self, name: str, pattern: str) -> "tiktoken.Encoding":
        import tiktoken  # noqa: PLC0415

        return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=self._ranks, special_tokens={})


def _for_ascii(pattern: str) -> str:
    """One of our own patterns for ASCII, in the words of `re`: `regex` and its tables take 15 ms more of a start."""
    parts: list[str] = []
    within = False
    for part in re.split(r"(\\p\{\w+\}|\\.|[][])", pattern):
        characters = _IN_ASCII.get(part)
        if characters is None:
            within = part == "[" or (within and part != "]")
        parts.append(part if characters is None else characters if within else f"[{characters}]")
    return "".join(parts)


_IN_ASCII = {
    r"\p{Lu}": "A-Z",
    r"\p{Ll}": "a-z",
    r"\p{L}": "A-Za-z",
    r"\p{N}": "0-9",
    r"\s": r"\t-\r ",
    r"\S": r"^\t-\r ",
} | dict.fromkeys((r"\p{Lt}", r"\p{Lm}", r"\p{Lo}", r"\p{M}"), "")
"""What Unicode's classes hold of ASCII; `\\s` is only what is white in Unicode, unlike in `re`."""


def _long_blanks(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of the pieces of blanks that are too long for the pattern engine.

    A piece begins where such a run begins, whatever stands before it, since nothing but a line break after it could
    join it to what precedes; it leaves its last blank to a word that follows.
    """
    if len(text) <= LONGEST_BLANK:
        return
    for match in _BLANKS.finditer(text):
        if match.end() - match.start() > LONGEST_BLANK:
            yield match.start(), match.end() - (match.end() < len(text))


class Merges:
    """Text to token ids by the merges that a tokenizer file lists, the earliest first.

    For files whose merges say something else than ranks do: that only certain pairs make a token, or another order.
    A hundred times slower than `BytePairs`, and no quicker than n log n in the length of a piece either.
    Source: huggingface/tokenizers, models/bpe/word.rs, `Word::merge_all`, for which of two equal pairs goes first.
    """

    def __init__(self, ranks: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]], pattern: str) -> None:
        import regex  # noqa: PLC0415

        self._ranks = ranks
        self._order: dict[tuple[int, int], tuple[int, int]] = {}
        for order, (left, right) in enumerate(merges):
            self._order.setdefault((ranks[left], ranks[right]), (order, ranks[left + right]))
        self._pattern = regex.compile(pattern)

    def encode(self, text: str) -> list[int]:
        """The ids of the text, which may hold anything: a lone surrogate counts as U+FFFD."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return [identifier for match in self._pattern.finditer(text) for identifier in self._piece(match[0].encode())]

    def _piece(self, piece: bytes) -> list[int]:
        ids: list[int | None] = [self._ranks[bytes([byte])] for byte in piece]
        after, before = [*range(1, len(ids) + 1)], [*range(-1, len(ids) - 1)]
        queue = [entry for at in range(len(ids) - 1) if (entry := self._entry(ids, at, at + 1))]
        heapify(queue)
        while queue:
            _, at, pair, merged = heappop(queue)
            right = after[at]
            if right >= len(ids) or (ids[at], ids[right]) != pair:
                continue  # one of the two has meanwhile become part of another token
            ids[at], ids[right], after[at] = merged, None, after[right]
            if after[at] < len(ids):
                before[after[at]] = at
            for left, next_ in ((before[at], at), (at, after[at])):
                if left >= 0 and next_ < len(ids) and (entry := self._entry(ids, left, next_)):
                    heappush(queue, entry)
        return [identifier for identifier in ids if identifier is not None]

    def _entry(self, ids: list[int | None], left: int, right: int) -> tuple[int, int, tuple[int, int], int] | None:
        first, second = ids[left], ids[right]
        if first is None or second is None or (first, second) not in self._order:
            return None
        order, merged = self._order[first, second]
        return order, left, (first, second), merged
