"""How many requests may wait, and when one that was turned away had better come again."""

import time
from collections import deque
from collections.abc import Callable

from ossia.engine.config import EngineConfig
from ossia.errors import OverloadedError

__all__ = ["Overload"]

ENDINGS = 32
"""The last so many endings tell how fast requests come to their end."""

SOONEST, LATEST = 1.0, 60.0
"""Seconds within which a client is asked to come again."""


class Overload:
    """The limits of `config`, and how fast requests have been ending."""

    def __init__(self, config: EngineConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._endings: deque[float] = deque(maxlen=ENDINGS)

    def ended(self) -> None:
        """A request has come to its end: there is room for another."""
        self._endings.append(self._clock())

    def check(self, waiting: int, waiting_of_client: int, bound: float) -> None:
        """Raise OverloadedError if no more may wait.

        `bound` is in how many seconds one of those that run will have ended at the latest.
        """
        for name, count in (("max_waiting", waiting), ("max_waiting_per_client", waiting_of_client)):
            most = getattr(self._config, name)
            if most is not None and count >= most:
                seconds = self._retry_after(bound)
                whose = "" if name == "max_waiting" else " of this client"
                raise OverloadedError(
                    f"{count} requests{whose} wait already, and at most {most} may; try again in {seconds:.0f} s",
                    seconds,
                )

    def _retry_after(self, bound: float) -> float:
        """The mean time between endings of late, or before there were any, the bound."""
        expected = (self._clock() - self._endings[0]) / len(self._endings) if self._endings else bound
        return float(round(min(max(expected, SOONEST), LATEST)))
