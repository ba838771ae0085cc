"""Names, words and values without end, so that a model learns to copy them and not to know them."""

import json
from functools import cache
from importlib.resources import files
from random import Random

from ossia.harmony import Vocabulary
from recipes.nano.problem import kept

__all__ = ["WORDS", "identifier", "name", "number", "value", "word"]

WORDS: dict[str, list[str]] = json.loads(files("recipes.nano").joinpath("words.json").read_text("utf-8"))


def word(random: Random, *, held: bool) -> str:
    """A lower-case word, real or not. Invented ones are of the kept or of the others; real ones are all learned."""
    if not held and random.random() < 0.4:
        return random.choice(_real())
    while kept(drawn := _invented(random)) != held or (held and drawn in _real()):
        pass
    return drawn


def name(random: Random, *, held: bool) -> str:
    """A name, capitalised; of one word, seldom of two."""
    one = word(random, held=held).capitalize()
    return f"{one} {word(random, held=held).capitalize()}" if random.random() < 0.15 else one


def identifier(random: Random, *, held: bool) -> str:
    """A name for a parameter or a key, such as `size` or `max_size`."""
    one = word(random, held=held)
    return f"{one}_{word(random, held=held)}" if random.random() < 0.25 else one


def number(random: Random) -> int:
    """A number of one to five digits."""
    return random.randrange(10 ** random.randrange(1, 6))


def value(random: Random, *, held: bool) -> str:
    """A value to be copied: a word, a name, a number, a date, a code."""
    kind = random.random()
    if kind < 0.4:
        return word(random, held=held)
    if kind < 0.65:
        return name(random, held=held)
    if kind < 0.8:
        return str(number(random))
    if kind < 0.88:
        return f"{random.randrange(1950, 2040)}-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}"
    letters = "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=random.randrange(1, 4)))
    return f"{letters}{random.choice(('', '-'))}{random.randrange(1, 10 ** random.randrange(1, 5))}"


def _invented(random: Random) -> str:
    """Of syllables, or of any tokens that are letters: every token is to be copied some time."""
    if random.random() < 0.5:
        return "".join(random.choices(WORDS["syllable"], k=random.randrange(2, 4)))
    return "".join(random.choices(_tokens(), k=random.randrange(1, 4)))[:14]


@cache
def _tokens() -> list[str]:
    ranks = Vocabulary.embedded().ranks
    return [
        text
        for token, rank in ranks.items()
        if rank < 4600 and (text := token.decode("latin-1")).isascii() and text.isalpha() and text.islower()
    ]


@cache
def _real() -> list[str]:
    kinds = ("thing", "verb", "adjective", "place", "topic", "noun")
    texts = {text for kind in kinds for text in WORDS[kind]} - {*WORDS["city"][3::8]}
    return sorted({text.lower() for text in texts if text.isalpha() and text.isascii()})
