"""How much each client has been served, in tokens computed; the least served comes first.

A client that comes anew starts where the least served of the others is: it is not paid for the time in which it wanted
nothing. One that goes and comes back is not forgiven what it was served beyond that.

Source: Sheng et al., "Fairness in Serving Large Language Models" (2024), Virtual Token Counter.
"""

from collections import Counter

__all__ = ["Fairness"]


class Fairness:
    """Tokens computed by client, and how many requests each has here."""

    def __init__(self) -> None:
        self._served: dict[bytes, int] = {}
        self._requests: Counter[bytes] = Counter()

    def served(self, client: bytes) -> int:
        """What a client that has requests here counts as having been served."""
        return self._served[client]

    def arrive(self, client: bytes) -> None:
        """A request of this client has come."""
        if not self._requests[client]:
            least = min((self._served[other] for other in self._requests), default=None)
            own = max(self._served.get(client, 0), least or 0) if self._requests else 0
            self._forget(least)
            self._served[client] = own
        self._requests[client] += 1

    def leave(self, client: bytes) -> None:
        """A request of this client has ended."""
        self._requests[client] -= 1
        if not self._requests[client]:
            del self._requests[client]

    def serve(self, client: bytes, tokens: int) -> None:
        """So many tokens were computed for this client."""
        self._served[client] += tokens

    def _forget(self, least: int | None) -> None:
        """Drop what makes no difference any more of clients that have nothing here."""
        gone = [other for other, served in self._served.items() if least is None or served <= least]
        for other in gone:
            if other not in self._requests:
                del self._served[other]

    def audit(self, clients: Counter[bytes]) -> None:
        """Raise AssertionError unless the requests of each client are counted right."""
        assert self._requests == clients, "a client's requests are counted wrong"
        assert self._served.keys() >= clients.keys(), "a client with requests has no count"
