"""Turns, ratios within a round, and what a work is called."""

from dataclasses import dataclass, field

from bench.engines.works import Turn, Work, compared, ratios


@dataclass
class Scripted:
    """An engine whose turns are given; it notes when it was asked."""

    name: str
    found: list[list[Turn]]
    asked: list[str] = field(default_factory=list)

    def turns(self, work: Work, repeats: int) -> list[Turn]:
        self.asked.append(self.name)
        return self.found.pop(0)


def test_engines_take_turns_and_who_begins_changes():
    asked: list[str] = []
    engines = [
        Scripted("one", [[Turn(speed, 0.0)] for speed in (1.0, 2.0, 3.0)], asked),
        Scripted("other", [[Turn(speed, 0.0)] for speed in (4.0, 5.0, 6.0)], asked),
    ]
    rounds = [compared(engines, Work(1, 1), number, 1) for number in range(3)]
    assert [{name: turn.speed for name, turn in each.items()} for each in rounds] == [
        {"one": 1.0, "other": 4.0},
        {"one": 2.0, "other": 5.0},
        {"one": 3.0, "other": 6.0},
    ]
    assert asked == ["one", "other", "other", "one", "one", "other"]
    assert list(rounds[1]) == ["one", "other"]


def test_the_repeat_that_waited_least_counts_not_the_fastest():
    engine = Scripted("one", [[Turn(9.0, 0.4), Turn(5.0, 0.1), Turn(7.0, 0.2)]])
    assert compared([engine], Work(1, 1), 0, 3) == {"one": Turn(5.0, 0.1)}


def test_time_without_a_processor_is_taken_off():
    assert Turn(6.0, 0.25).alone() == Turn(8.0, 0.25)


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
