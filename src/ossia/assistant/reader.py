"""The tokens of an output, to events."""

from collections.abc import Iterator, Sequence
from itertools import repeat

from ossia.assistant.events import Began, Drawn, DrawnToken, Ended, Event, Kind, Text
from ossia.assistant.repetition import Loop, Repetition
from ossia.assistant.stops import StopStrings
from ossia.engine import Logprob, Output
from ossia.harmony import Finished, Header, Message, Parser, Repair, Started, Vocabulary
from ossia.harmony import Text as ParsedText

__all__ = ["Reader"]

SHOWN = (Kind.ANSWER, Kind.PREAMBLE)
"""What the user reads, and so what stop strings are looked for in."""


class Reader:
    """Reads one output. For each message there come Began, any number of Text and Ended, in this order.

    Once `stopped_by` or `circling` is true, the output is over for the reader: nothing that follows is read.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str] = (), loop: Loop | None = None) -> None:
        self.messages: list[Message] = []
        self.reasoning_tokens = 0
        self.stopped_by: str | None = None
        self.circling = False
        self._parser = Parser(vocabulary)
        self._stop = stop
        self._repetition = Repetition(loop) if loop else None
        self._open: Header | None = None
        self._stops = StopStrings(())
        self._shown: list[str] = []
        self._drawn: list[DrawnToken] = []

    @property
    def over(self) -> bool:
        """Whether the output need not go on."""
        return self.stopped_by is not None or self.circling

    def read(self, output: Output) -> Iterator[Event]:
        """What an output brings."""
        if output.tokens:
            yield Drawn(output.tokens)
        for token, logprob in zip(output.tokens, output.logprobs or repeat(None), strict=False):
            yield from self._token(token, logprob)
            if self.over:
                return
        self.circling = self._repetition is not None and self._repetition.push(output.tokens)

    def finish(self, *, cut: bool = False) -> Iterator[Event]:
        """The end: what was begun and not ended, as far as it goes. `cut` says that the model did not end by itself."""
        if self.stopped_by is not None:
            return
        known = len(self._parser.messages)
        for message in self._parser.finish(cut=cut).messages[known:]:
            if self._open is None:
                yield self._begin(message)
            yield from self._rest(message)
            if self.stopped_by is None:
                yield self._end(message)

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What had to be repaired."""
        return tuple(self._parser.repairs)

    def _token(self, token: int, logprob: Logprob | None) -> Iterator[Event]:
        before = self._parser.header
        self.reasoning_tokens += before is not None and Kind.of(before) is Kind.REASONING
        events = self._parser.push(token)
        if before is not None and self._parser.header is before:
            self._drawn.append(DrawnToken(token, logprob))
        for event in events:
            match event:
                case Started(header):
                    yield self._begin(header)
                case ParsedText(header, text):
                    yield from self._pass(header, text)
                case Finished(message):
                    yield from self._rest(message)
                    if self.stopped_by is None:
                        yield self._end(message)
            if self.stopped_by is not None:
                return

    def _begin(self, header: Header | Message) -> Event:
        kind = Kind.of(header)
        self._open = header if isinstance(header, Header) else Header(header.role)
        self._stops = StopStrings(self._stop if kind in SHOWN else ())
        self._shown, self._drawn = [], []
        return Began(kind, header.recipient)

    def _pass(self, header: Header, text: str) -> Iterator[Event]:
        """Let text pass as far as the stop strings allow; at one of them the message ends."""
        passed, self.stopped_by = self._stops.push(text)
        yield from self._show(header, passed)
        if self.stopped_by is not None:
            # Its tokens say more than its text, so it is not to be spliced.
            yield self._end(
                Message(header.role, "".join(self._shown), channel=header.channel, recipient=header.recipient)
            )

    def _show(self, header: Header | Message, text: str) -> Iterator[Event]:
        if text:
            self._shown.append(text)
            drawn, self._drawn = tuple(self._drawn), []
            yield Text(Kind.of(header), text, header.recipient, drawn)

    def _rest(self, message: Message) -> Iterator[Event]:
        """What of a complete message has not been shown: held back, or in a header that became content."""
        held = self._stops.finish()
        shown = sum(map(len, self._shown)) + len(held)
        yield from self._show(message, held)
        if rest := message.text[shown:]:
            header = Header(message.role, message.name, message.channel, message.recipient, message.content_type)
            yield from self._pass(header, rest)
            if self.stopped_by is None:
                yield from self._show(message, self._stops.finish())

    def _end(self, message: Message) -> Event:
        self._open = None
        self.messages.append(message)
        return Ended(message)
