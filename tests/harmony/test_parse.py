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
from tests.harmony.makers import CHANNELS, TOOLS, Maker, seeds, tries
from tests.harmony.streams import HEADER_WORDS, MALFORMED, STRUCTURAL, Key, judged, key, meant, mutated, tokens_of


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


def test_a_stream_that_was_cut_short_is_no_departure(vocabulary: Vocabulary) -> None:
    """Wherever a well-formed stream is cut: what is complete is there, the last content as far as it goes."""
    v = vocabulary

    @tries(100)
    @given(seed=seeds)
    def check(seed: int) -> None:
        maker = Maker(seed)
        messages = [
            Message("assistant", maker.text(), channel, recipient, recipient and maker.one("code", "<|constrain|>json"))
            for channel, recipient in maker.some(lambda: (maker.choose(CHANNELS)(), maker.one(None, *TOOLS)), 3)
        ]
        ids = render(Conversation(tuple(messages)), v, as_="training", drop_analysis=False)[2:]
        whole = parse(ids, v).messages
        for count in range(len(ids)):
            parser = Parser(v)
            for token in ids[:count]:
                parser.push(token)
            complete = len(parser.messages)
            parsed = parser.finish(cut=True)
            assert parsed.repairs == ()
            assert parsed.messages[:complete] == whole[:complete]
            for half, full in zip(parsed.messages[complete:], whole[complete:], strict=False):
                assert (half.channel, half.recipient) == (full.channel, full.recipient)
                assert full.text.startswith(half.text.rstrip("\ufffd"))

    check()


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("<|channel|>final", []),
        ("<|channel|>ana", []),
        ("<|channel|>commentary to=functions.f", []),
        ("<|channel|>commentary to=functions.f <|constrain|>js", []),
        ("<|channel|>analysis to=python code", []),
        ("<|channel|>final<|message|>4<|end|><|start|>", ["4"]),
        ("<|channel|>final<|message|>4<|end|><|start|>assi", ["4"]),
        ("It is 4, since", ["It is 4, since"]),
        ("<|channel|>final It is", ["It is"]),
        ("<|channel|>final<|message|>4<|end|>So", ["4", "So"]),
    ],
)
def test_a_header_that_was_cut_short_is_dropped_and_text_is_not(
    text: str, contents: list[str], vocabulary: Vocabulary
) -> None:
    ids = tokens_of(text, vocabulary)
    parser = Parser(vocabulary)
    for token in ids:
        parser.push(token)
    parsed = parser.finish(cut=True)
    assert [message.text for message in parsed.messages] == contents
    assert parsed.repairs == () or contents
    assert len(parse(ids, vocabulary).repairs) > 0, "not cut short, it is a departure"


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
    begin = time.process_time()
    parsed = parse(ids, vocabulary)
    assert time.process_time() - begin < 10
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
