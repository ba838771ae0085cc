"""A text that is one of a few: Harmony's headers and a choice among values, without a parser.

The texts are kept sorted, so that those that go on from a beginning are neighbours, and what they have in common is
what their first and last have in common.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ossia.grammar.tokens import Mask, Tokens, bit

__all__ = ["Texts", "Way"]


class Spot(NamedTuple):
    """A beginning, and the texts that go on from it: those with a place from `first` to below `last`."""

    begun: bytes
    first: int
    last: int


class Texts:
    """A set of texts, at least one; `begin` makes any number of ways through it."""

    def __init__(self, tokens: Tokens, texts: Iterable[str]) -> None:
        self._tokens = tokens
        self._ids: Mapping[bytes, int] = tokens.vocabulary.ranks
        self._texts = sorted({text.encode() for text in texts})
        self._next: dict[bytes, tuple[int, ...]] = {}

    def begin(self) -> "Way":
        """A way through the texts, at their beginning."""
        return Way(self, Spot(b"", 0, len(self._texts)))

    def whole(self, spot: Spot) -> bool:
        """Whether the beginning is itself one of the texts: then it is the first of those that go on from it."""
        return self._texts[spot.first] == spot.begun

    def common(self, spot: Spot) -> bytes:
        """What all texts that go on from here go on with."""
        first, last = self._texts[spot.first], self._texts[spot.last - 1]
        return first[len(spot.begun) : _in_common(first, last)]

    def after(self, spot: Spot, token: int) -> Spot | None:
        """Where a token of text leads to; None if no text goes on with it."""
        more = self._tokens.bytes_of(token)
        if not more:
            return None
        begun = spot.begun + more
        first = bisect_left(self._texts, begun, spot.first, spot.last)
        last = self._behind(begun, first, spot.last)
        return Spot(begun, first, last) if first < last else None

    def tokens(self, spot: Spot) -> tuple[int, ...]:
        """The tokens that lead on."""
        if spot.begun not in self._next:
            self._next[spot.begun] = tuple(self._leading_on(spot))
        return self._next[spot.begun]

    def _leading_on(self, spot: Spot) -> Iterable[int]:
        """Walk the tree that sorted texts are: what some have in common is looked at once for all of them."""
        start, spans = len(spot.begun), [(spot.first, spot.last, len(spot.begun))]
        while spans:
            place, last, seen = spans.pop()
            text = self._texts[place]
            common = _in_common(text, self._texts[last - 1])
            for end in range(seen + 1, common + 1):
                token = self._ids.get(text[start:end])
                if token is not None:
                    yield token
            place += len(text) == common
            while place < last:
                behind = self._behind(self._texts[place][: common + 1], place, last)
                spans.append((place, behind, common))
                place = behind

    def _behind(self, begun: bytes, first: int, last: int) -> int:
        """The place behind the texts with this beginning, of those from `first` to below `last`."""
        return bisect_right(self._texts, begun, first, last, key=lambda text: text[: len(begun)])


class Way:
    """One text's way through the texts, token by token."""

    failure = None

    def __init__(self, texts: Texts, spot: Spot) -> None:
        self._texts = texts
        self._spots = [spot]

    def fill(self, mask: Mask) -> None:
        """Set the bits of the tokens of text that may come next."""
        for token in self._texts.tokens(self._spots[-1]):
            bit(mask, token)

    def accept(self, token: int) -> bool:
        """Take one token of text; False, and nothing changed, if no text goes on with it."""
        spot = self._texts.after(self._spots[-1], token)
        if spot is not None:
            self._spots.append(spot)
        return spot is not None

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted."""
        if count:
            del self._spots[-count:]

    @property
    def complete(self) -> bool:
        """Whether the text may end here."""
        return self._texts.whole(self._spots[-1])

    @property
    def closed(self) -> bool:
        """Whether it must end here."""
        spot = self._spots[-1]
        return self.complete and spot.last - spot.first == 1

    @property
    def forced(self) -> bytes:
        """The bytes that must come next; none where the text may end."""
        return self._texts.common(self._spots[-1])


def _in_common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with that are the same."""
    differ = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
