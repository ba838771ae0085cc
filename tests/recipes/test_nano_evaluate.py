import json
from random import Random
from typing import Any

import pytest

from ossia.harmony import Effort
from recipes.nano import evaluate
from recipes.nano.arithmetic import problem
from recipes.nano.case import Case, called
from recipes.nano.cells import CALLS, CELLS, UNKNOWN
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.evaluate import EFFORTS, RESULTS, interval, joined


@pytest.mark.parametrize(
    # Wilson's interval at 95 %, as tables have it.
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (196, 200, 0.9497, 0.9922)],
)
def test_intervals(hits: int, count: int, low: float, high: float):
    assert interval(hits, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("<|channel|>final<|message|>1776<|return|>", True),
        ("<|channel|>analysis<|message|>1<|end|><|start|>assistant<|channel|>final<|message|>1776<|return|>", True),
        ("<|channel|>final<|message|>1777<|return|>", False),
        ("<|channel|>final<|message|>1776", False),
        ("1776<|return|>", False),
        ("<|channel|>analysis<|message|>1776<|return|>", False),
    ],
)
def test_an_answer_counts_in_the_final_channel_only(text: str, fine: bool):
    case = Case(Prefix(Effort.HIGH), (), problem("*", 37, 48))
    assert case.right(text) == fine
    assert case.valid(text) or not fine


def test_a_call_counts_with_its_exact_arguments():
    case = CELLS["call"](Random(0), Effort.HIGH)
    call = called(case.problem.calls[0])
    assert case.right("<|channel|>analysis<|message|>x<|end|><|start|>assistant" + call)
    assert case.valid(call)
    assert not case.right(call.replace('{"', '{"x'))
    assert not case.valid(call.replace('{"', '{"x'))
    assert not case.valid(call.replace("functions.", "functions.x"))
    assert not case.valid(call.replace('"}', '"') + "<|call|>")
    assert not case.right(call.removesuffix("<|call|>"))


@pytest.mark.parametrize("cell", list(CELLS))
def test_every_cell_accepts_what_its_problem_says(cell: str):
    random, form = Random(cell), Format(vocabulary())
    for effort in (Effort.LOW, Effort.HIGH):
        case = CELLS[cell](random, effort)
        document = form.document(case.history, case.problem, effort)
        prompt, whole = case.prompt(form), form.prefix(case.prefix) + list(document.tokens)
        assert whole[: len(prompt)] == prompt
        rest = whole[len(prompt) :]
        end = next(index for index, token in enumerate(rest) if token in form.vocabulary.stop_tokens)
        written = form.vocabulary.decode(rest[: end + 1])
        assert case.right(written)
        assert case.valid(written)
        assert not case.right(written[:-20])


# What the embedded model is for; measured by the recipe on held-out problems.
BAR = [
    *(f"{kind} {size}" for kind in ("addition", "subtraction") for size in (2, 3, 4, 5, 6)),
    *(f"multiplication {size}" for size in ("2x1", "3x1", "2x2", "3x2", "4x2", "6x2", "3x3", "4x3", "6x3")),
    *(f"division {size}" for size in (2, 3, 4, 5, 6)),
    *(f"division {size} by 2" for size in (3, 4, 5, 6)),
    *(f"division {size} by 3" for size in (4, 5, 6)),
    "subtraction below zero",
]


def measured(cell: str, effort: Effort) -> tuple[int, int]:
    scores = json.loads(RESULTS.read_text("utf-8"))["scores"]
    [score] = [score for score in scores if score["cell"] == cell and score["effort"] == effort]
    return score["right"], score["count"]


@pytest.mark.parametrize("cell", BAR)
def test_the_bar_is_met(cell: str):
    right, count = measured(cell, Effort.HIGH)
    assert right / count >= 0.95
    assert interval(right, count)[0] >= 0.9  # of enough problems to say so
    assert right > measured(cell, Effort.LOW)[0]


# What takes many steps, each kind as a whole: of short products and of weekdays a medium working is enough.
HARD = {
    "subtraction below zero": ["subtraction below zero"],
    "long products": [f"multiplication {size}" for size in ("4x2", "6x2", "3x3", "4x3", "6x3")],
    "long divisions": [cell for cell in BAR if cell.startswith("division") and " by " in cell],
    "expressions": ["expression of 3", "expression of 4"],
    "fractions": ["fraction", "fraction *", "fraction /", "fraction of a number"],
    "percentages": ["percentage", "percentage, changed", "percentage, part"],
    "sorting": ["sort numbers", "sort words", "sort numbers, no commas"],
    "dates": ["days between", "date after"],
    "stories": [f"story, {count} steps" for count in (2, 3, 4)],
}


@pytest.mark.parametrize("kind", HARD)
def test_effort_pays_on_what_is_hard(kind: str):
    shares = [[right / count for right, count in (measured(cell, effort) for cell in HARD[kind])] for effort in EFFORTS]
    low, medium, high = (sum(each) / len(each) for each in shares)
    assert low + 0.1 <= medium <= high - 0.1


def test_an_answer_is_seldom_invented_and_a_call_nearly_always_right():
    invented = [measured(cell, Effort.HIGH) for cell in UNKNOWN]
    called_rightly = [measured(cell, Effort.HIGH) for cell in CALLS]
    assert sum(right for right, _ in invented) >= 0.9 * sum(count for _, count in invented)
    assert sum(right for right, _ in called_rightly) >= 0.95 * sum(count for _, count in called_rightly)


def test_what_had_to_be_repaired_is_not_legal(monkeypatch: pytest.MonkeyPatch):
    form = Format(vocabulary())
    legal = form.vocabulary.encode_raw("<|channel|>final<|message|>1776<|return|>")
    asked = list[float]()

    def sampled(engine: object, prompts: object, temperature: float = 0.0) -> list[list[int]]:
        asked.append(temperature)
        return [legal, legal[1:], legal]

    monkeypatch.setattr(evaluate, "answers_of", sampled)
    assert evaluate._legal(None, form, [[0]] * 3) == 2  # type: ignore[arg-type] # nothing is computed
    assert asked == [1.0]


def test_missing_cells_are_joined_in_order():
    before = json.loads(RESULTS.read_text("utf-8"))
    some = ("addition 3", "facts beyond")

    def part(inside: bool) -> dict[str, Any]:
        chosen = {
            name: [one for one in before[name] if (one["cell"] in some) == inside] for name in ("scores", "transcripts")
        }
        return before | chosen | {"format": {"legal": 3, "count": 4}}

    made = joined(part(False), part(True))
    assert made == before | {"format": {"legal": 6, "count": 8}}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--count 0", "argument --count: '0' is not a whole number from 1 on"),
        ("--count -1", "argument --count: '-1' is not a whole number from 1 on"),
        ("--fewer x", "argument --fewer: 'x' is not a whole number from 1 on"),
        ("--output /nowhere/x", "there is no folder /nowhere; one that is is right"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_measured(
    given: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["evaluate", *given.split()])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert says in capsys.readouterr().err


def test_functions_that_are_never_called_twice_do_not_hold_up_the_evaluation():
    random = Random(0)
    assert all(len(CELLS["first of two calls"](random, Effort.LOW).problem.calls) == 2 for _ in range(1000))
