"""Streams of tokens, well-formed and not, and what openai-harmony makes of them."""

import random

import openai_harmony

from ossia.harmony import Message, RepairKind, Vocabulary
from tests.harmony.makers import Maker

Key = tuple[str, str | None, str | None, str | None, str | None, str]


STRUCTURAL = ("start", "end", "channel", "message", "constrain", "call", "return", "endoftext")
HEADER_WORDS = (
    "assistant",
    "user",
    " to=functions.f",
    " to=",
    "analysis",
    " commentary",
    " json",
    "final",
    " ",
    "\n",
    "x y",
)


def tokens_of(text: str, vocabulary: Vocabulary) -> list[int]:
    """The ids of a text with control tokens in it."""
    ids: list[int] = []
    for piece in text.replace("<|", "\0<|").replace("|>", "|>\0").split("\0"):
        ids += [vocabulary.control[piece]] if piece in vocabulary.control else vocabulary.encode(piece)
    return ids


def key(message: Message) -> Key:
    return message.role, message.name, message.channel, message.recipient, message.content_type, message.text


def judged(judge: openai_harmony.HarmonyEncoding, ids: list[int], role: str | None) -> list[Key] | None:
    """What the judge says, None if it raises."""
    try:
        messages = judge.parse_messages_from_completion_tokens(ids, openai_harmony.Role(role) if role else None)
    except openai_harmony.HarmonyError:
        return None
    return [
        (
            m.author.role.value,
            m.author.name,
            m.channel,
            m.recipient,
            m.content_type,
            "".join(c.to_dict()["text"] for c in m.content),
        )
        for m in messages
    ]


def meant(theirs: Key) -> Key:
    """The judge's message without its two misreadings of well-formed headers, which we do not share.

    A `<|constrain|>` type without a recipient is the recipient; `user:name` with more words after it is a tool.
    """
    role, name, channel, recipient, content_type, content = theirs
    if recipient is not None and recipient.startswith("<|constrain|>") and content_type is None:
        recipient, content_type = None, recipient
    if role == "tool" and name is not None and name.split(":")[0] in ("system", "developer", "user", "assistant"):
        role, _, name = name.partition(":")
    return role, name, channel, recipient, content_type, content


def mutated(seed: int, vocabulary: Vocabulary) -> list[int]:
    """A stream of the model's with tokens taken out, put in and cut off."""
    maker, r = Maker(seed), random.Random(seed)
    structural = [vocabulary.control[f"<|{name}|>"] for name in STRUCTURAL]
    ids = [i for _ in range(r.randint(1, 3)) for i in tokens_of(maker.completion(), vocabulary)]
    for _ in range(r.randint(0, 4)):
        at = r.randrange(len(ids) + 1)
        match r.randrange(4):
            case 0:
                del ids[at : at + r.randint(1, 3)]
            case 1:
                ids.insert(at, r.choice(structural))
            case 2:
                ids[at:at] = vocabulary.encode(r.choice(HEADER_WORDS))
            case _:
                ids.insert(at, r.choice([9552, r.randrange(-3, vocabulary.size + 3)]))
    return ids[: r.choice([len(ids), len(ids), r.randrange(len(ids) + 1)])]


# Where openai-harmony raises (R), or reads wrongly without a word (W); what we make of it.
MALFORMED: list[tuple[str, str, list[Key], list[RepairKind]]] = [
    (
        "R",
        "<|channel|>analysis<|message|>A<|end|><|start|><|start|>assistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "A"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.STRAY_TOKEN],
    ),
    (
        "R",
        "<|channel|>analysis<|message|>A<|end|>assistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "A"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_START],
    ),
    (
        "R",
        "<|channel|>analysis<|message|>A<|end|><|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "A"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_START],
    ),
    (
        "R",
        "<|channel|><|message|>A<|return|>",
        [("assistant", None, None, None, None, "A")],
        [RepairKind.EMPTY_CHANNEL],
    ),
    (
        "R",
        "<|channel|>final<|message|>A<|end|><|return|>",
        [("assistant", None, "final", None, None, "A")],
        [RepairKind.STRAY_TOKEN],
    ),
    (
        "R",
        "<|channel|>final<|message|>A<|return|> tail",
        [("assistant", None, "final", None, None, "A"), ("assistant", None, None, None, None, "tail")],
        [RepairKind.MISSING_START, RepairKind.UNFINISHED_HEADER],
    ),
    (
        "R",
        "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>tail",
        [
            ("assistant", None, "commentary", "functions.f", "<|constrain|>json", "{}"),
            ("assistant", None, None, None, None, "tail"),
        ],
        [RepairKind.MISSING_START, RepairKind.UNFINISHED_HEADER],
    ),
    (
        "R",
        "<|channel|>commentary to=functions.f extra <|constrain|>json<|message|>{}<|call|>",
        [("assistant", None, "commentary", "functions.f", "<|constrain|>json", "{}")],
        [RepairKind.UNEXPECTED_TEXT],
    ),
    ("R", "<|channel|>final", [("assistant", None, "final", None, None, "")], [RepairKind.UNFINISHED_HEADER]),
    (
        "R",
        "Hello to you<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, None, None, None, "Hello to you"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_MESSAGE],
    ),
    (
        "R",
        "<|channel|>analysis I  must\nrefuse<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "I  must\nrefuse"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_MESSAGE],
    ),
    (
        "R",
        '<|channel|>commentary to=functions.f <|constrain|>json{"a": 1}<|call|>',
        [("assistant", None, "commentary", "functions.f", "<|constrain|>json", '{"a": 1}')],
        [RepairKind.MISSING_MESSAGE],
    ),
    (
        "R",
        " to=functions.f<|channel|>commentary to=functions.f json<|message|>{}<|call|>",
        [("assistant", None, "commentary", "functions.f", "json", "{}")],
        [RepairKind.DUPLICATE_RECIPIENT],
    ),
    (
        "R",
        "<|start|>assistantfinal<|message|>B<|return|>",
        [("assistant", None, "final", None, None, "B")],
        [RepairKind.HEADER_FORM],
    ),
    ("R", "<|start|><|message|>B<|return|>", [("assistant", None, None, None, None, "B")], [RepairKind.MISSING_ROLE]),
    (
        "R",
        "<|start|>asistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "final", None, None, "B")],
        [RepairKind.UNKNOWN_ROLE],
    ),
    (
        "R",
        "<|channel|>final<|message|>B<|return|>\n<|endoftext|>",
        [("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_START, RepairKind.UNEXPECTED_TEXT],
    ),
    (
        "W",
        " to=assistant<|channel|>commentary<|channel|>commentary<|message|>B<|end|>",
        [("assistant", None, "commentary", "assistant", None, "B")],
        [RepairKind.DUPLICATE_CHANNEL],
    ),
    (
        "W",
        "<|channel|>??<|end|><|start|>assistant<|channel|>analysis<|message|>A<|end|>",
        [("assistant", None, "??", None, None, ""), ("assistant", None, "analysis", None, None, "A")],
        [RepairKind.MISSING_MESSAGE],
    ),
    (
        "W",
        "<|channel|>commentary<|constrain|>json<|message|>{}<|call|>",
        [("assistant", None, "commentary", None, "<|constrain|>json", "{}")],
        [],
    ),
    (
        "W",
        "<|channel|>final<|message|>A<|message|>B<|return|>",
        [("assistant", None, "final", None, None, "AB")],
        [RepairKind.STRAY_TOKEN],
    ),
    (
        "W",
        "<|channel|>analysis<|message|>A<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "A"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_END, RepairKind.MISSING_START],
    ),
    (
        "W",
        "<|channel|>analysis<|message|>A<|start|>assistant<|channel|>final<|message|>B<|return|>",
        [("assistant", None, "analysis", None, None, "A"), ("assistant", None, "final", None, None, "B")],
        [RepairKind.MISSING_END],
    ),
    (
        "W",
        "<|channel|>commentaryto=functions.f json<|message|>{}<|call|>",
        [("assistant", None, "commentary", "functions.f", "json", "{}")],
        [RepairKind.HEADER_FORM],
    ),
    (
        "W",
        "<|channel|>commentary to= functions.f<|message|>{}<|call|>",
        [("assistant", None, "commentary", "functions.f", None, "{}")],
        [RepairKind.HEADER_FORM],
    ),
    (
        "W",
        "<|channel|>commentary to=<|message|>{}<|call|>",
        [("assistant", None, "commentary", None, None, "{}")],
        [RepairKind.EMPTY_RECIPIENT],
    ),
    (
        "W",
        "<|start|> to=functions.f<|channel|>commentary<|message|>{}<|call|>",
        [("assistant", None, "commentary", "functions.f", None, "{}")],
        [RepairKind.MISSING_ROLE],
    ),
    (
        "W",
        " final<|message|>B<|return|>",
        [("assistant", None, "final", None, None, "B")],
        [RepairKind.HEADER_FORM],
    ),
    (
        "W",
        "<|channel|>final<|message|>B<|endoftext|>",
        [("assistant", None, "final", None, None, "B")],
        [RepairKind.STRAY_TOKEN],
    ),
]
