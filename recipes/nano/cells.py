"""What is measured: the cells of the card, each a way to draw a conversation that training never contains."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

from ossia.harmony import Effort
from recipes.nano.arithmetic import arithmetic
from recipes.nano.chat import chat, other_arithmetic, unknown
from recipes.nano.comparison import comparison
from recipes.nano.conversation import Format, Prefix
from recipes.nano.copying import listed, lookup, memory, repetition
from recipes.nano.division import division
from recipes.nano.expressions import expression, story
from recipes.nano.facts import facts
from recipes.nano.functions import Toolset
from recipes.nano.instructions import Instruction
from recipes.nano.mixture import draw_date, draw_problem
from recipes.nano.problem import Problem, ToolUse
from recipes.nano.python_tool import parsed
from recipes.nano.structured import Form
from recipes.nano.weather import DECLARATION, weather

__all__ = ["CELLS", "Case", "called"]

Draw = Callable[[Random], Problem]

_CALL = re.compile(
    r" to=(?P<to>[\w.]+)<\|channel\|>(?P<channel>\w+) (?P<type>\S+)<\|message\|>(?P<text>.*)<\|call\|>$", re.S
)
_HEADERS = {False: ("commentary", "<|constrain|>json"), True: ("analysis", "code")}
_FINAL = re.compile(r"<\|channel\|>final<\|message\|>.*<\|return\|>$", re.S)


@dataclass(frozen=True)
class Case:
    """A conversation up to one of the model's turns: the first, or that after `done` calls have given their results."""

    prefix: Prefix
    history: tuple[Problem, ...]
    problem: Problem
    done: int = 0

    def prompt(self, form: Format) -> list[int]:
        """The tokens that the model goes on from."""
        document = form.document(self.history, self.problem, self.prefix.effort)
        learned = [False, *document.learned]
        starts = [index for index, own in enumerate(document.learned) if own and not learned[index]]
        return form.prefix(self.prefix) + list(document.tokens[: starts[self.done]])

    def right(self, text: str) -> bool:
        """Whether the model's text is right: exactly the next call, or the answer."""
        if self.done < len(self.problem.calls):
            return _same_call(text, self.problem.calls[self.done])
        head, final, answer = text.rpartition("<|channel|>final<|message|>")
        closed = answer.endswith("<|return|>") and head.count("<|channel|>") <= 1
        return bool(final) and closed and self.problem.right(answer.removesuffix("<|return|>"))

    def valid(self, text: str) -> bool:
        """Whether it is a final answer, or a call of a declared function whose arguments fit its schema."""
        call = _CALL.search(text)
        if not call:
            return bool(_FINAL.search(text)) and text.count("<|channel|>final") == 1
        return _valid_call(self.prefix, call["to"], (call["channel"], call["type"]), call["text"])


def _valid_call(prefix: Prefix, recipient: str, header: tuple[str, str], text: str) -> bool:
    """Whether the recipient is declared, is called on its channel, and takes such a text."""
    schemas = {f"functions.{one['name']}": (False, cast(Any, one["parameters"])) for one in prefix.functions}
    for namespace in prefix.builtin:
        schemas |= {f"{namespace.name}.{tool.name}": (True, cast(Any, tool.parameters)) for tool in namespace.tools}
        schemas |= {} if namespace.tools else {namespace.name: (True, None)}
    if recipient not in schemas:
        return False
    builtin, schema = schemas[recipient]
    if header != _HEADERS[builtin]:
        return False
    if schema is None:
        return parsed(text) is not None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return _fits(given, schema)


def _fits(given: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value fits one of the few kinds of schema that functions here have."""
    kinds = schema["type"]
    if isinstance(kinds, list):
        return any(_fits(given, {**schema, "type": kind}) for kind in kinds)
    match kinds:
        case "object":
            properties = schema["properties"]
            return (
                isinstance(given, dict)
                and set(schema.get("required", ())) <= set(given) <= set(properties)
                and all(_fits(value, properties[key]) for key, value in given.items())
            )
        case "integer" | "number":
            return isinstance(given, int if kinds == "integer" else int | float) and not isinstance(given, bool)
        case "boolean":
            return isinstance(given, bool)
        case _:
            return isinstance(given, str) and given in schema.get("enum", [given])


def _same_call(text: str, use: ToolUse) -> bool:
    """Whether the text ends with this call; of code only the meaning counts, not its spaces."""
    if text.endswith(called(use)):
        return True
    call = _CALL.search(text)
    if use.recipient != "python" or not call or call["to"] != "python":
        return False
    return (call["channel"], call["type"]) == _HEADERS[True] and parsed(call["text"]) == parsed(use.arguments)


def called(use: ToolUse) -> str:
    """A call as the model writes it, after its reasoning."""
    return f" to={use.recipient}<|channel|>{use.channel} {use.content_type}<|message|>{use.arguments}<|call|>"


def _plain(draw: Draw) -> Callable[[Random, Effort], Case]:
    return lambda random, effort: Case(Prefix(effort, draw_date(random)), (), draw(random))


def _of_cell(draw: Draw, wanted: Callable[[Problem], bool]) -> Callable[[Random, Effort], Case]:
    def drawn(random: Random) -> Problem:
        while not wanted(problem := draw(random)):
            pass
        return problem

    return _plain(drawn)


def _arithmetic(operation: str, cell: str) -> Callable[[Random, Effort], Case]:
    draw: Draw = lambda random: arithmetic(random, operation, held=True)  # noqa: E731
    return _of_cell(draw, lambda problem: problem.cell == cell and not _turned(problem))


def _turned(problem: Problem) -> bool:
    """Whether the question names the numbers in the other order, "subtract b from a": measured apart."""
    return "from" in problem.question.lower()


def _after_turns(random: Random, effort: Effort) -> Case:
    history = tuple(draw_problem(random) for _ in range(random.randrange(1, 3)))
    problem = arithmetic(random, random.choice("+-*"), held=True)
    return Case(Prefix(effort, draw_date(random)), history, problem)


def _functions(draw: Callable[[Toolset, Random], Problem], done: int = 0) -> Callable[[Random, Effort], Case]:
    def case(random: Random, effort: Effort) -> Case:
        while True:
            toolset = Toolset(random, held=True)
            problem = draw(toolset, random)
            if not done or len(problem.calls) >= done:
                return Case(Prefix(effort, draw_date(random), functions=toolset.declarations()), (), problem, done)

    return case


def _two_calls(toolset: Toolset, random: Random) -> Problem:
    while len((problem := toolset.double(random)).calls) != 2:
        pass
    return problem


def _missing(toolset: Toolset, random: Random) -> Problem:
    problem = toolset.incomplete(random)
    return problem if not problem.calls else replace(toolset.unfit(random), cell="no function")


def _weather(done: int) -> Callable[[Random, Effort], Case]:
    def case(random: Random, effort: Effort) -> Case:
        prefix = Prefix(effort, draw_date(random), functions=[DECLARATION])
        return Case(prefix, (), weather(random, held=True), done)

    return case


def _form(random: Random, effort: Effort) -> Case:
    form = Form(random, held=True)
    return Case(Prefix(effort, draw_date(random), form=form.response_format()), (), form.draw(random))


def _instruction(random: Random, effort: Effort) -> Case:
    while (one := Instruction.drawn(random, held=True)).cell == "no change":
        pass
    problem = one.applied(random, arithmetic(random, random.choice("+-*"), held=True))
    return Case(Prefix(effort, draw_date(random), instructions=one.text), (), problem)


_ARITHMETIC = {
    "+": tuple(f"addition {size}" for size in (2, 3, 4, 5)),
    "-": (*(f"subtraction {size}" for size in (2, 3, 4, 5)), "subtraction below zero"),
    "*": tuple(f"multiplication {size}" for size in ("2x1", "3x1", "2x2", "3x2")),
}

CELLS: dict[str, Callable[[Random, Effort], Case]] = {
    **{name: _arithmetic(operation, name) for operation, names in _ARITHMETIC.items() for name in names},
    "subtract b from a": _of_cell(lambda random: arithmetic(random, "-", held=True), _turned),
    **{
        f"division {size}": _of_cell(
            lambda random: division(random, held=True), lambda problem, size=size: problem.cell == f"division {size}"
        )
        for size in (2, 3, 4, 5)
    },
    "remainder": _of_cell(lambda random: division(random, held=True), lambda problem: problem.cell == "remainder"),
    "comparison": _plain(lambda random: comparison(random, held=True)),
    "expression": _plain(lambda random: expression(random, held=True)),
    "story": _plain(lambda random: story(random, held=True)),
    "second question": _after_turns,
    "repeat": _plain(lambda random: repetition(random, held=True)),
    "look up": _plain(lambda random: lookup(random, held=True)),
    "list": _plain(lambda random: listed(random, held=True)),
    "remember": _plain(lambda random: memory(random, held=True)),
    "call, weather": _weather(0),
    "answer, weather": _weather(1),
    "call": _functions(Toolset.single),
    "answer from the result": _functions(Toolset.single, 1),
    "first of two calls": _functions(_two_calls),
    "second of two calls": _functions(_two_calls, 1),
    "answer after two calls": _functions(_two_calls, 2),
    "value missing": _functions(_missing),
    "no function fits": _functions(Toolset.unfit),
    "structured output": _form,
    "instruction": _instruction,
    "chat": _plain(chat),
    "facts": _plain(facts),
    "unknown": _plain(lambda random: unknown(random, held=True)),
    "other arithmetic": _plain(other_arithmetic),
}
