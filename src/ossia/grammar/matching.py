"""Patterns over text, compiled by llguidance, and one text's way through a pattern.

All that can be large is bounded by `LIMITS`, counted in llguidance's own units of work, so that a hostile grammar costs
some milliseconds and some megabytes before it is refused. Source: guidance-ai/llguidance, python/llguidance/_lib.pyi.
"""

import numpy as np
from llguidance import LLMatcher, LLParserLimits

from ossia.errors import GrammarError
from ossia.grammar.digits import Digits
from ossia.grammar.tokens import Mask, Tokens
from ossia.grammar.wording import in_our_words

__all__ = ["Matcher", "Pattern", "of_lark", "of_regex", "reason"]

LIMITS = LLParserLimits(
    max_items_in_row=20_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=250_000,
    verbose_errors=False,
)

LARK_OPTIONS = '%llguidance {"no_forcing": true}\n'
"""Forced text may have no end in a grammar such as `start: /c+/ "c"`, and llguidance would look for it for ever."""


class Pattern:
    """A compiled grammar over text; `begin` makes any number of ways through it.

    `short_numbers` says that it is of JSON whose numbers are to be kept short: see `Digits`. `forces` says that it may
    be asked for what must come, which llguidance follows to its end: a grammar may have none. `lines_before` are those
    of the grammar that its writer did not write.

    Raises GrammarError, with llguidance's reason in our words, when the grammar cannot be compiled within the limits,
    or when no text follows it.
    """

    def __init__(
        self, tokens: Tokens, grammar: str, *, short_numbers: bool = False, forces: bool = True, lines_before: int = 0
    ) -> None:
        self._tokens = tokens
        self.short_numbers = short_numbers
        self.forces = forces
        self._first = LLMatcher(tokens.llguidance, grammar, log_level=0, limits=LIMITS)
        if self._first.is_error():
            raise GrammarError(reason(self._first.get_error(), lines_before))
        # Asked of the one that all others are copies of: they have what its first mask took, and do not take it again.
        trial = np.zeros(tokens.words, np.int32)
        self._first.unsafe_compute_mask_ptr(trial.ctypes.data, trial.nbytes)
        if self._first.is_error():
            raise GrammarError(reason(self._first.get_error()))
        if not (trial & tokens.text).any() and not self._first.is_accepting():
            raise GrammarError("no text follows it")

    def begin(self) -> "Matcher":
        """A way through the pattern, at its beginning."""
        return Matcher(self._tokens, self._first, Digits() if self.short_numbers else None, self.forces)


def of_regex(tokens: Tokens, pattern: str) -> Pattern:
    """The pattern of texts that a regular expression matches whole. Raises GrammarError, as Pattern does."""
    return Pattern(tokens, LLMatcher.grammar_from_regex(pattern))


def of_lark(tokens: Tokens, source: str) -> Pattern:
    """The pattern of texts that a Lark grammar derives from `start`. Raises GrammarError, as Pattern does."""
    grammar = LLMatcher.grammar_from_lark(LARK_OPTIONS + source)
    return Pattern(tokens, grammar, forces=False, lines_before=LARK_OPTIONS.count("\n"))


class Matcher:
    """One text's way through a pattern, token by token. `digits` is None where numbers may be of any length."""

    def __init__(self, tokens: Tokens, first: LLMatcher, digits: Digits | None, forces: bool) -> None:
        self._tokens = tokens
        self._forces = forces
        self._first = first
        self._matcher = first.deep_copy()
        self._taken: list[tuple[int, Digits | None]] = []
        self._digits = digits
        self._scratch = np.zeros(tokens.words, np.int32)

    def fill(self, mask: Mask) -> None:
        """Set the bits of the tokens of text that may come next."""
        scratch = self._scratch
        self._matcher.unsafe_compute_mask_ptr(scratch.ctypes.data, scratch.nbytes)
        if self.failure is None:
            np.bitwise_and(scratch, self._tokens.text, out=scratch)
            if self._digits and self._digits.left < len(self._tokens.digits):
                fewer = scratch & ~self._tokens.digits[self._digits.left]
                # Where only digits can follow (a multiple of 7 cannot end anywhere), they go on.
                scratch = fewer if fewer.any() or self.complete else scratch
            mask[: len(scratch)] |= scratch

    def accept(self, token: int) -> bool:
        """Take one token of text; False, and nothing changed, if the pattern does not let it come next.

        A token that leads to where the limits end is taken, and then there is a `failure`.
        """
        text = self._tokens.bytes_of(token)
        if not text or self.failure:
            return False
        if self._matcher.try_consume_tokens([token]) != 1 and not self.failure:
            return False
        self._taken.append((token, self._digits))
        self._digits = self._digits and self._digits.after(text)
        return True

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted, and any failure that came of them."""
        if not count:
            return
        self._digits = self._taken[-count][1]
        del self._taken[-count:]
        if not self._matcher.is_error():
            self._matcher.rollback(count)
            return
        self._matcher = self._first.deep_copy()  # one that has failed stays so
        self._matcher.try_consume_tokens([token for token, _ in self._taken])

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
        """The bytes that must come next, if the pattern forces."""
        return self._matcher.compute_ff_bytes() if self._forces else b""

    @property
    def failure(self) -> str | None:
        """Why nothing can come next any more: the text led to where the limits end."""
        return reason(self._matcher.get_error()) if self._matcher.is_error() else None


def reason(error: str, lines_before: int = 0) -> str:
    """What an error of llguidance says, in our words, on one line and not without end."""
    return in_our_words(" ".join(error.split())[:500], lines_before)
