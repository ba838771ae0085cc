"""Stop strings, found in a text that comes in parts."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Passed", "StopStrings"]


class Passed(NamedTuple):
    """What may be shown, and the stop string that ended the text, if one did."""

    text: str
    stop: str | None


class StopStrings:
    """Lets a text pass up to the first stop string; holds back what may be the beginning of one.

    Of several that are complete at the same character, the one that begins first counts, so the most is cut off.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def push(self, text: str) -> Passed:
        """What passes now that `text` has come."""
        if not self._stops:
            return Passed(text, None)
        seen = len(self._held)
        self._held += text
        if found := self._first(seen):
            start, stop = found
            passed, self._held = self._held[:start], ""
            return Passed(passed, stop)
        keep = self._possible()
        passed, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return Passed(passed, None)

    def finish(self) -> str:
        """What was held back: the text ends, so it was no stop string."""
        passed, self._held = self._held, ""
        return passed

    def _first(self, seen: int) -> tuple[int, str] | None:
        """The stop string that is complete first, and where it begins; of what was held before, none was."""
        found = [
            (start + len(stop), start, stop)
            for stop in self._stops
            if (start := self._held.find(stop, max(0, seen - len(stop) + 1))) >= 0
        ]
        return min(found)[1:] if found else None

    def _possible(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        longest = min(max(map(len, self._stops)) - 1, len(self._held))
        return next(
            (size for size in range(longest, 0, -1) if any(s.startswith(self._held[-size:]) for s in self._stops)), 0
        )
