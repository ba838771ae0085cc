"""Plans beside the event loop: rules that take long wait for their turn, and nobody else does."""

import asyncio
import threading
from typing import Any

import pytest

from ossia.errors import GrammarError
from ossia.server import checks
from ossia.server.ask import Ask, Spoken, Tool
from ossia.server.planning import planned
from tests.cli.tiny import VOCABULARY
from tests.server.door import within
from tests.server.playing import Player
from tests.server.serving import OneModel, service_for

SAID = (Spoken("user", "2 + 2?"),)


def asking(name: str, **fields: Any) -> Ask:
    return Ask(items=SAID, tools=(Tool(name=name, path="tools[0].function.parameters", **fields),))


def test_rules_are_looked_into_once_for_a_conversation(monkeypatch: pytest.MonkeyPatch):
    looked: list[Any] = []
    check = checks.check
    monkeypatch.setattr(checks, "check", lambda *given: looked.append(given) or check(*given))

    async def scene() -> None:
        player = Player(VOCABULARY)
        served, service = OneModel(player).served, service_for(player)
        for _ in range(3):
            made = await planned(asking("f", parameters={"uniqueItems": True}), served, service, b"me")
            assert [each.keyword for each in made.loosened] == ["uniqueItems"]
        assert len(looked) == 1

    within(10, scene())


def test_who_asks_for_nothing_that_takes_long_does_not_wait(monkeypatch: pytest.MonkeyPatch):
    free, check = threading.Event(), checks.check

    def slow(rules: Any, vocabulary: Any) -> Any:
        if rules.tools and rules.tools[0].recipient.startswith("functions.slow"):
            free.wait(20)
        return check(rules, vocabulary)

    monkeypatch.setattr(checks, "check", slow)

    async def scene() -> None:
        player = Player(VOCABULARY)
        served, service = OneModel(player).served, service_for(player)
        await planned(asking("known"), served, service, b"you")
        busy = [asyncio.create_task(planned(asking(f"slow{n}"), served, service, b"me")) for n in range(40)]
        await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(5):
                await planned(Ask(items=SAID), served, service, b"you")
                await planned(asking("known"), served, service, b"you")
        finally:
            free.set()
        await asyncio.gather(*busy)

    within(20, scene())


def test_what_is_refused_names_the_requests_field():
    async def scene() -> None:
        player = Player(VOCABULARY)
        with pytest.raises(GrammarError) as caught:
            await planned(
                asking("f", parameters={"type": "string"}), OneModel(player).served, service_for(player), b"me"
            )
        assert caught.value.param == "tools[0].function.parameters"

    within(10, scene())
