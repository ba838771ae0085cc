"""Everyday problems whose expression is written down first and then worked out: shopping, areas, averages, trips."""

from random import Random

from recipes.nano.expressions import NAMES, any_kept, composed
from recipes.nano.problem import Problem, kept
from recipes.nano.terms import Term, fits, operations, value, worked_out, written
from recipes.nano.words import WORDS

__all__ = ["errand"]

# The expression, and how it is told; of each the last is kept for evaluation.
_TOLD: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "a * b + c * d",
        (
            "{who} buys {a} {things} at {b} {money} each and {c} {others} at {d} {money} each. How much {is_that}?",
            "{who} buys {a} {things} for {b} {money} each and {c} {others} for {d} {money} each. What does {who} pay?",
            "{a} {things} at {b} {money} and {c} {others} at {d} {money}[, how|. How] much {is_that}?",
            "One of the {things} costs {b} {money}, of the {others} {d}. What do {a} {things} and {c} {others} cost?",
            "{who} has {a} [boxes|bags] of {b} {things} and {c} of {d} {others}. How many are there in all?",
            "What do {a} {things} at {b} {money} each and {c} {others} at {d} {money} each cost?",
        ),
    ),
    (
        "c - a * b",
        (
            "{who} buys {a} {things} at {b} {money} each and pays with {c} {money}. How much does {who} get back?",
            "{who} has {c} {money} and buys {a} {things} for {b} {money} each. How much is left?",
            "A book has {c} pages. {who} reads {b} pages [a|each|every] day. How many are left after {a} days?",
            "A book has {c} pages. {who} reads {b} pages [a|each|every] day for {a} days. How many are left?",
            "There are {c} {things}. {a} {group} take {b} each. How many are left?",
            "{who} pays {a} {things} at {b} {money} each with {c} {money}. What is the change?",
        ),
    ),
    (
        "( a + b ) * c",
        (
            "{a} {group} and {b} {adults} get {c} {things} each. How many {things} is that?",
            "There are {a} {group} and {b} {adults}. Each has {c} {things}. How many {things} are there?",
            "{who} works {a} hours on {day} and {b} hours on {day2} for {c} {money} an hour. How much {is_that}?",
            "{who} buys {a} {things} and {b} {others}. All cost {c} {money} each. How much {is_that}?",
            "{a} {group} and {b} {adults} pay {c} {money} each. How much do they pay?",
        ),
    ),
    (
        "a + ( a + b )",
        (
            "{who} has {a} {things}. {other} has {b} more than {who}. How many do they have [together|in all]?",
            "{who} has {a} {things} and {other} has {b} more. How many do [they|both] have together?",
            "{who} found {a} {things}, {other} found {b} more than {who}. How many {is_that} together?",
        ),
    ),
    (
        "a + a * b",
        (
            "{who} has {a} {things}. {other} has {b} times as many. How many do they have [together|in all]?",
            "{who} has {a} {things} and {other} has {b} times as many. How many do [they|both] have together?",
            "{who} found {a} {things}, {other} found {b} times as many. How many {is_that} together?",
        ),
    ),
    (
        "a * b * c",
        (
            "{who} earns {a} {money} an hour and works {b} hours a day. How much {is_that} in {c} days?",
            "There are {a} [rooms|halls] with {b} tables each. On each are {c} {things}. How many {things} {is_that}?",
            "A box is {a} cm long, {b} cm wide and {c} cm high. What is its volume?",
            "{a} {group} have {b} [bags|boxes] each, with {c} {things} in each. How many {things} {is_that}?",
            "{a} [bags|boxes] hold {b} [packs|cans] each, of {c} {things} each. How many {things} are there?",
        ),
    ),
    (
        "a * b / c",
        (
            "{a} [bags|boxes] of {b} {things} are shared [equally |]by {c} {group}. How many does each get?",
            "{who} has {a} [bags|boxes] of {b} {things} and shares them among {c} {group}. How many does each get?",
            "{c} {group} share {a} [bags|boxes] with {b} {things} each. How many does each get?",
        ),
    ),
    (
        "( a - b ) / c",
        (
            "{who} has {a} {things}, keeps {b} and shares the [rest|others] among {c} {group}. How many does each get?",
            "Of {a} {things} {b} are [broken|lost]. The [rest|others] go to {c} {group}. How many does each get?",
            "{a} {things}, {b} of them [bad|broken]. {c} {group} share the rest. How many for each?",
        ),
    ),
    (
        "( a + b ) / c",
        (
            "{who} has {a} {things} and {other} has {b}. They share them among {c} {group}. How many does each get?",
            "{a} {things} and {b} {others} are put into {c} [boxes|bags], as many in each. How many are in each?",
            "{c} {group} share {a} {things} and {b} {others}. How many does each get?",
        ),
    ),
    (
        "( a + b + c ) / 3",
        (
            "What is the [average|mean] of {a}, {b} and {c}?",
            "[Find|Compute|Calculate] the [average|mean] of {a}, {b} and {c}.",
            "{a}, {b}, {c}: what is the [average|mean]?",
            "What is the mean value of {a}, {b} and {c}?",
        ),
    ),
    (
        "( a + b ) / 2",
        (
            "What is the [average|mean] of {a} and {b}?",
            "[Find|Compute|Calculate] the [average|mean] of {a} and {b}.",
            "Which number lies in the middle between {a} and {b}?",
        ),
    ),
    (
        "a + b + c",
        (
            "{who} has {a} {things}, {b} {others} and {c} {thirds}. How many [things |pieces |]{is_that}[| in all]?",
            "{who} reads {a} pages on {day}, {b} on {day2} and {c} on {day3}. How many [pages |]{is_that}?",
            "There are {a} {group} in one room, {b} in another and {c} in a third. How many are there in all?",
            "{a} {things}, {b} {others} and {c} {thirds}: how many in all?",
        ),
    ),
    (
        "a * b",
        (
            "A [garden|room|field|wall] is {a} m long and {b} m [wide|high]. What is its area?",
            "What is the area of a rectangle of {a} by {b}?",
            "What is the area of a rectangle [with sides {a} and {b}|that is {a} long and {b} wide]?",
            "A [car|train|ship|bus] goes {a} km an hour. How far [does it go|is that] in {b} hours?",
            "A room is {a} m by {b} m. How large is its area?",
        ),
    ),
    (
        "2 * ( a + b )",
        (
            "A [garden|room|field] is {a} m long and {b} m wide. What is its perimeter?",
            "What is the perimeter of a rectangle of {a} by {b}?",
            "What is the perimeter of a rectangle [with sides {a} and {b}|that is {a} long and {b} wide]?",
            "A room is {a} m by {b} m. How long is its perimeter?",
        ),
    ),
    (
        "a / b",
        (
            "A [car|train|ship|bus] goes {b} km an hour. How [many hours|long] does it need for {a} km?",
            "{who} reads {b} pages a day. [How many days does|How long does] {who} need for {a} pages?",
            "{who} saves {b} {money} a week. How many weeks does {who} need for {a} {money}?",
            "{a} km at {b} km an hour, how many hours is that?",
        ),
    ),
)
_GROUPS = ("children", "friends", "boys", "girls", "students", "people", "players", "neighbours")
_ADULTS = ("adults", "teachers", "parents", "guests")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_IS_THAT = ("is that", "is that", "is it", "does that make")


def errand(random: Random, *, held: bool) -> Problem:
    """One to three operations in the order that the story's sense has, not its sentences."""
    while True:
        form, frames = random.choice(_TOLD)
        numbers = _numbers(random, form)
        term: Term = [numbers.get(part, int(part) if part.isdigit() else part) for part in form.split()]
        if not fits(term) or value(term) < 1 or kept(written(term)) != held:
            continue
        if held or not any_kept(operations(term)):
            break
    frame = frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])
    text = composed(random, frame, _words(random) | {name: str(number) for name, number in numbers.items()})
    return Problem("errand", text[0].upper() + text[1:], str(value(term)), worked_out(term))


def _numbers(random: Random, form: str) -> dict[str, int]:
    """Of two digits at most, but for what others are taken from or what is divided: that is made to be large enough."""
    a, b, c, d = (random.randrange(2, random.choice((10, 20, 100))) for _ in "abcd")
    match form:
        case "c - a * b":
            c = a * b + random.randrange(1, 100)
        case "a / b":
            b = random.randrange(2, 10)
            a = b * random.randrange(2, 60)
        case "a * b / c":
            a = c * random.randrange(1, 6) if random.random() < 0.5 else a
        case "( a - b ) / c" | "( a + b ) / c":
            a = c * random.randrange(2, 30) + (b if "-" in form else -b)
        case _:
            pass
    return {name: number for name, number in zip("abcd", (a, b, c, d), strict=True) if name in form.split()}


def _words(random: Random) -> dict[str, str]:
    who, other = random.sample(NAMES, 2)
    things, others, thirds = random.sample(WORDS["things"], 3)
    day, day2, day3 = random.sample(_DAYS, 3)
    return {
        "who": who,
        "other": other,
        "things": things,
        "others": others,
        "thirds": thirds,
        "day": day,
        "day2": day2,
        "day3": day3,
        "group": random.choice(_GROUPS),
        "adults": random.choice(_ADULTS),
        "money": random.choice(("dollars", "euros", "pounds", "dollars")),
        "is_that": random.choice(_IS_THAT),
    }
