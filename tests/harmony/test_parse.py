"""The parser against openai-harmony, and by itself where that raises or reads wrongly."""

import random
import time
from typing import Any

import openai_harmony
import pytest
from hypothesis import given

from ossia.harmony import (
    Conversation,
    Finished,
    Message,
    Parsed,
    Parser,
    RepairKind,
    Started,
    Text,
    Vocabulary,
    parse,
    render,
)
from tests.harmony.makers import Maker, seeds, tries

Key = tuple[str, str | None, str | None, str | None, str | None, str]


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


def test_well_formed_streams_give_the_judges_messages(
    vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding
) -> None:
    compared = 0

    @tries(300)
    @given(seed=seeds)
    def check(seed: int) -> None:
        nonlocal compared
        conversation = Conversation.from_json(Maker(seed).conversation())
        for message in conversation.messages:
            ids = render(Conversation((message,)), vocabulary, as_="conversation")
            theirs, ours = judged(judge, ids, None), parse(ids, vocabulary)
            assert ours.repairs == ()
            if theirs is not None:
                compared += 1
                assert [key(message) for message in ours.messages] == list(map(meant, theirs))

    check()
    assert compared > 300


def test_what_is_rendered_is_parsed_back(vocabulary: Vocabulary) -> None:
    @tries(200)
    @given(seed=seeds)
    def check(seed: int) -> None:
        maker = Maker(seed)
        messages = [
            Message(role, maker.text(), channel, recipient, content_type, name)
            for role, channel, recipient, content_type, name in maker.some(maker.exact_header, 5)
        ]
        ids = render(Conversation(tuple(messages)), vocabulary, as_="training", drop_analysis=False)
        assert parse(ids, vocabulary) == Parsed(tuple(messages), ())

    check()


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


def test_any_tokens_are_parsed_and_streams_agree_with_the_whole(vocabulary: Vocabulary) -> None:
    @tries(1500)
    @given(seed=seeds)
    def check(seed: int) -> None:
        ids = mutated(seed, vocabulary)
        parser, contents, started = Parser(vocabulary), list[str](), None
        events = [event for token in ids for event in parser.push(token)]
        before = len(parser.messages)
        parsed = parser.finish()
        for event in events:
            match event:
                case Started(header):
                    assert started is None
                    started = header
                    contents.append("")
                case Text(header, text):
                    assert header is started
                    assert text
                    contents[-1] += text
                case Finished(message):
                    assert message.text == contents[-1]
                    started = None
        assert parsed == parse(iter(ids), vocabulary)
        assert [message.text for message in parsed.messages[:before]] == contents[:before]
        assert all(0 <= repair.position <= len(ids) for repair in parsed.repairs)

    check()


def test_corrupted_streams_are_the_judges_or_repaired(
    vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding
) -> None:
    outcomes = {"same": 0, "raised": 0, "repaired": 0}

    @tries(1000)
    @given(seed=seeds)
    def check(seed: int) -> None:
        ids = [token for token in mutated(seed, vocabulary) if token in vocabulary]
        role = None if ids[:1] == [vocabulary.start] else "assistant"
        theirs, ours = judged(judge, ids, role), parse(ids, vocabulary)
        if theirs is None:
            outcomes["raised"] += 1
        elif ours.repairs:
            outcomes["repaired"] += 1
        else:
            outcomes["same"] += 1
            assert [key(message) for message in ours.messages] == list(map(meant, theirs))

    check()
    assert min(outcomes.values()) > 50, outcomes


def test_no_text_is_lost(vocabulary: Vocabulary) -> None:
    @tries(1000)
    @given(seed=seeds)
    def check(seed: int) -> None:
        r = random.Random(seed)
        structural = [f"<|{name}|>" for name in STRUCTURAL]
        marks = [f"q{number}z" for number in range(r.randint(1, 6))]
        parts = [" ".join(["", mark]) if r.random() < 0.7 else mark for mark in marks]
        parts += r.choices([*structural, *structural, *HEADER_WORDS], k=r.randint(0, 12))
        r.shuffle(parts)
        parsed = parse([i for part in parts for i in tokens_of(part, vocabulary)], vocabulary)
        kept = [str(key(message)) for message in parsed.messages] + [repair.text for repair in parsed.repairs]
        assert [mark for mark in marks if not any(mark in text for text in kept)] == []

    check()


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


@pytest.mark.parametrize(("fault", "text", "messages", "repairs"), MALFORMED, ids=[case[1] for case in MALFORMED])
def test_malformed_output_is_repaired(
    fault: str,
    text: str,
    messages: list[Key],
    repairs: list[RepairKind],
    vocabulary: Vocabulary,
    judge: openai_harmony.HarmonyEncoding,
) -> None:
    ids = tokens_of(text, vocabulary)
    parsed = parse(ids, vocabulary)
    assert [key(message) for message in parsed.messages] == messages
    assert [repair.kind for repair in parsed.repairs] == repairs
    theirs = judged(judge, ids, None if text.startswith("<|start|>") else "assistant")
    assert theirs is None if fault == "R" else theirs not in (None, messages)


def test_a_stream_may_begin_with_its_start(vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    ids = tokens_of("<|start|>assistant<|channel|>final<|message|>B<|return|>", vocabulary)
    assert parse(ids, vocabulary).repairs == ()
    assert (
        list(map(key, parse(ids, vocabulary).messages)) == judged(judge, ids, None) != judged(judge, ids, "assistant")
    )


def test_a_mistyped_channel_is_kept_and_reported(vocabulary: Vocabulary) -> None:
    parsed = parse(tokens_of("<|channel|>finalx<|message|>B<|return|>", vocabulary), vocabulary)
    assert key(parsed.messages[0]) == ("assistant", None, "finalx", None, None, "B")
    assert [(repair.kind, repair.text) for repair in parsed.repairs] == [(RepairKind.UNKNOWN_CHANNEL, "finalx")]


@pytest.mark.parametrize(
    "header",
    [
        " to=functions.f<|channel|>commentary <|constrain|>json",
        "<|channel|>commentary to=functions.f <|constrain|>json",
        "<|channel|>commentary to=functions.f<|constrain|>json",
    ],
)
def test_recipients_are_found_in_both_places(header: str, vocabulary: Vocabulary) -> None:
    parsed = parse(tokens_of(f"{header}<|message|>{{}}<|call|>", vocabulary), vocabulary)
    assert list(map(key, parsed.messages)) == [
        ("assistant", None, "commentary", "functions.f", "<|constrain|>json", "{}")
    ]
    assert parsed.repairs == ()


# 9552 is a space and the first two bytes of a character of four.
@pytest.mark.parametrize("middle", [[9552, 9552], [9552], [9552, 55, 56], [9552, 200013], [9552, 7403]])
def test_broken_characters_are_the_judges(
    middle: list[int], vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding
) -> None:
    for end in ("<|end|>", " worked<|end|>", ""):
        ids = tokens_of("<|channel|>final<|message|>", vocabulary) + middle + tokens_of(end, vocabulary)
        assert list(map(key, parse(ids, vocabulary).messages)) == judged(judge, ids, "assistant")


def test_an_unknown_id_is_one_replacement_character(vocabulary: Vocabulary) -> None:
    ids = [*tokens_of("<|channel|>final<|message|>a", vocabulary), -1, 1 << 40, *tokens_of("b<|end|>", vocabulary)]
    parsed = parse(ids, vocabulary)
    assert parsed.messages[0].text == "a\ufffd\ufffdb"
    assert [(repair.kind, repair.text) for repair in parsed.repairs] == [
        (RepairKind.UNKNOWN_TOKEN, "-1"),
        (RepairKind.UNKNOWN_TOKEN, str(1 << 40)),
    ]


def test_events_come_as_soon_as_they_can(vocabulary: Vocabulary) -> None:
    parser, v = Parser(vocabulary), vocabulary
    seen: list[Any] = [parser.push(token) for token in tokens_of("<|channel|>final<|message|>a b<|return|>", v)]
    assert [[type(event) for event in events] for events in seen] == [[], [], [Started], [Text], [Text], [Finished]]
    assert seen[2][0].header == seen[3][0].header
    assert seen[2][0].header.channel == "final"
    assert (seen[3][0].text, seen[4][0].text) == ("a", " b")
    assert parser.header is None
    assert [message.text for message in parser.messages] == ["a b"]
    assert parser.repairs == []
    assert parser.finish() == parser.finish()


def test_generated_tokens_are_kept_for_splicing(vocabulary: Vocabulary) -> None:
    first = tokens_of("<|channel|>analysis<|message|>A<|end|>", vocabulary)
    second = tokens_of("<|channel|>final<|message|>B<|return|>", vocabulary)
    prompt = tokens_of("<|start|>assistant", vocabulary)
    parsed = parse([*first, *prompt, *second], vocabulary)
    assert [message.tokens for message in parsed.messages] == [tuple(first), tuple(second)]
    history = render(Conversation(parsed.messages), vocabulary, as_="training", drop_analysis=False)
    assert history == [*prompt, *first, *prompt, *second]


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>final<|message|>B<|message|><|return|>",
        "<|start|>user<|message|>B<|end|>",
        "<|channel|>finalx<|message|>B<|return|>",
        "<|start|>assistant:bob<|message|>B<|end|>",
    ],
)
def test_no_tokens_are_kept_of_what_was_repaired_or_not_the_assistants(text: str, vocabulary: Vocabulary) -> None:
    parsed = parse(tokens_of(text, vocabulary), vocabulary)
    assert [message.tokens for message in parsed.messages] == [None]


@pytest.mark.parametrize("text", ["<|start|>", "<|start|>assistant", "", "\n", "<|end|>", "<|start|>user<|end|>"])
def test_nothing_said_is_no_message(text: str, vocabulary: Vocabulary) -> None:
    parsed = parse(tokens_of(text, vocabulary), vocabulary)
    assert parsed.messages == ()
    assert bool(parsed.repairs) == bool(text)


@pytest.mark.parametrize(
    "unit", ["<|channel|>", "x", "<|constrain|>", " to=f", "<|start|>", "<|end|>", "<|message|>", "\n"]
)
def test_time_is_linear_and_headers_end(unit: str, vocabulary: Vocabulary) -> None:
    ids = tokens_of(unit, vocabulary) * 60_000
    begin = time.monotonic()
    parsed = parse(ids, vocabulary)
    assert time.monotonic() - begin < 10
    if unit == "x":
        assert parsed.messages[0].text == "x" * 60_000
        assert [repair.kind for repair in parsed.repairs] == [RepairKind.LONG_HEADER]


def test_a_long_header_may_end_within_a_character(vocabulary: Vocabulary) -> None:
    half, rest = vocabulary.ranks["日".encode()[:1]], list(map(vocabulary.ranks.__getitem__, [b"\x97", b"\xa5"]))
    ids = [*[vocabulary.ranks[b"x"]] * 1024, half, *rest, vocabulary.end]
    assert parse(ids, vocabulary).messages[0].text == "x" * 1024 + "日"


def test_another_role_may_be_parsed_for(vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    ids = tokens_of("<|message|>Hi<|end|>", vocabulary)
    assert list(map(key, parse(ids, vocabulary, "user").messages)) == judged(judge, ids, "user")
