"""Calling functions whose names and parameters were never seen: which one, with what, and what to say afterwards."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ossia.harmony import Effort
from recipes.nano.problem import Problem, ToolUse, thoughts
from recipes.nano.words import WORDS, identifier, number, value, word

__all__ = [
    "NO_FUNCTION",
    "NO_TOOL",
    "Function",
    "Toolset",
    "arguments_of",
    "asked_for",
    "called_with",
    "given_phrases",
    "parameter",
    "parameter_value",
    "parameters_read",
    "schema",
    "spoken",
    "without_functions",
]

NO_FUNCTION = "I have no function for that."
NO_TOOL = "I cannot do that here: no function for it is offered."

# Verbs of functions, and how a question begins that asks for them.
_VERBS: dict[str, tuple[str, ...]] = {
    "get": ("Get the {}", "What is the {}", "Show me the {}", "Give me the {}", "How is the {}"),
    "find": ("Find the {}", "Find a {}", "I need a {}", "Look for a {}"),
    "search": ("Search the {}", "Search for a {}", "Look for the {}"),
    "create": ("Create a {}", "Make a new {}", "New {}", "Add a {}"),
    "delete": ("Delete the {}", "Remove the {}", "Get rid of the {}"),
    "update": ("Update the {}", "Change the {}", "Set the {}"),
    "book": ("Book a {}", "Reserve a {}", "I want to book a {}"),
    "send": ("Send a {}", "Send the {}", "Please send the {}"),
    "check": ("Check the {}", "Is the {} fine", "Check my {}"),
    "list": ("List the {}", "Show every {}", "Which {} are there"),
}
_OPENINGS = ("", "", "", "", "Please ", "Can you ", "Hi, ")
# How a question gives a value: by the parameter's usual preposition, or by its name.
_PHRASES: dict[str, tuple[str, ...]] = {
    "city": (" in {}",),
    "location": (" at {}",),
    "country": (),
    "name": (" named {}", " called {}"),
    "user": (" of {}",),
    "customer": (" for {}",),
    "date": (" on {}",),
    "origin": (" from {}",),
    "destination": (),
    "recipient": (" to {}",),
    "query": (" matching {}",),
    "topic": (" about {}",),
    "title": (" titled {}",),
    "price": (" under {}",),
    "days": (" for {} days",),
    "people": (" for {} people",),
    # After a comma: a number may stand before it.
    "count": (", {} times",),
}
_INTEGERS = ("days", "people", "count", "price")
_NAMED = (
    " with {k} {v}",
    ", {k} {v}",
    ", {k}: {v}",
    ", {k} = {v}",
    " with {k} = {v}",
    " where {k} is {v}",
    " ({k} {v})",
)
# Where both are given, most say them together; a destination alone says its name, since "to" is also a recipient's.
_JOURNEYS = (" from {} to {}", " from {} to {}", " between {} and {}", " ({} to {})")
# One of a few values needs no name: nothing else can have it.
_CHOSEN = (" in {}", " in {}", ", {}", " as {}", " ({})", " with {}")
_CHOICES: dict[str, tuple[str, ...]] = {
    "unit": ("celsius", "fahrenheit", "kelvin"),
    "units": ("metric", "imperial"),
    "format": ("text", "json", "csv", "table"),
    "size": ("small", "medium", "large"),
    "color": ("red", "green", "blue", "black", "white"),
    "language": ("english", "german", "french", "spanish"),
    "order": ("ascending", "descending"),
    "priority": ("low", "normal", "high"),
}
# What people say besides the values, and no parameter takes.
_ASIDES = (
    *(" tomorrow", " today", " now", " please", " for me", " right now", " tonight", " this week", " again"),
    *(" next week", " quickly", ", please", ", thanks", " if you can", " on Monday", " this morning"),
)
_ASIDE = 0.12
# What plainly asks for something to be done. What begins otherwise may as well be a question, which is answered or
# not known: no frame of `talk.json` begins so.
_DEED = re.compile(
    r"((Hi, |Please |Can you )?(add|check|create|get|look|remove|reserve|search|set|update)"
    r"|(Hi, )?(change|delete|make|send)) ",
    re.IGNORECASE,
)
_ERRORS = ("not found", "no access", "timeout", "too many requests", "invalid value", "service is down")


@dataclass(frozen=True)
class Function:
    """A function as declared, and the words that a question for it is made of."""

    title: str
    verb: str
    noun: str
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]

    def declaration(self) -> dict[str, object]:
        """The function as a developer declares it."""
        return {
            "name": self.title,
            "description": self.description,
            "parameters": schema(self.parameters, self.required),
        }


class Toolset:
    """One to four functions that are offered together, and questions for them."""

    def __init__(self, random: Random, *, held: bool) -> None:
        self.held = held
        self.functions: list[Function] = []
        wanted = random.choice((1, 1, 2, 2, 3, 4))
        while len(self.functions) < wanted:
            one = _function(random, held=held)
            if all(one.noun != other.noun for other in self.functions):
                self.functions.append(one)

    def declarations(self) -> list[dict[str, object]]:
        """What the developer message declares."""
        return [function.declaration() for function in self.functions]

    def draw(self, random: Random) -> Problem:
        """A question: for one function, for two calls, without what is needed, or for what no function does."""
        kind = random.random()
        if kind < 0.67:
            return self.single(random)
        if kind < 0.77:
            return self.double(random)
        return self.incomplete(random) if kind < 0.91 else self.unfit(random)

    def single(self, random: Random) -> Problem:
        """One call answers it, or fails."""
        function = random.choice(self.functions)
        arguments = arguments_of(random, function, held=self.held)
        question = asked_for(random, function, arguments)
        use, answer = called_with(random, function, arguments, held=self.held)
        reasoning = self._reasoning(function, arguments)
        return Problem(f"call, {len(self.functions)} offered", question, answer, reasoning, (use,))

    def double(self, random: Random) -> Problem:
        """The same function twice, with another value of one parameter."""
        function = random.choice(self.functions)
        arguments = arguments_of(random, function, held=self.held)
        key = next(iter(arguments))
        other = parameter_value(random, function.parameters[key], held=self.held)
        if other == arguments[key] or isinstance(other, bool):
            return self.single(random)
        both = {key: f"{spoken(arguments[key])} and {spoken(other)}"}
        question = asked_for(random, function, both | {k: v for k, v in arguments.items() if k != key})
        uses, answers = zip(
            *(called_with(random, function, arguments | {key: one}, held=self.held) for one in (arguments[key], other)),
            strict=True,
        )
        reasoning = self._reasoning(function, arguments | {key: f"{spoken(arguments[key])}, {spoken(other)}"})
        return Problem("two calls", question, " ".join(answers), reasoning, uses)

    def incomplete(self, random: Random) -> Problem:
        """A required value is missing, and is asked for."""
        function = random.choice([one for one in self.functions if one.required] or self.functions)
        if not function.required:
            return self.single(random)
        arguments = arguments_of(random, function, held=self.held)
        missing = random.choice(function.required)
        given = {key: given for key, given in arguments.items() if key != missing}
        reasoning = self._reasoning(function, given, missing)
        return Problem("value missing", asked_for(random, function, given), f"Which {missing}?", reasoning)

    def unfit(self, random: Random) -> Problem:
        """What none of the functions does."""
        while True:
            other = _function(random, held=self.held)
            if all(other.noun != one.noun for one in self.functions):
                break
        question = asked_for(random, other, arguments_of(random, other, held=self.held))
        names = ",".join(f"{one.title} no" for one in self.functions)
        return Problem("no function", question, NO_FUNCTION, {Effort.MEDIUM: "None.", Effort.HIGH: f"{names}."})

    def _reasoning(
        self, function: Function, arguments: Mapping[str, Any], missing: str | None = None
    ) -> dict[Effort, str]:
        """Medium names the function; high looks at each, and then for each of its parameters."""
        looked = []
        for one in self.functions:
            looked.append(f"{one.title} {'yes' if one is function else 'no'}")
            if one is function:
                break
        medium = f"{function.title}, {missing} missing." if missing else f"{function.title}."
        return {
            Effort.MEDIUM: medium,
            Effort.HIGH: f"{','.join(looked)}. {parameters_read(function, arguments, missing)}",
        }


def without_functions(random: Random, *, held: bool) -> Problem:
    """Something to be done that needs a function, where none is offered."""
    while True:
        toolset = Toolset(random, held=held)
        question = random.choice((toolset.single, toolset.single, toolset.double))(random).question
        if _DEED.match(question):
            return Problem("no function offered", question, NO_TOOL, thoughts("No function."))


def parameters_read(function: Function, arguments: Mapping[str, Any], missing: str | None = None) -> str:
    """Every parameter as declared, with what the question says of it, up to one that is missing.

    So each is looked for by itself; what is needed and not there is seen at its place, and asked for at once.
    """
    read: list[str] = []
    for key in function.parameters:
        if key == missing:
            read.append(f"{key} missing")
            break
        read.append(f"{key} {spoken(arguments[key])}" if key in arguments else f"{key} none")
    return f"{','.join(read)}."


def schema(parameters: Mapping[str, Mapping[str, Any]], required: Sequence[str]) -> dict[str, Any]:
    """A JSON Schema of an object."""
    return {"type": "object", "properties": dict(parameters), "required": list(required)}


def parameter(random: Random, *, held: bool) -> tuple[str, dict[str, Any]]:
    """A parameter's name and schema: usual ones, and any word with any type."""
    if random.random() < 0.45:
        key = random.choice(list(_PHRASES))
        return key, _described(random, key, {"type": "integer" if key in _INTEGERS else "string"})
    if random.random() < 0.12:
        key = random.choice(list(_CHOICES))
        return key, _described(random, key, {"type": "string", "enum": list(_CHOICES[key])})
    key = identifier(random, held=held)
    kind = random.choices(("string", "integer", "enum", "boolean"), (5, 3, 2, 1))[0]
    if kind == "enum":
        return key, {"type": "string", "enum": sorted({word(random, held=held) for _ in range(random.randrange(2, 5))})}
    return key, _described(random, key, {"type": kind})


def parameter_value(random: Random, of: Mapping[str, Any], *, held: bool) -> Any:
    """A value that the schema allows."""
    if "enum" in of:
        return random.choice(of["enum"])
    match of["type"]:
        case "integer":
            return number(random)
        case "boolean":
            return random.random() < 0.5
        case _:
            text = value(random, held=held)
            return text if random.random() < 0.85 else f"{text} {word(random, held=held)}"


def spoken(given: Any) -> str:
    """A value as a user writes it."""
    return ("yes" if given else "no") if isinstance(given, bool) else str(given)


def given_phrases(random: Random, arguments: Mapping[str, Any], of: Mapping[str, Mapping[str, Any]]) -> str:
    """The values as a question gives them, in any order; `of` are the schemas of the parameters."""
    keys = list(arguments)
    if random.random() < 0.3:
        random.shuffle(keys)
    text, journey = "", set(keys) >= {"origin", "destination"} and random.random() < 0.7
    for key in keys:
        if journey and key in ("origin", "destination"):
            if key == "origin":
                text += random.choice(_JOURNEYS).format(*(spoken(arguments[one]) for one in ("origin", "destination")))
            continue
        usual = _CHOSEN if _only_there(key, of) else _PHRASES.get(key, ())
        phrase = random.choice(usual if usual and random.random() < 0.75 else _NAMED)
        text += phrase.format(spoken(arguments[key]), k=key, v=spoken(arguments[key]))
    return text


def _only_there(key: str, of: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the parameter has a few values that no other has."""
    choices = set(of.get(key, {}).get("enum", ()))
    others = {value for other, one in of.items() if other != key for value in one.get("enum", ())}
    return bool(choices) and not choices & others


def _described(random: Random, key: str, of: dict[str, Any]) -> dict[str, Any]:
    return of | {"description": f"The {key}"} if random.random() < 0.15 else of


def _function(random: Random, *, held: bool) -> Function:
    verb = random.choice(list(_VERBS))
    nouns = [noun for index, noun in enumerate(WORDS["noun"]) if (index % 10 == 7) == held]
    noun = random.choice(nouns) if random.random() < 0.6 else word(random, held=held)
    style = random.random()
    title = f"{verb}_{noun}" if style < 0.6 else f"{verb}{noun.capitalize()}" if style < 0.8 else noun
    description = random.choice((f"{verb.capitalize()} the {noun}", f"{verb.capitalize()} a {noun}", f"The {noun}"))
    parameters = dict(parameter(random, held=held) for _ in range(random.choice((1, 1, 2, 2, 3))))
    if random.random() < 0.06:
        parameters = {key: {"type": "string"} for key in ("origin", "destination")} | parameters
    required = tuple(key for key in parameters if random.random() < 0.8)
    return Function(title, verb, noun, description, parameters, required)


def arguments_of(random: Random, function: Function, *, held: bool) -> dict[str, Any]:
    """A value for all that is required and for half of the rest, of one parameter at least."""
    keys = [key for key in function.parameters if key in function.required or random.random() < 0.5]
    keys = keys or [next(iter(function.parameters))]
    return {key: parameter_value(random, function.parameters[key], held=held) for key in keys}


def asked_for(random: Random, function: Function, arguments: Mapping[str, Any], *, goes_on: bool = False) -> str:
    """A question that the function answers, with these values in it; without an opening where a sentence goes on."""
    opening = "" if goes_on else random.choice(_OPENINGS)
    text = random.choice(_VERBS[function.verb]).format(function.noun)
    if random.random() < 0.12:
        text = f"{function.verb} {function.noun}"
    text += given_phrases(random, arguments, function.parameters)
    # With a date to give, "tomorrow" would be one.
    if "date" not in function.parameters and random.random() < _ASIDE:
        text += random.choice(_ASIDES)
    if (opening or goes_on) and not text.startswith("I "):
        text = text[0].lower() + text[1:]
    text = opening + text
    return text + random.choice(("", "", ".", "?"))


def called_with(random: Random, function: Function, arguments: Mapping[str, Any], *, held: bool) -> tuple[ToolUse, str]:
    """The call, its result, and the answer that says the result."""
    ordered = {key: arguments[key] for key in function.parameters if key in arguments}
    if random.random() < 0.2:
        error = random.choice(_ERRORS) if random.random() < 0.5 else word(random, held=held)
        return ToolUse(function.title, json.dumps(ordered), json.dumps({"error": error})), f"It failed: {error}."
    key = function.noun if random.random() < 0.5 else identifier(random, held=held)
    result: dict[str, Any] = {key: number(random) if random.random() < 0.4 else value(random, held=held)}
    if random.random() < 0.3:
        result[identifier(random, held=held)] = number(random) if random.random() < 0.4 else value(random, held=held)
    answer = " ".join(f"The {key} is {given}." for key, given in result.items())
    return ToolUse(function.title, json.dumps(ordered), json.dumps(result)), answer
