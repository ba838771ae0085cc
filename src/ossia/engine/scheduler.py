"""Which tokens of which requests a step computes. Plain integers: no arrays of the model, no weights.

A step is filled in this order: every request that generates gets its next token; what is left of the step's tokens goes
to chunks of prompts (and tokens ahead), in order of rank: higher priority first, then first come, first served. A
request that is not given all it wanted goes on in the next step; chunks shrink to the pages there are. When not even
one token of a running request finds a page, the running request of lowest rank is preempted: its pages become idle,
it waits at its old rank, and later goes on from whatever of them is still there. So the request of highest rank
always advances, and who was preempted does not fit again before a page comes back.

A request waits while the very prompt it brings is computed for another: several answers to one prompt cost it once.
"""

from bisect import insort
from collections.abc import Iterable

from ossia.engine.prefix import Ledger
from ossia.engine.request import Request, Share

__all__ = ["Scheduler"]


class Scheduler:
    """The requests that wait and those that run, both in order of rank."""

    def __init__(self, ledger: Ledger, max_requests: int, max_step_tokens: int, boundary_tokens: Iterable[int]) -> None:
        self.ledger = ledger
        self.waiting: list[Request] = []
        self.running: list[Request] = []
        self.preemptions = 0
        self.prompt_tokens = self.cached_tokens = 0
        self._refused: tuple[Request, list[int]] | None = None
        self._max_requests = max_requests
        self._max_step_tokens = max_step_tokens
        self._boundaries = frozenset(boundary_tokens)

    def add(self, request: Request) -> None:
        """Let a request wait for its turn."""
        insort(self.waiting, request, key=_rank)

    def plan(self) -> list[Share]:
        """This step's shares, pages reserved. A step that failed, and so was not settled, may be planned again."""
        for request in self.running:
            self.ledger.trim(request.holding)
        shares: list[Share] = []
        budget = self._max_step_tokens - sum(request.generating for request in self.running)
        for request in [*self.running]:
            if request in self.running and (share := self._share(request, budget)):
                shares.append(share)
                budget -= share.end - share.start - request.generating
        while budget > 0 and (request := self._admit()):
            shares.append(self._reserved(request, budget))
            budget -= shares[-1].end - shares[-1].start
        return shares

    def settle(self, request: Request, computed: int) -> None:
        """The step is over: the first `computed` tokens of this request are computed and stay."""
        self.ledger.commit(request.holding, computed, self._marks(request, computed))

    def finish(self, request: Request) -> None:
        """Take a request out, running or waiting."""
        if request in self.running:
            self.running.remove(request)
            self.ledger.close(request.holding)
        else:
            self.waiting.remove(request)

    def audit(self) -> None:
        """Raise AssertionError unless the books are in order."""
        self.ledger.audit([request.holding for request in self.running])
        assert len(self.running) <= self._max_requests, "more requests run than may"
        for queue in (self.waiting, self.running):
            assert queue == sorted(queue, key=_rank), "a queue is out of order"
        for request in self.running:
            assert 0 <= request.holding.computed < len(request.tokens) < request.limit, "a request has gone too far"
        assert all(not request.holding.tables for request in self.waiting), "a waiting request holds pages"

    def _share(self, request: Request, budget: int) -> Share | None:
        """A running request's share; None if the step is full, or if it had to be preempted itself."""
        if budget + request.generating <= 0:
            return None
        while self.ledger.room(request.holding) <= 0:
            victim = self.running[-1]
            self._preempt(victim)
            if victim is request:
                return None
        return self._reserved(request, budget + request.generating)

    def _reserved(self, request: Request, budget: int) -> Share:
        start = request.holding.computed
        end = start + min(request.wanted, budget, self.ledger.room(request.holding))
        self.ledger.reserve(request.holding, end)
        return Share(request, start, end)

    def _admit(self) -> Request | None:
        """The first waiting request, running from now on; None if it does not fit yet."""
        if not self.waiting or len(self.running) >= self._max_requests:
            return None
        request = self.waiting[0]
        if self._refused_before(request) or self._computed_by_another(request):
            return None
        self.ledger.open(request.holding)
        if not self.ledger.fits(request.holding):
            self.ledger.close(request.holding)
            self._refused = request, self.ledger.available
            return None
        if request.cached_tokens is None:
            request.cached_tokens = request.holding.computed
            self.prompt_tokens += request.prompt_tokens
            self.cached_tokens += request.cached_tokens
        insort(self.running, self.waiting.pop(0), key=_rank)
        return request

    def _refused_before(self, request: Request) -> bool:
        """Whether it did not fit when no fewer pages were available: a long prefix is not looked for in vain."""
        if self._refused is None or self._refused[0] is not request:
            return False
        return all(now <= then for now, then in zip(self.ledger.available, self._refused[1], strict=True))

    def _computed_by_another(self, request: Request) -> bool:
        """Whether the same prompt is on its way through the model: once it is there, it can be shared."""
        start = request.holding.digest(0)
        return any(
            not other.generating and other.tokens == request.tokens and other.holding.digest(0) == start
            for other in self.running
        )

    def _preempt(self, request: Request) -> None:
        self.running.remove(request)
        self.ledger.close(request.holding)
        insort(self.waiting, request, key=_rank)
        self.preemptions += 1

    def _marks(self, request: Request, computed: int) -> list[int]:
        """Where the sliding layers are kept among the tokens now computed.

        Among them is the place before the prompt's last token: who brings the same prompt must compute at least that
        one, since its logits are not kept.
        """
        start, tokens = request.holding.computed, request.tokens
        marks = [place + 1 for place in range(start, computed) if tokens[place] in self._boundaries]
        ends = (request.prompt_tokens - 1, request.holding.parting)
        return marks + [mark for mark in ends if start < mark <= computed]


def _rank(request: Request) -> tuple[int, int]:
    return request.rank
