"""A request's way through the server: leases, counts, several answers."""

import asyncio
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest

from ossia.errors import ModelNotFoundError, OverloadedError
from ossia.server.app import ENDPOINTS
from ossia.server.ask import Ask, Spoken
from ossia.server.clients import ANYONE
from ossia.server.exchange import Planned, exchange
from ossia.server.service import Service
from ossia.server.turns import Done
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import client_for, service_for

ANSWER = "<|channel|>final<|message|>It is 4.<|return|>"
ASK = Ask(items=(Spoken("user", "2 + 2?"),))


def request_for(service: Service) -> Any:
    return SimpleNamespace(
        app=SimpleNamespace(state=SimpleNamespace(service=service)), state=SimpleNamespace(client=ANYONE)
    )


async def events(service: Service, model: str = "tiny", ask: Ask = ASK, n: int = 1, most: int = 10**9) -> list[Any]:
    found: list[Any] = []
    async with aclosing(exchange(request_for(service), model, ask, n)) as happening:
        async for event in happening:
            found.append(event)
            if len(found) == most:
                break
    return found


def test_planned_first_done_last_and_counted():
    service = service_for(Player(VOCABULARY, ANSWER))
    (_, first), *_, (_, last) = asyncio.run(events(service))
    assert isinstance(first, Planned)
    assert isinstance(last, Done)
    assert service.metrics.finishes.value("tiny", "stop") == 1
    assert service.metrics.generated_tokens.value("tiny") == last.turn.usage.generated_tokens
    assert service.models.leases == 0  # type: ignore[attr-defined]


def test_several_answers_have_seeds_of_their_own():
    player = Player(VOCABULARY, ANSWER, endless=True)
    found = asyncio.run(events(service_for(player), ask=Ask(items=ASK.items, sampling={"seed": 2**64 - 1}), n=3))
    assert sorted(wanted.params.seed for wanted in player.wanted) == [0, 1, 2**64 - 1]
    assert sorted(index for index, event in found if isinstance(event, Done)) == [0, 1, 2]


def test_left_early_the_lease_and_the_request_end():
    player = Player(VOCABULARY, ANSWER, endless=True)
    service = service_for(player)
    asyncio.run(events(service, n=3, most=4))
    assert service.models.leases == 0  # type: ignore[attr-defined]
    assert len(player.left) == 3


def test_an_unknown_model_is_none():
    with pytest.raises(ModelNotFoundError):
        asyncio.run(events(service_for(Player(VOCABULARY)), model="gpt-9"))


def test_the_servers_time_limit_holds_where_the_client_names_none():
    player = Player(VOCABULARY, ANSWER)
    (_, first), *_ = asyncio.run(events(service_for(player)))
    assert first.plan.ask.seconds == 3600


def test_what_the_engine_refuses_is_refused_before_anything_is_said():
    player = Player(VOCABULARY, ANSWER)

    async def full(wanted: Any) -> Any:
        raise OverloadedError("too many wait", retry_after=3.0)
        yield

    player.generate = full  # type: ignore[method-assign]
    with pytest.raises(OverloadedError):
        asyncio.run(events(service_for(player)))
    answer = client_for(service_for(player), ENDPOINTS).post(
        "/v1/chat/completions",
        json={"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
