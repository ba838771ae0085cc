"""Patterns over text, compiled by llguidance, and one text's way through a pattern.

All that can be large is bounded by `LIMITS`, counted in llguidance's own units of work, so that a hostile grammar costs
some milliseconds and some megabytes before it is refused. Source: guidance-ai/llguidance, python/llguidance/_lib.pyi.
"""

import numpy as np
from llguidance import LLMatcher, LLParserLimits

from ossia.errors import GrammarError
from ossia.grammar.tokens import Mask, Tokens

__all__ = ["Matcher", "Pattern"]

LIMITS = LLParserLimits(
    max_items_in_row=2_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=250_000,
    verbose_errors=False,
)


class Pattern:
    """A compiled grammar over text; `begin` makes any number of ways through it.

    Raises GrammarError, with llguidance's reason, when the grammar cannot be compiled within the limits, or when no
    text follows it.
    """

    def __init__(self, tokens: Tokens, grammar: str) -> None:
        self._tokens = tokens
        self._first = LLMatcher(tokens.llguidance, grammar, log_level=0, limits=LIMITS)
        if self._first.is_error():
            raise GrammarError(reason(self._first.get_error()))
        trial = np.zeros(tokens.words, np.int32)
        first = self.begin()
        first.fill(trial)
        if first.failure:
            raise GrammarError(first.failure)
        if not trial.any() and not first.complete:
            raise GrammarError("no text follows it")

    def begin(self) -> "Matcher":
        """A way through the pattern, at its beginning."""
        return Matcher(self._tokens, self._first.deep_copy())


class Matcher:
    """One text's way through a pattern, token by token."""

    def __init__(self, tokens: Tokens, matcher: LLMatcher) -> None:
        self._tokens = tokens
        self._matcher = matcher
        self._scratch = np.zeros(tokens.words, np.int32)

    def fill(self, mask: Mask) -> None:
        """Set the bits of the tokens of text that may come next."""
        scratch = self._scratch
        self._matcher.unsafe_compute_mask_ptr(scratch.ctypes.data, scratch.nbytes)
        if self.failure is None:
            np.bitwise_and(scratch, self._tokens.text, out=mask[: len(scratch)])

    def accept(self, token: int) -> bool:
        """Take one token of text; False, and nothing changed, if it may not come next."""
        return bool(self._tokens.bytes_of(token)) and self._matcher.try_consume_tokens([token]) == 1

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted."""
        if count:
            self._matcher.rollback(count)

    @property
    def complete(self) -> bool:
        """Whether the text may end here."""
        return self._matcher.is_accepting()

    @property
    def closed(self) -> bool:
        """Whether it must end here."""
        return self._matcher.is_stopped() and self._matcher.is_accepting()

    @property
    def forced(self) -> bytes:
        """The bytes that must come next."""
        return self._matcher.compute_ff_bytes()

    @property
    def failure(self) -> str | None:
        """Why nothing can come next any more: the text led to where the limits end."""
        return reason(self._matcher.get_error()) if self._matcher.is_error() else None


def reason(error: str) -> str:
    """llguidance's words for an error, on one line and not without end."""
    return " ".join(error.split())[:500]
