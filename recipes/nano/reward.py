"""Learn from one's own answers, graded by the checkers: `python -m recipes.nano.reward build/nano/checkpoint.pt`.

The last stage after training. Each round draws problems, samples several answers to each at temperature 1, grades them,
and makes what was better than the others likelier and what was worse less likely. Together with that it takes a step
of the mixture, so that nothing else is forgotten. Accuracy before and after, on problems kept for evaluation, goes into
the checkpoint. Started again it goes on where it was.

Source: Williams, REINFORCE (1992); the mean of a group as its baseline: Shao et al., DeepSeekMath (arXiv 2402.03300).
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ossia.cli._options import at_least, fraction
from ossia.config import ModelConfig
from ossia.harmony import Effort
from ossia.loading import load_weights
from ossia.model import forward, prepare
from ossia.train.packing import UNLEARNED, Document, Group, PrefixedBatch, pack
from ossia.train.parameters import initial_parameters
from ossia.train.train_ops import TrainOps
from ossia.train.trainer import batch_loss, read_checkpoint, take
from recipes.nano.case import Case
from recipes.nano.cells import CELLS
from recipes.nano.command import alone, run
from recipes.nano.conversation import Format, vocabulary
from recipes.nano.evaluate import answers_of, new_engine
from recipes.nano.export import export
from recipes.nano.mixture import Mixture, draw_setting
from recipes.nano.shape import model_config

__all__ = [
    "Question",
    "RewardConfig",
    "Rewarded",
    "Sample",
    "accuracy",
    "advantages",
    "draw_questions",
    "engine_sampler",
    "grade",
    "rewarded_batch",
]

_EFFORTS, _EFFORT_SHARES = (Effort.LOW, Effort.MEDIUM, Effort.HIGH), (10, 40, 50)
_VALID = 0.1
"""What a wrong answer of the right form is worth beside a right one."""


Sample = Callable[[Mapping[str, Tensor], Sequence[Sequence[int]], float, int], list[list[int]]]
"""The answers of a model with these parameters to these prompts, at a temperature, from a seed on."""


@dataclass(frozen=True)
class Question:
    """What a model goes on from, in a part that others share and its own, and what its answer is worth, from 0 to 1."""

    prefix: Sequence[int]
    prompt: Sequence[int]
    worth: Callable[[Sequence[int]], float]


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """How to learn. A round asks `questions`, `samples` times each; `keep` weighs the step of the mixture beside it."""

    rounds: int = 200
    questions: int = 16
    samples: int = 8
    limit: int = 400
    rate: float = 1e-4
    keep: float = 1.0
    temperature: float = 1.0
    seed: int = 0


class Rewarded:
    """Parameters and their optimiser, and the round they have reached."""

    def __init__(
        self,
        config: ModelConfig,
        learning: RewardConfig,
        sample: Sample,
        questions: Callable[[int], Sequence[Question]],
        kept: Callable[[int], PrefixedBatch] | None = None,
    ) -> None:
        self.config, self.learning = config, learning
        self._sample, self._questions, self._kept = sample, questions, kept
        self.parameters = initial_parameters(config, learning.seed)
        self.round = 0
        self.rewards: list[float] = []
        self._optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=learning.rate, betas=(0.9, 0.97), weight_decay=0.0
        )

    def step(self) -> float:
        """One round; the mean of what the answers were worth. Without a difference nothing is learned from them."""
        learning, questions = self.learning, self._questions(self.round)
        prompts = [[*one.prefix, *one.prompt] for one in questions for _ in range(learning.samples)]
        answers = self._sample(self.parameters, prompts, learning.temperature, self.round * len(prompts))
        groups = [answers[at : at + learning.samples] for at in range(0, len(answers), learning.samples)]
        worth = np.asarray(
            [[one.worth(answer) for answer in group] for one, group in zip(questions, groups, strict=True)]
        )
        batch, weights = rewarded_batch(questions, groups, advantages(worth))
        loss = self._policy_loss(batch, weights) if batch is not None else torch.zeros(())
        if self._kept:
            loss = loss + learning.keep * batch_loss(self._ops(), self.config, self.parameters, self._kept(self.round))
        if loss.requires_grad:
            self._update(loss)
        self.round += 1
        self.rewards.append(float(worth.mean()))
        return self.rewards[-1]

    def save(self, path: Path, **more: Any) -> None:
        """Write all that resuming needs, whole or not at all."""
        state = {
            "step": self.round,
            "rewards": self.rewards,
            "parameters": {name: value.data for name, value in self.parameters.items()},
            "optimiser": self._optimiser.state_dict(),
            **more,
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def load(self, path: Path, *, weights_only: bool = False) -> dict[str, Any]:
        """Go on from a saved file, or with `weights_only` from the parameters of any checkpoint; what else it holds.

        Raises OssiaError when they are another model's, or the file is not one that was saved with `before`.
        """
        state = read_checkpoint(path, *(() if weights_only else ("rewards", "optimiser", "before")))
        take(self.parameters, state["parameters"], path)
        if not weights_only:
            self.round, self.rewards = state["step"], state["rewards"]
            self._optimiser.load_state_dict(state["optimiser"])
        return state

    def _policy_loss(self, batch: PrefixedBatch, weights: np.ndarray) -> Tensor:
        """The mean of every learned token's surprise, weighed by how much better its answer was than the others."""
        ops = self._ops()
        logits = forward(ops, self.config, prepare(ops, self.config, cast(Any, self.parameters)), batch)
        targets = torch.from_numpy(batch.targets).long()
        surprise = F.cross_entropy(logits.float(), targets, reduction="none", ignore_index=UNLEARNED)
        return (surprise * torch.from_numpy(weights)).sum() / int(np.count_nonzero(batch.targets != UNLEARNED))

    def _update(self, loss: Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        left = 1 - self.round / self.learning.rounds
        self._optimiser.param_groups[0]["lr"] = self.learning.rate * max(left, 0.0)
        self._optimiser.step()
        self._optimiser.zero_grad()

    def _ops(self) -> TrainOps:
        return TrainOps(quantise=True)


def advantages(worth: np.ndarray) -> np.ndarray:
    """[Q, S] -> [Q, S]: how much better each answer was than the mean of the answers to its question."""
    return worth - worth.mean(1, keepdims=True)


def rewarded_batch(
    questions: Sequence[Question], answers: Sequence[Sequence[Sequence[int]]], better: np.ndarray
) -> tuple[PrefixedBatch | None, np.ndarray]:
    """The answers that were better or worse than others, and of each target its weight [L]; no batch if all were alike.

    Only what the model wrote is learned. Answers behind the same prefix make a group.
    """
    documents: dict[tuple[int, ...], list[Document]] = {}
    weights: dict[tuple[int, ...], list[float]] = {}
    for question, group, row in zip(questions, answers, better, strict=True):
        for answer, weight in zip(group, row, strict=True):
            if not answer or weight == 0:
                continue
            prefix = tuple(question.prefix)
            learned = [False] * len(question.prompt) + [True] * len(answer)
            documents.setdefault(prefix, []).append(Document([*question.prompt, *answer], learned))
            weights.setdefault(prefix, []).extend([float(weight)] * len(answer))
    if not documents:
        return None, np.zeros(0, np.float32)
    batch = pack([Group(prefix, some) for prefix, some in documents.items()], multiple=256)
    flat = np.concatenate([np.asarray(some, np.float32) for some in weights.values()])
    return batch, np.pad(flat, (0, len(batch.targets) - len(flat)))


def grade(case: Case, text: str) -> float:
    """1 for what is right, a little for a wrong answer or call of the right form, else 0."""
    return 1.0 if case.right(text) else _VALID if case.valid(text) else 0.0


def draw_questions(form: Format, count: int, number: int) -> list[Question]:
    """Problems to learn from, four of each setting."""
    random, questions = Random(f"reward {number}"), list[Question]()
    while len(questions) < count:
        effort = random.choices(_EFFORTS, _EFFORT_SHARES)[0]
        setting = draw_setting(random, effort, wide=True)
        for _ in range(min(4, count - len(questions))):
            problem = setting.draw(random)
            case = Case(setting.prefix, (), problem, random.randrange(len(problem.calls) + 1))
            questions.append(_question(form, case))
    return questions


def _question(form: Format, case: Case) -> Question:
    prefix = form.prefix(case.prefix)
    prompt = case.prompt(form)[len(prefix) :]
    return Question(prefix, prompt, lambda answer: grade(case, form.vocabulary.decode(answer)))


def accuracy(parameters: Mapping[str, Tensor], form: Format, sample: Sample, count: int) -> float:
    """The share of greedy answers that are right, over `count` kept problems of every cell at high effort."""
    random = Random("reward, kept")
    cases = [draw(random, Effort.HIGH) for draw in CELLS.values() for _ in range(count)]
    answers = sample(parameters, [case.prompt(form) for case in cases], 0.0, 0)
    texts = map(form.vocabulary.decode, answers)
    return sum(case.right(text) for case, text in zip(cases, texts, strict=True)) / len(cases)


def engine_sampler(form: Format, limit: int) -> Sample:
    """Answers of our own engine, from the model as it would be exported: many at once, prefixes computed once."""

    def sample(
        parameters: Mapping[str, Tensor], prompts: Sequence[Sequence[int]], temperature: float, seed: int
    ) -> list[list[int]]:
        with TemporaryDirectory() as folder:
            export(parameters, Path(folder))
            engine = new_engine(load_weights(folder, backend="native", precision="exact"), form)
            return answers_of(engine, prompts, temperature, seed=seed, limit=limit)

    return sample


def main() -> None:
    """Learn from a checkpoint's answers and write another; of two runs that write the same the second is refused."""
    arguments = _arguments()
    output = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    with alone(output.with_name(f".{output.name}.lock"), output):
        _learn(arguments)


def _learn(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    form = Format(vocabulary())
    config = model_config(form.vocabulary.size, form.vocabulary.return_, form.vocabulary.endoftext)
    learning = RewardConfig(
        rounds=arguments.rounds, questions=arguments.questions, samples=arguments.samples, rate=arguments.rate
    )
    # As at the end of training, when every prefix is whole.
    mixture = Mixture(form, steps=1, full_from=0.0, first_part=0.0, wide=True)
    sample = engine_sampler(form, learning.limit)
    stage = Rewarded(
        config,
        learning,
        sample,
        lambda number: draw_questions(form, learning.questions, number),
        lambda number: mixture(number, 0),
    )
    goes_on = arguments.output.exists()
    state = stage.load(arguments.output if goes_on else arguments.checkpoint, weights_only=not goes_on)
    kept = arguments.kept
    before = state["before"] if goes_on else accuracy(stage.parameters, form, sample, kept)
    _run(stage, arguments.output, before)
    after = accuracy(stage.parameters, form, sample, kept)
    stage.save(arguments.output, before=before, after=after)
    print(f"{kept} kept problems of each of {len(CELLS)} cells: {before:.4f} right before, {after:.4f} after")


def _run(stage: Rewarded, output: Path, before: float) -> None:
    """All rounds that are left, saving every minute."""
    saved, rounds = time.monotonic(), stage.learning.rounds
    while stage.round < rounds:
        stage.step()
        recent = stage.rewards[-20:]
        print(f"round {stage.round}/{rounds}  worth {sum(recent) / len(recent):.4f}", file=sys.stderr, flush=True)
        if time.monotonic() - saved >= 60:
            stage.save(output, before=before)
            saved = time.monotonic()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learn from a checkpoint's own answers, graded.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build/nano/rewarded.pt"))
    parser.add_argument("--rounds", type=at_least(1), default=RewardConfig.rounds)
    parser.add_argument("--questions", type=at_least(1), default=RewardConfig.questions, help="of each round")
    parser.add_argument("--samples", type=at_least(1), default=RewardConfig.samples, help="answers to each question")
    parser.add_argument("--rate", type=fraction(0, 1, above=True), default=RewardConfig.rate)
    parser.add_argument("--kept", type=at_least(1), default=4, help="problems of each cell, before and after")
    parser.add_argument("--threads", type=at_least(1), default=2)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
