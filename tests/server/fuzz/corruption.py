"""Streams of tokens as no model should write them, and some that one should: the same for the same seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ossia.harmony import Message, Parser
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids

__all__ = ["Stream", "stream", "written"]

HEADERS = (
    "<|channel|>analysis",
    "<|channel|>final",
    "<|channel|>commentary",
    "<|channel|>commentary to=functions.add <|constrain|>json",
    " to=functions.add<|channel|>commentary<|constrain|>json",
    " to=functions.add<|channel|>analysis json",
    "<|channel|>commentary to=functions.no.such <|constrain|>json",
    "<|channel|>commentary to=add",
    "<|channel|>commentary to=functions.run code",
    "<|channel|>analysis to=python code",
    "<|channel|>commentary to=assistant",
    "<|channel|>commentary to=all",
    "<|channel|>final <|constrain|>json",
    "<|channel|>",
    "<|channel|>nonsense",
    "<|constrain|>json",
    "<|channel|>final<|channel|>analysis",
    " to=functions.add to=functions.run<|channel|>commentary",
    " user",
    "",
)
ROLES = (
    "assistant",
    "assistant",
    "assistant",
    "assistant",
    "user",
    "system",
    "developer",
    "functions.add",
    "",
    "asistant",
)
CONTENTS = (
    "",
    "A plain text.",
    "Zwölf größere Wörter 漢字 👩‍👩‍👧",
    '{"a": 2}',
    '{"a": 2',
    '{"a": "\\ud800"}',
    '{"\\udc00": [1e999, NaN, -Infinity]}',
    '{"a": 99999999999999999999999999999999999999, "a": 1.0e-400}',
    '{"a": "\\u0000\\n<|end|>"}',
    "[1, 2]",
    "null",
    '"text"',
    "\u2028\u0085\r\n\n\n data: [DONE]\n\n: ping",
    "<|start|>assistant<|channel|>final<|message|>".replace("<|", "<\u200b|"),
    " ",
)
DEPTHS = (50, 150, 320, 480, 900, 980)
"""Below the length of what is taken for a loop."""
ENDS = ("<|end|>", "<|end|>", "<|end|>", "<|call|>", "<|return|>", "<|endoftext|>", "")
MOST_TOKENS = 3000


@dataclass(frozen=True)
class Stream:
    """What an engine gives, so many tokens a step, and with which options it is asked for."""

    seed: int
    tokens: tuple[int, ...]
    per_step: int
    tools: bool
    logprobs: bool
    stop: tuple[str, ...]
    thinking: bool

    @property
    def cut(self) -> bool:
        """Whether the model did not end by itself."""
        return self.tokens[-1] not in VOCABULARY.stop_tokens

    def __str__(self) -> str:
        return f"stream {self.seed}: {VOCABULARY.decode(self.tokens)!r:.1000}"


def stream(seed: int) -> Stream:
    """A stream, in all things as its seed says."""
    r = random.Random(seed)
    kinds: tuple[Callable[[random.Random], list[int]], ...] = (uniform, structural, turned, mutated, mutated, shredded)
    tokens = r.choice(kinds)(r)[:MOST_TOKENS] or [VOCABULARY.return_]
    return Stream(
        seed=seed,
        tokens=tuple(tokens),
        per_step=r.choice((1, 3, 20, 200, 1000)),
        tools=r.random() < 0.7,
        logprobs=r.random() < 0.2,
        stop=r.choice(((), (), (), (" plain",), ("\n\n", "}"))),
        thinking=r.random() < 0.7,
    )


def written(stream: Stream) -> tuple[Message, ...]:
    """What the parser makes of it."""
    parser = Parser(VOCABULARY)
    for token in stream.tokens:
        parser.push(token)
    return parser.finish(cut=stream.cut).messages


def uniform(r: random.Random) -> list[int]:
    """Any tokens at all."""
    return [r.randrange(VOCABULARY.size) for _ in range(r.randint(1, 120))]


def structural(r: random.Random) -> list[int]:
    """As many control tokens as others."""
    return [
        r.choice((r.choice(_controls()), r.choice(_controls()), r.randrange(1000))) for _ in range(r.randint(1, 80))
    ]


def turned(r: random.Random) -> list[int]:
    """Messages with headers and contents of every form."""
    tokens: list[int] = []
    for number in range(r.randint(1, 5)):
        begin = f"<|start|>{r.choice(ROLES)}" if number else ""
        tokens += ids(VOCABULARY, begin + r.choice(HEADERS) + r.choice(("<|message|>",) * 5 + ("",)))
        tokens += ids(VOCABULARY, _content(r)) + ids(VOCABULARY, r.choice(ENDS))
    return tokens


def mutated(r: random.Random) -> list[int]:
    """Such messages with tokens taken out, doubled, swapped, put in, and cut off."""
    tokens = turned(r)
    for _ in range(r.randint(1, 8)):
        at, other = r.randrange(len(tokens) + 1), r.randrange(len(tokens) + 1)
        match r.randrange(6):
            case 0:
                del tokens[at : at + r.randint(1, 3)]
            case 1:
                tokens[at:at] = tokens[at : at + r.randint(1, 6)]
            case 2 if max(at, other) < len(tokens):
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens.insert(at, r.choice(_controls()))
            case 4:
                tokens.insert(at, r.choice(_bytes()))
            case _:
                tokens[at:at] = ids(VOCABULARY, r.choice(HEADERS))
    return tokens[: r.choice((len(tokens), len(tokens), r.randrange(len(tokens) + 1)))]


def shredded(r: random.Random) -> list[int]:
    """Characters of several bytes in single bytes, of which some are lost, across the borders of messages too."""
    tokens: list[int] = []
    for number in range(r.randint(1, 4)):
        text = "".join(r.choice("aé漢👩\u2028\ud7ff\U0010ffff\n") for _ in range(r.randint(1, 20)))
        data = [_bytes()[byte] for byte in text.encode() if r.random() < 0.9]
        begin = "<|start|>assistant" if number else ""
        tokens += ids(VOCABULARY, begin + r.choice(HEADERS[:4]) + "<|message|>") + data
        tokens += ids(VOCABULARY, r.choice(ENDS))
    return tokens


def _content(r: random.Random) -> str:
    if r.random() < 0.02:
        depth = r.choice(DEPTHS) + r.randint(-10, 10)
        return '{"a": ' + "[" * depth + "]" * r.choice((depth, depth, depth - 1)) + "}"
    return "".join(r.choice(CONTENTS) for _ in range(r.choice((1, 1, 1, 2))))


@cache
def _controls() -> tuple[int, ...]:
    v = VOCABULARY
    usual = (v.start, v.end, v.channel, v.message, v.constrain, v.call, v.return_, v.endoftext)
    return (*usual, *usual, *v.control.values())


@cache
def _bytes() -> tuple[int, ...]:
    """The token of each byte."""
    by_bytes = {VOCABULARY.bytes_of(token): token for token in range(1000)}
    return tuple(by_bytes[bytes([byte])] for byte in range(256))
