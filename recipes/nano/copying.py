"""Saying again what was said: texts, values of keys, places in lists, what the user told before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from recipes.nano.arithmetic import OPERATIONS, arithmetic
from recipes.nano.chat import chat, varied
from recipes.nano.expressions import NAMES
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import WORDS, identifier, name, value, word

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
_NOTED, _NOT_TOLD = "Noted.", "You did not tell me that."
_NEVER = 0.15

Value = Callable[[Random, bool], str]


@dataclass(frozen=True)
class _Kind:
    """Something that people tell: the keys it may have, how it is said and asked for; `kept` asks in evaluation only.

    In sentences `{k}` is the key, `{v}` the value, and `{a}` the article before it.
    """

    keys: tuple[str, ...]
    said: tuple[str, ...]
    asked: tuple[str, ...]
    kept: tuple[str, ...]
    value: Value


@dataclass(frozen=True)
class _Thing:
    """A value under its key, the sentence that tells it and the question for it."""

    key: str
    value: str
    said: str
    asked: str


def _called(random: Random, held: bool) -> str:
    return random.choice(NAMES) if not held and random.random() < 0.4 else name(random, held=held)


def _town(random: Random, held: bool) -> str:
    """Every eighth city is kept."""
    if random.random() < 0.5:
        return name(random, held=held)
    return random.choice([city for index, city in enumerate(WORDS["city"]) if (index % 8 == 3) == held])


def _age(random: Random, held: bool) -> str:
    while kept(age := str(random.randrange(3, 110))) != held:
        pass
    return age


def _one_of(*texts: str) -> Value:
    """One of these, or any word; the kept ones are words."""
    return lambda random, held: random.choice(texts) if not held and random.random() < 0.5 else word(random, held=held)


_PAIR = _Kind(
    (),
    ("My {k} is {v}", "The {k} is {v}", "Remember: {k} is {v}", "my {k} is {v}", "Note that the {k} is {v}"),
    ("What is my {k}?", "What is the {k}?", "What was my {k}?", "Do you remember my {k}?", "Tell me my {k}."),
    ("Which {k} did I tell you?", "What did I say the {k} is?"),
    lambda random, held: value(random, held=held),
)
_OWN: dict[_Kind, int] = {
    _Kind(
        ("name",),
        (
            *("My name is {v}", "My name is {v}", "my name is {v}", "My name's {v}", "I am called {v}", "I'm {v}"),
            *("I am {v}", "Call me {v}", "You can call me {v}", "Hi, I am {v}", "Hello, my name is {v}"),
        ),
        (
            *("What is my name?", "What's my name?", "What am I called?", "Who am I?", "Do you remember my name?"),
            *("Do you know my name?", "Tell me my name.", "What was my name?", "Do you know who I am?"),
        ),
        ("Say my name.", "What did I say my name was?"),
        _called,
    ): 5,
    _Kind(
        ("town",),
        ("I live in {v}", "I live in {v}", "I'm living in {v}", "My home is in {v}", "I have moved to {v}"),
        ("Where do I live?", "Which town do I live in?", "Do you know where I live?", "Where is my home?"),
        ("In which city do I live?", "Do you remember where I live?"),
        _town,
    ): 2,
    _Kind(
        ("age",),
        ("I am {v} years old", "I'm {v} years old", "My age is {v}", "I am {v}", "I turned {v} this year"),
        ("How old am I?", "What is my age?", "Do you know how old I am?", "What age am I?"),
        ("Do you remember my age?", "Do you remember how old I am?"),
        _age,
    ): 2,
    _Kind(
        ("job",),
        ("I work as {a} {v}", "I am {a} {v}", "I'm {a} {v}", "My job is {v}", "I have a job as {a} {v}"),
        ("What is my job?", "What do I work as?", "What's my job?", "What do I do for a living?"),
        ("What is my profession?", "Do you remember my job?"),
        _one_of(*("doctor", "teacher", "baker", "nurse", "farmer", "pilot", "lawyer", "painter", "cook", "engineer")),
    ): 2,
    _Kind(
        ("company",),
        ("I work at {v}", "I work for {v}", "My company is {v}", "I am employed by {v}"),
        ("Where do I work?", "Who do I work for?", "What is my company?"),
        ("What company do I work for?", "Do you know where I work?"),
        lambda random, held: name(random, held=held),
    ): 1,
    _Kind(
        ("like",),
        ("I like {v}", "I like {v}", "I really like {v}", "I like {v} very much"),
        ("What do I like?", "Do you know what I like?", "What was it that I like?"),
        ("Tell me what I like.", "Do you remember what I like?"),
        _one_of("chess", "music", "tennis", "tea", "coffee", "pizza", "books", "football", "swimming", "cats"),
    ): 2,
    _Kind(
        tuple(f"{own} {what}" for own in ("favourite", "favorite") for what in ("food", "animal", "song", "word"))
        + ("favourite colour", "favorite color") * 3,
        ("My {k} is {v}", "My {k} is {v}", "my {k} is {v}", "{v} is my {k}"),
        ("What is my {k}?", "What's my {k}?", "What was my {k}?", "Tell me my {k}."),
        ("Do you remember my {k}?", "Which {k} do I have?"),
        _one_of("red", "green", "blue", "black", "white", "yellow", "purple", "orange", "pink", "brown"),
    ): 2,
    _Kind(
        ("cat", "cat", "dog", "dog", "horse", "parrot", "rabbit", "brother", "sister", "son", "daughter", "friend"),
        ("My {k} is called {v}", "My {k}'s name is {v}", "I have a {k} named {v}", "I have a {k} called {v}"),
        ("What is my {k} called?", "What is the name of my {k}?", "What is my {k}'s name?", "What's my {k} called?"),
        ("Do you remember the name of my {k}?", "Tell me my {k}'s name."),
        _called,
    ): 2,
}
# Sentences that another may follow after "and".
_STATEMENTS = ("I ", "I'm ", "My ", "my ", "The ")


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
    if after == " ":
        # A space would be taken for the end of a value.
        pairs = [(key.replace(" ", "_"), given) for key, given in pairs]
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


def memory(random: Random, *, held: bool, between: int | None = None) -> Problem:
    """What the user said before: noted, or asked for; half of the time after one to three other turns.

    With `between` it is asked for, after so many. Some of what is asked for was never told.
    """
    things = _things(random, held=held)
    if between is None and random.random() < _NEVER:
        return _not_told(random, things, held=held)
    joined = len(things) > 1 and random.random() < 0.4 and things[0].said.startswith(_STATEMENTS)
    turns = [things[:2], *([one] for one in things[2:])] if joined else [[one] for one in things]
    random.shuffle(turns)
    *others, last = [(_told(random, turn), _NOTED) for turn in turns]
    if between is None and random.random() < 0.25:
        earlier = _among(random, others, random.choice((0, 0, 1)), held=held)
        return Problem("remember", *last, earlier=tuple(earlier))
    after = random.choice((0, 0, 0, 1, 2, 3)) if between is None else between
    later = random.randrange(min(len(others), after) + 1)
    earlier = (*others[later:], last, *_among(random, others[:later], after - later, held=held))
    asked = random.choice(turns[-1])
    return Problem("recall", asked.asked, asked.value, thoughts(f"{asked.key} {asked.value}"), earlier=earlier)


def _not_told(random: Random, things: Sequence[_Thing], *, held: bool) -> Problem:
    """One of the things is asked for; only the others were told."""
    asked, *others = things
    told = [(_told(random, [one]), _NOTED) for one in others]
    earlier = _among(random, told, random.choice((0, 0, 1, 2)), held=held)
    return Problem("not told", asked.asked, _NOT_TOLD, thoughts(f"{asked.key} not told."), earlier=tuple(earlier))


def _things(random: Random, *, held: bool) -> list[_Thing]:
    """One to four of different keys, in any order: pairs, and what people tell of themselves."""
    count = random.randrange(1, 4)
    own = sum(random.random() < 0.5 for _ in range(count))
    things = {}
    for kind in dict.fromkeys(random.choices(list(_OWN), list(_OWN.values()), k=own)):
        key = random.choice(kind.keys)
        things[key] = _thing(random, kind, key, kind.value(random, held), held=held)
    for key, given in _pairs(random, count - own, held=held):
        things.setdefault(key, _thing(random, _PAIR, key, given, held=held))
    return random.sample(list(things.values()), len(things))


def _thing(random: Random, kind: _Kind, key: str, given: str, *, held: bool) -> _Thing:
    """As it is said and asked for: of the kept half of the time in wordings that are never learned."""
    article = "an" if given[0].lower() in "aeiou" else "a"
    said = random.choice(kind.said).format(k=key, v=given, a=article)
    asked = kind.kept if held and random.random() < 0.5 else kind.asked
    return _Thing(key, given, said, varied(random, random.choice(asked).format(k=key)))


def _told(random: Random, things: Sequence[_Thing]) -> str:
    """One sentence, or two of which the second goes on after "and" where it can."""
    text, *more = (one.said for one in things)
    for said in more:
        goes_on = said.startswith(_STATEMENTS) and random.random() < 0.7
        lower = said if said.startswith("I") else said[0].lower() + said[1:]
        text += f" and {lower}" if goes_on else f". {said}"
    return text + random.choice((".", ".", ".", ""))


def _among(random: Random, told: Sequence[tuple[str, str]], count: int, *, held: bool) -> list[tuple[str, str]]:
    """Turns with so many others between them, in any order."""
    asides = (_aside(random, held=held) for _ in range(count))
    turns = [*told, *((one.question, one.answer) for one in asides)]
    random.shuffle(turns)
    return turns


def _aside(random: Random, *, held: bool) -> Problem:
    """A short turn that tells nothing."""
    kind = random.random()
    if kind < 0.4:
        return arithmetic(random, random.choice(OPERATIONS), held=held)
    return chat(random) if kind < 0.75 else repetition(random, held=held, count=random.choice((1, 1, 2)))


def _pairs(random: Random, count: int, *, held: bool) -> list[tuple[str, str]]:
    """Of different keys; some are words, so that a value may be a key's kind of text, and some are two words."""
    pairs = {_key(random, held=held): value(random, held=held) for _ in range(count)}
    if random.random() < 0.2:
        pairs |= {word(random, held=held): word(random, held=held)}
    spaced = random.random() < 0.5
    return [(key.replace("_", " ") if spaced else key, given) for key, given in pairs.items()]


def _key(random: Random, *, held: bool) -> str:
    """An identifier, now and then of two words for sure."""
    if random.random() < 0.1:
        return f"{word(random, held=held)}_{word(random, held=held)}"
    return identifier(random, held=held)
