"""Saying again what was said: texts, values of keys, places in lists, what the user told before."""

from random import Random

from recipes.nano.problem import Problem, thoughts
from recipes.nano.words import identifier, name, value, word

__all__ = ["found_in_list", "listed", "lookup", "memory", "repetition"]

_REPEAT = (
    "Repeat: {}",
    "Repeat after me: {}",
    "Say {}",
    "Say: {}",
    "Echo {}",
    "Please repeat {}",
    "Copy this: {}",
    'Repeat "{}"',
    "Write {}",
)
_ASKED = ("What is {}?", "What is the {}?", "{}?", "Tell me the {}.", "Give me {}.", "And {}?", "Which {}?")
_TOLD = ("My {} is {}.", "The {} is {}.", "Remember: {} is {}.", "my {} is {}", "Note that the {} is {}.")
_REMEMBERED = ("Noted.",)
_RECALLED = ("What is my {}?", "What is the {}?", "What was my {}?", "Do you remember my {}?", "Tell me my {}.")


def repetition(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """One to sixteen values, or so many, to be said again."""
    count = count or random.choice((1, 1, 2, 2, 3, 4, 6, 8, 12, 16))
    text = random.choice((" ", " ", ", ")).join(value(random, held=held) for _ in range(count))
    return Problem("repeat", random.choice(_REPEAT).format(text), text)


def lookup(random: Random, *, held: bool) -> Problem:
    """Keys with values, and the question for one of them."""
    pairs = _pairs(random, random.randrange(2, 8), held=held)
    between, after = random.choice(
        ((": ", ", "), (" = ", ", "), (": ", "\n"), ("=", " "), (" is ", ", "), (" is ", "; "))
    )
    text = after.join(f"{key}{between}{given}" for key, given in pairs)
    key, given = random.choice(pairs)
    question = random.choice(_ASKED).format(key)
    end = "\n" if after == "\n" else random.choice((". ", "\n"))
    text = f"{text}{end}{question}" if random.random() < 0.8 else f"{question}\n{text}"
    return Problem("look up", text, given, thoughts(f"{key} {given}"))


def listed(random: Random, *, held: bool) -> Problem:
    """The first, the last, or what stands next to another of a list; with more effort every one gets its number."""
    things = [value(random, held=held) for _ in range(random.randrange(2, 8))]
    if len(set(things)) < len(things):
        return listed(random, held=held)
    place = random.randrange(1, len(things))
    question, found, known = random.choice(
        (
            ("What is first", 1, 0),
            ("What is last", len(things), 0),
            ("Which is the first", 1, 0),
            ("Which is the last", len(things), 0),
            (f"What comes after {things[place - 1]}", place + 1, place),
            (f"What follows {things[place - 1]}", place + 1, place),
            (f"What comes before {things[place]}", place, place + 1),
        )
    )
    text = ", ".join(things)
    asked = random.choice((f"{question} in {text}?", f"{question}: {text}", f"{text}. {question}?"))
    return Problem("list", asked, things[found - 1], thoughts(found_in_list(things, found, known)))


def found_in_list(things: list[str], found: int, known: int = 0) -> str:
    """Every thing between its number and its number, then the known one with its number, and the one that is found.

    What is copied is found by what stands before it. So of a thing the number stands behind it as well, after a point,
    and of a number, with a colon, the thing.

    >>> print(found_in_list(["pear", "fig", "plum"], 1, 2))
    1:pear.1,2:fig.2,3:plum.3
    fig.2-1=1:pear
    >>> print(found_in_list(["pear", "fig"], 2))
    1:pear.1,2:fig.2
    2:fig
    """
    counted = ",".join(f"{number}:{thing}.{number}" for number, thing in enumerate(things, 1))
    step = f"{things[known - 1]}.{known}{'-' if found < known else '+'}1=" if known else ""
    return f"{counted}\n{step}{found}:{things[found - 1]}"


def memory(random: Random, *, held: bool) -> Problem:
    """What the user said one to three turns before."""
    pairs = _pairs(random, random.randrange(1, 4), held=held)
    if random.random() < 0.3:
        pairs[0] = ("name", name(random, held=held))
    told = tuple((random.choice(_TOLD).format(key, given), random.choice(_REMEMBERED)) for key, given in pairs)
    if random.random() < 0.25:
        return Problem("remember", told[-1][0], told[-1][1], earlier=told[:-1])
    key, given = random.choice(pairs)
    return Problem("recall", random.choice(_RECALLED).format(key), given, thoughts(f"{key} {given}"), earlier=told)


def _pairs(random: Random, count: int, *, held: bool) -> list[tuple[str, str]]:
    """Of different keys; some are words, so that a value may be a key's kind of text."""
    pairs = {identifier(random, held=held): value(random, held=held) for _ in range(count)}
    if random.random() < 0.2:
        pairs |= {word(random, held=held): word(random, held=held)}
    return list(pairs.items())
