"""Greetings, questions about the model and about Ossia, and the many questions that it can only decline."""

import json
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from recipes.nano.arithmetic import asked
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import WORDS

__all__ = [
    "CANNOT",
    "NOT_UNDERSTOOD",
    "chat",
    "meaningless",
    "opened",
    "other_arithmetic",
    "unknown",
    "varied",
]

CANNOT = "I don't know. I am a tiny model, and I know very little."
NOT_UNDERSTOOD = "Sorry, I did not understand that."

_OPENED = 0.3
# What fingers find on a keyboard without looking.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop")
_ENDINGS = ("", "", "", "!", ".")


def chat(random: Random) -> Problem:
    """A greeting, thanks, a farewell, or a question about the model, gpt-oss or Ossia."""
    intents = _talk()["intents"]
    intent = random.choices(intents, [one["weight"] for one in intents])[0]
    text = random.choice(intent["said"])
    text = opened(random, text) if text.endswith("?") else text + random.choice(_ENDINGS)
    return Problem(f"chat, {intent['cell']}", varied(random, text), intent["answer"], thoughts(intent["thought"]))


def unknown(random: Random, *, held: bool) -> Problem:
    """A question that only a larger model could answer. Every tenth frame is kept for evaluation."""
    frames = [frame for index, frame in enumerate(_talk()["unknown"]) if (index % 10 == 3) == held]
    text = random.choice(_talk()["openings"]) + _filled(random, random.choice(frames))
    return Problem("unknown", varied(random, text), CANNOT, thoughts("I don't know."))


def meaningless(random: Random, *, held: bool) -> Problem:
    """What says nothing: a test, signs, an insult, keys hit at random. Every tenth text is kept for evaluation."""
    texts = [text for index, text in enumerate(_talk()["meaningless"]) if (index % 10 == 3) == held]
    text = random.choice(texts)
    if random.random() < 0.5:
        while kept(text := _struck(random)) != held:
            pass
    return Problem("meaningless", text, NOT_UNDERSTOOD, thoughts("That says nothing."))


def _struck(random: Random) -> str:
    """Keys beside each other, one key again and again, or any consonants."""
    row = random.choice(_ROWS)
    kind, size = random.random(), random.randrange(3, 12)
    if kind < 0.4:
        start = random.randrange(len(row) - 3)
        return row[start : start + size]
    if kind < 0.7:
        return "".join(random.choices(row, k=size))
    if kind < 0.85:
        return random.choice(row) * size
    return "".join(random.choices("bcdfghjklmnpqrstvwxz", k=size)) + random.choice(("", "", ".", "?", "123"))


def other_arithmetic(random: Random) -> Problem:
    """Operations that are not taught, of any numbers."""
    a, b = (random.randrange(10 ** random.randrange(1, 5)) for _ in "ab")
    form = random.choice(_talk()["beyond"]).format(a=a, b=b)
    return Problem("other arithmetic", varied(random, asked(random, form)), CANNOT, thoughts("I don't know."))


def opened(random: Random, question: str) -> str:
    """The question, now and then after words such as "Quick question:", which say nothing of whether it is known."""
    return random.choice(_talk()["openings"]) + question if random.random() < _OPENED else question


def varied(random: Random, text: str) -> str:
    """Typed carelessly, some of the time."""
    kind = random.random()
    if kind < 0.15:
        return text.lower()
    if kind < 0.25:
        return text.rstrip("?.!")
    return text


@cache
def _talk() -> dict[str, Any]:
    return json.loads(files("recipes.nano").joinpath("talk.json").read_text("utf-8"))


def _filled(random: Random, frame: str) -> str:
    """The frame with every gap filled by a word of its kind, or now and then by an invented one."""
    while "{" in frame:
        before, rest = frame.split("{", 1)
        kind, after = rest.split("}", 1)
        frame = before + _gap(random, kind) + after
    return frame


def _gap(random: Random, kind: str) -> str:
    match kind:
        case "small":
            return str(random.randrange(2, 100))
        case "year":
            return str(random.randrange(1000, 2030))
    if kind == "invented" or random.random() < 0.2:
        text = "".join(random.choices(WORDS["syllable"], k=random.randrange(2, 4)))
        return text.capitalize() if random.random() < 0.5 else text
    return random.choice(WORDS[kind])
