"""What engines are given to do, alike for all, and how their figures of some rounds compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from report import spread

__all__ = ["Engine", "Work", "compared", "ratios"]


@dataclass(frozen=True)
class Work:
    """Tokens of a prompt, of an answer, and before both; requests at once. `prefill` says which speed is meant."""

    prompt: int
    generate: int
    batch: int = 1
    depth: int = 0
    prefill: bool = False

    @property
    def name(self) -> str:
        """What the page calls it."""
        if self.prefill:
            return f"prompt of {self.prompt:,}"
        together = "" if self.batch == 1 else f", {self.batch} together"
        return f"answer of {self.generate}{together}" + (f" at depth {self.depth:,}" if self.depth else "")


class Engine(Protocol):
    """An engine with the weights that it runs."""

    @property
    def name(self) -> str:
        """What the page calls it."""
        ...

    def speed(self, work: Work) -> float:
        """Tokens a second, of all requests together, measured once after a warm-up."""
        ...


def compared(engines: Sequence[Engine], work: Work, rounds: int) -> dict[str, list[float]]:
    """The speed of each engine in each round. They take turns, and who begins changes."""
    found: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            found[engine.name].append(engine.speed(work))
    return found


def ratios(speeds: dict[str, list[float]], own: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each of our ways to compute, by rival: our speed over theirs, within a round."""
    return {
        name: {
            rival: spread([mine / other for mine, other in zip(speeds[name], theirs, strict=True)])
            for rival, theirs in speeds.items()
            if rival not in own
        }
        for name in own
    }
