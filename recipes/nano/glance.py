"""A quick look at a checkpoint: `python -m recipes.nano.glance build/nano/checkpoint.pt`."""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch

from ossia.harmony import Effort, Vocabulary
from recipes.nano.arithmetic import OPERATIONS, arithmetic
from recipes.nano.chat import chat, other_arithmetic, out_of_scope
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.decode import greedy
from recipes.nano.problem import Problem
from recipes.nano.shape import model_config
from recipes.nano.weather import weather

_LIMIT = 220


def main() -> None:
    """Print accuracies by effort and cell, and some of what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=60, help="problems of each operation")
    parser.add_argument("--raw", action="store_true", help="do not round the experts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(arguments.checkpoint, weights_only=True)
    form = Format(vocabulary())
    config = model_config(form.vocabulary.size, form.vocabulary.return_, form.vocabulary.endoftext)
    print(f"step {state['step']}")
    for effort in (Effort.LOW, Effort.MEDIUM, Effort.HIGH):
        began = time.perf_counter()
        problems = _problems(arguments.count)
        prefix = Prefix(effort, "2026-11-23")
        tools = Prefix(effort, "2026-11-23", tools=True)
        prompts = [
            form.prefix(tools if one.tool else prefix) + form.prompt((), one.question, effort) for one in problems
        ]
        stop = form.vocabulary.stop_tokens
        answers = greedy(config, state["parameters"], prompts, stop, _LIMIT, quantise=not arguments.raw)
        _show(form.vocabulary, effort, problems, answers)
        print(f"  {time.perf_counter() - began:.0f} s")


def _problems(count: int) -> list[Problem]:
    random = Random("glance")
    problems = [arithmetic(random, operation, held=True) for operation in OPERATIONS for _ in range(count)]
    for _ in range(count // 3):
        problems += [
            chat(random),
            out_of_scope(random, held=True),
            other_arithmetic(random),
            weather(random, held=True),
        ]
    return problems


def _show(
    vocabulary: Vocabulary, effort: Effort, problems: Sequence[Problem], answers: Sequence[Sequence[int]]
) -> None:
    cells: dict[str, list[bool]] = defaultdict(list)
    wrong = []
    for one, tokens in zip(problems, answers, strict=True):
        text = vocabulary.decode(tokens)
        right = one.tool.arguments in text if one.tool else one.right(_final(text))
        cells[one.cell].append(right)
        cells[one.cell.split()[0]].append(right)
        if not right:
            wrong.append((one.question, text))
    print(f"{effort}: " + "  ".join(f"{cell} {sum(r)}/{len(r)}" for cell, r in sorted(cells.items())))
    for question, text in wrong[:4]:
        print(f"    {question!r} -> {text!r}")


def _final(text: str) -> str:
    return text.rpartition("<|channel|>final<|message|>")[2].removesuffix("<|return|>")


if __name__ == "__main__":
    main()
