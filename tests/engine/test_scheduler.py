"""Thousands of random steps without a model: the cache is a dict of tokens, and every token seen must be the one."""

import os
from collections.abc import Callable

import numpy as np
import pytest

from ossia.engine import SamplingParams
from ossia.engine.pages import Kind, span
from ossia.engine.prefix import Holding, Ledger, root
from ossia.engine.request import Request, Share
from ossia.engine.scheduler import Scheduler

ROUNDS = int(os.environ.get("OSSIA_DEEP", "0")) or 12
"""How many random worlds; OSSIA_DEEP=1000 is a run of a few minutes."""

CONTEXT = 48
STEPS = 400
END = 3


class World:
    """A scheduler, a cache that remembers tokens, and requests that arrive, grow, guess, stop and are cancelled."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        pick: Callable[..., int] = lambda *values: int(self.random.choice(values))  # noqa: E731
        self.size, self.window = pick(1, 2, 3, 4, 8, 16), pick(1, 2, 5, 7, 16, 100)
        self.most_requests, slack = pick(1, 2, 3, 6), pick(0, 1, 4, 40)
        least = min(span(self.window, self.size), -(-CONTEXT // self.size))
        kinds = [
            Kind("sliding", self.window, least + slack, self.size),
            Kind("full", None, -(-CONTEXT // self.size) + slack, self.size),
        ][:: pick(1, -1)]
        self.kinds = kinds[: pick(1, 2, 2, 2)]
        self.budget = self.most_requests + pick(0, 1, 7, 60)
        self.cache: dict[tuple[str, int], dict[int, tuple[int, int]]] = {}
        self.ledger = Ledger(self.kinds, self.size, CONTEXT, self.copy_page)
        self.scheduler = Scheduler(self.ledger, self.most_requests, self.budget, boundary_tokens=(END,))
        self.prompts = [[1]]
        self.live: dict[int, Request] = {}
        self.arrived = self.finished = self.reused = 0

    def copy_page(self, kind: str, source: int, target: int) -> None:
        self.cache[kind, target] = dict(self.cache[kind, source])

    def arrive(self) -> None:
        """A new request; its prompt mostly begins like an earlier one's text."""
        other = self.prompts[int(self.random.integers(len(self.prompts)))]
        kept = other[: int(self.random.integers(0, len(other) + 1))]
        fresh = self.random.integers(0, 6, int(self.random.integers(1, CONTEXT))).tolist()
        most = int(self.random.integers(1, CONTEXT))
        prompt = [*kept, *fresh][: CONTEXT - most]
        request = Request(
            self.arrived,
            Holding(prompt, root(["", "x"], bytes([int(self.random.random() < 0.1)])), self.size),
            SamplingParams(),
            seed=0,
            max_tokens=most,
            stop_tokens=frozenset(),
            vocab_size=53,
            priority=int(self.random.integers(0, 2)),
        )
        self.arrived += 1
        self.live[request.id] = request
        self.scheduler.add(request)

    def step(self) -> None:
        if len(self.live) < 12 and self.random.random() < 0.3:
            self.arrive()
        if self.live and self.random.random() < 0.03:
            self.end(self.live[int(self.random.choice(list(self.live)))])
        shares = self.scheduler.plan()
        if self.random.random() < 0.1:  # a step that failed: planning again must not change what holds
            shares = self.scheduler.plan()
        assert sum(share.end - share.start for share in shares) <= self.budget
        assert bool(shares) == bool(self.live), "somebody can always go on"
        for share in shares:
            self.write(share)
        for share in shares:
            self.read(share)
        for share in shares:
            self.settle(share)
        self.scheduler.audit()

    def write(self, share: Share) -> None:
        for position, token in enumerate(share.tokens(), share.start):
            for kind in self.kinds:
                page = int(share.request.holding.tables[kind.name].pages[position // self.size])
                self.cache.setdefault((kind.name, page), {})[position % self.size] = position, token

    def read(self, share: Share) -> None:
        """Every position of the share sees, in every kind, the very tokens that come before it."""
        tokens = [*share.request.tokens, *share.request.ahead]
        for kind in self.kinds:
            first = 0 if kind.window is None else max(0, share.start - kind.window + 1)
            for position in range(first, share.end):
                page = int(share.request.holding.tables[kind.name].pages[position // self.size])
                assert self.cache[kind.name, page][position % self.size] == (position, tokens[position])

    def settle(self, share: Share) -> None:
        request, draws = share.request, share.draws
        self.reused += request.cached_tokens or 0
        if not draws:
            self.scheduler.settle(request, share.end)
            return
        known, right = len(request.tokens), int(self.random.integers(0, draws))
        kept = [*request.ahead[:right], int(self.random.integers(0, 6))]
        request.extend(kept)
        self.scheduler.settle(request, known + right)
        if len(request.tokens) >= request.limit:
            self.end(request)
        else:
            request.ahead = self.random.integers(0, 6, int(self.random.choice([0, 0, 1, 4]))).tolist()

    def end(self, request: Request) -> None:
        self.scheduler.finish(request)
        del self.live[request.id]
        self.prompts.append(request.tokens)
        self.finished += 1


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_books_are_in_order_after_every_random_step(seed: int):
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    while world.live:
        for share in world.scheduler.plan():
            world.write(share)
            world.read(share)
            world.settle(share)
        world.scheduler.audit()
    assert world.finished == world.arrived > 5
    for name, pool in world.ledger.pools.items():
        assert pool.available == pool.size, f"{name} pages were not given back"


def test_random_worlds_meet_everything_that_can_happen():
    worlds = [World(seed) for seed in range(12)]
    for world in worlds:
        for _ in range(150):
            world.step()
    assert sum(world.scheduler.preemptions for world in worlds) > 20
    assert sum(world.reused for world in worlds) > 100
    assert any(len(world.kinds) == 1 for world in worlds)


def scheduler(full: int = 32, most_requests: int = 4, most_tokens: int = 8) -> Scheduler:
    ledger = Ledger([Kind("full", None, full, 4)], 4, 64, lambda *_: None)
    return Scheduler(ledger, most_requests, most_tokens, boundary_tokens=())


def request(number: int, length: int, priority: int = 0, max_tokens: int = 8) -> Request:
    tokens = list(range(number * 100, number * 100 + length))
    return Request(
        number,
        Holding(tokens, b"", 4),
        SamplingParams(),
        seed=0,
        max_tokens=max_tokens,
        stop_tokens=frozenset(),
        vocab_size=53,
        priority=priority,
    )


def play(planner: Scheduler) -> list[tuple[int, int, int]]:
    """One step in which every draw gives token 9: (request, start, end) of its shares."""
    shares = planner.plan()
    for share in shares:
        if share.draws:
            share.request.extend([9])
        planner.settle(share.request, share.end)
    planner.audit()
    return [(share.request.id, share.start, share.end) for share in shares]


def test_prompts_are_cut_into_chunks_beside_requests_that_generate():
    planner = scheduler()
    planner.add(request(1, 3))
    assert play(planner) == [(1, 0, 3)]
    planner.add(request(2, 12))
    assert play(planner) == [(1, 3, 4), (2, 0, 7)]
    assert play(planner) == [(1, 4, 5), (2, 7, 12)]
    assert play(planner) == [(1, 5, 6), (2, 12, 13)]


def test_a_long_prompt_does_not_stop_those_that_generate():
    planner = scheduler(most_requests=2, most_tokens=2)
    planner.add(request(1, 6, priority=9))
    planner.add(request(2, 1))
    for _ in range(3):
        play(planner)
    assert (2, 1, 2) in play(planner) or planner.running[1].generating


def test_a_step_that_failed_keeps_no_pages_for_those_who_are_not_in_the_next():
    planner = scheduler(most_requests=2)
    planner.add(request(1, 6))
    planner.plan()
    planner.add(request(2, 8, priority=1))
    assert [(share.request.id, share.end) for share in planner.plan()] == [(1, 6), (2, 2)]
    assert play(planner) == [(2, 0, 8)]


def test_higher_priority_first_then_first_come():
    planner = scheduler(most_requests=2)
    for number, priority in ((1, 0), (2, 1), (3, 0), (4, 1)):
        planner.add(request(number, 2, priority))
    assert [share.request.id for share in planner.plan()] == [2, 4]
    assert [waiting.id for waiting in planner.waiting] == [1, 3]


def test_the_lowest_rank_is_preempted_and_comes_back_where_it_was():
    planner = scheduler(full=6, most_tokens=32)
    first, second = request(1, 8, max_tokens=30), request(2, 8, max_tokens=30)
    planner.add(first)
    planner.add(second)
    while not planner.preemptions:
        play(planner)
    assert (planner.running, planner.waiting) == ([first], [second]), "preempted, and not let in again at once"
    tokens = list(second.tokens)
    planner.finish(first)
    [(number, start, end)] = play(planner)
    assert (number, end) == (2, len(tokens))
    assert 8 <= start < end, "its pages were idle: most of what was computed is still there"
    assert second.tokens[: len(tokens)] == tokens
    assert second.cached_tokens == 0, "what the caller saved is what was there when the prompt was first looked at"


def test_the_same_prompt_is_computed_once_and_then_shared():
    planner = scheduler(most_tokens=8)
    twins = [request(1, 13), request(1, 13)]
    twins[1].id, twins[1].rank = 2, (0, 2)
    for twin in twins:
        planner.add(twin)
    assert [play(planner) for _ in range(3)] == [[(1, 0, 8)], [(1, 8, 13)], [(1, 13, 14), (2, 12, 13)]]
    assert (twins[0].cached_tokens, twins[1].cached_tokens) == (0, 12)


def test_a_request_that_does_not_fit_waits_and_nobody_overtakes_it():
    planner = scheduler(full=8, most_tokens=32)
    for number, length in ((1, 20), (2, 16), (3, 1)):
        planner.add(request(number, length))
    assert play(planner) == [(1, 0, 20)]
    assert [waiting.id for waiting in planner.waiting] == [2, 3]
    looked, look = [], planner.ledger.open
    planner.ledger.open = lambda holding: (looked.append(holding), look(holding))[1]
    planner.plan()
    planner.plan()
    assert not looked, "its prefix is not looked for again while no page has become available"
    planner.finish(planner.running[0])
    assert [number for number, _, _ in play(planner)] == [2, 3]
