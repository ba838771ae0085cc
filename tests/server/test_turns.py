"""One turn on its way: its events, its end, and how it is ended early."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from ossia.assistant import Kind, Loop
from ossia.server import turns as module
from ossia.server.ask import Ask, Spoken, Tool
from ossia.server.clients import ANYONE
from ossia.server.plan import plan
from ossia.server.recall import Recall
from ossia.server.turns import Done, Opened, Running, arguments_of
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import OneModel

ANSWER = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'
ADD = Tool(name="add", parameters={"type": "object", "properties": {"l": {"uniqueItems": True}}})


def running(player: Player, recall: Recall | None = None, **fields: Any) -> Running:
    served, recall = OneModel(player).served, recall or Recall()
    ask = Ask(items=(Spoken("user", "2 + 2?"),), **fields)
    return Running(plan(ask, served, recall, ANYONE.salt), served, recall, ANYONE)


def events(turn: Running) -> list[Any]:
    async def read() -> list[Any]:
        async with aclosing(turn.events()) as found:
            return [event async for event in found]

    return asyncio.run(read())


def test_the_last_event_is_the_whole():
    *said, done = events(running(Player(VOCABULARY, ANSWER)))
    assert [event.kind for event in said if isinstance(event, Opened)] == [Kind.REASONING, Kind.ANSWER]
    assert isinstance(done, Done)
    assert (done.turn.answer, done.turn.finish, done.calls) == ("It is 4.", "stop", ())
    assert done.first_token_seconds is not None
    assert 0 <= done.first_token_seconds <= done.seconds


def test_a_call_has_an_id_that_cannot_be_guessed():
    ids = set()
    for _ in range(3):
        *said, done = events(running(Player(VOCABULARY, CALL), tools=(ADD,)))
        ((call, message),) = done.calls
        assert (call.name, call.tool, message.text) == ("add", ADD, '{"a": 2}')
        assert [event.call for event in said if isinstance(event, Opened)] == [call]
        ids.add(call.id)
    assert len(ids) == 3


def test_calls_and_answers_are_kept_for_the_next_turn():
    recall = Recall()
    *_, done = events(running(Player(VOCABULARY, CALL), recall, tools=(ADD,)))
    assert recall.calls(ANYONE.salt, done.calls[0][0].id) == done.turn.messages
    events(running(Player(VOCABULARY, ANSWER), recall))
    assert recall.answer(ANYONE.salt, "It is 4.") is not None


def test_what_was_cut_off_is_not_kept():
    recall = Recall()
    events(running(Player(VOCABULARY, CALL), recall, tools=(ADD,), sampling={"max_tokens": 8}))
    assert recall.entries == 0


def test_what_the_mask_could_not_hold_is_checked_afterwards():
    broken = CALL.replace('{"a": 2}', '{"l": [1, 1]}')
    *_, done = events(running(Player(VOCABULARY, broken), tools=(ADD,)))
    (violation,) = done.settings["violations"]
    assert violation["where"] == "functions.add"
    no_json = CALL.replace('{"a": 2}', '{"l": [1')
    *_, done = events(running(Player(VOCABULARY, no_json), tools=(ADD,), grammar=False))
    assert "JSON" in done.settings["violations"][0]["what"]


def test_repairs_are_told():
    *_, done = events(running(Player(VOCABULARY, "<|channel|>final<|message|>4<|message|>5<|return|>")))
    assert [repair["kind"] for repair in done.settings["repairs"]] == ["stray-token"]


@pytest.mark.parametrize("after", [0, 5])
def test_cancelled_it_ends_with_what_there_is(after: int):
    player = Player(VOCABULARY, ANSWER)
    turn = running(player)
    steps = 0

    async def stop() -> None:
        nonlocal steps
        steps += 1
        if steps > after:
            turn.cancel()
        await asyncio.sleep(0)

    player.before_step = stop
    *_, done = events(turn)
    assert done.turn.finish == "cancelled"
    assert len(player.left) == 1


def test_when_its_time_is_up_it_ends_with_what_there_is():
    player = Player(VOCABULARY, ANSWER)
    player.before_step = lambda: asyncio.sleep(0.02)
    *_, done = events(running(player, seconds=0.1))
    assert done.turn.finish == "time_limit"
    assert 0 < done.turn.usage.generated_tokens < 12


def test_closed_early_the_request_is_cancelled():
    player = Player(VOCABULARY, ANSWER)

    async def leave() -> None:
        async with aclosing(running(player).events()) as found:
            async for _ in found:
                break

    asyncio.run(leave())
    assert len(player.left) == 1


def test_whoever_waits_may_be_cancelled_too():
    player = Player(VOCABULARY, ANSWER)
    player.before_step = lambda: asyncio.sleep(60)

    async def give_up() -> None:
        async def read() -> None:
            async with aclosing(running(player).events()) as found:
                async for _ in found:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert len(player.left) == 1


def test_stop_strings_and_loops_end_the_request():
    player = Player(VOCABULARY, ANSWER, "<|channel|>final<|message|>" + " so" * 500)
    *_, done = events(running(player, stop=("is",)))
    assert (done.turn.answer, done.settings["stopped_by"]) == ("It ", "is")
    *_, done = events(running(player, loop=Loop(64, 8)))
    assert done.turn.finish == "repetition"
    assert len(player.left) == 2


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"a": [2, "\\ud83d\\ude00"]}', {"a": [2, "😀"]}),
        ('{"a": "\\ud800"}', None),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ("[1]", None),
        ("null", None),
        ('{"a": 2', None),
        ('{"a": ' + "[" * 100_000, None),
        ("", None),
    ],
)
def test_arguments_are_an_object_that_can_be_sent_on(text: str, arguments: Any):
    assert arguments_of(text) == arguments


def test_looking_for_violations_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    def slow(rule: Any, value: Any) -> list[str]:
        time.sleep(0.3)
        return ["found"]

    monkeypatch.setattr(module, "violations", slow)

    async def scene() -> float:
        longest, last = 0.0, time.perf_counter()
        task = asyncio.ensure_future(read())
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        assert (await task).settings["violations"] == [{"where": "functions.add", "what": "found"}]
        return longest

    async def read() -> Done:
        async with aclosing(running(Player(VOCABULARY, CALL), tools=(ADD,)).events()) as found:
            return [event async for event in found][-1]  # type: ignore[return-value]

    assert asyncio.run(scene()) < 0.25
