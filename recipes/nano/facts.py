"""The few facts that are taught: capitals, chemical elements by atomic number, opposites, and what a child knows.

They are common knowledge, written down for this recipe.
"""

import json
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from recipes.nano.chat import opened, varied
from recipes.nano.problem import Problem, thoughts

__all__ = ["CAPITALS", "capitals", "facts", "glosses", "opposites", "taught_questions", "the"]

CAPITALS = (
    "What is the capital of {}?",
    "What's the capital of {}?",
    "Capital of {}?",
    "Which city is the capital of {}?",
    "Name the capital of {}",
    "Tell me the capital of {}",
)
_COUNTRIES = (
    "Which country has the capital {}?",
    "{} is the capital of which country?",
    "What country is {} the capital of?",
)
_SYMBOLS = (
    "What is the symbol of {}?",
    "What is the chemical symbol of {}?",
    "What is the symbol for {}?",
    "Symbol of {}?",
)
_NAMES = ("Which element has the symbol {}?", "What element is {}?", "Which element is {}?")
_NUMBERS = ("What is the atomic number of {}?", "Atomic number of {}?", "Which atomic number has {}?")


@cache
def _tables() -> dict[str, list[Any]]:
    return json.loads(files("recipes.nano").joinpath("facts.json").read_text("utf-8"))


@cache
def capitals() -> dict[str, str]:
    """The countries whose capital is known, each with it."""
    return dict(_tables()["capitals"])


@cache
def opposites() -> dict[str, str]:
    """Opposites of everyday words, which go before WordNet's."""
    return dict(_tables()["opposites"])


@cache
def glosses() -> dict[str, tuple[str, str]]:
    """What an everyday thing is, and of what kind, in our words: WordNet's bank is "sloping land"."""
    return {word: (gloss, kind) for word, gloss, kind in _tables()["glosses"]}


@cache
def taught_questions() -> frozenset[str]:
    """The questions that are written out, in small letters."""
    return frozenset(question.lower() for question, _ in _tables()["others"])


def facts(random: Random) -> Problem:
    """A question whose answer is in the tables, in one of the wordings that are all taught."""
    kind = random.choices(("capital", "element", "other"), (4, 4, 2))[0]
    question, answer = {"capital": _capital, "element": _element, "other": _other}[kind](random)
    return Problem(f"fact, {kind}", varied(random, opened(random, question)), answer, thoughts("I know that."))


def _capital(random: Random) -> tuple[str, str]:
    country, city = random.choice(_tables()["capitals"])
    if random.random() < 0.25:
        return random.choice(_COUNTRIES).format(city), f"{country}."
    return random.choice(CAPITALS).format(the(country)), f"{city}."


def _element(random: Random) -> tuple[str, str]:
    number = random.randrange(len(_tables()["elements"]))
    symbol, name = _tables()["elements"][number]
    kind = random.random()
    if kind < 0.4:
        return random.choice(_SYMBOLS).format(name.lower()), f"{symbol}."
    if kind < 0.7:
        return random.choice(_NAMES).format(symbol), f"{name}."
    return random.choice(_NUMBERS).format(name.lower()), str(number + 1)


def _other(random: Random) -> tuple[str, str]:
    question, answer = random.choice(_tables()["others"])
    return question, answer


def the(country: str) -> str:
    """The name as it stands in a sentence.

    >>> the("Peru"), the("Netherlands")
    ('Peru', 'the Netherlands')
    """
    return f"the {country}" if country.startswith(("United", "Netherlands", "Philippines")) else country
