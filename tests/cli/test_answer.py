"""What is told of a turn beside its answer."""

import itertools
import subprocess
import sys

import pytest

from ossia.assistant import Drawn, Kind, Text, Turn, Usage
from ossia.cli import _answer
from ossia.harmony import Message, Repair, RepairKind

FINAL = (Message("assistant", "4", channel="final"),)


def turn(**changes) -> Turn:
    return Turn(**{"messages": FINAL, "finish": "stop", "usage": Usage(5, 0, 9, 3), "repairs": (), "seed": 1} | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"finish": "length"}, ["[out of tokens after 9; --max-tokens and --context give more]"]),
        ({"finish": "cancelled"}, ["[stopped]"]),
        ({"finish": "no_token", "messages": ()}, [_answer.NO_TOKEN]),
        (
            {"finish": "tool_calls", "messages": ()},
            ["[the model called a tool, but none is offered here: nothing was run]"],
        ),
        ({"messages": ()}, ["[the model ended without an answer]"]),
        (
            {"repairs": tuple(Repair(kind, 1) for kind in (RepairKind.MISSING_START, RepairKind.MISSING_END) * 2)},
            ["[repaired what the model wrote: missing-end, missing-start]"],
        ),
    ],
)
def test_remarks(changes: dict, said: list[str]):
    assert _answer.remarks(turn(**changes)) == said


def test_the_clock_counts_from_the_first_token(monkeypatch):
    monkeypatch.setattr(_answer.time, "perf_counter", itertools.count(10.0, 0.5).__next__)
    clock = _answer.Clock()
    shown = []
    show = clock.noting(shown.append)
    for event in (events := [Drawn((1,)), Text(Kind.ANSWER, "x"), Drawn((2, 3)), Drawn((4,))]):
        show(event)
    assert shown == events
    timings = clock.timings()
    assert timings["first_token_seconds"] == 0.5
    assert timings["total_seconds"] == 1.5
    # Three tokens in the second that followed the first.
    assert timings["decode_tokens_per_second"] == 3.0


def test_a_turn_without_tokens_has_no_speed():
    timings = _answer.Clock().timings()
    assert timings["first_token_seconds"] is None
    assert timings["decode_tokens_per_second"] is None


def test_the_age_of_the_process_includes_its_start():
    code = "import time; t = time.time(); import ossia.cli._answer as a; print(a.process_seconds(), time.time() - t)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    age, importing = map(float, shown.stdout.split())
    assert importing - 0.02 <= age < importing + 30  # a hundredth of a second is its resolution, twice
