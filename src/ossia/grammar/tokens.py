"""A vocabulary as masks need it: which tokens are text, what they are in the matcher's tables, how text is cut."""

from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ossia.harmony import Vocabulary

if TYPE_CHECKING:
    import regex
    from llguidance import LLTokenizer

__all__ = ["GOINGS_ON", "Mask", "Tokens", "bit", "ids_of", "pending_after"]

Mask = NDArray[np.int32]
"""[ceil(V / 32)] int32, a bit for each token: token v is bit v % 32 of word v // 32."""

_MARKS = "aAéñ中1 \n\r\t'\"/.,:{}[]()-_\\"
GOINGS_ON = ("", *_MARKS, "'s", "s", "t", "d", "m", "re", "ll", "ve", " a", " \n", "\n\n", "  ")
"""Each of these, put behind a text, shows another way in which the text's end may be cut once it goes on: letters of
both cases, a digit, the endings that a pattern may take for a contraction, spaces, ends of lines, marks."""


class Tokens:
    """The tokens of a vocabulary in the forms that grammars want; one instance serves all grammars.

    Control tokens have no bytes here: no text, pattern or schema can let one through.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.words = -(-vocabulary.size // 32)
        self._bytes = [b""] * vocabulary.size
        for token, identifier in vocabulary.ranks.items():
            self._bytes[identifier] = token
        self.text = mask_of(np.fromiter(vocabulary.ranks.values(), np.int64), self.words)
        self._completing: dict[bytes, Mask] = {b"": self._starting}
        self._lock = Lock()
        self._matcher_tables: LLTokenizer | None = None
        self._making = Lock()

    @property
    def llguidance(self) -> "LLTokenizer":
        """The tables of llguidance, made when first asked for; that takes a second for o200k, most of it its own."""
        from llguidance import LLTokenizer, TokenizerWrapper  # noqa: PLC0415 # free answers never ask for them

        with self._making:
            if self._matcher_tables is None:
                self._matcher_tables = LLTokenizer(TokenizerWrapper(_Tables(self)), n_vocab=self.vocabulary.size)
            return self._matcher_tables

    @cached_property
    def digits(self) -> Sequence[Mask]:
        """The tokens that begin with more than 0, 1 and 2 digits."""
        digits = np.array([_leading_digits(token) for token in self._bytes])
        return [mask_of(np.flatnonzero(digits > count), self.words) for count in range(3)]

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token of text; none for a control token, or an id that is no token."""
        return self._bytes[token] if 0 <= token < len(self._bytes) else b""

    def characters(self, pending: bytes) -> Mask:
        """The tokens that may follow in a text, `pending` being the bytes of a character that was begun."""
        with self._lock:
            if pending not in self._completing:
                self._completing[pending] = self._characters(pending)
            return self._completing[pending]

    def rest(self, pending: bytes) -> Mask:
        """The tokens that go on with a character that was begun, and with nothing more."""
        wanted = [v for v in self._continuing if pending_after(pending, self._bytes[v]) is not None]
        rests = (v for v in wanted if len(self._bytes[v]) <= missing(pending))
        return mask_of(np.fromiter(rests, np.int64), self.words)

    def cut(self, text: bytes, ways: Sequence[str] = GOINGS_ON) -> list[int]:
        """The tokens that a forced text is, in the model's own way of cutting text.

        The same bytes are many sequences of tokens; the canonical one is what the model has learnt to read, and what
        the next turn's prompt would be made of. Its end is left open as far as what follows may change how it is cut:
        those tokens are not forced, but drawn like any others. `ways` are beginnings of what may follow; none at all
        when only a control token can.
        """
        try:
            whole = text.decode("utf-8")
        except UnicodeDecodeError:
            whole, ways = text.decode("utf-8", "ignore"), ways or GOINGS_ON
            if not text.startswith(whole.encode()):
                return []
        tokens = self.vocabulary.encode(whole)
        if not ways:
            return tokens
        # Pieces of text are cut into tokens one by one, so what ends where a piece is sure to end will stay.
        sure = set(range(len(whole) + 1))
        for way in ways:
            sure &= self._pieces(whole + way)
        return self._up_to(tokens, max(sure, default=0), whole)

    def _pieces(self, text: str) -> set[int]:
        """Where the pieces end that the vocabulary's pattern cuts a text into."""
        return {match.end() for match in self._pattern.finditer(text)}

    def _up_to(self, tokens: list[int], end: int, text: str) -> list[int]:
        """The tokens of the first `end` characters."""
        length, count = len(text[:end].encode()), 0
        while length > 0:
            length -= len(self._bytes[tokens[count]])
            count += 1
        return tokens[:count]

    @cached_property
    def _pattern(self) -> "regex.Pattern[str]":
        import regex  # noqa: PLC0415

        return regex.compile(self.vocabulary.pattern)

    @cached_property
    def _continuing(self) -> list[int]:
        return [v for v, token in enumerate(self._bytes) if token and 0x80 <= token[0] < 0xC0]

    @cached_property
    def _starting(self) -> Mask:
        """The tokens with which a text may begin."""
        continuing = set(self._continuing)
        valid = [
            v
            for v, token in enumerate(self._bytes)
            if token and (token.isascii() or (v not in continuing and pending_after(b"", token) is not None))
        ]
        return mask_of(np.array(valid, np.int64), self.words)

    def _characters(self, pending: bytes) -> Mask:
        if not pending:
            return self._starting
        valid = [v for v in self._continuing if pending_after(pending, self._bytes[v]) is not None]
        return mask_of(np.array(valid, np.int64), self.words)


class _Tables:
    """What llguidance asks of a tokenizer."""

    def __init__(self, tokens: Tokens) -> None:
        self._encode = tokens.vocabulary.encode
        self.eos_token_id = tokens.vocabulary.endoftext
        self.bos_token_id = None
        self.special_token_ids = [self.eos_token_id]
        self.tokens = [tokens.bytes_of(v) for v in range(tokens.vocabulary.size)]
        # The matcher wants a token that says "complete". It is taken out of every mask again.
        self.tokens[self.eos_token_id] = b"<|endoftext|>"

    def __call__(self, text: bytes) -> Sequence[int]:
        return self._encode(text.decode("utf-8", "replace"))


def mask_of(tokens: NDArray[np.int64] | NDArray[np.intp], words: int) -> Mask:
    """The mask of these tokens."""
    bits = np.zeros(words * 32, np.uint8)
    bits[tokens] = 1
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)


def ids_of(mask: Mask) -> list[int]:
    """The tokens of a mask."""
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def bit(mask: Mask, token: int) -> None:
    """Set the bit of one token."""
    mask.view(np.uint32)[token // 32] |= np.uint32(1 << token % 32)


def _leading_digits(token: bytes) -> int:
    return len(token) - len(token.lstrip(b"0123456789")) if token[:1].isdigit() else 0


def missing(pending: bytes) -> int:
    """How many bytes the character lacks that these begin."""
    lead = pending[0] if pending else 0
    return (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4) - len(pending) if pending else 0


def pending_after(pending: bytes, more: bytes) -> bytes | None:
    """The bytes of the character that is begun but not complete after `pending` and `more`; None if it is no UTF-8."""
    text = pending + more
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        # The text may break off within its last character, in nothing else.
        return text[error.start :] if error.reason == "unexpected end of data" else None
    return b""
