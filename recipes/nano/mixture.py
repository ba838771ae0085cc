"""What is learned when: the shares of efforts, skills and prefixes, and the batch of every step."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from ossia.harmony import Effort
from ossia.train.packing import Document, Group, PrefixedBatch, pack
from recipes.nano.arithmetic import OPERATIONS, arithmetic
from recipes.nano.chat import chat, other_arithmetic, out_of_scope
from recipes.nano.conversation import Format, Prefix
from recipes.nano.problem import Problem
from recipes.nano.weather import weather

__all__ = ["Mixture", "draw_prefix", "draw_problem"]

_SKILLS = ("arithmetic", "chat", "out of scope", "other arithmetic")
_SKILL_SHARES = (0.79, 0.09, 0.08, 0.04)
_OPERATION_SHARES = (0.32, 0.33, 0.35)
_FIRST_DAY, _DAYS = date(2024, 1, 1), 365 * 8
_INSTRUCTIONS = (
    "You are a helpful assistant.",
    "Be brief.",
    "Answer politely.",
    "You are a calculator.",
    "Answer the user's questions.",
    "Always respond in English.",
    "You are Ossia, a tiny model.",
    "Be concise and correct.",
)


@dataclass(frozen=True)
class Mixture:
    """The batches of a run. Each holds a group at high effort and one at medium or low, some `tokens` in all.

    At first most prefixes are one short line; from `full_from` on, a part of the run, all are real system messages.
    """

    format: Format
    steps: int
    tokens: int = 2048
    seed: int = 0
    full_at_first: float = 0.25
    full_from: float = 0.55

    def __call__(self, step: int, rank: int) -> PrefixedBatch:
        """The batch of one step for one process."""
        random = Random(f"{self.seed} {step} {rank}")
        other = Effort.LOW if random.random() < 0.12 else Effort.MEDIUM
        return pack(
            [
                self._group(random, Effort.HIGH, self.tokens * 55 // 100, step),
                self._group(random, other, self.tokens * 45 // 100, step),
            ]
        )

    def _group(self, random: Random, effort: Effort, room: int, step: int) -> Group:
        prefix = draw_prefix(random, effort, full=random.random() < self._full(step))
        tokens = self.format.prefix(prefix)
        documents: list[Document] = []
        room -= len(tokens)
        while room > 0 or not documents:
            documents.append(self._document(random, prefix))
            room -= len(documents[-1].tokens)
        # Neighbours of like length are padded least.
        return Group(tokens, sorted(documents, key=lambda document: len(document.tokens)))

    def _full(self, step: int) -> float:
        done = step / self.steps
        return 1.0 if done >= self.full_from else self.full_at_first

    def _document(self, random: Random, prefix: Prefix) -> Document:
        turns = random.choices((0, 1, 2, 3), (84, 10, 4, 2))[0]
        history = [draw_problem(random, tools=False) for _ in range(turns)]
        # To the model, no effort is low effort with an empty analysis already written.
        silent = prefix.effort is Effort.LOW and random.random() < 0.25
        effort = Effort.NONE if silent else prefix.effort
        return self.format.document(history, draw_problem(random, tools=prefix.tools), effort)


def draw_prefix(random: Random, effort: Effort, *, full: bool = True) -> Prefix:
    """A prefix of that effort: any date or none, now and then instructions or the tool."""
    if not full:
        return Prefix(effort, full=False)
    day = None if random.random() < 0.1 else (_FIRST_DAY + timedelta(random.randrange(_DAYS))).isoformat()
    instructions = random.choice(_INSTRUCTIONS) if random.random() < 0.08 else None
    return Prefix(effort, day, instructions, tools=random.random() < 0.4)


def draw_problem(random: Random, *, tools: bool) -> Problem:
    """A problem to learn from, of any skill; where the tool is declared, half of them need it."""
    if tools and random.random() < 0.5:
        return weather(random, held=False)
    match random.choices(_SKILLS, _SKILL_SHARES)[0]:
        case "arithmetic":
            return arithmetic(random, random.choices(OPERATIONS, _OPERATION_SHARES)[0], held=False)
        case "chat":
            return chat(random)
        case "out of scope":
            return out_of_scope(random, held=False)
        case _:
            return other_arithmetic(random)
