"""Turns, ratios within a round, and what a work is called."""

from dataclasses import dataclass, field

import pytest

from bench.engines import works
from bench.engines.works import Patience, Turn, Work, compared, ratios


@dataclass
class Scripted:
    """An engine whose speeds are given; it notes when it was asked."""

    name: str
    speeds: list[float]
    asked: list[str] = field(default_factory=list)

    def speed(self, work: Work) -> float:
        self.asked.append(self.name)
        return self.speeds.pop(0)


def test_engines_take_turns_and_who_begins_changes():
    asked: list[str] = []
    engines = [Scripted("one", [1.0, 2.0, 3.0], asked), Scripted("other", [4.0, 5.0, 6.0], asked)]
    turns = [compared(engines, Work(1, 1), number, Patience(share=1.0)) for number in range(3)]
    assert [{name: turn.speed for name, turn in each.items()} for each in turns] == [
        {"one": 1.0, "other": 4.0},
        {"one": 2.0, "other": 5.0},
        {"one": 3.0, "other": 6.0},
    ]
    assert asked == ["one", "other", "other", "one", "one", "other"]
    assert list(turns[1]) == ["one", "other"]


@pytest.mark.parametrize(
    ("others", "again", "counts"),
    [
        ([0.05, 0.0], 5, Turn(1.0, 0.05)),
        ([0.5, 0.05, 0.0], 5, Turn(2.0, 0.05)),
        ([0.5, 0.3, 0.4, 0.0], 2, Turn(2.0, 0.3)),  # not the fastest
    ],
)
def test_a_disturbed_turn_comes_again(monkeypatch: pytest.MonkeyPatch, others, again, counts):
    shares = iter(others)
    monkeypatch.setattr(works, "await_quiet", lambda share, seconds: None)
    monkeypatch.setattr(works, "beside", lambda run: (run(), next(shares)))
    engine = Scripted("one", [1.0, 2.0, 3.0, 4.0])
    assert Patience(share=0.1, again=again).turn(engine, Work(1, 1)) == counts


def test_ratios_are_taken_within_a_round():
    # The machine was ten times as fast in the second round: the ratio of the medians would say something else.
    found = ratios({"ours": [3.0, 20.0, 3.0], "rival": [1.0, 10.0, 2.0], "ours too": [1.0, 1.0, 1.0]}, ["ours"])
    assert found == {
        "ours": {
            "rival": {"median": 2.0, "least": 1.5, "most": 3.0},
            "ours too": {"median": 3.0, "least": 3.0, "most": 20.0},
        }
    }


def test_a_work_says_what_it_is():
    assert Work(2048, 1, prefill=True).name == "prompt of 2,048"
    assert Work(32, 16, batch=4, depth=4096).name == "answer of 16, 4 together at depth 4,096"
