"""Whatever tokens a model draws, every API gives a well-formed answer with all of the text, streamed or whole.

    OSSIA_FUZZ_STREAMS=100000 pytest tests/server/fuzz/test_corruption.py

is the long run; `OSSIA_FUZZ_FIRST` is the seed that it begins with.
"""

import asyncio
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette

from ossia.server.app import make_app
from ossia.server.responses import close_shelf
from tests.cli.tiny import VOCABULARY
from tests.server.fuzz.corruption import Stream, stream, written
from tests.server.fuzz.reading import APIS, Call, Said, canonical, expected, through
from tests.server.playing import Player
from tests.server.serving import service_for

STREAMS = int(os.environ.get("OSSIA_FUZZ_STREAMS", "400"))
FIRST = int(os.environ.get("OSSIA_FUZZ_FIRST", "0"))
SECONDS = 60 if STREAMS <= 1000 else 1800
"""For one stream, which takes some milliseconds; a long run in the background may have to wait for its turn."""


class Repeating(Player):
    """Gives the same answer each time, until it is told another."""

    def __init__(self) -> None:
        super().__init__(VOCABULARY)
        self.said: list[int] = []

    def play(self, asked: Stream) -> None:
        self.said, self._per_step = [*asked.tokens], asked.per_step
        self.before_step = _at_once if asked.per_step > 1 else _later
        self.wanted.clear()
        self.left.clear()

    def _given(self, answers: Any, endless: bool) -> Iterator[list[int]]:
        while True:
            yield self.said


async def _at_once() -> None:
    """The output is there already."""


async def _later() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("api", APIS)
def test_any_tokens_give_a_well_formed_answer_that_has_all_of_their_text(api: str):
    asyncio.run(_all(api, [*APIS].index(api)))


async def _all(api: str, number: int) -> None:
    player = Repeating()
    app = make_app(service_for(player, store=":memory:"))
    try:
        for seed in range(FIRST + number, FIRST + STREAMS, len(APIS)):
            await _one(api, app, player, stream(seed))
    finally:
        await close_shelf(app)


async def _one(api: str, app: Starlette, player: Repeating, asked: Stream) -> None:
    player.play(asked)
    async with asyncio.timeout(SECONDS):
        whole, streamed = await through(api, app, asked)
    wanted = expected(written(asked))
    if asked.stop or whole.finish == "repetition":
        _check_cut(wanted, whole, asked)
    else:
        _check(wanted, whole, asked)
        _check(wanted, streamed, asked)
        assert player.left == [], asked
    assert (whole.answer, whole.reasoning, whole.other) == (streamed.answer, streamed.reasoning, streamed.other), asked
    assert whole.finish == streamed.finish, asked
    assert len(whole.calls) == len(streamed.calls), asked


def _check(wanted: Said, said: Said, asked: Stream) -> None:
    """Nothing lost and nothing added."""
    assert said.answer == wanted.answer, asked
    assert said.reasoning == wanted.reasoning, asked
    assert said.other == wanted.other, asked
    _check_calls(wanted.calls, said.calls, asked)
    assert said.finish == _finish(wanted, asked), asked


def _finish(wanted: Said, asked: Stream) -> str:
    if asked.cut:
        return "length"
    return "tool_calls" if wanted.calls else "stop"


def _check_cut(wanted: Said, said: Said, asked: Stream) -> None:
    """What comes before a stop string is the beginning of it all."""
    assert wanted.answer.startswith(said.answer), asked
    assert wanted.reasoning.startswith(said.reasoning), asked
    assert len(said.calls) <= len(wanted.calls), asked


def _check_calls(wanted: Sequence[Call], said: Sequence[Call], asked: Stream) -> None:
    """Each call came once, as the text that it was, or as the object that this text stands for."""
    left = [*said]
    for name, text in wanted:
        forms = {(name, text), (name, _as_object(text))}
        found = next((call for call in left if call in forms), None)
        assert found is not None, f"{name}({text!r}) is not among {left}; {asked}"
        left.remove(found)
    assert left == [], asked


def _as_object(text: str) -> str:
    """Its canonical form, if it is an object that JSON can carry; else itself."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        canonical(value).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return canonical(value) if isinstance(value, dict) else text


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value
