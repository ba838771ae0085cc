"""Word problems of two to four steps, told sentence by sentence."""

from collections.abc import Sequence
from random import Random

from recipes.nano.expressions import NAMES, Step, result, worked
from recipes.nano.problem import Problem, kept
from recipes.nano.words import WORDS

__all__ = ["long_story"]

# How a story begins, and what may happen next; of each kind the last is kept for evaluation.
_BEGINNINGS = (
    "{who} has {a} {things}.",
    "There are {a} {things} on the table.",
    "{who} collected {a} {things}.",
    "A shop has {a} {things}.",
    "{who} starts out with {a} {things}.",
    "First there are {a} {things}.",
    "{who} starts with {a} {things}.",
)
_EVENTS: dict[str, tuple[str, ...]] = {
    "+": (
        "{n} more come.",
        "Then {n} are added.",
        "{n} new ones are bought.",
        "{other} brings {n}.",
        "{n} more arrive.",
        "Another {n} come.",
        "{who} finds another {n}.",
        "{other} gives {who} {n} more.",
        "Another {n} arrive.",
    ),
    "-": (
        "{n} are given away.",
        "Then {n} are lost.",
        "{n} of them break.",
        "{other} takes {n}.",
        "{n} of them disappear.",
        "{who} sells {n}.",
        "{who} loses {n} of them.",
        "{n} disappear.",
    ),
    "*": (
        "The number grows to {n} times as many.",
        "Then there are {n} times as many.",
        "Each one is replaced by {n}.",
        "Their number is multiplied by {n}.",
        "Now there are {n} times as many of them.",
        "Soon the number is {n} times as large.",
        "Soon there are {n} times as many of them.",
    ),
    "/": (
        "They are shared equally by {n} friends, and one friend keeps a share.",
        "They are put into {n} equal bags, and one bag is kept.",
        "They are split into {n} equal parts, and one part stays.",
        "They are divided by {n}.",
        "They are packed into {n} equal boxes, and only one box is left.",
        "They go into {n} equal rows, and one row is left.",
        "They go into {n} equal boxes, and only one box is left.",
    ),
}
_ENDINGS = (
    "How many {things} are there now?",
    "How many {things} are there in the end?",
    "How many are left?",
    "How many {things} is that?",
    "How many remain?",
    "How many {things} are left?",
    "How many {things} remain?",
)
_LARGEST = 9999


def long_story(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """One to four things happen, or so many, one after the other, to a number of things."""
    count = count or random.choice((1, 2, 2, 3, 3, 4, 4))
    while True:
        steps = _steps(random, count)
        if kept(" ".join(f"{a}{sign}{b}" for sign, a, b in steps)) == held:
            break
    who, other = random.sample(NAMES, 2)
    words = {"who": who, "other": other, "things": random.choice(WORDS["things"])}
    sentences = [_frame(random, _BEGINNINGS, held=held).format(a=steps[0][1], **words)]
    sentences += [_frame(random, _EVENTS[sign], held=held).format(n=b, **words) for sign, _, b in steps]
    sentences.append(_frame(random, _ENDINGS, held=held).format(**words))
    return Problem(f"story, {count} steps", " ".join(sentences), str(result(steps[-1])), worked(steps))


def _frame(random: Random, frames: Sequence[str], *, held: bool) -> str:
    """One of the learned ones; to evaluate, the kept one half of the time."""
    return frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])


def _steps(random: Random, count: int) -> list[Step]:
    """Operations on the number so far, which stays whole, positive and small."""
    number, steps = random.randrange(2, 10 ** random.randrange(1, 4)), list[Step]()
    while len(steps) < count:
        sign = random.choice("++--*/")
        other = random.randrange(2, 10) if sign in "*/" else random.randrange(2, random.choice((10, 100, 300)))
        fits = {"+": True, "-": other < number, "*": number < 1000, "/": number % other == 0 and number > other}[sign]
        if fits and (new := result((sign, number, other))) <= _LARGEST:
            steps.append((sign, number, other))
            number = new
    return steps
