"""Which tokens of which requests a step computes. Plain integers: no arrays of the model, no weights.

**Order.** Higher priority first. Within a priority clients take turns: the first request of each client comes before
the second of any, so one that brings a hundred runs no more of them beside another's single one than that one does.
Who waits and comes before the last who runs, takes its place (with its pages, if they are what is missing). Among
clients that have as many running, the one that was served fewest tokens comes first, and then first come, first served.

**A step** is filled in this order: every request that generates gets its next token, and tokens ahead. One half of what
is left goes to the prompt of the least served client that came first; then requests are let in; the other half goes to
all prompts, the least served client's first and of each client's the one that lacks least. So a long prompt delays
neither those who generate nor a short one, and advances by half a step at least. Chunks shrink to the pages there are,
and where somebody generates, to what may be computed beside it (see `ossia.engine.pace`).

**Memory.** A request is let in when its prompt, and all that is still to come of those that run, find pages; until then
nobody overtakes it. When not even one token of a running request finds a page, the last of those that run is
preempted: its pages become idle, it waits at its old rank, and later goes on from whatever of them is still there. The
first of those that run always advances, and who was preempted does not fit again before a page comes back.

A request waits while the very prompt it brings is computed for another: several answers to one prompt cost it once.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable

from ossia.engine.fairness import Fairness
from ossia.engine.prefix import Ledger
from ossia.engine.request import Request, Share

__all__ = ["Scheduler"]


class Scheduler:
    """The requests that wait, by client and in order of rank, and those that run, in the order above."""

    def __init__(self, ledger: Ledger, max_requests: int, max_step_tokens: int, boundary_tokens: Iterable[int]) -> None:
        self.ledger = ledger
        self.running: list[Request] = []
        self.preemptions = 0
        self.prompt_tokens = self.cached_tokens = 0
        self._queues: dict[bytes, list[Request]] = {}
        self._fairness = Fairness()
        self._refused: tuple[Request, list[int]] | None = None
        self._max_requests = max_requests
        self._max_step_tokens = max_step_tokens
        self._boundaries = frozenset(boundary_tokens)

    @property
    def waiting(self) -> list[Request]:
        """All who wait, by rank: higher priority, then first come."""
        return sorted((request for queue in self._queues.values() for request in queue), key=_rank)

    @property
    def waiting_count(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._queues.values()))

    def waiting_of(self, client: bytes) -> int:
        """How many requests of one client wait."""
        return len(self._queues.get(client, ()))

    def add(self, request: Request) -> None:
        """Let a request wait for its turn."""
        self._fairness.arrive(request.client)
        self._queue(request)

    def plan(self, beside: int | None = None) -> list[Share]:
        """This step's shares, pages reserved. A step that failed, and so was not settled, may be planned again.

        Where somebody generates, at most `beside` tokens of prompts are computed beside it, 1 at least.
        """
        for request in self.running:
            self.ledger.trim(request.holding)
        self._make_way()
        shares: dict[Request, Share] = {}
        most = self._most_of_prompts(beside)
        allotted = self._allotted(most)
        for request in [*self.running]:
            if request in allotted and request in self.running and (share := self._share(request, allotted[request])):
                shares[request] = share
        budget = min(
            self._max_step_tokens - _tokens(shares.values()),
            most - _tokens(share for share in shares.values() if not share.request.generating),
        )
        while budget > 0 and self._admit():
            pass
        self._fill(shares, budget)
        return [shares[request] for request in self.running if request in shares]

    def settle(self, request: Request, computed: int) -> None:
        """The step is over: the first `computed` tokens of this request are computed and stay."""
        self._fairness.serve(request.client, computed - request.holding.computed)
        self.ledger.commit(request.holding, computed, self._marks(request, computed))

    def finish(self, request: Request) -> None:
        """Take a request out, running or waiting."""
        if request in self.running:
            self.ledger.close(request.holding)
            self.running.remove(request)
            self._arrange()
        else:
            self._unqueue(request)
        self._fairness.leave(request.client)

    def audit(self) -> None:
        """Raise AssertionError unless the books are in order."""
        self.ledger.audit([request.holding for request in self.running])
        assert len(self.running) <= self._max_requests, "more requests run than may"
        order = [*self.running]
        self._arrange()
        assert order == self.running, "those that run are out of order"
        for client, queue in self._queues.items():
            assert queue == sorted(queue, key=_rank), "a queue is out of order"
            assert {request.client for request in queue} == {client}, "a queue is empty, or another's"
        for request in self.running:
            assert 0 <= request.holding.computed < len(request.tokens) < request.limit, "a request has gone too far"
        assert all(not request.holding.tables for request in self.waiting), "a waiting request holds pages"
        self._fairness.audit(Counter(request.client for request in [*self.running, *self.waiting]))

    def _make_way(self) -> None:
        """Preempt the last who runs if who waits comes before it and cannot be let in without that."""
        if not self.running or not self._queues:
            return
        last, counts = self.running[-1], self._counts()
        place = last.rank[0], counts[last.client] - 1
        if place[1] == 0 and all(queue[0].rank[0] >= place[0] for queue in self._queues.values()):
            return
        head = self._head()
        if head is None or (len(self.running) < self._max_requests and not self._refused_before(head)):
            return
        if (head.rank[0], counts[head.client]) < place:
            self._preempt(last)

    def _most_of_prompts(self, beside: int | None) -> int:
        """How many tokens of prompts this step may compute at most."""
        generates = any(request.generating for request in self.running)
        return self._max_step_tokens if beside is None or not generates else max(beside, 1)

    def _allotted(self, most: int) -> dict[Request, int]:
        """How many tokens those may compute who come before others: all that generate, one prompt, and the first.

        Prompts get at most so many together.
        """
        if not self.running:
            return {}
        generating = [request for request in self.running if request.generating]
        budget = self._max_step_tokens - len(generating)
        allotted: dict[Request, int] = {}
        for request in generating:
            ahead = min(request.wanted - 1, budget)
            allotted[request] = 1 + ahead
            budget -= ahead
        budget = min(budget, most)
        if budget > 0 and not self.running[0].generating:
            allotted[self.running[0]] = 1
            budget -= 1
        prompts = [request for request in self.running if not request.generating]
        if prompts and budget > 0:
            least = min(prompts, key=self._turn)
            allotted[least] = allotted.get(least, 0) + budget - budget // 2
        return allotted

    def _share(self, request: Request, budget: int) -> Share | None:
        """A running request's share; None if it had to be preempted itself."""
        while self.ledger.room(request.holding) <= 0:
            last = self.running[-1]
            self._preempt(last)
            if last is request:
                return None
        return self._reserved(request, budget)

    def _fill(self, shares: dict[Request, Share], budget: int) -> None:
        """Give the rest of a step to prompts and to those just let in, as far as there are pages."""
        wanting = [request for request in self.running if request not in shares or not request.generating]
        for request in sorted(wanting, key=self._shortest):
            has = shares[request].end - shares[request].start if request in shares else 0
            if budget > 0 and self.ledger.room(request.holding) > 0:
                shares[request] = share = self._reserved(request, has + budget)
                budget -= share.end - share.start - has

    def _reserved(self, request: Request, budget: int) -> Share:
        start = request.holding.computed
        end = start + min(request.wanted, budget, self.ledger.room(request.holding))
        self.ledger.reserve(request.holding, end)
        return Share(request, start, end)

    def _admit(self) -> bool:
        """Let the first who waits run from now on; False if there is none, or no place or pages for it yet."""
        if not self._queues or len(self.running) >= self._max_requests:
            return False
        request = self._head()
        if request is None or self._refused_before(request):
            return False
        self.ledger.open(request.holding)
        if not self.ledger.fits(request.holding, self._spare()):
            self.ledger.close(request.holding)
            self._refused = request, self._spare()
            return False
        if request.cached_tokens is None:
            request.cached_tokens = request.holding.computed
            self.prompt_tokens += request.prompt_tokens
            self.cached_tokens += request.cached_tokens
        self._unqueue(request)
        self.running.append(request)
        self._arrange()
        return True

    def _head(self) -> Request | None:
        """Who is to be let in first, but for those whose prompt is on its way through the model."""
        counts = self._counts()
        prompts = [request for request in self.running if not request.generating]
        firsts = [
            next((request for request in queue if not _computed_by_another(request, prompts)), None)
            for queue in self._queues.values()
        ]
        return min(
            filter(None, firsts),
            key=lambda request: (request.rank[0], counts[request.client], *self._turn(request)[1:]),
            default=None,
        )

    def _refused_before(self, request: Request) -> bool:
        """Whether it did not fit when no fewer pages were to spare: a long prefix is not looked for in vain."""
        if self._refused is None or self._refused[0] is not request:
            return False
        return all(now <= then for now, then in zip(self._spare(), self._refused[1], strict=True))

    def _spare(self) -> list[int]:
        return self.ledger.spare([request.holding for request in self.running])

    def _preempt(self, request: Request) -> None:
        self.running.remove(request)
        self._arrange()
        self.ledger.close(request.holding)
        self._queue(request)
        self.preemptions += 1

    def _queue(self, request: Request) -> None:
        insort(self._queues.setdefault(request.client, []), request, key=_rank)

    def _unqueue(self, request: Request) -> None:
        queue = self._queues[request.client]
        queue.remove(request)
        if not queue:
            del self._queues[request.client]

    def _arrange(self) -> None:
        """Put those that run in order: by priority, then the first request of each client, then the second of each."""
        places: dict[Request, tuple[int, int, int]] = {}
        counts: Counter[bytes] = Counter()
        for request in sorted(self.running, key=_rank):
            places[request] = request.rank[0], counts[request.client], request.rank[1]
            counts[request.client] += 1
        self.running.sort(key=places.__getitem__)

    def _counts(self) -> Counter[bytes]:
        return Counter(request.client for request in self.running)

    def _turn(self, request: Request) -> tuple[int, int, int]:
        return request.rank[0], self._fairness.served(request.client), request.rank[1]

    def _shortest(self, request: Request) -> tuple[int, int, int]:
        lacks = len(request.tokens) - request.holding.computed
        return request.rank[0], self._fairness.served(request.client), lacks

    def _marks(self, request: Request, computed: int) -> list[int]:
        """Where the sliding layers are kept among the tokens now computed.

        Among them is the place before the prompt's last token: who brings the same prompt must compute at least that
        one, since its logits are not kept.
        """
        start, tokens = request.holding.computed, request.tokens
        marks = [place + 1 for place in range(start, computed) if tokens[place] in self._boundaries]
        ends = (request.prompt_tokens - 1, request.holding.parting)
        return marks + [mark for mark in ends if start < mark <= computed]


def _tokens(shares: Iterable[Share]) -> int:
    return sum(share.end - share.start for share in shares)


def _rank(request: Request) -> tuple[int, int]:
    return request.rank


def _computed_by_another(request: Request, prompts: Iterable[Request]) -> bool:
    """Whether the same prompt is among those on their way through the model: once it is there, it can be shared."""
    return any(request.holding.same(other.holding) for other in prompts)
