"""A quick look at a checkpoint: `python -m recipes.nano.glance build/nano/checkpoint.pt`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch

from ossia.cli._options import at_least
from ossia.harmony import Effort
from recipes.nano.case import Case
from recipes.nano.cells import CELLS
from recipes.nano.command import run
from recipes.nano.conversation import Format, vocabulary
from recipes.nano.decode import generate
from recipes.nano.shape import model_config
from recipes.nano.trained import read_nano

_LIMIT, _AT_ONCE = 700, 96

_QUICK = [cell for cell in CELLS if not cell.startswith(("python", "browser", "longer"))]


def main() -> None:
    """Print accuracies by cell, and some of what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=at_least(1), default=8, help="problems of each cell")
    parser.add_argument("--effort", type=Effort, default=Effort.HIGH)
    parser.add_argument(
        "--cells",
        nargs="*",
        choices=list(CELLS),
        default=_QUICK,
        metavar="CELL",
        help="only these (default: all without built-in tools)",
    )
    parser.add_argument("--raw", action="store_true", help="do not round the experts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    step, parameters = read_nano(arguments.checkpoint)
    form = Format(vocabulary())
    config = model_config(form.vocabulary.size, form.vocabulary.return_, form.vocabulary.endoftext)
    random = Random("glance")
    cases = [(cell, CELLS[cell](random, arguments.effort)) for cell in arguments.cells for _ in range(arguments.count)]
    # Those of like length together: one that has ended waits for the last.
    cases.sort(key=lambda one: len(one[1].prompt(form)))
    texts: list[str] = []
    for first in range(0, len(cases), _AT_ONCE):
        prompts = [case.prompt(form) for _, case in cases[first : first + _AT_ONCE]]
        stop = form.vocabulary.stop_tokens
        answers = generate(config, parameters, prompts, stop, _LIMIT, quantise=not arguments.raw)
        texts += [form.vocabulary.decode(answer) for answer in answers]
    print(f"step {step}")
    _show(cases, texts)


def _show(cases: Sequence[tuple[str, Case]], texts: Sequence[str]) -> None:
    for cell in [cell for cell in CELLS if cell in {name for name, _ in cases}]:
        mine = [(case, text) for (name, case), text in zip(cases, texts, strict=True) if name == cell]
        wrong = [(case, text) for case, text in mine if not case.right(text)]
        print(f"{cell:26} {len(mine) - len(wrong)}/{len(mine)}")
        for case, text in wrong[:1]:
            wanted = (
                case.problem.calls[case.done].arguments if case.done < len(case.problem.calls) else case.problem.answer
            )
            print(f"    {case.problem.question!r} -> {text!r}; {wanted!r} is right")


if __name__ == "__main__":
    run(main)
