"""One answer's way through its rules, token by token: what the engine calls a Grammar."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ossia.grammar.header import Opens, Piece
from ossia.grammar.plan import Content, Plan
from ossia.grammar.texts import Texts, Way
from ossia.grammar.tokens import GOINGS_ON, Mask, bit, ids_of, pending_after

if TYPE_CHECKING:
    from ossia.grammar.matching import Matcher, Pattern

__all__ = ["Walk"]

FARTHEST_ROLLBACK = 4096
"""Tokens that can be taken back: more than any draft has."""

MOST_FORCED, LONGEST_FORCED = 64, 256
"""Tokens that `forced` looks ahead, about, and bytes of a text that it takes at a time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands: in a piece of a header, in a content, or between messages when it is in neither.

    `text` is the piece so far, or the bytes of a character that the content has begun. `done` is after the stop token.
    """

    piece: Piece | None = Piece.GIVEN_ROLE
    content: Content | None = None
    text: bytes = b""
    recipient: str | None = None
    channel: str = ""
    reasoning: int = 0
    messages: int = 0
    called: bool = False
    hurried: bool = False
    done: bool = False


class Step(NamedTuple):
    """What was before a token: the place, the matcher, and whether that took the token."""

    place: Place
    matcher: "Matcher | Way | None"
    took: bool


class Walk:
    """An answer from its header's beginning (the prompt ends with `<|start|>assistant`) to its stop token.

    The mask after the stop token is empty. It is so, too, when `failure` says why: a text for which the grammar's
    limits do not suffice.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tokens = plan.tokens
        self._place: Place = Place()
        self._trail: deque[Step] = deque(maxlen=FARTHEST_ROLLBACK)
        self._matcher: Matcher | Way | None = self._begun(self._header())

    @property
    def failure(self) -> str | None:
        """Why the answer cannot go on, if it cannot."""
        return self._matcher.failure if self._matcher else None

    def fill_mask(self, mask: Mask) -> None:
        """Set the bits of the tokens that may come next, in a mask of zeros that may be longer than the vocabulary."""
        if self._matcher:
            self._matcher.fill(mask)
        elif self._place.content:
            self._fill_text(mask, self._place)
        for token in self._closings():
            bit(mask, token)

    def accept(self, token: int) -> bool:
        """Take one token; False, and nothing changed, if it may not come next."""
        step = Step(self._place, self._matcher, False)
        if token in self._closings():
            self._close(token)
        elif not self._take(token):
            return False
        else:
            step = step._replace(took=True)
        self._trail.append(step)
        return True

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted, 4,096 at most."""
        if count > len(self._trail):
            raise ValueError(f"{count} tokens cannot be taken back; at most {len(self._trail)} are right")
        while count:
            step = self._trail.pop()
            self._place, self._matcher = step.place, step.matcher
            if step.took and step.matcher:
                step.matcher.rollback(1)
            count -= 1

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, in order; empty where there is a choice.

        Text that must come is cut as the vocabulary cuts it, though a mask would let the same bytes come as other
        tokens: see `Tokens.cut`.
        """
        taken: list[int] = []
        while len(taken) < MOST_FORCED:
            more = self._forced_here()
            for token in more:
                accepted = self.accept(token)
                assert accepted, f"token {token} is forced, and refused"
            taken += more
            if not more:
                break
        self.rollback(len(taken))
        return taken

    # What may come

    def _closings(self) -> Sequence[int]:
        """The control tokens that may come next."""
        place = self._place
        if place.done:
            return ()
        if place.piece:
            text = place.text.decode("utf-8", "replace")
            return self._plan.headers.closings(place.piece, text, self._opens(place), place.recipient)
        if place.content is None:
            return (self._tokens.vocabulary.start,)
        complete = self._matcher.complete if self._matcher else not place.text
        return self._plan.ends(place.content, place.messages) if complete else ()

    def _fill_text(self, mask: Mask, place: Place) -> None:
        words = self._tokens.words
        if not self._spent(place):
            mask[:words] |= self._tokens.characters(place.text)
        elif place.text:
            mask[:words] |= self._tokens.rest(place.text)

    def _spent(self, place: Place) -> bool:
        """Whether this content is reasoning, and there may be no more of it."""
        limit = self._plan.rules.max_reasoning_tokens
        return place.content is not None and place.content.reasoning and limit is not None and place.reasoning >= limit

    def _opens(self, place: Place) -> Opens:
        return self._plan.opens(place.reasoning, place.messages, called=place.called, hurried=place.hurried)

    # What must come

    def _forced_here(self) -> list[int]:
        """The forced tokens of this piece or content, or the control token that ends it."""
        closings = self._closings()
        matcher = self._matcher
        if matcher is None:
            open_text = self._place.content is not None and not self._spent(self._place)
            return list(closings) if len(closings) == 1 and not open_text else []
        if closings:
            return list(closings) if len(closings) == 1 and matcher.closed else []
        text = matcher.forced[:LONGEST_FORCED]
        return self._cut(text) if text else []

    def _cut(self, text: bytes) -> list[int]:
        """The tokens of a text that must come, as far as it is sure how it is cut."""
        whole = self._tokens.cut(text, ())
        for count, token in enumerate(whole):
            if not self.accept(token):
                self.rollback(count)
                return self._tokens.cut(text)
        ways = self._ways_on()
        self.rollback(len(whole))
        return self._tokens.cut(text, ways)

    def _ways_on(self) -> Sequence[str]:
        """Beginnings of the texts that may follow: all that there are, unless this is a header, where they are few."""
        if self._matcher is None or self._matcher.closed:
            return ()
        if self._place.piece is None:
            return GOINGS_ON
        mask = np.zeros(self._tokens.words, np.int32)
        self._matcher.fill(mask)
        return ("", *(self._tokens.bytes_of(token).decode("utf-8", "replace") for token in ids_of(mask)))

    # Going on

    def _take(self, token: int) -> bool:
        """Take a token of text into the piece or content."""
        place = self._place
        if self._matcher is None:
            return place.content is not None and self._take_text(place, token)
        if not self._matcher.accept(token):
            return False
        if place.piece:
            self._place = replace(place, text=place.text + self._tokens.bytes_of(token))
        return True

    def _take_text(self, place: Place, token: int) -> bool:
        more = self._tokens.bytes_of(token)
        pending = pending_after(place.text, more) if more else None
        if pending is None or (self._spent(place) and not self._completes(place.text, more)):
            return False
        reasoning = place.reasoning + (place.content is not None and place.content.reasoning)
        self._place = replace(place, text=pending, reasoning=reasoning)
        return True

    @staticmethod
    def _completes(pending: bytes, more: bytes) -> bool:
        return bool(pending) and all(0x80 <= byte < 0xC0 for byte in more)

    def _close(self, token: int) -> None:
        """Go on after a control token."""
        v, place = self._tokens.vocabulary, self._place
        text = place.text.decode()
        if place.content:
            self._place = self._after_content(place, place.content, token)
        elif token == v.start:
            self._place = replace(place, piece=Piece.ROLE)
        elif token == v.channel:
            self._place = replace(place, piece=Piece.CHANNEL, recipient=self._plan.headers.role(text), text=b"")
        else:
            if place.piece is Piece.CHANNEL:
                said = self._plan.headers.read(text, place.recipient)
                place = replace(place, recipient=said.recipient, channel=said.channel)
            if token == v.constrain:
                self._place = replace(place, piece=Piece.TYPE, text=b"")
            else:
                content = self._plan.content(place.channel, place.recipient)
                self._place = replace(place, piece=None, content=content, text=b"")
        self._matcher = self._begun(self._place.content.pattern if self._place.content else self._header())

    def _after_content(self, place: Place, content: Content, token: int) -> Place:
        return Place(
            piece=None,
            reasoning=place.reasoning,
            messages=place.messages + 1,
            called=place.called or place.recipient is not None,
            hurried=place.hurried or self._spent(place),
            done=token != self._tokens.vocabulary.end,
        )

    def _header(self) -> Texts | None:
        place = self._place
        if place.piece is None:
            return None
        return self._plan.headers.texts(place.piece, self._opens(place), place.recipient)

    @staticmethod
    def _begun(pattern: "Pattern | Texts | None") -> "Matcher | Way | None":
        return pattern.begin() if pattern else None
