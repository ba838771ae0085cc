"""Forms that are filled from prose: what a sentence says of somebody, under the names that a schema has for it."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from recipes.nano.expressions import NAMES
from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import name, word

__all__ = ["Person"]


@dataclass(frozen=True)
class _Fact:
    """Names that schemas have for it, the verb phrases that say it, and its values: any name, any word or a number."""

    keys: tuple[str, ...]
    phrases: tuple[str, ...]
    values: tuple[str, ...] | str


_CITIES = ("Oslo", "Rome", "Paris", "Berlin", "Madrid", "Lima", "Cairo", "Vienna", "Lisbon", "Kyoto", "Boston", "Delhi")
_JOBS = ("doctor", "teacher", "baker", "nurse", "farmer", "pilot", "lawyer", "painter", "driver", "writer", "cook")
_NAMED = ("name", "name", "name", "first_name", "person")
_FACTS = {
    "age": _Fact(
        ("age", "age", "years"),
        ("is {} years old", "is {} years old", "is {}", "is aged {}", "turned {} this year"),
        "number",
    ),
    "city": _Fact(
        ("city", "city", "home", "town"),
        ("lives in {}", "lives in {}", "comes from {}", "has a flat in {}", "moved to {}"),
        _CITIES,
    ),
    "job": _Fact(("job", "job", "profession", "occupation"), ("works as a {}", "is a {}", "has a job as a {}"), _JOBS),
    "pet": _Fact(("pet", "animal"), ("has a {}", "owns a {}", "keeps a {}"), ("dog", "cat", "horse", "parrot", "fish")),
    "hobby": _Fact(("hobby", "likes"), ("likes {}", "loves {}", "enjoys {}"), ("chess", "music", "tennis", "tea")),
    "company": _Fact(("company", "employer"), ("works for {}", "works at {}", "is employed by {}"), "name"),
    "children": _Fact(("children", "kids"), ("has {} children", "is the parent of {} children"), "small"),
    "colour": _Fact(("car", "vehicle"), ("drives a {}", "has bought a {}"), "word"),
}


class Person:
    """A schema of a name and one to three facts."""

    def __init__(self, random: Random, *, held: bool) -> None:
        self.held = held
        self.title = random.choice(("person", "record", "profile", "contact", word(random, held=held)))
        self.facts = random.sample(list(_FACTS), random.randrange(1, 4))
        keys = [(random.choice(_FACTS[fact].keys), _schema(fact)) for fact in self.facts]
        self.fields: dict[str, Any] = dict([(random.choice(_NAMED), {"type": "string"}), *keys])

    def draw(self, random: Random) -> Problem:
        """Sentences about somebody; now and then they say more than is asked, and in another order."""
        who = random.choice(NAMES) if random.random() < 0.5 and not self.held else name(random, held=self.held)
        values = {fact: self._value(random, fact) for fact in self.facts}
        said = list(values)
        if random.random() < 0.3:
            random.shuffle(said)
        if others := [fact for fact in _FACTS if fact not in self.facts]:
            said += [random.choice(others)] if random.random() < 0.25 else []
        phrases = [
            random.choice(_FACTS[fact].phrases).format(values.get(fact) or self._value(random, fact)) for fact in said
        ]
        record = dict(zip(self.fields, [who, *values.values()], strict=True))
        high = ",".join(f"{key} {given}" for key, given in record.items())
        return Problem(
            "structured, prose", _joined(random, who, phrases), json.dumps(record), thoughts("JSON.", f"{high}.")
        )

    def _value(self, random: Random, fact: str) -> str | int:
        values = _FACTS[fact].values
        match values:
            case "number":
                return random.randrange(2, 100)
            case "small":
                return random.randrange(2, 10)
            case "name":
                return name(random, held=self.held)
            case "word":
                return word(random, held=self.held)
            case _:
                return (
                    name(random, held=self.held) if fact == "city" and random.random() < 0.5 else random.choice(values)
                )


def _schema(fact: str) -> dict[str, Any]:
    return {"type": "integer" if _FACTS[fact].values in ("number", "small") else "string"}


def _joined(random: Random, who: str, phrases: list[str]) -> str:
    """One sentence or several: "Ann is 34 years old and lives in Rome."."""
    text = f"{who} {phrases[0]}"
    for phrase in phrases[1:]:
        text += random.choice((" and {}", ", {}", " and {}", f". {random.choice(('She', 'He', who))} {{}}")).format(
            phrase
        )
    opening = random.choice(("", "", "", "Please note: ", "Fill in: ", "New entry: "))
    return f"{opening}{text}{random.choice(('.', '.', ''))}"
