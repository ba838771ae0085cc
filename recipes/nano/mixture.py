"""What is learned when: the shares of efforts, settings and skills, and the batch of every step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from random import Random

from ossia.harmony import Effort
from ossia.train.packing import Document, Group, PrefixedBatch, pack
from recipes.nano.arithmetic import OPERATIONS, arithmetic, long_arithmetic
from recipes.nano.browser_tool import BROWSER, looked_up
from recipes.nano.calendars import calendar_question
from recipes.nano.chat import chat, meaningless, other_arithmetic, unknown
from recipes.nano.comparison import comparison, decimal_comparison
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.copying import listed, lookup, memory, repetition
from recipes.nano.division import by_zero, division, long_division
from recipes.nano.errands import errand
from recipes.nano.expressions import story
from recipes.nano.facts import facts
from recipes.nano.fractions import fraction
from recipes.nano.functions import Toolset, without_functions
from recipes.nano.instructions import Instruction, wished
from recipes.nano.knowledge import known, unknown_fact
from recipes.nano.letters import text_question
from recipes.nano.logic import conclusion, truth
from recipes.nano.ordering import ordering
from recipes.nano.percentages import percentage
from recipes.nano.problem import Problem
from recipes.nano.prose import prose
from recipes.nano.python_tool import PYTHON, code_question
from recipes.nano.ranking import ranked
from recipes.nano.sequences import sequence
from recipes.nano.signed import signed
from recipes.nano.stories import long_story
from recipes.nano.structured import Form
from recipes.nano.terms import expression
from recipes.nano.too_large import too_large
from recipes.nano.units import units
from recipes.nano.weather import DECLARATION, weather

__all__ = ["SHARED", "Mixture", "Setting", "Shares", "draw_date", "draw_problem", "draw_setting"]

Draw = Callable[[Random], Problem]
Shares = tuple[tuple[str, float], ...]
"""Of skills and settings by name: what they have instead of their later share."""

_OPERATION_SHARES = (0.3, 0.34, 0.36)


@dataclass(frozen=True)
class Skill:
    """How a skill without tools is drawn, and its shares of the learned tokens at high effort: at first, and later.

    `wide` says that only a wide mixture has it.
    """

    draw: Draw
    first: float
    later: float
    wide: bool = False

    @property
    def name(self) -> str:
        """The function that draws it."""
        return getattr(self.draw, "func", self.draw).__name__


def sums(random: Random) -> Problem:
    """One operation on whole numbers."""
    return arithmetic(random, random.choices(OPERATIONS, _OPERATION_SHARES)[0], held=False)


def long_sums(random: Random) -> Problem:
    """One operation on long ones, most of them products."""
    return long_arithmetic(random, random.choices(OPERATIONS, (1, 1, 3))[0], held=False)


def wished_sums(random: Random) -> Problem:
    """One operation, and what the user wishes of its answer."""
    return wished(random, arithmetic(random, random.choice(OPERATIONS), held=False), held=False)


_SKILLS = (
    Skill(sums, 40, 20),
    Skill(partial(division, held=False), 0, 6),
    Skill(partial(comparison, held=False), 0, 2),
    Skill(partial(by_zero, held=False), 0, 0.7),
    Skill(partial(decimal_comparison, held=False), 0, 1.5),
    Skill(partial(signed, held=False), 0, 2),
    Skill(partial(expression, held=False), 0, 9),
    Skill(partial(prose, held=False), 0, 10),
    Skill(partial(story, held=False), 0, 3),
    Skill(partial(repetition, held=False), 34, 6),
    Skill(partial(lookup, held=False), 14, 6),
    Skill(partial(listed, held=False), 0, 4),
    Skill(partial(memory, held=False), 4, 3.5),
    Skill(chat, 4, 7),
    Skill(partial(meaningless, held=False), 0, 0.7),
    Skill(facts, 0, 4),
    Skill(partial(unknown, held=False), 4, 4),
    Skill(other_arithmetic, 0, 0.8),
    Skill(partial(too_large, held=False), 0, 3),
    Skill(partial(without_functions, held=False), 0, 0.8),
    Skill(long_sums, 0, 11, True),
    Skill(partial(long_division, held=False), 0, 11, True),
    Skill(partial(fraction, held=False), 0, 7, True),
    Skill(partial(percentage, held=False), 0, 7, True),
    Skill(partial(ordering, held=False), 0, 13, True),
    Skill(partial(units, held=False), 0, 7, True),
    Skill(partial(calendar_question, held=False), 0, 7, True),
    Skill(partial(truth, held=False), 0, 1, True),
    Skill(partial(conclusion, held=False), 0, 2, True),
    Skill(partial(ranked, held=False), 0, 2, True),
    Skill(partial(errand, held=False), 0, 10, True),
    Skill(partial(text_question, held=False), 0, 11, True),
    Skill(partial(long_story, held=False), 0, 13, True),
    Skill(known, 0, 16, True),
    Skill(partial(unknown_fact, held=False), 0, 14, True),
    Skill(wished_sums, 0, 2, True),
)
# Of each setting, likewise.
_SETTINGS = {"plain": (55, 60), "functions": (38, 27), "weather": (7, 3), "form": (0, 8), "instruction": (0, 5)}
_WIDER_SETTINGS = {"sequence": 13, "python": 6, "browser": 8}
SHARED = (*(skill.name for skill in _SKILLS), *_SETTINGS, *_WIDER_SETTINGS)
"""The names of all that have shares."""
# Asked where there are functions, the same is answered in other words, or by a call.
_NO_TOOL = "no function offered"
_EFFORTS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH)
_FIRST_DAY, _DAYS = date(2024, 1, 1), 365 * 8


@dataclass(frozen=True)
class Setting:
    """What stands before a conversation, and how to draw a problem that belongs there."""

    prefix: Prefix
    draw: Draw


@dataclass(frozen=True)
class Mixture:
    """The batches of a run. Each holds a group at high effort and one of any.

    At first most prefixes are one short line; from `full_from` on, a part of the run, all are real system messages. In
    the `first_part` only what all others stand on is learned: arithmetic, copying, calls. A `wide` mixture has all
    skills afterwards, one that is not has those of whole numbers, copying, calls of one function and talk. `shares` are
    others than the recipe's, to teach something to weights that know the rest.
    """

    format: Format
    steps: int
    tokens: int = 2048
    seed: int = 0
    full_at_first: float = 0.1
    full_from: float = 0.5
    first_part: float = 0.3
    wide: bool = False
    shares: Shares = ()

    def __call__(self, step: int, rank: int) -> PrefixedBatch:
        """The batch of one step for one process."""
        random, done = Random(f"{self.seed} {step} {rank}"), step / self.steps
        first, later = (10, 40, 50), (15, 55, 30)
        other = random.choices(_EFFORTS, first if done < self.first_part else later)[0]
        high = self._group(random, Effort.HIGH, self.tokens * 60 // 100, done)
        return pack([high, self._group(random, other, self.tokens - _size(high), done)], multiple=256)

    def _group(self, random: Random, effort: Effort, room: int, done: float) -> Group:
        full = random.random() < (1.0 if done >= self.full_from else self.full_at_first)
        first = done < self.first_part
        setting = draw_setting(random, effort, full=full, first=first, wide=self.wide, shares=self.shares)
        tokens = self.format.prefix(setting.prefix)
        documents: list[Document] = []
        room -= len(tokens)
        while room > 0 or not documents:
            documents.append(self._document(random, setting))
            room -= len(documents[-1].tokens)
        # Neighbours of like length are padded least.
        return Group(tokens, sorted(documents, key=lambda document: len(document.tokens)))

    def _document(self, random: Random, setting: Setting) -> Document:
        turns = random.choices((0, 1, 2, 3), (86, 9, 4, 1))[0]
        before = _without(partial(draw_problem, wide=self.wide, shares=self.shares), _NO_TOOL)
        history = [before(random) for _ in range(turns)]
        # To the model, no effort is low effort with an empty analysis already written.
        effort = setting.prefix.effort
        silent = effort is Effort.LOW and random.random() < 0.25
        return self.format.document(history, setting.draw(random), Effort.NONE if silent else effort)


def _size(group: Group) -> int:
    return len(group.prefix) + sum(len(document.tokens) for document in group.documents)


def draw_setting(
    random: Random,
    effort: Effort,
    *,
    full: bool = True,
    first: bool = False,
    wide: bool = False,
    shares: Shares = (),
) -> Setting:
    """A setting of that effort to learn in, with any date or none."""
    day = draw_date(random)
    kinds = _kinds(first, wide, shares)
    kind = random.choices(list(kinds), list(kinds.values()))[0]

    def plain(random: Random) -> Problem:
        return draw_problem(random, first=first, wide=wide, shares=shares)

    beside = _without(plain, _NO_TOOL)

    match kind:
        case "functions":
            toolset = Toolset(random, held=False)
            prefix = Prefix(effort, day, functions=toolset.declarations(), full=full)
            return Setting(prefix, _mixed(toolset.draw, beside, 0.85))
        case "sequence":
            toolset = Toolset(random, held=False)
            prefix = Prefix(effort, day, functions=toolset.declarations(), full=full)
            return Setting(prefix, _mixed(lambda random: sequence(random, toolset), toolset.draw, 0.7))
        case "python":
            prefix = Prefix(effort, day, builtin=[PYTHON], full=full)
            by_hand = _without(beside, "too large", "other arithmetic")
            return Setting(prefix, _mixed(lambda random: code_question(random, held=False), by_hand, 0.7))
        case "browser":
            prefix = Prefix(effort, day, builtin=[BROWSER], full=full)
            by_heart = _without(beside, "unknown", "not known")
            return Setting(prefix, _mixed(lambda random: looked_up(random, held=False), by_heart, 0.75))
        case "weather":
            prefix = Prefix(effort, day, functions=[DECLARATION], full=full)
            return Setting(prefix, _mixed(lambda random: weather(random, held=False), beside, 0.6))
        case "form":
            form = Form(random, held=False)
            return Setting(Prefix(effort, day, form=form.response_format(), full=full), form.draw)
        case "instruction":
            return _instructed(random, effort, day, plain, full=full, wide=wide)
        case _:
            return Setting(Prefix(effort, day, full=full), plain)


def _kinds(first: bool, wide: bool, others: Shares) -> dict[str, float]:
    """The settings, and the share of each."""
    if first:
        return {kind: early for kind, (early, _) in _SETTINGS.items()}
    kinds = {kind: late for kind, (_, late) in _SETTINGS.items()} | (_WIDER_SETTINGS if wide else {})
    return kinds | {kind: share for kind, share in others if kind in kinds}


def _instructed(random: Random, effort: Effort, day: str | None, plain: Draw, *, full: bool, wide: bool) -> Setting:
    """A developer's wish; in a wide mixture also one that the user contradicts, or that contradicts the system's."""
    instruction = Instruction.drawn(random, held=False, wide=wide)
    prefix = Prefix(effort, day, instructions=instruction.text, full=full)
    kind = random.random() if wide else 1.0
    if kind < 0.2 and instruction.cell != "no change":
        return Setting(prefix, lambda random: instruction.defended(random, plain(random)))
    if kind < 0.4 and instruction.cell in ("begin with", "end with"):
        weaker = instruction.rival(random, held=False).text
        prefix = Prefix(effort, day, instructions=weaker, full=full, wish=instruction.text)
    return Setting(prefix, lambda random: instruction.applied(random, plain(random)))


def draw_date(random: Random) -> str | None:
    """A day of eight years, or none."""
    return None if random.random() < 0.1 else (_FIRST_DAY + timedelta(random.randrange(_DAYS))).isoformat()


def draw_problem(random: Random, *, first: bool = False, wide: bool = False, shares: Shares = ()) -> Problem:
    """A problem to learn from, of any skill that needs no tools; `first` of those that all others stand on."""
    draws, weights = _weights(first, wide, shares)
    return random.choices(draws, weights)[0](random)


@cache
def _weights(first: bool, wide: bool, others: Shares) -> tuple[Sequence[Draw], Sequence[float]]:
    """The skills, and how often each is drawn: its share of tokens over the tokens that one of its problems has.

    By problems alone long workings would crowd the rest out: a text repeated has a few tokens, a product two hundred.
    """
    skills = [skill for skill in _SKILLS if wide or not skill.wide]
    later = {skill.name: skill.later for skill in skills} | dict(others)
    shares = ((skill.first if first else later[skill.name]) / _tokens_of(skill) for skill in skills)
    return [skill.draw for skill in skills], list(shares)


@cache
def _tokens_of(skill: Skill, problems: int = 64) -> float:
    """The learned tokens of a problem at high effort, on average."""
    random, form = Random(0), Format(vocabulary())
    documents = (form.document((), skill.draw(random), Effort.HIGH) for _ in range(problems))
    return sum(sum(document.learned) for document in documents) / problems


def _without(draw: Draw, *cells: str) -> Draw:
    """Problems of all cells but those that begin so: what a tool is there for is not declined."""

    def drawn(random: Random) -> Problem:
        while (problem := draw(random)).cell.startswith(cells):
            pass
        return problem

    return drawn


def _mixed(draw: Draw, other: Draw, share: float) -> Draw:
    return lambda random: draw(random) if random.random() < share else other(random)
