"""Everyday facts by the hundred, and those beyond, asked in the same words, that are not known.

They are those of `gathered.json`, and of `facts.json` where everyday things are defined in our own words. Beside the
words that are taught stand several times as many that are declined, a tenth of them only in the evaluation: what is
measured is whether the model knows what it knows, and not whether it knows a kind of question or the look of a word. A
word is known or it is not, whatever is asked of it, but for a language where there are several.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from recipes.nano.chat import CANNOT, opened, varied
from recipes.nano.facts import CAPITALS, capitals, glosses, opposites, taught_questions, the
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import WORDS, word

__all__ = ["known", "taught_facts", "unknown_fact"]

_ELEMENTS = 90
_COMMON_ELEMENTS = 56
# Invented names that look like those of the table.
_ENDINGS = {
    "elements": ("ium", "ium", "on", "ine", ""),
    "countries": ("ia", "land", "stan", ""),
}
_DEFINITIONS = (
    "What is {x}?",
    "What is {w}?",
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
    """A table, how it is asked, what a row answers, and the lists of words beyond it."""

    table: str
    frames: tuple[str, ...]
    answer: Callable[[list[Any], int], str]
    beyond: tuple[str, ...]


_KINDS_OF_FACT = {
    "definition": _Kind("definitions", _DEFINITIONS, lambda row, _: _sentence(row[1]), ("nouns",)),
    "kind": _Kind("kinds", _KINDS, lambda row, _: _sentence(row[1]), ("nouns",)),
    "opposite": _Kind("opposites", _OPPOSITES, lambda row, _: _sentence(row[1]), ("adjectives",)),
    "symbol": _Kind("elements", _SYMBOLS, lambda row, _: f"{row[0]}.", ("elements", "substances")),
    "atomic number": _Kind("elements", _NUMBERS, lambda _, number: str(number), ("elements", "substances")),
    "period": _Kind("elements", _PERIODS, lambda row, _: str(row[2]), ("elements", "substances")),
    "country code": _Kind("countries", _CODES, lambda row, _: f"{row[1]}.", ("countries", "places")),
    "currency": _Kind("currencies", _CURRENCIES, lambda row, _: f"{row[1]}.", ("countries", "places")),
    "language": _Kind("languages", _LANGUAGES, lambda row, _: f"{row[1]}.", ("countries", "no language", "places")),
}
_SHARES = (8, 7, 4, 2, 2, 1, 2, 2, 2)
# Which capitals are known `facts` says; so these are only declined here.
_CAPITAL = _Kind("capitals", CAPITALS, lambda row, _: f"{row[1]}.", ("no capital", "places"))


def known(random: Random) -> Problem:
    """A fact that is taught, in one of its wordings."""
    name = random.choices(list(_KINDS_OF_FACT), _SHARES)[0]
    kind = _KINDS_OF_FACT[name]
    row, number = random.choice(_taught(kind.table))
    if _taught_elsewhere(kind, _subject(kind.table, row)):
        return known(random)
    question = varied(random, opened(random, _asked(random.choice(kind.frames), _subject(kind.table, row))))
    return Problem(f"known, {name}", question, kind.answer(row, number), thoughts("I know that."))


def taught_facts() -> int:
    """How many there are to be drawn by `known`; those of `facts` come beside them."""
    subjects = ((kind, _subject(kind.table, row)) for kind in _KINDS_OF_FACT.values() for row, _ in _taught(kind.table))
    return sum(not _taught_elsewhere(kind, subject) for kind, subject in subjects)


def unknown_fact(random: Random, *, held: bool) -> Problem:
    """A fact beyond those that are taught, or one of an invented word, in the same wordings: to be declined.

    Real words are few enough to be learned by heart, so that one that is new would look like neither kind; those of two
    halves are without end and as like to the known ones.
    """
    name = random.choices([*_KINDS_OF_FACT, "capital"], (*_SHARES, 2))[0]
    kind = _KINDS_OF_FACT.get(name, _CAPITAL)
    draw = random.choices((_real, _invented, _blended), (3, 1, 0) if held else (5, 2, 3))[0]
    subject = draw(random, kind, held)
    if subject is None or subject in _subjects(kind.table) or _taught_elsewhere(kind, subject):
        return unknown_fact(random, held=held)
    question = varied(random, opened(random, _asked(random.choice(kind.frames), subject)))
    return Problem(f"not known, {name}", question, CANNOT, thoughts("I don't know."))


def _real(random: Random, kind: _Kind, held: bool) -> str | None:
    """A real word beyond the table, of one of its lists."""
    words = _beyond(random.choice(kind.beyond), held)
    return random.choice(words) if words else None


def _invented(random: Random, kind: _Kind, held: bool) -> str | None:
    """An invented word, with the look of a name of the table."""
    family = "elements" if kind.table == "elements" else "countries" if "places" in kind.beyond else ""
    text = word(random, held=held) + random.choice(_ENDINGS.get(family, ("",)))
    if kept(named := text.capitalize() if family == "countries" else text) != held:
        return None
    return named


def _blended(random: Random, kind: _Kind, held: bool) -> str | None:
    """The beginning of one word and the end of another, of those that are taught or declined."""
    first, second = random.sample(_whole_words(kind, held), 2)
    text = first[: random.randrange(1, len(first))] + second[random.randrange(1, len(second)) :]
    return text if text.isalpha() and kept(text) == held else None


@cache
def _whole_words(kind: _Kind, held: bool) -> list[str]:
    return [*_subjects(kind.table), *(text for name in kind.beyond for text in _beyond(name, held))]


def _taught_elsewhere(kind: _Kind, subject: str) -> bool:
    """Whether `facts` has the question, perhaps with another of several answers."""
    return any(_asked(frame, subject).lower() in taught_questions() for frame in kind.frames)


@cache
def _tables() -> dict[str, list[Any]]:
    tables = json.loads(files("recipes.nano").joinpath("gathered.json").read_text("utf-8"))
    ours = {
        "definitions": {word: gloss for word, (gloss, _) in glosses().items()},
        "kinds": {word: kind for word, (_, kind) in glosses().items()},
        "opposites": opposites(),
    }
    for name, words in tables.items():
        if name.startswith("beyond "):
            tables[name] = [word for word in words if word not in glosses()]
    return tables | {name: _replaced(tables[name], answers) for name, answers in ours.items()}


def _replaced(rows: list[list[str]], ours: Mapping[str, str]) -> list[list[str]]:
    """Ours go before the rows of the same words."""
    return [*map(list, ours.items()), *(row for row in rows if row[0] not in ours)]


@cache
def _taught(table: str) -> list[tuple[list[Any], int]]:
    """The rows that are taught, each with its number from 1."""
    rows = [(row, number) for number, row in enumerate(_tables()[table], 1)]
    if table == "elements":
        return [rows[index] for index in _known_elements()]
    if table in ("countries", "currencies", "languages"):
        return [one for one in rows if one[0][0] in _known_countries()]
    return rows


@cache
def _known_elements() -> list[int]:
    """The common elements and, by chance, some of the others."""
    rest = range(_COMMON_ELEMENTS, len(_tables()["elements"]))
    return [*range(_COMMON_ELEMENTS), *sorted(Random(0).sample(rest, _ELEMENTS - _COMMON_ELEMENTS))]


@cache
def _known_countries() -> frozenset[str]:
    """Those whose capital is known, those that other skills name, and two of three others by chance."""
    named = {*WORDS["place"], *capitals()}
    names = [row[0] for row in _tables()["countries"]]
    others = [name for name in names if name not in named]
    return frozenset((*named, *Random(0).sample(others, len(others) * 2 // 3)))


@cache
def _beyond(name: str, held: bool) -> list[str]:
    """The words of a list that are declined, in training or in the evaluation alone."""
    countries = [row[0] for row in _tables()["countries"]]
    lists = {
        "elements": lambda: [row[1].lower() for row in _tables()["elements"]],
        "countries": lambda: [country for country in countries if country not in _known_countries()],
        "no language": lambda: countries,
        "no capital": lambda: [country for country in countries if country not in capitals()],
    }
    words = lists[name]() if name in lists else _tables()[f"beyond {name}"]
    return [text for text in words if kept(text) == held]


@cache
def _subjects(table: str) -> Mapping[str, None]:
    """What the table has rows of, in their order: a set's would differ from process to process, and so would draws."""
    return dict.fromkeys(capitals() if table == "capitals" else (_subject(table, row) for row, _ in _taught(table)))


def _subject(table: str, row: list[Any]) -> str:
    return row[1].lower() if table == "elements" else row[0]


def _asked(frame: str, subject: str) -> str:
    article = "an" if subject[0] in "aeiou" else "a"
    text = frame.format(the(subject), w=the(subject), x=f"{article} {subject}")
    return text[0].upper() + text[1:]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
