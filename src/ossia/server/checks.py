"""What of a request's rules masks do not hold: looked into once for the same rules, a few at a time, clients in turn.

A client's tools are the same in all turns of its conversation, and a compilation may take seconds.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from threading import Lock

from ossia.errors import GrammarError
from ossia.grammar import Loosened, Rules, check
from ossia.grammar.rules import LONGEST_SOURCE
from ossia.harmony import Vocabulary

__all__ = ["Checks", "Turns"]

MOST_REMEMBERED = 256
MOST_LOOSENED = 100
"""Of rules that loosen more keywords nothing is remembered, so that all of it is a few megabytes at most."""

AT_ONCE = 2
"""Checks that are under way at once, of the threads that all requests share."""


class Checks:
    """The checks for one model. May be used by several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._found: OrderedDict[bytes, tuple[Loosened, ...]] = OrderedDict()
        self._lock = Lock()

    def knows(self, rules: Rules) -> bool:
        """Whether these rules were looked into before. Raises GrammarError for rules that are too long."""
        return self._remembered(_key(rules)) is not None

    def of(self, rules: Rules) -> tuple[Loosened, ...]:
        """What of the rules masks do not guarantee. Raises GrammarError for what cannot be honoured."""
        key = _key(rules)
        if (found := self._remembered(key)) is not None:
            return found
        found = check(rules, self._vocabulary).loosened
        if len(found) <= MOST_LOOSENED:
            with self._lock:
                self._found[key] = found
                if len(self._found) > MOST_REMEMBERED:
                    self._found.popitem(last=False)
        return found

    def _remembered(self, key: bytes) -> tuple[Loosened, ...] | None:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)


class Turns:
    """At most so many at once; of those who wait, one whose client has fewest under way is next. For one event loop."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = at_once
        self._under_way: Counter[bytes] = Counter()
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def of(self, client: bytes) -> AsyncIterator[None]:
        """A turn of this client, as long as the context lasts."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((client, turn))
        self._give()
        try:
            await turn
            yield
        finally:
            self._waiting = [(other, waiting) for other, waiting in self._waiting if waiting is not turn]
            if turn.done() and not turn.cancelled():
                self._free += 1
                self._under_way -= Counter([client])
            self._give()

    def _give(self) -> None:
        while self._free and self._waiting:
            place = min(range(len(self._waiting)), key=lambda place: (self._under_way[self._waiting[place][0]], place))
            client, turn = self._waiting.pop(place)
            if not turn.done():
                self._free -= 1
                self._under_way[client] += 1
                turn.set_result(None)


def _key(rules: Rules) -> bytes:
    source = rules.to_source()
    if len(source) > LONGEST_SOURCE:
        raise GrammarError(
            f"tools and the form of the answer have {len(source)} characters together; at most {LONGEST_SOURCE} are "
            "right",
            param="tools",
        )
    return sha256(source.encode("utf-8", "surrogatepass")).digest()
