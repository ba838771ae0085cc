"""What is measured: the cells of the card, each a way to draw a conversation that training never contains."""

import re
from collections.abc import Callable
from random import Random

from ossia.harmony import Effort, ToolNamespace
from recipes.nano.arithmetic import arithmetic, long_arithmetic, of_digits
from recipes.nano.browser_tool import BROWSER, looked_up
from recipes.nano.calendars import calendar_question
from recipes.nano.case import Case
from recipes.nano.chat import chat, meaningless, other_arithmetic, unknown
from recipes.nano.comparison import comparison, decimal_comparison
from recipes.nano.conversation import Prefix
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
from recipes.nano.mixture import draw_date, draw_problem
from recipes.nano.ordering import ordering
from recipes.nano.percentages import percentage
from recipes.nano.problem import Problem, thoughts
from recipes.nano.prose import prose
from recipes.nano.python_tool import PYTHON, code_question
from recipes.nano.ranking import ranked
from recipes.nano.sequences import chained, completed, paired
from recipes.nano.signed import signed
from recipes.nano.stories import long_story
from recipes.nano.structured import Form
from recipes.nano.terms import expression
from recipes.nano.too_large import TOO_LARGE, too_large
from recipes.nano.units import units
from recipes.nano.weather import DECLARATION, weather

__all__ = ["CALLS", "CELLS", "FACTS", "UNKNOWN"]

Draw = Callable[[Random], Problem]
MakeCase = Callable[[Random, Effort], Case]

FACTS = ("facts", "known facts")
"""Cells of what is taught, as it is taught."""
UNKNOWN = ("unknown", "facts beyond")
"""Cells of what is to be answered with not knowing."""
CALLS = (
    "call",
    "call, weather",
    *(f"{place} of {what}" for what in ("two calls", "two functions", "a chain") for place in ("first", "second")),
    "value given later",
    "python, code",
    "browser, search",
    "browser, open",
)
"""Cells in which a call is right."""

_TRIES = 1000


def _plain(draw: Draw) -> MakeCase:
    return lambda random, effort: Case(Prefix(effort, draw_date(random)), (), draw(random))


def _of_cell(draw: Draw, wanted: Callable[[Problem], bool]) -> MakeCase:
    def drawn(random: Random) -> Problem:
        while not wanted(problem := draw(random)):
            pass
        return problem

    return _plain(drawn)


def _arithmetic(operation: str, cell: str, draw: Callable[..., Problem] = arithmetic) -> MakeCase:
    kept: Draw = lambda random: draw(random, operation, held=True)  # noqa: E731
    return _of_cell(kept, lambda problem: problem.cell == cell and not _turned(problem))


def _turned(problem: Problem) -> bool:
    """Whether the question names the numbers in the other order, "subtract b from a": measured apart."""
    return "from" in problem.question.lower()


def _by_one(problem: Problem) -> bool:
    return problem.cell.startswith("division") and re.findall(r"\d+", problem.question)[1] == "1"


def _after_turns(random: Random, effort: Effort) -> Case:
    history = tuple(draw_problem(random) for _ in range(random.randrange(1, 3)))
    problem = arithmetic(random, random.choice("+-*"), held=True)
    return Case(Prefix(effort, draw_date(random)), history, problem)


def _functions(draw: Callable[[Toolset, Random], Problem], done: int = 0) -> MakeCase:
    def case(random: Random, effort: Effort) -> Case:
        while True:
            toolset = Toolset(random, held=True)
            problem = draw(toolset, random)
            if not done or len(problem.calls) >= done:
                return Case(Prefix(effort, draw_date(random), functions=toolset.declarations()), (), problem, done)

    return case


def _two_calls(toolset: Toolset, random: Random) -> Problem:
    """Other functions take the place of those that are never called twice: of a single yes or no, or of one choice."""
    for _ in range(_TRIES):
        if len((problem := toolset.double(random)).calls) == 2:
            return problem
    toolset.functions[:] = Toolset(random, held=True).functions
    return _two_calls(toolset, random)


def _missing(toolset: Toolset, random: Random) -> Problem:
    """Other functions take the place of those that need nothing."""
    while (problem := toolset.incomplete(random)).calls:
        toolset.functions[:] = Toolset(random, held=True).functions
    return problem


def _in_a_row(draw: Callable[[Random, Toolset], Problem | None], calls: int, done: int) -> MakeCase:
    """Calls that hang together, of so many that succeed; in front of the model after `done` of them."""

    def drawn(toolset: Toolset, random: Random) -> Problem:
        while (problem := draw(random, toolset)) is None or len(problem.calls) != calls:
            toolset.functions[:] = Toolset(random, held=True).functions
        return problem

    return _functions(drawn, done)


def _with_tool(tool: ToolNamespace, draw: Callable[..., Problem], calls: int, done: int) -> MakeCase:
    def case(random: Random, effort: Effort) -> Case:
        while len((problem := draw(random, held=True)).calls) != calls:
            pass
        return Case(Prefix(effort, draw_date(random), builtin=[tool]), (), problem, done)

    return case


def _longer_numbers(random: Random) -> Problem:
    """Of ten to twelve digits, where training declines up to nine."""
    a, b = (of_digits(random, size) for size in random.choices((10, 11, 12), k=2))
    return _too_large(a, random.choice("+-*"), b)


def _declined(sign: str, first: int, second: int) -> MakeCase:
    """Numbers of so many digits, one more than what is worked out; that is to be said."""

    return _plain(lambda random: _too_large(of_digits(random, first), sign, of_digits(random, second)))


def _too_large(a: int, sign: str, b: int) -> Problem:
    return Problem("too large", f"What is {a} {sign} {b}?", TOO_LARGE, thoughts("Too large."))


def _weather(done: int) -> MakeCase:
    def case(random: Random, effort: Effort) -> Case:
        prefix = Prefix(effort, draw_date(random), functions=[DECLARATION])
        return Case(prefix, (), weather(random, held=True), done)

    return case


def _form(*, prose: bool) -> MakeCase:
    def case(random: Random, effort: Effort) -> Case:
        while ((form := Form(random, held=True)).person is not None) != prose:
            pass
        return Case(Prefix(effort, draw_date(random), form=form.response_format()), (), form.draw(random))

    return case


def _instruction(random: Random, effort: Effort) -> Case:
    while (one := Instruction.drawn(random, held=True)).cell == "no change":
        pass
    problem = one.applied(random, _sum(random))
    return Case(Prefix(effort, draw_date(random), instructions=one.text), (), problem)


def _instructed(wanted: str, *kinds: str, of: Draw | None = None) -> MakeCase:
    """An instruction of some kinds: followed, held against the user, or the system's against the developer's."""

    def case(random: Random, effort: Effort) -> Case:
        while (one := Instruction.drawn(random, held=True, wide=True)).cell not in kinds:
            pass
        day = draw_date(random)
        if wanted == "system":
            prefix = Prefix(effort, day, instructions=one.rival(random, held=True).text, wish=one.text)
        else:
            prefix = Prefix(effort, day, instructions=one.text)
        put = one.defended if wanted == "defended" else one.applied
        return Case(prefix, (), put(random, (of or _sum)(random)))

    return case


def _sum(random: Random) -> Problem:
    return arithmetic(random, random.choice("+-*"), held=True)


_ARITHMETIC = {
    "+": tuple(f"addition {size}" for size in (2, 3, 4, 5)),
    "-": (*(f"subtraction {size}" for size in (2, 3, 4, 5)), "subtraction below zero"),
    "*": tuple(f"multiplication {size}" for size in ("2x1", "3x1", "2x2", "3x2")),
}

_LONG_ARITHMETIC = (
    ("+", "addition 6"),
    ("-", "subtraction 6"),
    *(("*", f"multiplication {size}") for size in ("4x1", "6x1", "4x2", "6x2", "3x3", "4x3", "6x3")),
)
_DIVISIONS = tuple(f"division {size}" for size in (2, 3, 4, 5, 6))
_LONG_DIVISIONS = (
    *(f"division {size} by 2" for size in (3, 4, 5, 6)),
    *(f"division {size} by 3" for size in (2, 4, 5, 6)),
)
_FRACTIONS = ("fraction +", "fraction -", "fraction, reduced")
_CALENDAR = ("weekday", "weekday of a date", "days between", "date after", "leap year")
_LETTERS = ("spell", "count letters", "count a letter", "reverse", "first letter", "last letter", "palindrome")
_CASES = ("upper case", "lower case")


def _held(draw: Callable[..., Problem], cell: str | None = None, **more: int | bool) -> MakeCase:
    """The kept problems of a skill, or those of one of its cells."""
    return _of_cell(lambda random: draw(random, held=True, **more), lambda problem: cell in (None, problem.cell))


CELLS: dict[str, MakeCase] = {
    **{name: _arithmetic(operation, name) for operation, names in _ARITHMETIC.items() for name in names},
    **{name: _arithmetic(operation, name, long_arithmetic) for operation, name in _LONG_ARITHMETIC},
    "subtract b from a": _of_cell(lambda random: arithmetic(random, "-", held=True), _turned),
    **{name: _held(division, name) for name in (*_DIVISIONS, "remainder")},
    **{name: _held(long_division, name) for name in (*_LONG_DIVISIONS, "remainder of long division")},
    "division by 1": _of_cell(lambda random: division(random, held=True), _by_one),
    "division by zero": _held(by_zero, "division by zero"),
    "comparison": _held(comparison),
    "comparison of decimals": _held(decimal_comparison),
    "signed numbers": _held(signed),
    **{f"expression of {count}": _held(expression, count=count) for count in (3, 4)},
    "fraction": _of_cell(lambda random: fraction(random, held=True), lambda one: one.cell in _FRACTIONS),
    **{
        name: _held(fraction, name)
        for name in ("fraction *", "fraction /", "fraction of a number", "fractions compared")
    },
    **{name: _held(percentage, name) for name in ("percentage", "percentage, changed", "percentage, part")},
    "sort numbers": _held(ordering, "sort numbers"),
    "sort words": _held(ordering, "sort words"),
    "sort numbers, no commas": _held(ordering, "sort numbers", spaced=True),
    "unit": _held(units),
    **{name: _held(calendar_question, name) for name in _CALENDAR},
    "truth": _held(truth),
    "conclusion": _held(conclusion),
    "ranking": _held(ranked),
    **{f"letters, {name}": _held(text_question, name) for name in (*_LETTERS, *_CASES)},
    "story": _held(story),
    "story, 1 step": _held(long_story, count=1),
    **{f"story, {count} steps": _held(long_story, count=count) for count in (2, 3, 4)},
    **{f"prose, {count} step{'s' * (count > 1)}": _held(prose, count=count) for count in (1, 2, 3)},
    "errand": _held(errand),
    "numbers too large": _held(too_large),
    "longer: addition 7, to be declined": _declined("+", 7, 6),
    "longer: multiplication 7x1, to be declined": _declined("*", 7, 1),
    "longer: multiplication 4x4, to be declined": _declined("*", 4, 4),
    "longer: division 6 by 4, to be declined": _declined("/", 6, 4),
    "longer: expression of 5": _held(expression, count=5),
    "longer: remember, for five turns": _held(memory, between=5),
    "longer: story, 5 steps": _held(long_story, count=5),
    "longer: sort 7 numbers": _held(ordering, "sort numbers", count=7),
    "longer: repeat 24 values": _held(repetition, count=24),
    "longer: numbers, to be declined": _plain(_longer_numbers),
    "second question": _after_turns,
    "repeat": _held(repetition),
    "look up": _held(lookup),
    "list": _held(listed),
    "remember": _of_cell(lambda random: memory(random, held=True), lambda one: one.cell != "not told"),
    "asked for what was not told": _held(memory, "not told"),
    "remember, for two turns": _held(memory, between=2),
    "call, weather": _weather(0),
    "answer, weather": _weather(1),
    "call": _functions(Toolset.single),
    "answer from the result": _functions(Toolset.single, 1),
    "first of two calls": _functions(_two_calls),
    "second of two calls": _functions(_two_calls, 1),
    "answer after two calls": _functions(_two_calls, 2),
    "first of two functions": _in_a_row(paired, 2, 0),
    "second of two functions": _in_a_row(paired, 2, 1),
    "first of a chain": _in_a_row(chained, 2, 0),
    "second of a chain": _in_a_row(chained, 2, 1),
    "answer after a chain": _in_a_row(chained, 2, 2),
    "value given later": _in_a_row(completed, 1, 0),
    "value missing": _functions(_missing),
    "no function fits": _functions(Toolset.unfit),
    "no function offered": _held(without_functions),
    "python, code": _with_tool(PYTHON, code_question, 1, 0),
    "python, answer": _with_tool(PYTHON, code_question, 1, 1),
    "browser, search": _with_tool(BROWSER, looked_up, 2, 0),
    "browser, open": _with_tool(BROWSER, looked_up, 2, 1),
    "browser, answer and citation": _with_tool(BROWSER, looked_up, 2, 2),
    "browser, nothing found or failed": _with_tool(BROWSER, looked_up, 1, 1),
    "structured output": _form(prose=False),
    "structured output from prose": _form(prose=True),
    "instruction": _instruction,
    "instruction, language of the greeting": _instructed("applied", "language"),
    "instruction, at most so many words": _instructed("applied", "at most words", of=chat),
    "instruction, developer over user": _instructed("defended", "upper case", "begin with", "end with", "refuse"),
    "instruction, system over developer": _instructed("system", "begin with", "end with"),
    "wish of the user": _plain(lambda random: wished(random, _sum(random), held=True)),
    "chat": _plain(chat),
    "meaningless": _held(meaningless),
    "facts": _plain(facts),
    "known facts": _plain(known),
    "facts beyond": _held(unknown_fact),
    "unknown": _held(unknown),
    "other arithmetic": _plain(other_arithmetic),
}
