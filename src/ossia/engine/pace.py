"""How many tokens of prompts a step may compute beside those that generate, so that it takes no longer than it may.

A step costs what it costs to read the weights, and so much more for each token of a prompt. Both are measured: the one
in steps that only generate, the other in those with prompts. Chunks come to fit by themselves, whatever the machine is
and whatever else it does. Results do not depend on them.
"""

__all__ = ["LEAST", "Pace"]

LEAST = 16
"""Tokens of prompts that a step may always compute: prompts go on however slow the machine is."""

NEWEST = 0.5
"""How much the last measurement counts, and all before it together the rest."""


class Pace:
    """What steps have cost, and so what fits into `seconds`; None: any number does."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._step: float | None = None
        self._token: float | None = None

    def prompt_tokens(self) -> int | None:
        """How many tokens of prompts fit into a step in which somebody generates; None while nothing is known."""
        if self._seconds is None or self._token is None:
            return None
        return max(LEAST, int((self._seconds - (self._step or 0.0)) / max(self._token, 1e-9)))

    def measured(self, seconds: float, prompt_tokens: int) -> None:
        """A step has taken so long, with so many tokens of prompts. Fewer than `LEAST` say little of what one costs."""
        if not prompt_tokens:
            self._step = _mixed(self._step, seconds)
        elif prompt_tokens >= LEAST:
            self._token = _mixed(self._token, max(seconds - (self._step or 0.0), 0.0) / prompt_tokens)


def _mixed(before: float | None, now: float) -> float:
    return now if before is None else before + NEWEST * (now - before)
