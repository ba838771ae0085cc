"""Calls that hang together: two functions, a result that the next call needs, a missing value that is given later."""

import json
from dataclasses import replace
from random import Random
from typing import Any

from ossia.harmony import Effort
from recipes.nano.functions import Function, Toolset, arguments_of, asked_for, called_with, parameters_read, spoken
from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import identifier, value

__all__ = ["chained", "completed", "paired", "sequence"]

_THEN = (". Then {}", ", then {}", " and then {}", ". After that {}", " and use it: {}")
_AND = (". {}", " and {}", ". Also {}", ", and {}")


def sequence(random: Random, toolset: Toolset) -> Problem:
    """A problem of any of the three kinds that these functions allow, or of one call."""
    for draw in random.sample((chained, paired, completed), 3):
        if (problem := draw(random, toolset)) is not None:
            return problem
    return toolset.single(random)


def paired(random: Random, toolset: Toolset) -> Problem | None:
    """Two functions for one question, in its order; None if only one is offered."""
    if len(toolset.functions) < 2:
        return None
    functions = random.sample(toolset.functions, 2)
    given = [arguments_of(random, one, held=toolset.held) for one in functions]
    uses, answers = zip(
        *(called_with(random, one, some, held=toolset.held) for one, some in zip(functions, given, strict=True)),
        strict=True,
    )
    question = _asked_together(random, _AND, functions, given)
    return Problem("two functions", question, " ".join(answers), _thoughts(functions, given), uses)


def chained(random: Random, toolset: Toolset) -> Problem | None:
    """The second call takes what the first gave; None if no function takes a text. An error ends it."""
    takers = [(one, key) for one in toolset.functions for key in one.parameters if _takes_text(one, key)]
    if len(toolset.functions) < 2 or not takers:
        return None
    second, key = random.choice(takers)
    first = random.choice([one for one in toolset.functions if one is not second])
    given = arguments_of(random, first, held=toolset.held)
    wanted = identifier(random, held=toolset.held)
    found = value(random, held=toolset.held)
    rest = {other: some for other, some in arguments_of(random, second, held=toolset.held).items() if other != key}
    wishes = [given, {key: f"its {wanted}"} | rest]
    question = _asked_together(random, _THEN, [first, second], wishes)
    reasoning = _thoughts([first, second], wishes)
    use, answer = called_with(random, first, given, held=toolset.held)
    if "error" in json.loads(use.result):
        return Problem("chain, failed", question, answer, reasoning, (use,))
    use = replace(use, result=json.dumps({wanted: found}))
    last, answer = called_with(random, second, {key: found} | rest, held=toolset.held)
    return Problem("chain", question, answer, reasoning, (use, last))


def completed(random: Random, toolset: Toolset) -> Problem | None:
    """A value was missing, was asked for, and is given now: the call follows. None if nothing is required."""
    functions = [one for one in toolset.functions if one.required]
    if not functions:
        return None
    function = random.choice(functions)
    given = arguments_of(random, function, held=toolset.held)
    missing = random.choice(function.required)
    before = {key: some for key, some in given.items() if key != missing}
    told = spoken(given[missing])
    question = random.choice((told, told, f"{missing} {told}", f"The {missing} is {told}.", f"{told}, please"))
    use, answer = called_with(random, function, given, held=toolset.held)
    earlier = ((asked_for(random, function, before), f"Which {missing}?"),)
    return Problem("value given later", question, answer, _thoughts([function], [given]), (use,), earlier)


def _asked_together(
    random: Random, joints: tuple[str, ...], functions: list[Function], given: list[dict[str, Any]]
) -> str:
    """Both wishes in one question: the second goes on where the first ends, and does not greet again."""
    first = asked_for(random, functions[0], given[0]).rstrip(".?")
    joint, second = random.choice(joints), asked_for(random, functions[1], given[1], goes_on=True).rstrip(".?")
    return first + joint.format(second[0].upper() + second[1:] if joint.startswith(". {") else second)


def _takes_text(function: Function, key: str) -> bool:
    of = function.parameters[key]
    return key in function.required and of["type"] == "string" and "enum" not in of


def _thoughts(functions: list[Function], given: list[dict[str, Any]]) -> dict[Effort, str]:
    """Medium names the functions in their order, high with each of their parameters too."""
    titles = [one.title for one in functions]
    pairs = zip(functions, given, strict=True)
    high = " ".join(f"{one.title} {parameters_read(one, some)}" for one, some in pairs)
    return thoughts(f"{','.join(titles)}.", high)
