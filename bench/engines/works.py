"""What engines are given to do, alike for all, and how their figures of some rounds compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from report import spread

from .quiet import await_quiet, beside

__all__ = ["Engine", "Patience", "Turn", "Work", "compared", "ratios"]


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


@dataclass(frozen=True)
class Turn:
    """A speed, and what others took of the processors meanwhile."""

    speed: float
    others: float


@dataclass(frozen=True)
class Patience:
    """A turn waits for others to take less than `share` of the processors, and comes again where they did not.

    Of several turns the least disturbed counts, whatever its speed. Others who never rest end it: it waits for
    `seconds`, and comes again `again` times.
    """

    share: float = 0.1
    seconds: float = 0.0
    again: int = 0

    def turn(self, engine: Engine, work: Work) -> Turn:
        """One that counts."""
        turns: list[Turn] = []
        while not turns or (turns[-1].others > self.share and len(turns) <= self.again):
            await_quiet(self.share, self.seconds)
            turns.append(Turn(*beside(lambda: engine.speed(work))))
        return min(turns, key=lambda turn: turn.others)


def compared(engines: Sequence[Engine], work: Work, number: int, patience: Patience) -> dict[str, Turn]:
    """The turn of each engine in a round; who begins changes with the round's number."""
    order = engines if number % 2 == 0 else list(reversed(engines))
    turns = {engine.name: patience.turn(engine, work) for engine in order}
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
