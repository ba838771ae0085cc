"""Ways through a grammar: given ones, and random ones that look for an end."""

import random
import re
from functools import cache
from pathlib import Path

import numpy as np

import ossia
from ossia.grammar import Compiler, Rules, Walk
from ossia.harmony import Vocabulary


@cache
def embedded() -> Vocabulary:
    return Vocabulary.embedded()


@cache
def nano() -> Vocabulary:
    """Control tokens of other ids, and model ids beyond the vocabulary."""
    return Vocabulary.from_tokenizer_json((Path(ossia.__path__[0]) / "data" / "nano" / "tokenizer.json").read_bytes())


@cache
def compiler(vocabulary: Vocabulary) -> Compiler:
    return Compiler(vocabulary)


def walk(rules: Rules, vocabulary: Vocabulary | None = None) -> Walk:
    return compiler(vocabulary or nano()).compile(rules.to_source())


def allowed(grammar: Walk) -> np.ndarray:
    """The ids in the mask, which is longer than the vocabulary, as a padded model's is."""
    mask = np.zeros(grammar._tokens.words + 3, np.int32)
    grammar.fill_mask(mask)
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))


def tokens(text: str, vocabulary: Vocabulary) -> list[int]:
    """The tokens of a text in which control tokens stand by their names."""
    parts = re.split(r"(<\|\w+\|>)", text)
    return [
        token
        for part in parts
        for token in ([vocabulary.control[part]] if part in vocabulary.control else vocabulary.encode(part))
    ]


def takes(grammar: Walk, text: str, vocabulary: Vocabulary | None = None) -> bool:
    """Whether the grammar takes this text, as each mask on the way says, too."""
    for token in tokens(text, vocabulary or nano()):
        said = token in allowed(grammar)
        assert grammar.accept(token) == said
        if not said:
            return False
    return True


def texts_next(grammar: Walk, vocabulary: Vocabulary | None = None) -> set[str]:
    return {(vocabulary or nano()).decode([token]) for token in allowed(grammar).tolist()}


ENDINGS = ('"', "}", "]", '"}', "0", "1", ".", ":", ",", "e")


def wander(
    grammar: Walk, rng: random.Random, vocabulary: Vocabulary | None = None, most: int = 600
) -> list[int] | None:
    """Random tokens that the masks allow, with an inclination to end; None if they do not by then."""
    v = vocabulary or nano()
    closing = {v.end, v.call, v.return_}
    ends = [token for text in ENDINGS for token in v.encode(text)]
    drawn: list[int] = []
    while len(drawn) < most:
        may = set(allowed(grammar).tolist())
        if not may:
            return drawn
        wanted = sorted(closing & may) if rng.random() < 0.5 else [token for token in ends if token in may]
        choice = rng.choice(wanted if wanted and rng.random() < 0.7 + len(drawn) / most else sorted(may))
        assert grammar.accept(choice)
        drawn.append(choice)
    return None
