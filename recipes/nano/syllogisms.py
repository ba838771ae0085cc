"""What follows, said as people say it: of cats and animals, of men who are mortal, of streets wet when it rains."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from recipes.nano.expressions import NAMES
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import WORDS, name, word

__all__ = ["plural", "syllogism"]

_UNKNOWN = "That does not follow."
_KINDS = (
    *("cat", "dog", "bird", "fish", "horse", "animal", "plant", "tree", "rose", "flower", "mammal", "insect", "baker"),
    *("teacher", "doctor", "student", "farmer", "singer", "poet", "painter", "dancer", "king", "man", "woman", "child"),
    *("robot", "metal", "planet", "star", "fruit", "tool", "car", "ship", "house", "book", "lion", "frog", "bee"),
)
_IRREGULAR = {"man": "men", "woman": "women", "child": "children", "fish": "fish"}
_QUALITIES = (
    *("mortal", "clever", "kind", "round", "sweet", "brave", "quiet", "loud", "rich", "poor", "strong", "tired"),
    *WORDS["adjective"],
)
_SUBJECTS = ("the street", "the door", "the lamp", "the water", "the window", "the car", "the house", "the floor")
_STATES = ("wet", "open", "closed", "cold", "warm", "dark", "empty", "broken", "clean", "dirty", "ready", "full", "red")
_DEEDS = ("sleep", "sing", "work", "read", "swim", "wait", "laugh", "play", "cook", "run", "smile", "stay", "win")
_WEATHER = (
    ("it rains", "it does not rain", "does it rain"),
    ("it snows", "it does not snow", "does it snow"),
    ("the sun shines", "the sun does not shine", "does the sun shine"),
    ("it is late", "it is not late", "is it late"),
)


def plural(noun: str) -> str:
    """Several of them.

    >>> plural("cat"), plural("baby"), plural("box"), plural("man"), plural("day")
    ('cats', 'babies', 'boxes', 'men', 'days')
    """
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def syllogism(random: Random, *, held: bool) -> Problem:
    """Yes, no, or that it does not follow, from two or three sentences; the things are known ones or invented."""
    draw = random.choice((_member, _member, _quality, _quality, _none, _condition, _condition, _condition))
    premises, asked, answer, high = draw(random, held)
    if random.random() < 0.3:
        premises = random.sample(premises, len(premises))
    question = " ".join(_sentence(text) for text in [*premises, asked])
    return Problem("conclusion, told", question, answer, thoughts(high.partition(":")[0], high))


Drawn = tuple[list[str], str, str, str]


def _member(random: Random, held: bool) -> Drawn:
    """All cats are animals, Tom is a cat; or Tom is an animal, of which nothing follows for cats."""
    who, (a, b, c) = _who(random, held), _things(random, held, 3)
    path = [a, b, c][: random.choice((2, 2, 3))]
    premises = [
        f"{random.choice(('all {}', '{}')).format(plural(one))} are {plural(two)}." for one, two in pairwise(path)
    ]
    last = path[-1]
    if random.random() < 0.6:
        high = f"{who},{','.join(path)}:yes"
        return [*premises, f"{who} is {_a(a)}."], f"is {who} {_a(last)}?", "Yes.", high
    return [*premises, f"{who} is {_a(last)}."], f"is {who} {_a(a)}?", _UNKNOWN, f"{who},{last}:not to {a}"


def _quality(random: Random, held: bool) -> Drawn:
    """All men are mortal, Socrates is a man."""
    who, (a,), quality = _who(random, held), _things(random, held, 1), random.choice(_QUALITIES)
    all_ = random.choice(("all {} are {}.", "every {} is {}."))
    premise = all_.format(plural(a) if all_.startswith("all") else a, quality)
    kind = random.random()
    if kind < 0.5:
        return [premise, f"{who} is {_a(a)}."], f"is {who} {quality}?", "Yes.", f"{who},{a},{quality}:yes"
    if kind < 0.75:
        high = f"{who},not {quality},no {a}:no"
        return [premise, f"{who} is not {quality}."], f"is {who} {_a(a)}?", "No.", high
    return [premise, f"{who} is {quality}."], f"is {who} {_a(a)}?", _UNKNOWN, f"{who},{quality}:not to {a}"


def _none(random: Random, held: bool) -> Drawn:
    """No cats are dogs, no cat is green."""
    who, (a, b), quality = _who(random, held), _things(random, held, 2), random.choice(_QUALITIES)
    if random.random() < 0.5:
        premise = random.choice((f"no {a} is {quality}.", f"no {plural(a)} are {quality}."))
        return [premise, f"{who} is {_a(a)}."], f"is {who} {quality}?", "No.", f"{who},{a},not {quality}:no"
    premise = random.choice((f"no {a} is {_a(b)}.", f"no {plural(a)} are {plural(b)}."))
    known, other = random.sample((a, b), 2)
    return [premise, f"{who} is {_a(known)}."], f"is {who} {_a(other)}?", "No.", f"{who},{known},no {other}:no"


@dataclass(frozen=True)
class _Clause:
    """Something that may be so, that it is not so, and whether it is."""

    said: str
    denied: str
    asked: str


def _condition(random: Random, held: bool) -> Drawn:
    """If it rains, the street is wet: from what holds first follows the last, from its denial that of the first."""
    path = _clauses(random, held, random.choice((2, 2, 3)))
    first, last = path[0], path[-1]
    premises = [_if(random, one, two) for one, two in pairwise(path)]
    kind = random.randrange(4)
    if kind == 0:
        return [*premises, f"{first.said}."], f"{last.asked}?", "Yes.", f"{' so '.join(one.said for one in path)}:yes"
    if kind == 1:
        high = f"{' so '.join(one.denied for one in reversed(path))}:no"
        return [*premises, f"{last.denied}."], f"{first.asked}?", "No.", high
    if kind == 2:
        return [*premises, f"{last.said}."], f"{first.asked}?", _UNKNOWN, f"{last.said},not from {path[-2].said} alone"
    return [*premises, f"{first.denied}."], f"{last.asked}?", _UNKNOWN, f"{first.denied} says nothing of it"


def _if(random: Random, one: _Clause, two: _Clause) -> str:
    return random.choice(("if {}, {}.", "if {}, then {}.", "whenever {}, {}.")).format(one.said, two.said)


def _clauses(random: Random, held: bool, count: int) -> list[_Clause]:
    """Of different subjects; which of them stand beside each other is kept or learned."""
    while True:
        drawn = [_clause(random, held) for _ in range(count)]
        subjects = {clause.said.partition(" does")[0].rsplit(" ", 1)[0] for clause in drawn}
        if len(subjects) == count and kept(drawn[0].said + drawn[1].said) == held:
            return drawn


def _clause(random: Random, held: bool) -> _Clause:
    kind = random.random()
    if kind < 0.2:
        return _Clause(*random.choice(_WEATHER))
    if kind < 0.6:
        subject, state = random.choice(_SUBJECTS), random.choice(_STATES)
        return _Clause(f"{subject} is {state}", f"{subject} is not {state}", f"is {subject} {state}")
    who = _who(random, held)
    if kind < 0.8:
        quality = random.choice(_QUALITIES)
        return _Clause(f"{who} is {quality}", f"{who} is not {quality}", f"is {who} {quality}")
    deed = random.choice(_DEEDS)
    return _Clause(f"{who} {deed}s", f"{who} does not {deed}", f"does {who} {deed}")


def _things(random: Random, held: bool, count: int) -> Sequence[str]:
    """Known things, a tenth of which are kept for evaluation, or invented ones."""
    known = [kind for kind in _KINDS if kept(kind) == held]
    things: list[str] = []
    while len(things) < count:
        one = random.choice(known) if random.random() < 0.7 else word(random, held=held)
        if one not in things and not one.endswith("s"):
            things.append(one)
    return things


def _who(random: Random, held: bool) -> str:
    if not held and random.random() < 0.5:
        return random.choice(NAMES)
    while " " in (who := name(random, held=held)):
        pass
    return who


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
