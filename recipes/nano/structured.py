"""Answers in the form of a schema that the developer gives: values found in a text, written as JSON."""

import json
from random import Random
from typing import Any

from ossia.harmony import ResponseFormat
from recipes.nano.functions import given_phrases, parameter, parameter_value, schema
from recipes.nano.persons import Person
from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import identifier, value, word

__all__ = ["Form"]

_PROSE = 0.3
_OPENINGS = ("Fill in the form", "Make a record", "Extract the data", "Write it down", "New entry", "A {}", "The {}")


class Form:
    """A schema of one to four fields, one of them now and then a list or an object."""

    def __init__(self, random: Random, *, held: bool) -> None:
        self.held = held
        self.person = Person(random, held=held) if random.random() < _PROSE else None
        if self.person:
            self.name, self.fields = self.person.title, self.person.fields
            return
        self.name = word(random, held=held)
        self.fields = dict(parameter(random, held=held) for _ in range(random.randrange(1, 5)))
        kind = random.random()
        if kind < 0.15:
            self.fields[identifier(random, held=held)] = {"type": "array", "items": {"type": "string"}}
        elif kind < 0.3:
            inner = self._inner(random)
            self.fields[identifier(random, held=held)] = schema(inner, list(inner))

    def _inner(self, random: Random) -> dict[str, Any]:
        """Fields of an object, none named as one outside it: a text could not tell the two apart."""
        inner = dict(parameter(random, held=self.held) for _ in range(random.randrange(1, 3)))
        return inner if not set(inner) & set(self.fields) else self._inner(random)

    def response_format(self) -> ResponseFormat:
        """The format as the developer message gives it."""
        return ResponseFormat(self.name, schema(self.fields, list(self.fields)))

    def draw(self, random: Random) -> Problem:
        """Values for the fields, told in a text."""
        if self.person:
            return self.person.draw(random)
        record = {key: self._value(random, of) for key, of in self.fields.items()}
        flat: dict[str, Any] = {}
        for key, given in record.items():
            flat |= given if isinstance(given, dict) else {key: _told(given)}
        text = (
            random.choice(_OPENINGS).format(self.name)
            + given_phrases(random, flat, self.fields)
            + random.choice(("", "."))
        )
        high = ",".join(f"{key} {_spoken(given)}" for key, given in flat.items())
        return Problem("structured", text, json.dumps(record), thoughts("JSON.", f"{high}."))

    def _value(self, random: Random, of: Any) -> Any:
        if of["type"] == "array":
            return [value(random, held=self.held) for _ in range(random.randrange(1, 4))]
        if of["type"] == "object":
            return {key: self._value(random, inner) for key, inner in of["properties"].items()}
        return parameter_value(random, of, held=self.held)


def _told(given: Any) -> Any:
    return " and ".join(given) if isinstance(given, list) else given


def _spoken(given: Any) -> str:
    return ("yes" if given else "no") if isinstance(given, bool) else str(given)
