"""Everyday facts by the hundred, from `gathered.json`; and those beyond, asked in the same words, that are not known.

Of each table the commonest rows are taught and the rest are declined, a part of them only in the evaluation: what is
measured is whether the model knows what it knows, and not whether it knows a kind of question.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from recipes.nano.chat import CANNOT, varied
from recipes.nano.facts import taught_questions
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import WORDS, word

__all__ = ["known", "unknown_fact"]

_TAUGHT = {"definitions": 600, "kinds": 1000, "opposites": 240, "elements": 90}
_DEFINITIONS = (
    "What is {x}?",
    "Define {x}.",
    "What does {w} mean?",
    "What is the meaning of {w}?",
    "Explain the word {w}",
)
_KINDS = ("What kind of thing is {x}?", "{x} is a kind of what?", "What sort of thing is {x}?")
_OPPOSITES = (
    "What is the opposite of {w}?",
    "Opposite of {w}?",
    "What is the antonym of {w}?",
    "Name the opposite of {w}",
)
_SYMBOLS = ("What is the symbol of {w}?", "What is the chemical symbol of {w}?", "Symbol of {w}?")
_NUMBERS = ("What is the atomic number of {w}?", "Atomic number of {w}?", "Which atomic number has {w}?")
_PERIODS = ("In which period is {w}?", "Which period of the periodic table has {w}?", "What is the period of {w}?")
_CODES = ("What is the country code of {w}?", "Country code of {w}?", "Which code has {w}?")
_CURRENCIES = ("What is the currency of {w}?", "Currency of {w}?", "What money do they use in {w}?")
_LANGUAGES = ("What is the language of {w}?", "Which language do they speak in {w}?", "Language of {w}?")


@dataclass(frozen=True)
class _Kind:
    """A table, how it is asked, and what a row answers."""

    table: str
    frames: tuple[str, ...]
    answer: Callable[[list[Any], int], str]


_KINDS_OF_FACT = {
    "definition": _Kind("definitions", _DEFINITIONS, lambda row, _: _sentence(row[1])),
    "kind": _Kind("kinds", _KINDS, lambda row, _: _sentence(row[1])),
    "opposite": _Kind("opposites", _OPPOSITES, lambda row, _: _sentence(row[1])),
    "symbol": _Kind("elements", _SYMBOLS, lambda row, _: f"{row[0]}."),
    "atomic number": _Kind("elements", _NUMBERS, lambda _, number: str(number)),
    "period": _Kind("elements", _PERIODS, lambda row, _: str(row[2])),
    "country code": _Kind("countries", _CODES, lambda row, _: f"{row[1]}."),
    "currency": _Kind("currencies", _CURRENCIES, lambda row, _: f"{row[1]}."),
    "language": _Kind("languages", _LANGUAGES, lambda row, _: f"{row[1]}."),
}
_SHARES = (8, 7, 4, 2, 2, 1, 2, 2, 2)


def known(random: Random) -> Problem:
    """A fact that is taught, in one of its wordings."""
    name = random.choices(list(_KINDS_OF_FACT), _SHARES)[0]
    kind = _KINDS_OF_FACT[name]
    row, number = random.choice(_split(kind.table)[0])
    if _taught_elsewhere(kind, row):
        return known(random)
    question = varied(random, _asked(random.choice(kind.frames), kind, row))
    return Problem(f"known, {name}", question, kind.answer(row, number), thoughts("I know that."))


def unknown_fact(random: Random, *, held: bool) -> Problem:
    """A fact beyond those that are taught, or one of an invented word, in the same wordings: to be declined."""
    name = random.choices(list(_KINDS_OF_FACT), _SHARES)[0]
    kind = _KINDS_OF_FACT[name]
    rows = [row for row, _ in _split(kind.table)[1] if kept(_subject(kind, row)) == held]
    row: list[Any] = [word(random, held=held)] * 2
    if kind.table in ("elements", "countries", "currencies", "languages"):
        row = [row[0].capitalize()] * 2
    if rows and random.random() < 0.6:
        row = random.choice(rows)
    if _subject(kind, row) in _subjects(kind.table) or _taught_elsewhere(kind, row):
        return unknown_fact(random, held=held)
    question = varied(random, _asked(random.choice(kind.frames), kind, row))
    return Problem(f"not known, {name}", question, CANNOT, thoughts("I don't know."))


def _taught_elsewhere(kind: _Kind, row: list[Any]) -> bool:
    """Whether `facts` has the question, perhaps with another of several answers."""
    return any(_asked(frame, kind, row).lower() in taught_questions() for frame in kind.frames)


@cache
def _tables() -> dict[str, list[list[Any]]]:
    return json.loads(files("recipes.nano").joinpath("gathered.json").read_text("utf-8"))


@cache
def _split(table: str) -> tuple[list[tuple[list[Any], int]], list[tuple[list[Any], int]]]:
    """The rows that are taught and the others, each with its number from 1; of countries every fourth is declined."""
    rows = [(row, number) for number, row in enumerate(_tables()[table], 1)]
    if table in _TAUGHT:
        return rows[: _TAUGHT[table]], rows[_TAUGHT[table] :]
    named = {*WORDS["place"]}
    taught = [one for one in rows if one[0][0] in named or one[1] % 4]
    return taught, [one for one in rows if one not in taught]


@cache
def _subjects(table: str) -> frozenset[str]:
    return frozenset(row[1].lower() if table == "elements" else row[0] for row, _ in _split(table)[0])


def _subject(kind: _Kind, row: list[Any]) -> str:
    return row[1].lower() if kind.table == "elements" else row[0]


def _asked(frame: str, kind: _Kind, row: list[Any]) -> str:
    subject = _subject(kind, row)
    article = "an" if subject[0] in "aeiou" else "a"
    text = frame.format(w=subject, x=f"{article} {subject}")
    return text[0].upper() + text[1:]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
