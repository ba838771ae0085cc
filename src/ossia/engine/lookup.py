"""Guessing how a text goes on from what stands in it already: names, code and quotations come again.

Source: Saxena, Prompt Lookup Decoding (github.com/apoorvumang/prompt-lookup-decoding).
"""

from collections.abc import Sequence

__all__ = ["Lookup"]

WIDTH = 3
"""Tokens that must have come before: of two, most guesses are wrong, and four come again too rarely."""

REACH = 16_384
"""Tokens before the answer that are looked at: indexing one costs half a microsecond and some 130 bytes."""

WORTH = 0.5
"""How likely the last token of a guess must be. One more token in a step costs about as much of it: at batch 1 a step
reads four experts for every token, which at 20b is half of what it reads, and the rest once for all."""

_MEMORY = 0.9  # of what earlier guesses taught, kept with every new one


class Lookup:
    """A `Drafter` for one request: the tokens that followed the last three when they were there before.

    How long a guess is depends on how earlier ones went, those included that were too unlikely to be made.
    """

    def __init__(self, most: int, prompt: int = 0) -> None:
        """At most so many tokens at once; of the prompt's own, where nothing is drawn yet, nothing is guessed."""
        self._most = most
        self._prompt = prompt
        self._after: dict[tuple[int, ...], int] = {}
        # Runs that end before this place are indexed.
        self._known = max(WIDTH, prompt - REACH)
        self._guess: Sequence[int] = ()
        self._guessed_at = 0
        # At first a guess is as likely right as wrong.
        self._right, self._tried = 1.0, 2.0

    def propose(self, tokens: Sequence[int]) -> Sequence[int]:
        """As `Drafter.propose`; of a request whose tokens only grow."""
        if len(tokens) <= self._prompt:  # many requests may wait for their turn
            return ()
        self._learn(tokens)
        for end in range(self._known, len(tokens)):
            self._after[tuple(tokens[end - WIDTH : end])] = end
        self._known = max(self._known, len(tokens))
        place = self._after.get(tuple(tokens[-WIDTH:]))
        self._guess = () if place is None else self._again(tokens[place : place + self._most])
        self._guessed_at = len(tokens)
        return self._guess[: self._worthwhile()]

    def _again(self, tokens: Sequence[int]) -> Sequence[int]:
        """A loop's period goes on as it began."""
        return [tokens[place % len(tokens)] for place in range(self._most)]

    def _learn(self, tokens: Sequence[int]) -> None:
        """How the last guess went, as far as the tokens go by now."""
        came = tokens[self._guessed_at : self._guessed_at + len(self._guess)]
        right = next((n for n, token in enumerate(came) if token != self._guess[n]), len(came))
        if came:
            self._right = self._right * _MEMORY + right
            self._tried = self._tried * _MEMORY + right + (right < len(came))

    def _worthwhile(self) -> int:
        """How many tokens of a guess are likely enough, each one needing all before it."""
        likely, each, count = 1.0, self._right / self._tried, 0
        while count < self._most and (likely := likely * each) >= WORTH:
            count += 1
        return count
