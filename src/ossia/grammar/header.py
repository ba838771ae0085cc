"""The headers that an answer may have, piece by piece: what stands between two control tokens is a text of its own.

    [assistant][ to=recipient]<|channel|>channel[ to=recipient][ type | [ ]<|constrain|>type]<|message|>

The recipient comes in one place or the other, the type only with a recipient or on final; a bare type (without
`<|constrain|>`) only with a recipient, for a lone word would be one. `ossia.harmony.header` reads all of these as they
are meant; nothing else is let through.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from ossia.grammar.rules import Rules, ToolRule
from ossia.grammar.texts import Texts
from ossia.grammar.tokens import Tokens

__all__ = ["Address", "Headers", "Opens", "Piece"]

CONTENT_TYPES = ("json", "code", "text", "python")
"""What the model calls a content."""

_KINDS = ("", " ", *(f" {kind}" for kind in CONTENT_TYPES))
"""What may stand behind a recipient or a channel that has one: nothing, the space before `<|constrain|>`, a type."""


class Piece(Enum):
    """A header's pieces: up to `<|channel|>`, to the next control token, and after `<|constrain|>`."""

    GIVEN_ROLE = auto()  # the prompt ends with "assistant"
    ROLE = auto()
    CHANNEL = auto()
    TYPE = auto()


class Opens(NamedTuple):
    """Which messages may begin."""

    analysis: bool
    preamble: bool
    final: bool
    calls: bool

    @property
    def typed_final(self) -> bool:
        """Whether a final may name a type. When nothing else may begin, it may not: its whole header is forced then."""
        return self.final and (self.analysis or self.preamble or self.calls)


@dataclass(frozen=True, slots=True)
class Address:
    """What a header has said: its recipient and its channel."""

    recipient: str | None = None
    channel: str = ""


class Headers:
    """The headers under some rules."""

    def __init__(self, tokens: Tokens, rules: Rules) -> None:
        self._tokens = tokens
        self._tools = {tool.recipient: tool for tool in rules.offered}
        self._made: dict[tuple[Piece, Opens, str | None], Texts] = {}

    def texts(self, piece: Piece, opens: Opens, recipient: str | None) -> Texts:
        """The texts that a piece may be, after a role with this recipient."""
        key = piece, opens, recipient
        if key not in self._made:
            self._made[key] = Texts(self._tokens, self._texts(piece, opens, recipient))
        return self._made[key]

    def closings(self, piece: Piece, text: str, opens: Opens, recipient: str | None) -> tuple[int, ...]:
        """The control tokens that may follow this text of a piece."""
        v = self._tokens.vocabulary
        words = text.split(" ")
        match piece:
            case Piece.GIVEN_ROLE | Piece.ROLE:
                spoken = words[1:] if words[0] == ("assistant" if piece is Piece.ROLE else "") else None
                return (v.channel,) if spoken is not None and self._to(spoken) else ()
            case Piece.TYPE:
                return (v.message,) if text in CONTENT_TYPES else ()
            case Piece.CHANNEL:
                return self._channel_closings(words, opens, recipient)

    def read(self, text: str, recipient: str | None) -> Address:
        """What the piece up to the next control token after `<|channel|>` says."""
        words = text.split(" ")
        named = [word.removeprefix("to=") for word in words[1:] if word.startswith("to=")]
        return Address(named[0] if named else recipient, words[0])

    def role(self, text: str) -> str | None:
        """The recipient in a role's piece."""
        return text.partition(" to=")[2] or None

    def _to(self, words: Sequence[str]) -> bool:
        """Whether these words are nothing, or a recipient."""
        return not words or (len(words) == 1 and words[0].removeprefix("to=") in self._tools)

    def _channel_closings(self, words: list[str], opens: Opens, recipient: str | None) -> tuple[int, ...]:
        v = self._tokens.vocabulary
        channel, rest = words[0], words[1:]
        if recipient is None and rest and rest[0].startswith("to="):
            recipient, rest = rest[0].removeprefix("to="), rest[1:]
            if recipient not in self._tools:
                return ()
        if recipient is not None:
            named = channel in _channels(self._tools[recipient])
            constrain, message = named and rest in ([], [""]), named and (not rest or rest[0] in CONTENT_TYPES)
        else:
            message = not rest and {"analysis": opens.analysis, "commentary": opens.preamble}.get(channel, opens.final)
            message = message and channel in ("analysis", "commentary", "final")
            constrain = channel == "final" and opens.typed_final and rest in ([], [""])
        return (*((v.message,) if message else ()), *((v.constrain,) if constrain else ()))

    def _texts(self, piece: Piece, opens: Opens, recipient: str | None) -> Iterator[str]:
        match piece:
            case Piece.TYPE:
                yield from CONTENT_TYPES
            case Piece.GIVEN_ROLE | Piece.ROLE:
                role = "assistant" if piece is Piece.ROLE else ""
                yield role
                yield from (f"{role} to={tool}" for tool in self._tools if opens.calls)
            case Piece.CHANNEL if recipient is not None:
                yield from (f"{channel}{kind}" for channel in _channels(self._tools[recipient]) for kind in _KINDS)
            case Piece.CHANNEL:
                yield from self._channel_texts(opens)

    def _channel_texts(self, opens: Opens) -> Iterator[str]:
        alone = {
            "analysis": opens.analysis,
            "commentary": opens.preamble,
            "final": opens.final,
            "final ": opens.typed_final,
        }
        yield from (text for text, may_begin in alone.items() if may_begin)
        for recipient, tool in self._tools.items() if opens.calls else ():
            yield from (f"{channel} to={recipient}{kind}" for channel in _channels(tool) for kind in _KINDS)


def _channels(tool: ToolRule) -> tuple[str, ...]:
    return ("commentary",) if tool.channel == "commentary" else ("analysis", "commentary")
