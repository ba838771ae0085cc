"""Measure the embedded model on problems it never saw: `python -m recipes.nano.evaluate`.

Runs on our own engine, native backend, exact precision, greedily, behind the system message that every program sends.
Writes `results.json`, which the card is made from.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.harmony import Effort
from ossia.loading import load_weights, vocabulary_of
from recipes.nano.arithmetic import arithmetic
from recipes.nano.chat import chat, other_arithmetic, out_of_scope
from recipes.nano.conversation import Format, Prefix
from recipes.nano.export import DEFAULT_EFFORT, EMBEDDED, WEIGHTS, sha256
from recipes.nano.mixture import draw_prefix, draw_problem
from recipes.nano.problem import Problem
from recipes.nano.weather import weather

__all__ = ["EFFORTS", "RESULTS", "Score", "evaluate", "interval", "right"]

EFFORTS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH)
RESULTS = Path(__file__).with_name("results.json")
_LIMIT = 400  # tokens; three times the longest working

_ARITHMETIC = {
    "+": tuple(f"addition {size}" for size in (2, 3, 4, 5)),
    "-": (*(f"subtraction {size}" for size in (2, 3, 4, 5)), "subtraction below zero"),
    "*": tuple(f"multiplication {size}" for size in ("2x1", "3x1", "2x2", "3x2")),
}


@dataclass(frozen=True)
class Case:
    """One conversation up to the model's turn, or, with `called`, up to where its function has given back a result."""

    prefix: Prefix
    history: tuple[Problem, ...]
    problem: Problem
    called: bool = False

    def prompt(self, form: Format) -> list[int]:
        """The tokens that the model goes on from."""
        effort = self.prefix.effort
        if not self.called:
            return form.prefix(self.prefix) + form.prompt(self.history, self.problem.question, effort)
        document = form.document(self.history, self.problem, effort)
        given = max(index for index, own in enumerate(document.learned) if not own)
        return form.prefix(self.prefix) + list(document.tokens[: given + 1])

    def right(self, text: str) -> bool:
        """Whether the model's text is right."""
        return right(replace(self.problem, tool=None) if self.called else self.problem, text)


@dataclass(frozen=True)
class Score:
    """How one cell went at one effort. `tokens` is the mean of what the model wrote."""

    cell: str
    effort: str
    count: int
    right: int
    tokens: float


def main() -> None:
    """Evaluate and write the results."""
    parser = argparse.ArgumentParser(description="Measure the embedded model on problems it never saw.")
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--count", type=int, default=200, help="problems of each cell and effort")
    arguments = parser.parse_args()
    results = evaluate(arguments.model, arguments.count)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def evaluate(model: Path, count: int) -> dict[str, Any]:
    """Scores of every cell and effort, with some transcripts of either kind."""
    loaded = load_weights(str(model), backend="native", precision="exact")
    form = Format(vocabulary_of(loaded.checkpoint))
    config = EngineConfig(context=2048, max_requests=64, max_step_tokens=1024, stop_tokens=form.vocabulary.stop_tokens)
    engine = Engine(loaded.model, config)
    scores: list[Score] = []
    transcripts: list[dict[str, Any]] = []
    for cell, draw in _cells().items():
        for effort in EFFORTS:
            cases = _cases(cell, draw, effort, count)
            answers = _answers(engine, [case.prompt(form) for case in cases])
            texts = [form.vocabulary.decode(answer) for answer in answers]
            verdicts = [case.right(text) for case, text in zip(cases, texts, strict=True)]
            tokens = sum(map(len, answers)) / len(answers)
            scores.append(Score(cell, effort, len(cases), sum(verdicts), round(tokens, 1)))
            transcripts += _examples(cell, effort, cases, texts, verdicts)
            print(f"{cell:24} {effort:7} {sum(verdicts):4}/{len(cases)}  {tokens:6.1f} tokens", flush=True)
    return {
        "sha256": sha256(model)[WEIGHTS],
        "settings": {"backend": loaded.ops.name, "precision": str(loaded.ops.precision), "sampling": "greedy"},
        "scores": [vars(score) for score in scores],
        "transcripts": transcripts,
    }


def interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion.

    Source: Wilson, Probable inference (1927).
    """
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _cells() -> dict[str, Callable[[Random], Problem]]:
    cells: dict[str, Callable[[Random], Problem]] = {}
    for operation, names in _ARITHMETIC.items():
        for name in names:
            cells[name] = _arithmetic(operation, name)
    cells["subtract b from a"] = _subtract_from
    cells["second question"] = lambda random: arithmetic(random, random.choice("+-*"), held=True)
    cells["chat"] = chat
    cells["out of scope"] = lambda random: out_of_scope(random, held=True)
    cells["other arithmetic"] = other_arithmetic
    cells["function call, known city"] = _known_city
    cells["function call, new city"] = lambda random: weather(random, held=True)
    cells["function result"] = cells["function call, new city"]
    return cells


def _arithmetic(operation: str, cell: str) -> Callable[[Random], Problem]:
    def draw(random: Random) -> Problem:
        while (problem := arithmetic(random, operation, held=True)).cell != cell or _turned(problem):
            pass
        return problem

    return draw


def _turned(problem: Problem) -> bool:
    """Whether the question names the numbers in the other order, "subtract b from a": measured apart."""
    return "from" in problem.question.lower()


def _subtract_from(random: Random) -> Problem:
    while not _turned(problem := arithmetic(random, "-", held=True)):
        pass
    return problem


def _known_city(random: Random) -> Problem:
    while (problem := weather(random, held=False)).cell != "function call, known city":
        pass
    return problem


def _cases(cell: str, draw: Callable[[Random], Problem], effort: Effort, count: int) -> list[Case]:
    """The same problems for every effort, each asked in one of many ways, under a system message of any date."""
    random, cases = Random(f"held out {cell}"), []
    for _ in range(count):
        drawn = draw_prefix(random, effort)
        problem = draw(random)
        history = ()
        if cell == "second question":
            history = tuple(draw_problem(random, tools=False) for _ in range(random.randrange(1, 3)))
        prefix = Prefix(effort, drawn.date, tools=problem.tool is not None)
        cases.append(Case(prefix, history, problem, called=cell == "function result"))
    return cases


def _answers(engine: Engine, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    params = SamplingParams(temperature=0.0, max_tokens=_LIMIT)
    answers: dict[int, list[int]] = {engine.add(prompt, params): [] for prompt in prompts}
    while engine.has_work:
        for output in engine.step():
            answers[output.request_id] += output.tokens
    return list(answers.values())


def right(problem: Problem, text: str) -> bool:
    """A call must name the function and give exactly its arguments; what follows the result is another turn."""
    if problem.tool:
        call = f" to=functions.{problem.tool.function}<|channel|>commentary <|constrain|>json<|message|>"
        return text.endswith(f"{call}{problem.tool.arguments}<|call|>")
    head, final, answer = text.rpartition("<|channel|>final<|message|>")
    closed = answer.endswith("<|return|>") and head.count("<|channel|>") <= 1
    return bool(final) and closed and problem.right(answer.removesuffix("<|return|>"))


def _examples(
    cell: str, effort: Effort, cases: Sequence[Case], texts: Sequence[str], verdicts: Sequence[bool]
) -> Iterator[dict[str, Any]]:
    """One answer at random of each cell, and one that is wrong at the default effort if there is any."""
    random = Random(f"examples {cell}")
    shown = [random.randrange(len(cases))] if effort is random.choice(EFFORTS) else []
    wrong = [index for index, fine in enumerate(verdicts) if not fine and effort == DEFAULT_EFFORT]
    for index in [*shown, *random.sample(wrong, min(1, len(wrong)))]:
        question, expected = cases[index].problem.question, cases[index].problem.answer
        yield {
            "cell": cell,
            "effort": effort,
            "question": question,
            "expected": expected,
            "text": texts[index],
            "right": verdicts[index],
        }


if __name__ == "__main__":
    main()
