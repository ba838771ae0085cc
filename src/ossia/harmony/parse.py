"""Tokens to messages, one by one, whatever the tokens are.

Nothing that a model writes is an error: each departure from the format is repaired, reported as a `Repair`, and no text
is lost. Source: openai/harmony, docs/format.md, for the format; the tests compare with openai-harmony 0.0.8.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ossia.harmony.header import Header, Mark, Opening, Piece, Reading, read_header, salvage_header
from ossia.harmony.messages import ROLES, Message, Role
from ossia.harmony.repairs import Repair, RepairKind
from ossia.harmony.vocabulary import Decoder, Vocabulary

__all__ = ["Event", "Finished", "Parsed", "Parser", "Started", "Text", "parse"]

# Real headers have at most a few dozen tokens. What goes on longer is a text that lost its `<|message|>`, and must not
# be held back, nor fill the memory, until its end.
LONGEST_HEADER = 1024


@dataclass(frozen=True, slots=True)
class Started:
    """A message's header is complete; its content follows."""

    header: Header


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the content of the message that `header` began: whole characters, never empty."""

    header: Header
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A message is complete; its content is all the texts since it started."""

    message: Message


Event = Started | Text | Finished


@dataclass(frozen=True, slots=True)
class Parsed:
    """The messages of a stream of tokens, and how it departed from the format."""

    messages: tuple[Message, ...]
    repairs: tuple[Repair, ...]


def parse(tokens: Iterable[int], vocabulary: Vocabulary, role: Role = "assistant") -> Parsed:
    """The messages of a whole stream. See `Parser`."""
    parser = Parser(vocabulary, role)
    for token in tokens:
        parser.push(token)
    return parser.finish()


class Parser:
    """Reads what follows a prompt that ends with `<|start|>{role}`, or a whole conversation from its `<|start|>` on.

    Takes any ids, in time linear in their number, and raises nothing. Of a message without repairs the assistant wrote
    it keeps the ids as `Message.tokens`.
    """

    def __init__(self, vocabulary: Vocabulary, role: Role = "assistant") -> None:
        self._vocabulary = vocabulary
        self._role: Role = role
        self._decoder = Decoder(vocabulary)
        self._messages: list[Message] = []
        self._repairs: list[Repair] = []
        self._events: list[Event] = []
        self._position = 0
        v = vocabulary
        self._ends = frozenset({v.end, v.return_, v.call, v.endoftext})
        self._marks: dict[int, Mark] = {v.channel: "channel", v.constrain: "constrain"}
        self._structural = self._ends | {v.start, v.message, *self._marks}
        self._header: Header | None = None
        self._texts: list[str] = []
        self._open("given")

    @property
    def header(self) -> Header | None:
        """The header of the message whose content is being read, None between contents."""
        return self._header

    @property
    def messages(self) -> Sequence[Message]:
        """The messages that are complete."""
        return self._messages

    @property
    def repairs(self) -> Sequence[Repair]:
        """What was amiss so far."""
        return self._repairs

    def push(self, token: int) -> list[Event]:
        """What this token adds."""
        self._events = []
        if token not in self._vocabulary:
            self._repair(RepairKind.UNKNOWN_TOKEN, str(token))
        if self._header is not None:
            self._in_content(self._header, token)
        elif self._opening is not None:
            self._in_header(self._opening, token)
        else:
            self._between(token)
        self._position += 1
        return self._events

    def finish(self, *, cut: bool = False) -> Parsed:
        """The end of the stream: what was begun is ended. More may be pushed, as after any message.

        `cut` says that the model did not end here but was ended, for want of tokens or because someone stopped it: a
        header that was not complete is then no departure, and is dropped unless there is text in it.
        """
        self._events = []
        if self._header is not None:
            self._end_content(self._header)
        elif self._opening is not None:
            if self._opening == "start" or self._ids:
                self._end_header(self._opening, RepairKind.UNFINISHED_HEADER, cut)
            self._opening = None
        return Parsed(tuple(self._messages), tuple(self._repairs))

    # Between messages

    def _between(self, token: int) -> None:
        if token == self._vocabulary.start:
            self._open("start")
        elif token in self._ends:
            self._repair(RepairKind.STRAY_TOKEN, self._vocabulary.decode([token]))
        else:
            self._open("none")
            self._repair(RepairKind.MISSING_START)
            self._in_header("none", token)

    def _open(self, opening: Opening) -> None:
        """Begin a header."""
        self._opening: Opening | None = opening
        self._given = opening == "given"
        self._ids: list[int] = []
        self._mark: Mark = ""
        self._pieces: list[Piece] = []
        self._repaired = False

    # In a header

    def _in_header(self, opening: Opening, token: int) -> None:
        v = self._vocabulary
        if token == v.start:
            self._restart(opening)
        elif token in self._ends:
            self._interrupt(opening, token)
        elif token == v.message:
            self._ids.append(token)
            self._begin(read_header(self._read_pieces(), opening, self._role))
        else:
            self._ids.append(token)
            self._extend(token)
            if len(self._ids) > LONGEST_HEADER:
                self._overflow(opening)

    def _extend(self, token: int) -> None:
        if token in self._marks:
            self._close_piece()
            self._mark = self._marks[token]
        else:
            self._texts.append(self._decoder.push(token))

    def _close_piece(self) -> None:
        self._pieces.append(Piece(self._mark, "".join([*self._texts, self._decoder.finish()])))
        self._texts = []

    def _read_pieces(self) -> list[Piece]:
        self._close_piece()
        return self._pieces

    def _restart(self, opening: Opening) -> None:
        """A `<|start|>` in a header: nothing but the beginning of the stream may stand before it."""
        if self._ids:
            self._end_header(opening, RepairKind.MISSING_MESSAGE)
        elif opening == "start":
            self._repair(RepairKind.STRAY_TOKEN, self._vocabulary.decode([self._vocabulary.start]))
        self._open("start")

    def _interrupt(self, opening: Opening, token: int) -> None:
        if self._ids or opening == "start":
            self._end_header(opening, RepairKind.MISSING_MESSAGE)
        else:
            self._repair(RepairKind.STRAY_TOKEN, self._vocabulary.decode([token]))
        self._opening = None

    def _overflow(self, opening: Opening) -> None:
        # The decoder may hold half a character, which the content completes: the piece is not closed.
        pieces = [*self._pieces, Piece(self._mark, "".join(self._texts))]
        self._texts = []
        self._repair(RepairKind.LONG_HEADER)
        self._begin(salvage_header(pieces, opening, self._role))

    def _end_header(self, opening: Opening, kind: RepairKind, cut: bool = False) -> None:
        """The end of a header that no content follows: what stands in it is a message, or only a repair."""
        pieces = self._read_pieces()
        reading = salvage_header(pieces, opening, self._role)
        header, blank = reading.header, not reading.content.strip()
        if cut and _only_begun(reading, opening):
            return
        if blank and header.channel is None and header.recipient is None and header.content_type is None:
            text = "".join(piece.text for piece in pieces)
            self._repair(RepairKind.UNEXPECTED_TEXT if opening == "none" else kind, text)
            return
        self._repair(kind)
        self._begin(reading)
        self._end_content(header)

    # In a content

    def _begin(self, reading: Reading) -> None:
        for kind, text in reading.found:
            self._repair(kind, text)
        self._opening = None
        self._header = reading.header
        self._events.append(Started(reading.header))
        self._add(reading.header, reading.content)

    def _in_content(self, header: Header, token: int) -> None:
        v = self._vocabulary
        if token not in self._structural:
            self._ids.append(token)
            self._add(header, self._decoder.push(token))
        elif token in self._ends:
            self._ids.append(token)
            if token == v.endoftext:
                self._repair(RepairKind.STRAY_TOKEN, v.decode([token]))
            self._end_content(header)
        elif token in (v.start, v.channel):
            self._repair(RepairKind.MISSING_END)
            self._end_content(header)
            self._between(token)
        else:
            self._repair(RepairKind.STRAY_TOKEN, v.decode([token]))

    def _add(self, header: Header, text: str) -> None:
        if text:
            self._texts.append(text)
            self._events.append(Text(header, text))

    def _end_content(self, header: Header) -> None:
        self._add(header, self._decoder.finish())
        message = Message(
            role=header.role,
            content="".join(self._texts),
            channel=header.channel,
            recipient=header.recipient,
            content_type=header.content_type,
            name=header.name,
            tokens=self._generated(header),
        )
        self._texts = []
        self._header = None
        self._messages.append(message)
        self._events.append(Finished(message))

    def _generated(self, header: Header) -> tuple[int, ...] | None:
        """The ids after `<|start|>assistant`, if the message is one that they stand for as they are."""
        if self._repaired or header.role != "assistant" or header.name is not None:
            return None
        count = len(self._assistant)
        if self._ids[:count] == self._assistant:
            return tuple(self._ids[count:])
        return tuple(self._ids) if self._given else None

    @cached_property
    def _assistant(self) -> list[int]:
        return self._vocabulary.encode("assistant")

    def _repair(self, kind: RepairKind, text: str = "") -> None:
        self._repaired = True
        self._repairs.append(Repair(kind, self._position, text))


def _only_begun(reading: Reading, opening: Opening) -> bool:
    """Whether what stands in a header that was cut short is the header alone: half a role or recipient, or a type."""
    words = reading.content.split()
    if len(words) != 1:
        return not words
    half_role = opening == "start" and any(role.startswith(words[0]) for role in ROLES)
    return half_role or words[0] in ("to", "to=") or reading.header.recipient is not None
