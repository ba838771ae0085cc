"""One raw answer: how its text is cut into pieces, and when it ends."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from ossia.server.completions.request import Wish
from ossia.server.completions.writing import Piece, Written, written
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import OneModel

WISH = Wish(sampling={}, max_tokens=100, stop=(), echo=False, n=1)


async def collected(player: Player, wish: Wish = WISH, seconds: float = 60) -> tuple[list[Piece], Written]:
    served = OneModel(player).served
    async with aclosing(written(served, (1,), wish, seed=3, salt=b"", most_seconds=seconds)) as pieces:
        found: list[Any] = [piece async for piece in pieces]
    return found[:-1], found[-1]


@pytest.mark.parametrize("per_step", [1, 2, 50])
def test_pieces_are_the_text(per_step: int):
    player = Player(VOCABULARY, "größer als 4.<|return|>", per_step=per_step)
    pieces, end = asyncio.run(collected(player))
    assert "".join(piece.text for piece in pieces) == "größer als 4.<|return|>"
    assert (end.finish, end.seed) == ("stop", 3)
    assert end.usage.generated_tokens == sum(len(piece.tokens) for piece in pieces)


def test_a_stop_string_ends_the_request():
    player = Player(VOCABULARY, "one two three<|return|>")
    wish = Wish(sampling={}, max_tokens=100, stop=(" two",), echo=False, n=1)
    pieces, end = asyncio.run(collected(player, wish))
    assert "".join(piece.text for piece in pieces) == "one"
    assert (end.finish, end.stopped_by) == ("stop", " two")
    assert len(player.left) == 1, "nobody waits for the rest"


def test_time_runs_out():
    player = Player(VOCABULARY, "one two three<|return|>")
    _, end = asyncio.run(collected(player, seconds=0.0))
    assert end.finish == "time_limit"
    assert len(player.left) == 1
