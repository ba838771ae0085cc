"""One request's way through the server: the model is leased, the turn planned, run, counted.

    async with aclosing(exchange(request, body.model, ask)) as events:
        async for index, event in events: ...

Streamed or whole, an answer is made from the same events.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from starlette.requests import Request

from ossia.server.ask import Ask
from ossia.server.clients import Client
from ossia.server.models import Served
from ossia.server.plan import Plan, plan
from ossia.server.service import Service, client_of, service_of
from ossia.server.turns import Done, Event, Running

__all__ = ["Planned", "exchange"]

WAITING = 64
"""Events of an answer that may wait for their reader while other answers to the same request go on."""


@dataclass(frozen=True, eq=False)
class Planned:
    """The first event: what will be done, on which model. `cancel` ends all turns with what there is."""

    plan: Plan
    served: Served
    running: Sequence[Running]

    def cancel(self) -> None:
        """End the turns; their events go on to their end."""
        for running in self.running:
            running.cancel()


async def exchange(
    request: Request, model: str, ask: Ask, n: int = 1
) -> AsyncGenerator[tuple[int, Planned | Event], None]:
    """The events of `n` answers, each with its answer's index: Planned first, Done last in each.

    With a seed, the answers have it and those that follow it. Raises what leasing, planning and running raise.
    """
    service, client = service_of(request), client_of(request)
    if ask.seconds is None:
        ask = replace(ask, seconds=service.config.limits.turn_seconds)
    async with service.models.lease(model) as served:
        planned = await asyncio.to_thread(plan, ask, served, service.recall, client.salt)
        running = _running(planned, served, service, client, n)
        yield 0, Planned(planned, served, running)
        async with aclosing(_merged(running)) as events:
            async for index, event in events:
                if isinstance(event, Done):
                    _count(service, served, event)
                yield index, event


def _running(planned: Plan, served: Served, service: Service, client: Client, n: int) -> list[Running]:
    first = planned.params.seed
    seeds = [None if first is None else (first + index) % 2**64 for index in range(n)]
    return [Running(planned, served, service.recall, client, seed) for seed in seeds]


async def _merged(running: Sequence[Running]) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of several turns as they come."""
    if len(running) == 1:
        async with aclosing(running[0].events()) as events:
            async for event in events:
                yield 0, event
        return
    queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue(WAITING)
    tasks = [asyncio.ensure_future(_put(index, each.events(), queue)) for index, each in enumerate(running)]
    everything = asyncio.gather(*tasks)
    try:
        async for item in _taken(queue, everything):
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _put(index: int, events: AsyncGenerator[Event, None], queue: asyncio.Queue[tuple[int, Event]]) -> None:
    async with aclosing(events):
        async for event in events:
            await queue.put((index, event))


async def _taken(
    queue: asyncio.Queue[tuple[int, Event]], everything: "asyncio.Future[list[None]]"
) -> AsyncIterator[tuple[int, Event]]:
    """What is in the queue until everything has been put there. Raises what the first to fail raised."""
    while not (everything.done() and queue.empty()):
        getter = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait({getter, everything}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                yield getter.result()
            elif everything.done():
                everything.result()
        finally:
            getter.cancel()
    everything.result()


def _count(service: Service, served: Served, done: Done) -> None:
    service.metrics.count_turn(served.name, done.turn, done.first_token_seconds, done.seconds)
