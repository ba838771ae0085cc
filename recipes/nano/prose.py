"""Problems of one to three steps in free prose: in the first person, of ages, prices and shares, or as a mere list.

`stories` tells of somebody's things sentence by sentence; here are the other ways in which people ask. Sentences are
composed of parts too: who with the verb that belongs to it, what happens, what of, and how it is asked.
"""

import re
from random import Random

from recipes.nano.expressions import NAMES, Step, any_kept, composed, result, worked
from recipes.nano.problem import Problem, kept
from recipes.nano.words import WORDS

__all__ = ["prose"]

# Of each kind the last is kept for evaluation.
_FRAMES: dict[str, tuple[str, ...]] = {
    "+": (
        "There are {a} {group} and {b} {others} [in|at] {place}. How many [people|of them] are there[| in all]?",
        "{a} {group} and {b} {others}[ are in {place}|]: how many [is that|are they][| together| in all]?",
        "{other} is {b} years older than {who2}[, who|. {who2}] is {a}[| years old]. How old is {other}?",
        "{who2} is {a}[| years old][ and|.] {other} is {b} years older. How old is {other}?",
        "{who2} is {a}[| years old| now]. How old [will {who2} be|is {who2}] in {b} years?",
        "{who} {has} {a} {things}[.| and] {other} has {b} more[| than {me}]. How many does {other} have?",
        "{who} [{had}|got|found|made] {a} {things} and {other} [had|got|found|made] {b}. How many [together|in all]?",
        "{who} [ran|walked|swam|drove] {a} {units} on {day} and {b} [{units} |]on {day2}. How far [in all|is that]?",
        "{who} paid {a} {money} for [a|the] {thing} and {b} [{money} |]for [a|the] {thing2}. How much [in all|is it]?",
        "{a} {things} here, {b} there, how many [in all|together|is that]?",
        "{who} {has} {a} {things}. {other} [gives|brings|sends] {me} {b} more. How many {does} {who_} have now?",
        "{who2}'s age is {a}. {other} is {b} years older. What is [{other}'s age|the age of {other}]?",
        "{other} is {b} years older than {who2}. {who2}'s age is {a}. [How old is {other}|What is {other}'s age]?",
        "{who2} is {a}. What is [{who2}'s age|the age of {who2}] in {b} years?",
        "{a} {things} and {b} more, what is that?",
        "{who} need{s} {b} {things} more than {other}, who needs {a}. How many {does} {who_} need?",
        "{who} had {a} {things}, and {other} brought {b}. What is the number of {things} now?",
        "{other} is {b} years older than {who2}, who is {a}. What is {other}'s age?",
    ),
    "-": (
        "{a} {group}, {b} [are |]{away}[, how|. How|: how] many [are |]{here}?",
        "[There are|A [class|school] has|We are] {a} {group}[,| and] {b} [of them |]are {away}. How many are {here}?",
        "{place2} has {a} {group}. {b} [of them |][go home|leave|are {away}]. How many [stay|are left|are {here}]?",
        "{other} is {b} years younger than {who2}[, who|. {who2}] is {a}[| years old]. How old is {other}?",
        "{who2} is {a}[ and|.] {other} is {b} years younger. How old is {other}?",
        "[A|The|This] book has {a} pages. {who} [{has} read|read] {b}[| of them]. How many [pages |]are left?",
        "{who} {has} {a} {money}[ and|.] {who} spend{s} {b}[ {money}|]. How much [is left|{does} {who_} have left]?",
        "{who} {has} {a} {things}[.| and] {other} has {b} [fewer|less]. How many does {other} have?",
        "[A|The] [train|bus|ship] has {a} [people|passengers][ in it|]. {b} get off. How many [stay|are left]?",
        "{who} {has} {a} {things} and {other} has {b}. How many more {does} {who_} have[| than {other}]?",
        "[A|The] {thing} costs {a} {money}, [a|the] {thing2} {b}. How much [cheaper|less] is the {thing2}?",
        "Of {a} {group} {b} are {away}. [How many|What number] of them are {here}?",
        "Out of {a} {things} {b} are [sold|lost|broken]. How many are [left|not]?",
        "{b} out of {a} {group} are {away}. How many are {here}?",
        "{a} {group} were [asked|invited], {b} did not come. [How many|What number] came?",
        "What number of {things} [is left|remains] when {b} of {a} are [sold|lost|taken]?",
        "Out of {a} {group} {b} are {away}. What number is {here}?",
    ),
    "*": (
        "[A|One] {thing} costs {b}[ {money}|][, how| . How|. How] much do {a} [{things}|of them] cost?",
        "[If one|If a] {thing} costs {b} {money}, [how much are|what do|how much do] {a} [{things}|of them] cost?",
        "{who} buy{s} {a} {things} [at|for] {b} {money} each. How much [is that|does it cost|{does} {who_} pay]?",
        "Each of {a} {group} has {b} {things}. How many {things} [is that|are there|do they have][| in all]?",
        "{a} {group} have {b} {things} each[, how|. How] many [are there|is that|{things} are there]?",
        "{who} read{s} {b} pages [a|every|each] day. How many [pages |]{does} {who_} read in {a} days?",
        "{who} save{s} {b} {money} [a|every|each] [week|month|day]. How much [is that|{does} {who_} have] after {a}?",
        "{a} boxes[ with| of|,] {b} {things} [each|in each]: how many {things}?",
        "{who} {has} {b} {things}, {other} has {a} times as many. How many does {other} have?",
        "What is the price of {a} {things}[ if|, when] one costs {b} {money}?",
        "[A|One] {thing} costs {b} {money}. What is the price of {a}[| {things}| of them]?",
        "{a} {things} at {b} {money} each[, how|. How] much is [that|it]?",
        "How much are {a} {things} at {b} {money}[ each| apiece]?",
        "What do {a} {group} pay [together|in all] at {b} {money} each?",
        "What is the price of {a} {things} at {b} {money} each?",
    ),
    "/": (
        "{who} share{s} {a} {things} [equally |][among|between|with] {b} {group}. How many [for each|does each get]?",
        "{a} {things} are [shared|divided|split][ equally|] [among|between|by] {b} {group}. How many [each|for each]?",
        "{a} {things} [among|for|between] {b} {group}[, how|: how|. How] many [each|for each|does each get]?",
        "{a} {things} [shared |][equally |]among {b} {group}[|?|.]",
        "{b} {group} share {a} {things}[ equally| fairly|]. How many does each [get|have|of them get]?",
        "{who} put{s} {a} {things} in[to|] {b} [bags|boxes|rows][ equally|]. How many [are|go] in each?",
        "{a} {things} are packed in [boxes|bags|rows] of {b}. How many [boxes|bags|rows] [are there|is that]?",
        "{b} {things} cost {a} {money}[, how|. How] much [does one cost|is one]?",
        "Divide {a} {things} [equally |][among|between] {b} {group}[.|. How many does each get?]",
        "{a} {things} go to {b} {group}[, all get as many|, the same to each]. How many [to each|does each get]?",
        "{b} {group} receive {a} {things} in equal [parts|shares]. How many does each get?",
        "{a} {things} in {b} equal parts[, how|: how] many are in each?",
        "What does each of {b} {group} receive[ of|, if they share] {a} {things}?",
        "{a} {things} go to {b} {group} in equal parts. What does each get?",
    ),
}
# What happens one after the other, for the person of the beginning.
_CLAUSES: dict[str, tuple[str, ...]] = {
    "+": (
        "buy{s} {n}[ more|]",
        "get{s} {n}[ more| from {other}|]",
        "find{s} {n}[ more|]",
        "make{s} {n} [more|new ones]",
        "pick{s} {n} more",
        "win{s} {n}[ more|]",
        "add{s} another {n}",
    ),
    "-": (
        "eat{s} {n}[| of them]",
        "lose{s} {n}[| of them]",
        "give{s} [away {n}|{n} away|{n} to {other}|{other} {n}]",
        "sell{s} {n}[| of them]",
        "break{s} {n}[| of them]",
        "use{s} {n}[| of them]",
        "throw{s} away {n}",
    ),
}
_OPENINGS = (
    "{who} {has} {a} {things}",
    "{who} [start{s} out|begin{s}] with {a} {things}",
    "{who} [buy{s}|find{s}] {a} {things}",
)
_JOINED = (" and ", ", then ", " and then ", ", ", ". {Then} {who_} ", ". {who} ")
_QUESTIONS = (
    "How many {does} {who_} have[| now| left| in the end]?",
    "How many {things} {does} {who_} have[| now| left]?",
    "How many [{things} |]are [left|there now|there]?",
    "How many [{things} |]left?",
    "How many [{things} |][is that|are left over]?",
)
_GROUPS = {
    "students": ("teachers", "guests"),
    "children": ("adults", "parents"),
    "boys": ("girls",),
    "girls": ("boys",),
    "pupils": ("teachers",),
    "people": ("children",),
    "friends": ("neighbours",),
    "players": ("guests",),
    "workers": ("visitors",),
}
_AWAY = (("absent", "present"), ("ill", "not ill"), ("away", "here"), ("outside", "inside"), ("missing", "there"))
_NAMES = ("Sue", "Ann", "John", "Mary", "Bob", "Alice", "Peter", "Kate", "Jim", "Sara", "Carl", "Eva", "Hugo", "Zoe")
_PLACES = ("a class", "a room", "the garden", "a school", "a train", "the hall", "the park")
_UNITS = ("km", "miles", "kilometres", "metres")
_MONEY = ("dollars", "euros", "dollars", "pounds", "coins")
_THINGS = (
    *WORDS["things"],
    *("sweets", "trees", "chairs", "cakes", "pencils", "letters", "boats", "hats", "keys", "lemons", "birds", "roses"),
    *("boxes", "bottles", "rabbits", "photos", "potatoes", "berries", "cars", "tables", "pictures", "spoons"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_THIRD = ("My brother", "My sister", "A farmer", "A teacher", "She", "He", "My friend", "The baker", "A girl", "A boy")


def prose(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """One step in any of many ways to tell it, or two or three that one person does."""
    count = count or random.choices((1, 2, 3), (7, 2, 1))[0]
    while True:
        steps = _steps(random, count)
        if kept(" ".join(f"{a}{sign}{b}" for sign, a, b in steps)) == held and (held or not any_kept(steps)):
            break
    clauses = count > 1 or (steps[0][0] in _CLAUSES and random.random() < 0.3)
    text = _happening(random, steps) if clauses else _asked(random, steps[0], held=held)
    cell = f"prose, {count} step{'s' * (count > 1)}"
    return Problem(cell, text, str(result(steps[-1])), worked(steps, ahead=True))


def _steps(random: Random, count: int) -> list[Step]:
    """Small numbers; a product by two to twelve, a quotient that leaves nothing."""
    sign = random.choice("+-*/") if count == 1 else random.choice("+-")
    size = random.choice((10, 30, 100, 200))
    a, b = random.randrange(2, size), random.randrange(2, size)
    if sign in "*/":
        a, b = random.randrange(2, 13), random.randrange(2, random.choice((10, 30, 100)))
        return [("*", a, b)] if sign == "*" or b > 12 else [("/", a * b, b)]
    steps: list[Step] = [("-", max(a, b) + 1, min(a, b)) if sign == "-" else ("+", a, b)]
    while len(steps) < count:
        before, other = result(steps[-1]), random.randrange(1, size)
        sign = random.choice("+-" if other < before else "+")
        steps.append((sign, before, other))
    return steps


def _asked(random: Random, step: Step, *, held: bool) -> str:
    """One step as a whole; to evaluate, half of the time in the wording that is kept."""
    sign, a, b = step
    frames = _FRAMES[sign]
    frame = frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])
    return _told(random, frame, _words(random) | {"a": str(a), "b": str(b)})


def _happening(random: Random, steps: list[Step]) -> str:
    """Who has how many, and what that person does then."""
    words = _words(random)
    text = composed(random, random.choice(_OPENINGS), words | {"a": str(steps[0][1])})
    for sign, _, number in steps:
        clause = random.choice(_JOINED) + random.choice(_CLAUSES[sign])
        text += composed(random, clause, words | {"n": str(number), "Then": random.choice(("Then", "Later", "Now"))})
    return _told(random, f"{text}[. |, ]{random.choice(_QUESTIONS)}", words)


def _told(random: Random, frame: str, words: dict[str, str]) -> str:
    """The frame with its parts, capitals at the beginning of sentences."""
    text = composed(random, frame, words).replace(" .", ".").replace(", How", ", how")
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[0].upper() + text[1:]


def _words(random: Random) -> dict[str, str]:
    """Who it is with the forms that go with that: "I have", "Tom has"."""
    other, second = random.sample((*NAMES, *_NAMES), 2)
    who = random.choice((random.choice(["I", "I", "We"]), random.choice(_THIRD), second))
    first = who in ("I", "We")
    group, (away, here) = random.choice(list(_GROUPS)), random.choice(_AWAY)
    things, others = random.sample(_THINGS, 2)
    day, day2 = random.sample(_DAYS, 2)
    return {
        "who": who,
        "who_": who if who in ("I", second) else who.lower(),
        "who2": second,
        "other": other,
        "me": {"I": "me", "We": "us", "She": "her", "He": "him"}.get(who, who if who == second else who.lower()),
        "has": "have" if first else "has",
        "had": "had",
        "does": "do" if first else "does",
        "s": "" if first else "s",
        "group": group,
        "others": random.choice(_GROUPS[group]),
        "away": away,
        "here": here,
        "place": (place := random.choice(_PLACES)),
        "place2": place,
        "units": random.choice(_UNITS),
        "money": random.choice(_MONEY),
        "day": day,
        "day2": day2,
        "thing": _one(things),
        "thing2": _one(others),
        "things": things,
    }


def _one(things: str) -> str:
    """One of them.

    >>> _one("boxes"), _one("apples"), _one("berries")
    ('box', 'apple', 'berry')
    """
    if things.endswith("ies"):
        return things[:-3] + "y"
    return things[:-2] if things.endswith(("xes", "ches", "toes")) else things.removesuffix("s")
