"""A conversation's beginning: taken from where it was kept, and kept for another start.

All conversations of a day begin with the same system message, some sixty tokens that choose nearly every expert: for a
large model that is most of what the first answer waits for. What it leaves in the cache is a few megabytes.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from ossia.engine.prefix import Holding, Ledger
from ossia.engine.runner import Runner

__all__ = ["Beginner", "Beginnings"]

Pages = Sequence[np.ndarray]
"""What a request's pages hold, of each layer uint8 [pages, N]."""


class Beginnings(Protocol):
    """Where pages are kept, by the tokens that they are of."""

    def misses(self, tokens: Sequence[int]) -> bool:
        """Whether these are not kept and could be."""
        ...

    def recall(self, tokens: Sequence[int]) -> Pages | None:
        """The pages of these tokens, as they were kept; None if they are not."""
        ...

    def keep(self, tokens: Sequence[int], pages: Pages) -> None:
        """Keep them, if that can be done."""
        ...


class Beginner:
    """Looks after the first messages of prompts."""

    def __init__(self, ledger: Ledger, runner: Runner, boundaries: Iterable[int], kept: Beginnings) -> None:
        self._ledger, self._runner, self._kept = ledger, runner, kept
        self._boundaries = frozenset(boundaries)

    def recall(self, holding: Holding) -> Holding | None:
        """Before a request is opened: have the pages of its beginning in the cache, if they are kept.

        The beginning as a request of its own, for `keep`; None where there is none.
        """
        tokens = holding.tokens
        end = next((place for place, token in enumerate(tokens, 1) if token in self._boundaries), len(tokens))
        if end == len(tokens):
            return None
        beginning = holding.with_tokens(tokens[:end])
        if not self._ledger.has(beginning) and (pages := self._kept.recall(beginning.tokens)) is not None:
            self._lay_out(beginning, pages)
        return beginning

    def keep(self, beginning: Holding) -> None:
        """After a request was closed: keep the pages of its beginning, if they are not kept yet."""
        if not self._kept.misses(beginning.tokens) or not self._ledger.has(beginning):
            return
        # What is opened computes at least one token more.
        opened = beginning.with_tokens([*beginning.tokens, 0])
        self._ledger.open(opened)
        try:
            if opened.computed == len(beginning.tokens):
                self._kept.keep(beginning.tokens, self._runner.read_pages(opened.tables))
        finally:
            self._ledger.close(opened)

    def _lay_out(self, beginning: Holding, pages: Pages) -> None:
        if not self._ledger.lay_out(beginning):
            return
        try:
            if self._runner.write_pages(beginning.tables, pages):
                self._ledger.commit(beginning, len(beginning.tokens), [len(beginning.tokens)])
        finally:
            self._ledger.close(beginning)
