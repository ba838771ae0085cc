"""Rules looked into once, a few at a time, clients in turn."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from ossia.errors import GrammarError
from ossia.grammar import Checked, Loosened, Rules, ToolRule
from ossia.grammar.rules import LONGEST_SOURCE
from ossia.server import checks as module
from ossia.server.checks import Checks, Turns
from tests.cli.tiny import VOCABULARY
from tests.server.door import within

UNIQUE = {"type": "object", "properties": {"l": {"type": "array", "uniqueItems": True}}}


def rules(name: str = "f", schema: Any = UNIQUE) -> Rules:
    return Rules(tools=(ToolRule(recipient=f"functions.{name}", parameters=schema),))


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tools of the rules that were really looked into."""
    found: list[str] = []
    check = module.check

    def counted(given: Rules, vocabulary: Any) -> Checked:
        found.append(given.tools[0].recipient)
        return check(given, vocabulary)

    monkeypatch.setattr(module, "check", counted)
    return found


def test_the_same_rules_are_looked_into_once(looked: list[str]):
    checks = Checks(VOCABULARY)
    assert not checks.knows(rules())
    assert checks.of(rules()) == checks.of(rules()) == (Loosened("functions.f", "/properties/l", "uniqueItems"),)
    assert checks.knows(rules())
    assert checks.of(rules("g"))[0].where == "functions.g"
    assert looked == ["functions.f", "functions.g"]


def test_what_is_remembered_is_bounded_and_what_is_used_stays(looked: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    checks = Checks(VOCABULARY)
    for name in "abaca":
        checks.of(rules(name))
    assert [checks.knows(rules(name)) for name in "abc"] == [True, False, True]
    assert looked == ["functions.a", "functions.b", "functions.c"]


def test_rules_that_loosen_much_are_not_remembered():
    schema = {"type": "object", "properties": {f"p{n}": {"not": {}} for n in range(200)}}
    checks = Checks(VOCABULARY)
    assert len(checks.of(rules(schema=schema))) == 200
    assert not checks.knows(rules(schema=schema))


def test_rules_that_are_refused_are_refused_again(looked: list[str]):
    checks = Checks(VOCABULARY)
    for _ in range(2):
        with pytest.raises(GrammarError):
            checks.of(rules(schema={"type": "string"}))
    assert len(looked) == 2


def test_rules_that_are_too_long_are_refused_before_any_work(looked: list[str]):
    with pytest.raises(GrammarError, match=f"at most {LONGEST_SOURCE} are right") as caught:
        Checks(VOCABULARY).of(rules(schema={"description": "x" * LONGEST_SOURCE}))
    assert (looked, caught.value.param) == ([], "tools")


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Scene:
    """Clients that take a turn and hold it until it is ended by their place in `began`."""

    def __init__(self) -> None:
        self.turns = Turns(2)
        self.began: list[str] = []
        self._ends: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, client: str) -> asyncio.Task[None]:
        async def hold() -> None:
            async with self.turns.of(client.encode()):
                self.began.append(client)
                self._ends.append(end := asyncio.Event())
                await end.wait()

        self.tasks.append(asyncio.create_task(hold()))
        return self.tasks[-1]

    async def end(self, place: int) -> None:
        self._ends[place].set()
        await _settle()

    async def over(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def test_a_client_with_many_does_not_keep_others_waiting():
    async def scene() -> None:
        play = Scene()
        for client in "aaaab":
            play.come(client)
        await _settle()
        assert play.began == ["a", "a"]
        await play.end(0)
        assert play.began == ["a", "a", "b"], "who has nothing under way comes first"
        await play.end(1)
        await play.end(2)
        assert play.began == ["a", "a", "b", "a", "a"]
        await play.over()

    within(5, scene())


def test_who_gives_up_leaves_its_place():
    async def scene() -> None:
        play = Scene()
        first, *_ = [play.come(client) for client in "aabc"]
        await _settle()
        play.tasks[2].cancel()
        first.cancel()
        for task in (play.tasks[2], first):
            with suppress(asyncio.CancelledError):
                await task
        await _settle()
        assert play.began == ["a", "a", "c"]
        await play.over()
        async with play.turns.of(b"x"), play.turns.of(b"y"):
            pass

    within(5, scene())
