"""Telling that a model goes in circles: it repeats the same tokens and will not stop by itself.

The last token ends a loop of period p when it and the `run` tokens before it each equal the token p earlier. Counting,
for each period, how long the equality has held takes one comparison per period and token, so the check is made once in
`EVERY` tokens, and only for the periods that the last token allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Loop", "Repetition"]

EVERY = 32
"""Tokens from one check to the next: a loop is noticed so much later at most."""


@dataclass(frozen=True, slots=True)
class Loop:
    """From when on a repetition counts as endless: `tokens` in all, of at least `times` rounds.

    A long table or a list of zeros repeats itself too, but not for so long; a loop never ends, so it is not missed.
    """

    tokens: int = 1024
    times: int = 8


class Repetition:
    """Watches the tokens of one output."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._tokens: list[int] = []
        self._next = loop.tokens + 1

    def push(self, tokens: Sequence[int]) -> bool:
        """Whether the output, now that these have come, goes in circles."""
        self._tokens.extend(tokens)
        if len(self._tokens) < self._next:
            return False
        self._next = len(self._tokens) + EVERY
        return self._circling(np.array(self._tokens[-self._loop.tokens :], np.int32))

    def _circling(self, window: np.ndarray) -> bool:
        longest = self._loop.tokens // self._loop.times
        earlier = np.flatnonzero(window[-longest - 1 : -1] == window[-1])
        periods = min(longest, len(window) - 1) - earlier
        return any(np.array_equal(window[period:], window[:-period]) for period in periods.tolist())
