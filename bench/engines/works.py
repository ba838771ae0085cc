"""What engines are given to do, alike for all, and how their figures of some rounds compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from report import spread

__all__ = ["Engine", "Turn", "Work", "compared", "ratios"]


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


@dataclass(frozen=True)
class Turn:
    """Tokens a second, of all requests together, and for what share of that time the engine had no processor."""

    speed: float
    waited: float

    def alone(self) -> "Turn":
        """By the time that it had its processor: a thread that waits for no other loses no more than that."""
        return Turn(self.speed / (1 - self.waited), self.waited)


class Engine(Protocol):
    """An engine with the weights that it runs."""

    @property
    def name(self) -> str:
        """What the page calls it."""
        ...

    def turns(self, work: Work, repeats: int) -> list[Turn]:
        """Load the weights, warm up and measure so often."""
        ...


def compared(engines: Sequence[Engine], work: Work, number: int, repeats: int) -> dict[str, Turn]:
    """The turn of each engine in a round; who begins changes with the round's number.

    Of an engine's repeats the one that waited least for processors counts, whatever its speed.
    """
    order = engines if number % 2 == 0 else list(reversed(engines))
    turns = {each.name: min(each.turns(work, repeats), key=lambda turn: turn.waited) for each in order}
    return {engine.name: turns[engine.name] for engine in engines}


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
