"""One turn of a conversation, driven by hand, by a scripted engine and by a real one."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.assistant import (
    Began,
    CallTool,
    Drawn,
    DrawnToken,
    Ended,
    Generate,
    Kind,
    Loop,
    Proceed,
    Text,
    Turn,
    Usage,
    drive,
    opening,
    turn,
)
from ossia.engine import Output, SamplingParams
from ossia.errors import ConversationError
from ossia.harmony import Conversation, Effort, Message, RepairKind, render
from tests.cli.tiny import VOCABULARY
from tests.scripted import ScriptedEngine, ids

ASKED = Conversation((*opening(Effort.MEDIUM), Message("user", "What is 2 + 2?")))
ANSWERED = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
CALLED = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'


def output(text: str, finish: str | None = None, *, generated: int = 1, seed: int = 7) -> Output:
    return Output(
        request_id=0,
        tokens=tuple(ids(VOCABULARY, text)),
        logprobs=None,
        finish=finish,  # type: ignore[arg-type]
        prompt_tokens=10,
        cached_tokens=4,
        generated_tokens=generated,
        seed=seed,
    )


def collected(steps: Generator[Any, Any, Turn], first: Any = None) -> tuple[list[Any], Turn]:
    """All that a generator yields from here on, each answered with None, and what it returns."""
    events: list[Any] = []
    try:
        events.append(steps.send(first))
        while True:
            events.append(steps.send(None))
    except StopIteration as end:
        return events, end.value


def run(
    *answers: str,
    params: SamplingParams | None = None,
    tools: tuple[str, ...] = (),
    conversation: Conversation = ASKED,
    stop: tuple[str, ...] = (),
    loop: Loop | None = None,
    **driving: Any,
) -> tuple[list[Any], Turn, ScriptedEngine]:
    engine = ScriptedEngine(VOCABULARY, *answers)
    steps = turn(conversation, VOCABULARY, params, tools=tools, stop=stop, loop=loop)
    steps = drive(steps, engine, **driving)  # type: ignore[arg-type]
    return *collected(steps), engine


def texts(events: list[Any]) -> list[tuple[Kind, str]]:
    """The texts, neighbours of a kind joined."""
    found: list[tuple[Kind, str]] = []
    for event in events:
        if isinstance(event, Text):
            if found and found[-1][0] is event.kind:
                found[-1] = (event.kind, found[-1][1] + event.text)
            else:
                found.append((event.kind, event.text))
    return found


def test_the_protocol_step_by_step():
    steps = turn(ASKED, VOCABULARY, SamplingParams(max_tokens=50))
    first = steps.send(None)
    assert first == Generate(tuple(render(ASKED, VOCABULARY)), SamplingParams(max_tokens=50))
    assert steps.send(output("<|channel|>")) == Drawn((VOCABULARY.channel,))
    assert steps.send(None) == Proceed()
    assert isinstance(steps.send(output("final<|message|>")), Drawn)
    assert steps.send(None) == Began(Kind.ANSWER)
    assert steps.send(None) == Proceed()
    assert isinstance(steps.send(output("4<|return|>", "stop", generated=6)), Drawn)
    assert steps.send(None) == Text(Kind.ANSWER, "4", drawn=(DrawnToken(VOCABULARY.encode("4")[0]),))
    ended = steps.send(None)
    assert isinstance(ended, Ended)
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert end.value.value == Turn((ended.message,), "stop", Usage(10, 4, 6, 0), (), 7)


def test_reasoning_and_answer_are_told_apart():
    events, done, engine = run(ANSWERED)
    assert texts(events) == [(Kind.REASONING, "Easy."), (Kind.ANSWER, "It is 4.")]
    assert (done.reasoning, done.answer, done.finish, done.repairs) == ("Easy.", "It is 4.", "stop", ())
    assert [event.message for event in events if isinstance(event, Ended)] == list(done.messages)
    assert engine.prompts == [VOCABULARY.decode(render(ASKED, VOCABULARY))]


def test_usage_counts_the_reasoning():
    _, done, _ = run(ANSWERED)
    # The content of the analysis with the token that ends it.
    assert done.usage.reasoning_tokens == len(ids(VOCABULARY, "Easy.<|end|>"))
    assert done.usage.generated_tokens == len(ids(VOCABULARY, ANSWERED))


def test_what_was_generated_is_spliced_into_the_next_prompt():
    _, done, _ = run(ANSWERED)
    again = Conversation((*ASKED.messages, *done.messages, Message("user", "And 3 + 3?")))
    prompt = render(again, VOCABULARY)
    final = ids(VOCABULARY, "<|start|>assistant<|channel|>final<|message|>It is 4.<|end|>")
    assert any(prompt[at : at + len(final)] == final for at in range(len(prompt)))
    assert "Easy." not in VOCABULARY.decode(prompt)


def test_a_tool_is_called_and_the_turn_goes_on():
    asked: list[Message] = []

    def call_tool(message: Message) -> tuple[Message, ...]:
        asked.append(message)
        return (Message("tool", "4", channel="commentary", recipient="assistant", name="functions.add"),)

    events, done, engine = run(
        "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant" + CALLED,
        ANSWERED,
        tools=("functions.add",),
        call_tool=call_tool,
    )
    assert [message.text for message in asked] == ['{"a": 2}']
    assert [message.role for message in done.messages] == ["assistant", "assistant", "tool", "assistant", "assistant"]
    assert done.answer == "It is 4."
    assert texts(events)[1] == (Kind.CALL, '{"a": 2}')
    assert engine.prompts[1].endswith(
        '{"a": 2}<|call|><|start|>functions.add to=assistant<|channel|>commentary<|message|>4<|end|><|start|>assistant'
    )
    assert "Add." in engine.prompts[1], "the reasoning of a turn whose tools still run stays"
    assert done.usage.prompt_tokens == sum(len(ids(VOCABULARY, prompt)) for prompt in engine.prompts)


def test_the_rounds_of_a_turn_share_seed_and_tokens():
    call = len(ids(VOCABULARY, CALLED))
    _, _, engine = run(
        CALLED, ANSWERED, params=SamplingParams(max_tokens=call + 9), tools=("functions",), call_tool=lambda _: ()
    )
    assert [params.max_tokens for params in engine.params] == [call + 9, 9]
    assert [params.seed for params in engine.params] == [None, 7]


def test_a_turn_whose_call_took_the_last_token_ends():
    call = len(ids(VOCABULARY, CALLED))
    _, done, engine = run(CALLED, params=SamplingParams(max_tokens=call), tools=("functions",), call_tool=lambda _: ())
    assert (done.finish, len(engine.prompts)) == ("length", 1)


@pytest.mark.parametrize("tools", [(), ("functions.multiply",), ("function",)])
def test_a_call_that_nobody_answers_ends_the_turn(tools: tuple[str, ...]):
    _, done, engine = run(CALLED, tools=tools)
    assert (done.finish, done.answer, len(engine.prompts)) == ("tool_calls", "", 1)
    assert done.messages[-1].recipient == "functions.add"


@pytest.mark.parametrize(
    ("channel", "recipient", "kind"),
    [
        ("analysis", None, Kind.REASONING),
        ("analysis", "python", Kind.CALL),  # how the built-in tools are called
        ("commentary", "functions.f", Kind.CALL),
        ("commentary", None, Kind.PREAMBLE),
        ("commentary", "all", Kind.PREAMBLE),
        ("final", None, Kind.ANSWER),
        ("final", "all", Kind.ANSWER),
        (None, None, Kind.ANSWER),
        ("weather", None, Kind.ANSWER),
    ],
)
def test_kinds(channel: str | None, recipient: str | None, kind: Kind):
    assert Kind.of(Message("assistant", "", channel=channel, recipient=recipient)) is kind


def test_a_preamble_is_for_the_user():
    events, done, _ = run("<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant" + ANSWERED)
    assert texts(events)[0] == (Kind.PREAMBLE, "One moment.")
    assert done.answer == "It is 4."


def test_what_is_said_in_anothers_name_is_no_answer():
    events, done, _ = run(f"<|channel|>final<|message|>4<|end|><|start|>user<|message|>Thanks<|end|>{ANSWERED}")
    assert (Kind.OTHER, "Thanks") in texts(events)
    assert "Thanks" not in done.answer


def test_running_out_of_tokens_keeps_what_there_is():
    header = len(ids(VOCABULARY, "<|channel|>analysis<|message|>"))
    _, done, _ = run(ANSWERED, params=SamplingParams(max_tokens=header + 1))
    assert (done.finish, done.answer) == ("length", "")
    assert "Easy.".startswith(done.reasoning)
    _, done, _ = run(ANSWERED, params=SamplingParams(max_tokens=len(ids(VOCABULARY, ANSWERED)) - 2))
    assert done.answer.startswith("It is ")
    assert "It is 4.".startswith(done.answer)


def test_stopping_keeps_what_was_written():
    steps = 0

    def stopped() -> bool:
        nonlocal steps
        steps += 1
        return steps > len(ids(VOCABULARY, "<|channel|>analysis<|message|>Eas"))

    _, done, _ = run(ANSWERED, stopped=stopped)
    assert done.finish == "cancelled"
    assert done.reasoning
    assert "Easy.".startswith(done.reasoning)


def test_malformed_output_is_repaired_and_named():
    events, done, _ = run("<|channel|>final<|message|>4<|channel|>analysis<|message|>oh")
    assert texts(events) == [(Kind.ANSWER, "4"), (Kind.REASONING, "oh")]
    assert [repair.kind for repair in done.repairs] == [RepairKind.MISSING_END, RepairKind.MISSING_START]


@given(st.lists(st.integers(0, VOCABULARY.size - 1), min_size=1, max_size=60))
def test_the_events_are_the_messages_whatever_the_tokens(tokens: list[int]):
    steps = turn(ASKED, VOCABULARY)
    steps.send(None)
    answer = replace(output("", "length"), tokens=tuple(tokens))
    events, done = collected(steps, answer)
    assert tuple(event.message for event in events if isinstance(event, Ended)) == done.messages
    shown = "".join(event.text for event in events if isinstance(event, Text))
    assert shown == "".join(message.text for message in done.messages)


def test_a_stop_string_ends_the_turn_and_is_cut_off():
    long = ANSWERED.replace("It is 4.", "It is 4.\nUser: and now?")
    events, done, engine = run(long, stop=("never", "\nUser:"))
    assert (done.answer, done.finish, done.stopped_by) == ("It is 4.", "stop", "\nUser:")
    assert texts(events) == [(Kind.REASONING, "Easy."), (Kind.ANSWER, "It is 4.")]
    assert done.messages[-1].tokens is None, "its tokens would say more than its text"
    assert engine._cancelled


def test_a_stop_string_in_the_reasoning_is_none():
    _, done, _ = run(ANSWERED, stop=("Easy",))
    assert (done.reasoning, done.answer, done.stopped_by) == ("Easy.", "It is 4.", None)


def test_going_in_circles_ends_the_turn():
    endless = "<|channel|>analysis<|message|>" + "and so on " * 200
    _, done, engine = run(endless, loop=Loop(tokens=64, times=8))
    assert done.finish == "repetition"
    assert done.usage.generated_tokens < len(ids(VOCABULARY, endless))
    assert done.reasoning.startswith("and so on and so on")
    assert engine._cancelled


def test_several_calls_are_answered_before_the_turn_goes_on():
    twice = CALLED.replace("<|call|>", "<|end|>") + "<|start|>assistant" + CALLED.replace("2", "3")
    asked: list[str] = []

    def call_tool(message: Message) -> tuple[Message, ...]:
        asked.append(message.text)
        return (Message("tool", "4", channel="commentary", recipient="assistant", name="functions.add"),)

    _, done, engine = run(twice, ANSWERED, tools=("functions",), call_tool=call_tool)
    assert asked == ['{"a": 2}', '{"a": 3}']
    assert (done.finish, len(done.calls), len(engine.prompts)) == ("stop", 2, 2)
    _, done, _ = run(twice)
    assert (done.finish, len(done.calls)) == ("tool_calls", 2)


@given(st.lists(st.integers(0, VOCABULARY.size - 1), min_size=1, max_size=60), st.integers(1, 7))
def test_each_message_begins_goes_on_and_ends(tokens: list[int], cut: int):
    """And the tokens of its text decode to it, however many came in a step."""
    steps = turn(ASKED, VOCABULARY, stop=("ab", "e"))
    steps.send(None)
    parts = [tuple(tokens[at : at + cut]) for at in range(0, len(tokens), cut)]
    finishes = [None] * (len(parts) - 1) + ["length"]
    events: list[Any] = []
    event: Any = None
    done: Any = None
    try:
        event = steps.send(replace(output("", finishes[0]), tokens=parts[0]))
        for part, finish in zip([*parts[1:], ()], [*finishes[1:], None], strict=True):
            while event != Proceed():
                events.append(event)
                event = steps.send(None)
            event = steps.send(replace(output("", finish), tokens=part))
    except StopIteration as end:
        done = end.value
    said = [event for event in events if not isinstance(event, Drawn)]
    state: Any = None
    for event in said:
        match event:
            case Began(kind):
                assert state is None
                state = (kind, "")
            case Text(kind, text):
                assert state[0] is kind
                state = (kind, state[1] + text)
            case Ended(message):
                assert state == (Kind.of(message), message.text)
                state = None
    assert state is None
    assert tuple(event.message for event in said if isinstance(event, Ended)) == done.messages


def test_left_early_the_request_is_cancelled():
    engine = ScriptedEngine(VOCABULARY, ANSWERED)
    steps = drive(turn(ASKED, VOCABULARY), engine)  # type: ignore[arg-type]
    next(steps)
    steps.close()
    assert engine._cancelled


def test_a_conversation_that_is_none_is_refused():
    broken = Conversation((Message("user", opening(Effort.LOW)[0].content),))
    with pytest.raises(ConversationError):
        run(ANSWERED, conversation=broken)


def test_a_wrong_answer_to_a_want_is_a_mistake_of_the_driver():
    steps: Generator[Any, Any, Turn] = turn(ASKED, VOCABULARY, tools=("functions",))
    steps.send(None)
    with pytest.raises(TypeError, match="answered with an Output"):
        steps.send(None)
    steps = turn(ASKED, VOCABULARY, tools=("functions",))
    steps.send(None)
    event = steps.send(output(CALLED, "stop"))
    while not isinstance(event, CallTool):
        event = steps.send(None)
    with pytest.raises(TypeError, match="answered with a tuple of messages"):
        steps.send(None)


def test_opening():
    system, developer = opening(Effort.HIGH, "Be brief.", "2026-01-31")
    text = VOCABULARY.decode(render(Conversation((system, developer)), VOCABULARY))
    assert "Current date: 2026-01-31" in text
    assert "Reasoning: high" in text
    assert "# Instructions\n\nBe brief." in text
    assert len(opening(Effort.HIGH)) == 1
