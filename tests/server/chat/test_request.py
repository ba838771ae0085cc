"""What a client of Chat Completions sends, as an Ask: every field of the openai package is known."""

from typing import Any, get_type_hints

import msgspec
import pytest
from openai.types.chat import completion_create_params

from ossia.assistant import Loop
from ossia.grammar import Choice, JsonObject, Lark, Regex
from ossia.harmony import Effort
from ossia.server.ask import Ask, Called, Replied, Returned, Spoken, Thought
from ossia.server.chat.request import ChatRequest, ask_of

ASKED = [{"role": "user", "content": "Hi"}]


def ask(**fields: Any) -> Ask:
    return ask_of(msgspec.convert({"model": "m", "messages": ASKED} | fields, ChatRequest))


def test_every_field_that_the_sdk_can_send_is_declared():
    known = {field.encode_name for field in msgspec.structs.fields(ChatRequest)}
    assert set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming)) <= known


def test_null_means_that_a_field_is_not_there():
    fields = {field.encode_name for field in msgspec.structs.fields(ChatRequest) if not field.required}
    assert ask(**dict.fromkeys(fields)) == ask()


def test_without_options_the_models_own_stand():
    plain = ask()
    assert (plain.sampling, plain.effort, plain.stop, plain.answer) == ({}, None, (), None)
    assert (plain.choice, plain.parallel, plain.grammar, plain.loop) == ("auto", True, True, Loop())


def test_sampling():
    wanted = ask(
        temperature=0.5, top_p=0.9, top_k=5, min_p=0.1, seed=3, max_completion_tokens=7, frequency_penalty=0.5,
        presence_penalty=-0.5, logit_bias={"5": -100, "6": 1.5}, logprobs=True, top_logprobs=4,
    )  # fmt: skip
    assert wanted.sampling == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "seed": 3, "max_tokens": 7,
        "frequency_penalty": 0.5, "presence_penalty": -0.5, "logit_bias": {5: -100, 6: 1.5}, "logprobs": 4,
    }  # fmt: skip
    assert ask(logprobs=True).sampling == {"logprobs": 0}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "high"},
        {"reasoning": {"effort": "high"}},
        {"think": "high"},
        {"chat_template_kwargs": {"reasoning_effort": "high"}},
    ],
)
def test_the_effort_in_every_spelling(fields: dict[str, Any]):
    assert ask(**fields).effort is Effort.HIGH


@pytest.mark.parametrize("fields", [{"think": False}, {"chat_template_kwargs": {"enable_thinking": False}}])
def test_no_reasoning_at_all(fields: dict[str, Any]):
    assert ask(**fields).effort is Effort.NONE


def test_a_bound_on_the_reasoning():
    assert (
        ask(max_reasoning_tokens=5).max_reasoning_tokens == ask(reasoning={"max_tokens": 5}).max_reasoning_tokens == 5
    )


def test_messages_become_items():
    items = ask(
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
            {"role": "developer", "content": "C"},
            {"role": "user", "content": "D", "name": "dora"},
            {
                "role": "assistant", "content": "E", "reasoning_content": "F", "refusal": None, "annotations": [],
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "G"},
        ]
    ).items  # fmt: skip
    assert items == (
        Spoken("system", "AB"),
        Spoken("developer", "C"),
        Spoken("user", "D", "dora"),
        Thought("F"),
        Replied("E"),
        Called("1", "functions.f", "{}"),
        Called("2", "functions.g", "x", custom=True),
        Returned("1", "G"),
    )


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"response_format": {"type": "json_object"}}, JsonObject()),
        ({"grammar": {"type": "regex", "pattern": "[0-9]+"}}, Regex("[0-9]+")),
        ({"grammar": {"type": "choice", "values": ["yes", "no"]}}, Choice(("yes", "no"))),
        ({"grammar": {"type": "lark", "source": "start: /a/"}}, Lark("start: /a/")),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_forms_of_an_answer(fields: dict[str, Any], answer: Any):
    assert ask(**fields).answer == answer


def test_masks_can_be_switched_off():
    assert not ask(grammar="off").grammar
