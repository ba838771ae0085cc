"""One request's way through the server: the model is leased, the turn planned, run, counted.

    async with aclosing(exchange(request, body.model, ask)) as events:
        async for index, event in events: ...

Streamed or whole, an answer is made from the same events.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from starlette.requests import Request

from ossia.assistant import Finish
from ossia.server.ask import Ask
from ossia.server.clients import Client
from ossia.server.merging import merged
from ossia.server.models import Served
from ossia.server.plan import Plan
from ossia.server.planning import planned
from ossia.server.service import Service, client_of, service_of
from ossia.server.turns import Done, Event, Running

__all__ = ["FINISH", "Planned", "exchange"]

T = TypeVar("T")


FINISH: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "time_limit": "length",
    "repetition": "repetition",
    "cancelled": "cancelled",
    "no_token": "error",
    "shutdown": "shutdown",
}
"""The last four are not OpenAI's own: none of its reasons would be true. `ossia.finish` is always exact."""


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
    request: Request, model: str, ask: Ask, n: int = 1, *, keep_alive: float | None = None
) -> AsyncGenerator[tuple[int, Planned | Event], None]:
    """The events of `n` answers, each with its answer's index: Planned once the engine has begun, Done last in each.

    With a seed, the answers have it and those that follow it. `keep_alive` is for the model, in seconds.
    Raises what leasing, planning and running raise.
    """
    service, client = service_of(request), client_of(request)
    if ask.seconds is None:
        ask = replace(ask, seconds=service.config.limits.turn_seconds)
    async with service.models.lease(model, keep_alive=keep_alive) as served:
        made = await planned(ask, served, service, client.salt)
        running = _running(made, served, service, client, n)
        async with aclosing(merged([each.events() for each in running])) as events:
            first = await anext(events)  # what the engine refuses is refused before anything is said
            yield 0, Planned(made, served, running)
            async for index, event in _then(first, events):
                if isinstance(event, Done):
                    _count(service, served, event)
                yield index, event


async def _then(first: T, rest: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    yield first
    async for item in rest:
        yield item


def _running(planned: Plan, served: Served, service: Service, client: Client, n: int) -> list[Running]:
    first = planned.params.seed
    seeds = [None if first is None else (first + index) % 2**64 for index in range(n)]
    return [Running(planned, served, service.recall, client, seed) for seed in seeds]


def _count(service: Service, served: Served, done: Done) -> None:
    service.metrics.count_turn(served.name, done.turn, done.first_token_seconds, done.seconds)
