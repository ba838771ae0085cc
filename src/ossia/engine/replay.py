"""Text that is already there, drawn again: to score each of its tokens in the place where it stands."""

from collections.abc import Sequence

import numpy as np

__all__ = ["Replay"]

AHEAD = 64
"""Tokens expected at once, and so rows of logits in a step: 51 MB in float32 at 201,088 tokens."""


class Replay:
    """A Grammar that allows these tokens, in this order, and nothing after them."""

    failure: str | None = None

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tuple(tokens)
        self._place = 0

    def fill_mask(self, mask: np.ndarray) -> None:
        """Allow the next token, or none at the end."""
        if self._place < len(self._tokens):
            token = self._tokens[self._place]
            mask.view(np.uint32)[token // 32] = 1 << token % 32

    def accept(self, token: int) -> bool:
        """Take the next token; False for any other."""
        expected = self._tokens[self._place : self._place + 1] == (token,)
        self._place += expected
        return expected

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens."""
        self._place -= count

    def forced(self) -> Sequence[int]:
        """The tokens that come next, as many as a step is to score."""
        return self._tokens[self._place : self._place + AHEAD]
