"""Measure the embedded model on problems it never saw: `python -m recipes.nano.evaluate`.

Runs on our own engine, native backend, exact precision, greedily, behind the system message that every program sends,
without a grammar. Writes `results.json`, which the card is made from.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ossia.cli._options import at_least
from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.errors import OssiaError
from ossia.harmony import Effort, parse
from ossia.loading import Loaded, load_weights, vocabulary_of
from recipes.nano.case import Case, final_answer
from recipes.nano.cells import CELLS
from recipes.nano.chat import CANNOT
from recipes.nano.command import run
from recipes.nano.conversation import Format
from recipes.nano.export import DEFAULT_EFFORT, EMBEDDED, WEIGHTS, sha256

__all__ = ["EFFORTS", "RESULTS", "Score", "answers_of", "evaluate", "interval", "joined", "new_engine"]

EFFORTS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH)
RESULTS = Path(__file__).with_name("results.json")
_LIMIT = 900  # tokens; more than the longest working, a division by three digits
_CONTEXT = 4096
_ARITHMETIC = ("addition", "subtract", "multiplication", "division")


@dataclass(frozen=True)
class Score:
    """How one cell went at one effort.

    `valid` counts answers and calls of the right form, right or not, `declined` answers that it does not know. `tokens`
    is the mean of what the model wrote.
    """

    cell: str
    effort: str
    count: int
    right: int
    valid: int
    declined: int
    tokens: float


def main() -> None:
    """Evaluate and write the results."""
    parser = argparse.ArgumentParser(description="Measure the embedded model on problems it never saw.")
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--count", type=at_least(1), default=200, help="problems of each cell and effort")
    parser.add_argument("--fewer", type=at_least(1), help="of each cell that is not arithmetic (default: as many)")
    parser.add_argument("--missing", action="store_true", help="only the cells that the output does not have yet")
    arguments = parser.parse_args()
    if not arguments.output.parent.is_dir():
        parser.error(f"--output {arguments.output}: there is no folder {arguments.output.parent}; one that is is right")
    before = _measured(arguments.output) if arguments.missing and arguments.output.exists() else None
    if before is not None and before["sha256"] != sha256(arguments.model)[WEIGHTS]:
        parser.error(f"--missing: {arguments.output} is of other weights; without it, all cells are measured")
    known = {score["cell"] for score in before["scores"]} if before else set()
    cells = [cell for cell in CELLS if cell not in known]
    results = evaluate(arguments.model, arguments.count, arguments.fewer or arguments.count, cells)
    arguments.output.write_text(json.dumps(joined(before, results) if before else results, indent=1) + "\n", "utf-8")


def _measured(output: Path) -> dict[str, Any]:
    """What an evaluation wrote. Raises OssiaError for another file."""
    try:
        before = json.loads(output.read_text("utf-8"))
    except ValueError:
        before = None
    if not isinstance(before, dict) or not {"sha256", "scores", "transcripts", "format"} <= before.keys():
        raise OssiaError(f"{output}: this is no result of an evaluation; without --missing, or another name, is right")
    return before


def joined(before: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Results of other cells of the same weights together, in the order of the cells."""
    order = list(CELLS)
    together = {
        name: sorted((*before[name], *results[name]), key=lambda one: order.index(one["cell"]))
        for name in ("scores", "transcripts")
    }
    formats = {name: before["format"][name] + results["format"][name] for name in ("legal", "count")}
    return results | together | {"format": formats}


def evaluate(model: Path, count: int, fewer: int, cells: Sequence[str] = tuple(CELLS)) -> dict[str, Any]:
    """Scores of some cells and every effort, with transcripts of either kind, and how often the format is legal."""
    loaded = load_weights(str(model), backend="native", precision="exact")
    form = Format(vocabulary_of(loaded.checkpoint))
    engine = new_engine(loaded, form)
    scores: list[Score] = []
    transcripts: list[dict[str, Any]] = []
    legal = sampled = 0
    for cell in cells:
        some = count if cell.startswith(_ARITHMETIC) else fewer
        prompts: list[list[int]] = []
        for effort in EFFORTS:
            cases = _cases(cell, effort, some)
            prompts = [case.prompt(form) for case in cases]
            answers = answers_of(engine, prompts)
            texts = [form.vocabulary.decode(answer) for answer in answers]
            verdicts = [case.right(text) for case, text in zip(cases, texts, strict=True)]
            scores.append(_score(cell, effort, cases, texts, sum(map(len, answers)) / len(answers)))
            transcripts += _examples(cell, effort, cases, texts, verdicts)
            print(f"{cell:32} {effort:7} {sum(verdicts):4}/{len(cases)}  {scores[-1].tokens:6.1f} tokens", flush=True)
        prompts = prompts[: max(1, some // 4)]
        legal, sampled = legal + _legal(engine, form, prompts), sampled + len(prompts)
    return {
        "sha256": sha256(model)[WEIGHTS],
        "settings": {"backend": loaded.ops.name, "precision": str(loaded.ops.precision), "sampling": "greedy"},
        "scores": [vars(score) for score in scores],
        "format": {"legal": legal, "count": sampled},
        "transcripts": transcripts,
    }


def _score(cell: str, effort: Effort, cases: Sequence[Case], texts: Sequence[str], tokens: float) -> Score:
    pairs = list(zip(cases, texts, strict=True))
    return Score(
        cell,
        effort,
        count=len(cases),
        right=sum(case.right(text) for case, text in pairs),
        valid=sum(case.valid(text) for case, text in pairs),
        declined=sum((final_answer(text) or "").strip() == CANNOT for text in texts),
        tokens=round(tokens, 1),
    )


def interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion.

    Source: Wilson, Probable inference (1927).
    """
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _cases(cell: str, effort: Effort, count: int) -> list[Case]:
    """The same problems for every effort, under a system message of any date."""
    random = Random(f"held out {cell}")
    return [CELLS[cell](random, effort) for _ in range(count)]


def new_engine(loaded: Loaded, form: Format) -> Engine:
    """An engine that answers many questions at once."""
    stops = form.vocabulary.stop_tokens
    return Engine(
        loaded.model, EngineConfig(context=_CONTEXT, max_requests=64, max_step_tokens=1024, stop_tokens=stops)
    )


def answers_of(
    engine: Engine, prompts: Sequence[Sequence[int]], temperature: float = 0.0, *, seed: int = 0, limit: int = _LIMIT
) -> list[list[int]]:
    """What the model writes after each prompt; every one has a seed of its own."""
    answers: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts, seed):
        sampling = SamplingParams(temperature=temperature, seed=number, max_tokens=limit)
        answers[engine.add(prompt, sampling)] = []
    while engine.has_work:
        for output in engine.step():
            answers[output.request_id] += output.tokens
    return list(answers.values())


def _legal(engine: Engine, form: Format, prompts: Sequence[Sequence[int]]) -> int:
    """Of how many answers sampled at temperature 1 nothing had to be repaired."""
    answers = answers_of(engine, prompts, temperature=1.0)
    return sum(not parse(answer, form.vocabulary).repairs for answer in answers)


def _examples(
    cell: str, effort: Effort, cases: Sequence[Case], texts: Sequence[str], verdicts: Sequence[bool]
) -> Iterator[dict[str, Any]]:
    """One answer at random of each cell, and one that is wrong at the default effort if there is any.

    `picked` says which: those at random are a fair sample, those that are wrong are not.
    """
    random = Random(f"examples {cell}")
    shown = [random.randrange(len(cases))] if effort is random.choice(EFFORTS) else []
    wrong = [index for index, fine in enumerate(verdicts) if not fine and effort == DEFAULT_EFFORT]
    picked = [(index, "at random") for index in shown]
    picked += [(index, "wrong") for index in random.sample(wrong, min(1, len(wrong)))]
    for index, why in picked:
        question, expected = cases[index].problem.question, cases[index].problem.answer
        yield {
            "cell": cell,
            "effort": effort,
            "picked": why,
            "question": question,
            "expected": expected,
            "text": texts[index],
            "right": verdicts[index],
        }


if __name__ == "__main__":
    run(main)
